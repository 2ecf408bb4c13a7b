"""What a worker on Ray does, without Ray; `tests/jobs/test_evaluate.py` runs a whole one."""

import json
import pickle
from pathlib import Path

import pytest
from PIL import Image

from pipeline.cropping.weights import choose_weights
from pipeline.lab.datasets import Example
from pipeline.lab.evaluation.cluster import EvaluateBlock, block_count
from pipeline.lab.evaluation.setup import EvaluationSetup, evaluate_here


@pytest.mark.parametrize(("photos", "blocks"), [(0, 1), (7, 1), (15, 1), (16, 2), (800, 100)])
def test_a_block_has_at_least_eight_photos_where_there_are_as_many(
    photos: int, blocks: int
) -> None:
    assert block_count(photos) == blocks


def test_a_worker_makes_the_rows_that_one_process_makes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A photo that fails is a row too; a worker starts in another folder than the command."""
    Image.new("RGB", (60, 40), (200, 120, 40)).save(tmp_path / "a.png")
    setup = EvaluationSetup(choose_weights("untrained"), "boxes", ["centre"], ["1:1"])
    examples = [Example("a", Path("a.png")), Example("b", Path("gone.png"))]
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    worker = EvaluateBlock(setup, "cpu", tmp_path)
    made = worker({"example": [pickle.dumps(example) for example in examples]})
    rows = [json.loads(row) for row in made["row"]]
    assert [*made] == ["row"]
    assert [row["status"] for row in rows] == ["ok", "not_found"]
    assert rows == json.loads(json.dumps([*evaluate_here(examples, setup, "cpu")]))
