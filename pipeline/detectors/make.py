"""Build the detector that a `--detector` string names.

Each detector is imported where it is built: torch takes seconds to import, and workers that only
decode never need it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.detectors.detection import Detector
from pipeline.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    import torch

    from s2cnet.onnx import Runtime


KINDS = ("embedded", "boxes", "torchvision", "vg")


def make_detector(
    spec: str,
    device: str | torch.device = "cpu",
    cache: Path | None = None,
    runtime: Runtime = "torch",
) -> Detector:
    """Build the detector that a `--detector` string names (forms: see `pipeline.detectors`).

    device: by the rule of `pipeline.device`.
    cache: folder of compiled networks, see `s2cnet.aot`; None compiles nothing.
    runtime: what runs the embedded detector on a CPU; torch runs the others.

    Raises UsageError for an unknown name or device, and for missing or wrong weights; the message
    says what to do. Raises CannotCompileError if `cache` is given and there is no compiler.
    """
    kind, _, rest = spec.partition(":")
    if kind == "embedded" and not rest:
        from pipeline.detectors.embedded import EmbeddedDetector

        return EmbeddedDetector(device, cache, runtime)
    if kind == "boxes":
        from pipeline.detectors.given_boxes import GivenBoxes

        return GivenBoxes(rest or None)
    if kind == "torchvision" and rest:
        from pipeline.detectors.torchvision_models import TorchvisionDetector

        model, _, weights = rest.partition(":")
        return TorchvisionDetector(model, weights or None, device, cache)
    if kind == "vg":
        from pipeline.detectors.visual_genome import VisualGenomeDetector

        return VisualGenomeDetector.from_checkpoint(rest or None, device)
    meant = "" if kind in KINDS else did_you_mean(kind, KINDS)
    raise UsageError(
        f"no detector {spec!r}: use embedded, boxes, boxes:<folder>, torchvision:<model>, "
        f"torchvision:<model>:<weights file> or vg:<weights file>{meant}"
    )
