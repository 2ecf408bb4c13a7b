"""Find objects in photos: uint8 pixels in, boxes out, best first.

S2CNet reads a photo's objects as the nodes of its graph, and the rule of choice keeps them whole.
Where objects come from is named by one string, as `--detector` takes it:

    embedded                        salient regions and faces, nothing to download (the default)
    boxes                           no detector: boxes come from the input list's `boxes` column
    boxes:<folder or URI>           ... or from published box files, `<photo's name>.txt`
    torchvision:<model>[:<weights>] any model of torchvision.models.detection
    vg:<weights>                    Faster R-CNN R101-C4 trained on Visual Genome

Every detector is one class with the same three members (`Detector`). `pipeline.cropping.sources`
takes its boxes to source pixels, and puts the given boxes beside the detectors.
"""

from pipeline.detectors.attention import Attention, Votes
from pipeline.detectors.detection import Detections, Detector, Pixels, SmallInputDetector
from pipeline.detectors.make import make_detector

__all__ = [
    "Attention",
    "Detections",
    "Detector",
    "Pixels",
    "SmallInputDetector",
    "Votes",
    "make_detector",
]
