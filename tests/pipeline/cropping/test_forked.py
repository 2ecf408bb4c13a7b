"""Networks in children that a process forks, for instance by `multiprocessing` on Linux."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
# Torch starts its threads for large tensors only, such as these weights and the detector's input.
PROGRAM = """
import multiprocessing, sys, warnings
import torch
from pipeline import Cropper
from tests.support.odd_photos import saved, scene

torch.set_num_threads(2)
warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads, from Python 3.12 on
DATA = saved(scene(400, 300), "PNG")
kept = Cropper("untrained", device="cpu")
crops = kept.crop(DATA)

def in_child(which):
    cropper = kept if which == "kept" else Cropper("untrained", device="cpu")
    return cropper.crop(DATA), cropper.score(DATA, [crops[0].box_px]).shape, torch.get_num_threads()

with multiprocessing.get_context("fork").Pool(1) as pool:
    found, scores, threads = pool.apply_async(in_child, [sys.argv[1]]).get(timeout=60)
assert found[0].box_px == crops[0].box_px, (found, crops)
assert (scores, threads, torch.get_num_threads()) == ((1,), 1, 2)
assert kept.crop(DATA) == crops
"""


@pytest.mark.skipif(sys.platform != "linux", reason="macOS's libraries forbid forks")
@pytest.mark.parametrize("which", ["kept", "new"])
def test_a_forked_child_can_crop_with_its_parents_cropper_or_its_own(which: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, which], cwd=ROOT, capture_output=True, text=True,
        timeout=150, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
