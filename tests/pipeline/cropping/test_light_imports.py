"""The imports of a process that scores: torch, but neither its compiler nor torchvision."""

from tests.support.fresh import packages_loaded

SCORE = """
import sys
import numpy as np
import torch
from pipeline.cropping.build import choose_runtime, make_engine
from pipeline.cropping.weights import choose_weights
from pipeline.photo.decode import decode
from pipeline.shapes import parse_shapes
from tests.support.odd_photos import saved, scene

engine = make_engine(choose_weights("starter"), runtime=choose_runtime("auto", "cpu"))
(seen,) = engine.see([decode(saved(scene(), "PNG"))])
assert engine.choose(seen, parse_shapes("1:1"), 1).crops
assert "torch._dynamo" not in sys.modules
"""


def test_scoring_loads_no_torchvision() -> None:
    """Importing it takes a second of CPU time, most of that for torch's compiler."""
    assert "torchvision" not in packages_loaded(SCORE)
