"""Memory that a network took for a large image is returned."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

# In a process of its own: what other tests left in this one comes and goes at any time.
GROWTH = """
from pathlib import Path
import torch
from torch import nn
from s2cnet.onnx import OnnxModule

def own_kib():
    rows = Path("/proc/self/status").read_text().splitlines()
    return next(int(row.split()[1]) for row in rows if "RssAnon" in row)

network = OnnxModule(nn.Sequential(nn.Conv2d(3, 64, 1), nn.ReLU(), nn.Conv2d(64, 1, 1)).eval())
network(torch.zeros(1, 3, 8, 8))
before = own_kib()
network(torch.zeros(1, 3, 1024, 768))
print((own_kib() - before) / 1024)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
def test_a_large_image_leaves_no_memory_behind() -> None:
    between_mib = 64 * 1024 * 768 * 4 / 2**20  # 192: what the first convolution returns
    command = [sys.executable, "-c", GROWTH]
    found = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert float(found.stdout) < between_mib / 4
