"""What a network took for a large image is given back."""

from pathlib import Path

import pytest
import torch
from torch import nn

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from s2cnet.onnx import OnnxModule

MB = 1 << 20


def own_mb() -> float:
    """Memory of this process that it shares with no file."""
    (line,) = (
        row for row in Path("/proc/self/status").read_text().splitlines() if "RssAnon" in row
    )
    return int(line.split()[1]) / 1024


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
def test_a_large_image_leaves_no_memory_behind() -> None:
    wide = nn.Sequential(nn.Conv2d(3, 64, 1), nn.ReLU(), nn.Conv2d(64, 1, 1)).eval()
    network = OnnxModule(wide)
    network(torch.zeros(1, 3, 8, 8))
    before = own_mb()
    between_mb = 64 * 1024 * 768 * 4 / MB  # 192: what the first convolution returns
    network(torch.zeros(1, 3, 1024, 768))
    assert own_mb() - before < between_mb / 4
