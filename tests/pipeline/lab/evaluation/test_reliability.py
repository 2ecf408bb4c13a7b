"""The confidence in an evaluation: from photos to rows, figures and table."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.cropping.results import ScoredCrop
from pipeline.cropping.weights import choose_weights
from pipeline.lab.datasets import Example
from pipeline.lab.evaluation.photo import Evaluator
from pipeline.lab.evaluation.reliability import (
    ALL_CROPS,
    acceptance_by_people,
    confidence_figures,
    entry_of,
)
from pipeline.lab.evaluation.setup import EvaluationSetup
from pipeline.lab.evaluation.summary import summarise
from pipeline.lab.evaluation.tables import confidence_table


def crop(box: tuple[float, ...], confidence: float | None, margin: float | None = 0.1) -> Any:
    x0, y0, x1, y1 = box
    return ScoredCrop("1:1", 0, (x0, y0, x1, y1), 0.0, 1.0, margin, [], 0, confidence=confidence)


def row(name: str, *entries: tuple[str, float, float, float | None]) -> dict[str, Any]:
    """One photo with (shape, accepted, confidence, margin) of each crop."""
    keys = ("shape", "accepted", "confidence", "margin")
    told = [dict(zip(keys, entry, strict=True)) for entry in entries]
    return {"id": name, "status": "ok", "tags": [], "acceptance": told}


def test_nobody_is_asked_without_a_confidence_or_a_label() -> None:
    assert entry_of("own", crop((0, 0, 9, 9), None), 1.0) == []
    assert entry_of("own", crop((0, 0, 9, 9), 0.5), None) == []
    (entry,) = entry_of("own", crop((0, 0, 9, 9), 0.5, None), 1.0)
    assert entry == {"shape": "own", "accepted": 1.0, "confidence": 0.5, "margin": None}


def test_each_person_is_asked_about_the_crop_at_the_own_ratio_and_all_about_the_free_one() -> None:
    people = np.array([[0, 0, 10, 10], [10, 0, 20, 10]], np.float32)
    chosen = [crop((0, 0, 10, 10), 0.7), crop((0, 0, 10, 10), 0.6), crop((0, 0, 10, 9), 0.5)]
    own, other, free = acceptance_by_people(chosen, people, ["own", "own"])
    assert (own["accepted"], other["accepted"]) == (1.0, 0.0)
    assert (free["shape"], free["accepted"], free["confidence"]) == ("free", 0.5, 0.5)


def test_figures_by_hand() -> None:
    rows = [
        row("a", ("1:1", 1, 0.9, 0.1), ("9:16", 0, 0.9, 0.3)),
        row("b", ("1:1", 1, 0.5, 0.2), ("9:16", 1, 0.5, None)),
        {"id": "c", "status": "ok"},  # of an evaluation that could not ask anyone
    ]
    figures = confidence_figures(rows, 50, 0)
    told = figures["parts"][ALL_CROPS]
    assert (told["crops"], told["accepted"], told["confidence"]) == pytest.approx((4, 0.75, 0.7))
    # two bins: .5 is accepted by all, .9 by half
    assert told["ece"]["mean"] == pytest.approx((0.5 + 0.4) / 2)
    # the one refused crop has .9: of three accepted ones none is above it, one is level
    assert told["auc"]["mean"] == pytest.approx(0.5 / 3)
    # by margin it has .3, as one without a rival is taken to have
    assert told["auc of margin"]["mean"] == pytest.approx(0.5 / 3)
    brier = (0.1**2 + 0.9**2 + 0.5**2 + 0.5**2) / 4
    assert told["brier"]["mean"] == pytest.approx(brier)
    assert told["brier of a constant"]["mean"] == pytest.approx(0.75 * 0.25)
    assert figures["parts"]["1:1"]["accepted"] == 1
    low, high = figures["bins"]
    assert (low["confidence"], low["accepted"], low["low"], low["high"]) == (0.5, 1, 1, 1)
    assert (high["accepted"], high["share"], high["crops"]) == (0.5, 0.5, 2)
    assert confidence_figures(rows[2:], 50, 0) == {}


def test_one_shape_has_no_figures_of_its_own() -> None:
    rows = [row("a", ("1:1", 1, 0.9, None)), row("b", ("1:1", 0, 0.4, None))]
    figures = confidence_figures(rows, 10, 0)
    assert list(figures["parts"]) == [ALL_CROPS]
    # Crops without a margin are all alike.
    assert figures["parts"][ALL_CROPS]["auc of margin"]["mean"] == 0.5
    assert figures["parts"][ALL_CROPS]["auc"]["mean"] == 1
    low, high = figures["bins"]
    assert low == {"confidence": 0.4, "accepted": 0, "share": 0.5, "crops": 1, "low": 0, "high": 0}
    assert (high["confidence"], high["accepted"]) == (0.9, 1)


def test_a_photo_of_many_crops_counts_once() -> None:
    rows = [row("a", *[("1:1", 1, 0.9, 0.1)] * 3), row("b", ("1:1", 0, 0.9, 0.1))]
    figures = confidence_figures(rows, 200, 0)
    told = figures["parts"][ALL_CROPS]
    assert (told["crops"], told["accepted"]) == (4, 0.5)
    assert told["brier of a constant"]["mean"] == pytest.approx(0.25)
    assert told["brier"]["mean"] == pytest.approx((0.1**2 + 0.9**2) / 2)
    (only,) = figures["bins"]
    # A sample has both photos, or one of them twice.
    assert (only["accepted"], only["low"], only["high"], only["crops"]) == (0.5, 0, 1, 4)


def test_the_table_has_a_line_for_each_shape() -> None:
    rows = [
        row("a", ("1:1", 1, 0.9, 0.1), ("9:16", 0, 0.9, 0.3)),
        row("b", ("1:1", 0, 0.5, 0.2), ("9:16", 1, 0.5, None)),
    ]
    table = confidence_table(summarise(rows, 20, 0))
    assert [line.name for line in table.lines] == [ALL_CROPS, "1:1", "9:16"]
    assert [cell.text for cell in table.lines[1].cells[:3]] == ["2", "0.500", "0.700"]
    assert confidence_table(summarise([row("a")], 20, 0)).lines == []


@pytest.fixture(scope="module")
def evaluator() -> Evaluator:
    torch.set_num_threads(1)
    setup = EvaluationSetup(choose_weights("untrained"), "embedded", [], ["1:1", "3:2"])
    return setup.evaluator("cpu")


def test_a_photo_with_labels_has_an_entry_for_each_crop(
    evaluator: Evaluator, tmp_path: Path
) -> None:
    pixels = np.random.default_rng(0).integers(0, 60, (128, 192, 3)).astype(np.uint8)
    pixels[40:90, 110:160] = (250, 220, 40)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    around = np.array([[48, 16, 192, 112]], np.float32)  # 3:2, with all of the bright square
    spots = np.full((8, 2), 64, np.float32)
    seen = Example("a", tmp_path / "a.png", human_px=around, fixations_px=spots)
    judged = evaluator.evaluate(seen)
    # 3:2 is the photo's own ratio: gaze cannot tell
    assert [entry["shape"] for entry in judged["acceptance"]] == ["own", "free", "1:1"]
    own, free, square = judged["acceptance"]
    assert own["accepted"] == 1
    assert 0 < own["confidence"] < 1
    box = judged["shapes"]["s2cnet"]["1:1"]["box"]
    assert square["accepted"] == float(box[0] <= 64 < box[2] and box[1] <= 64 < box[3])
    assert evaluator.evaluate(replace(seen, human_px=around[:0]))["acceptance"] == [square]
    assert free["margin"] != own["margin"]
