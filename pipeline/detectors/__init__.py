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

detection, attention       what a detector returns
make                       builds the detector that a string names
batches, suppression       photos of all sizes as batches; clipping and suppression of boxes
given_boxes                looks boxes up instead of detecting them
torchvision_models         detectors of torchvision
visual_genome, visual_genome_network
                           the detector of the published boxes
checkpoint                 weights files of the last two

The embedded detector:
embedded                   the detector
packaged, differences      its weights, and how they are stored
subject_network            its network: trunk, feature pyramid, head of objects and subject
people_head, head_branch, placement_branch, feature_head
                           its branches: gaze and kept parts, heads, places, S2CNet's features
peaks, postprocess         its output as objects
read_attention             its output as maps and heads
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
