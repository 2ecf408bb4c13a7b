"""Find objects in photos: uint8 pixels in, boxes out, best first.

A detector tells the scorer what a photo shows; the crop network reads its boxes as graph nodes.
Every detector is one class with the same three members (`Detector`), chosen by one string:

    embedded                        salient regions and faces, nothing to download (the default)
    boxes                           no detector: boxes come from the input list's `boxes` column
    boxes:<folder or URI>           ... or from published box files, `<photo's name>.txt`
    torchvision:<model>[:<weights>] any model of torchvision.models.detection
    vg:<weights>                    Faster R-CNN R101-C4 trained on Visual Genome

Boxes are float32 xyxy in the frame of the array that was given (`_view`), half-open, inside it.
"""

from pipeline.detectors.detection import (
    CompilableDetector,
    Detections,
    Detector,
    Pixels,
    SharingDetector,
)
from pipeline.detectors.make import make_detector

__all__ = [
    "CompilableDetector",
    "Detections",
    "Detector",
    "Pixels",
    "SharingDetector",
    "make_detector",
]
