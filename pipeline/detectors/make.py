"""Make the detector that a `--detector` string names.

Each detector is imported where it is made: torch takes seconds to import, and workers that only
decode never need it.
"""

from pipeline.detectors.detection import Detector
from pipeline.errors import UsageError


def make_detector(spec: str, device: str = "cpu") -> Detector:
    """Build the detector a `--detector` string names (forms: see `pipeline.detectors`).

    Raises UsageError for an unknown name, missing or wrong weights; the message says what to do.
    """
    kind, _, rest = spec.partition(":")
    if kind == "embedded" and not rest:
        from pipeline.detectors.embedded import EmbeddedDetector

        return EmbeddedDetector(device)
    if kind == "boxes":
        from pipeline.detectors.given_boxes import GivenBoxes

        return GivenBoxes(rest or None)
    if kind == "torchvision" and rest:
        from pipeline.detectors.torchvision_models import TorchvisionDetector

        model, _, weights = rest.partition(":")
        return TorchvisionDetector(model, weights or None, device)
    if kind == "vg":
        from pipeline.detectors.visual_genome import VisualGenomeDetector

        return VisualGenomeDetector.from_checkpoint(rest or None, device)
    raise UsageError(
        f"no detector {spec!r}: use embedded, boxes, boxes:<folder>, torchvision:<model>, "
        "torchvision:<model>:<weights file> or vg:<weights file>"
    )
