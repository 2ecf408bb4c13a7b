"""A scoring worker keeps to one core, whatever its networks run on."""

from types import SimpleNamespace
from typing import Any

import cv2
import pytest
import torch

from pipeline.settings import Settings
from pipeline.stages import crop


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_scoring_worker_has_one_thread(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside a GPU, OpenCV would wait for a thread on every core, and all are busy."""
    monkeypatch.setattr(crop, "engine_of", lambda *_: None)
    about = {"settings": Settings(), "weights": None, "run_id": "r", "session": "", "images": 1}
    job: Any = SimpleNamespace(**about)
    torch.set_num_threads(2)
    cv2.setNumThreads(2)
    crop.DetectScore(job, device)
    assert (torch.get_num_threads(), cv2.getNumThreads()) == (1, 1)
