"""Find objects in photos: uint8 pixels in, boxes out, best first.

S2CNet reads a photo's objects as the nodes of its graph, and the rule of choice keeps them whole.
One string names the source of objects, as in `--detector`:

    embedded                        salient regions and faces, nothing to download (the default)
    boxes                           no detector: boxes come from the input list's `boxes` column
    boxes:<folder or URI>           ... or from published box files, `<photo's name>.txt`
    torchvision:<model>[:<weights>] any model of torchvision.models.detection
    vg:<weights>                    Faster R-CNN R101-C4 trained on Visual Genome

Every detector is one class with the same three members (`Detector`). `pipeline.cropping.sources`
converts its boxes to source pixels and offers given boxes in the same form as detected ones.
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
