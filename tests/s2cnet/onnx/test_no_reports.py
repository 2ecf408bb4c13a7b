"""ONNX Runtime sends nothing to its maker: there is no identifier on disk, so no reports."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.fresh import ROOT

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

RUNS_A_NETWORK = """
import torch
from s2cnet.onnx import OnnxModule
assert OnnxModule(torch.nn.ReLU())(-torch.ones(1, 1, 2, 2)).sum() == 0
"""


def left_behind(source: str, folder: Path) -> list[str]:
    """What a process leaves in its home and its folder for temporary files."""
    folder.mkdir()
    homes = {"HOME": str(folder), "TMPDIR": str(folder), "XDG_CACHE_HOME": str(folder)}
    # None of the variables by which it knows that it is tested, and is silent.
    environment = {"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1", **homes}
    subprocess.run([sys.executable, "-c", source], cwd=ROOT, env=environment, check=True)
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_a_network_is_run_without_reports(tmp_path: Path) -> None:
    assert left_behind(RUNS_A_NETWORK, tmp_path / "ours") == []


@pytest.mark.skipif(sys.platform != "linux", reason="its other packages keep it elsewhere")
def test_the_look_would_find_them(tmp_path: Path) -> None:
    """By itself it keeps an identifier: a package that no longer does needs no door."""
    assert left_behind("import onnxruntime", tmp_path / "by_itself") != []
