"""Step `networks`: detector and backbone alone, the limit for a GPU that always has input."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from pipeline.detectors.embedded import packaged_network
from s2cnet import load_model
from s2cnet.fast.folded import fold_backbone
from s2cnet.recording import Recorded
from tests.gpu_proof.timing import Row, milliseconds, report_row, write

SIZES = {"detector": (288, 288), "backbone": (256, 384)}
BATCHES = (1, 8, 32)
LAYOUTS = {"contiguous": torch.contiguous_format, "channels last": torch.channels_last}
KINDS = (torch.float32, torch.float16)


def run(device: str, photos: Path, document: Path) -> None:
    """Write milliseconds a photo of each network, by batch, precision and memory layout."""
    rows: list[Row] = []
    torch.backends.cudnn.allow_tf32 = False  # as in the product
    few = device == "cpu"
    with torch.inference_mode():
        for layout in list(LAYOUTS)[: 1 if few else None]:
            for kind in KINDS[: 1 if few else None]:
                # With channels last, cuDNN takes 3 s to start for each size: two sizes are enough.
                some = BATCHES if layout == "contiguous" else BATCHES[:3:2]
                for batch in some[: 1 if few else None]:
                    for name, network in networks(device).items():
                        row = {"network": name, "layout": layout, "precision": str(kind)[6:]}
                        times = measure(network, name, batch, kind, LAYOUTS[layout], device)
                        report_row({**row, "batch": batch, **times}, rows)
    write(document, "networks", rows)


def networks(device: str) -> dict[str, nn.Module]:
    """Return both networks on a device, in evaluation mode."""
    model = load_model("starter", device=device).eval()
    return {
        "detector": packaged_network().eval().to(device),
        "backbone": fold_backbone(model.backbone),
    }


def measure(
    network: nn.Module,
    name: str,
    batch: int,
    kind: torch.dtype,
    layout: torch.memory_format,
    device: str,
) -> Row:
    """Measure milliseconds a photo, launched kernel by kernel and, for batch 1, as a CUDA graph."""
    network = network.to(kind).to(memory_format=layout)
    images = torch.rand(batch, 3, *SIZES[name], device=device, dtype=kind)
    images = images.contiguous(memory_format=layout)
    rounds = 3 if device == "cpu" else 10
    call: Callable[[], object] = partial(network, images)
    times = {"ms_a_photo": round(milliseconds(call, rounds) / batch, 3)}
    if batch == 1:
        recorded = Recorded(partial(as_list, network))
        times["ms_as_graph"] = milliseconds(partial(recorded, images), rounds)
    return times


def as_list(network: nn.Module, images: Tensor) -> list[Tensor]:
    """Convert a network's output to the list that `Recorded` needs."""
    return [network(images)]
