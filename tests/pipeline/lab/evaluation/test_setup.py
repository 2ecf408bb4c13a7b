"""The setup of an evaluation: what it loads, and which boxes it follows in a photo."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.cropping.decide import GuardPolicy
from pipeline.cropping.sources import GivenSource
from pipeline.cropping.weights import choose_weights
from pipeline.errors import UsageError
from pipeline.lab.datasets import Example
from pipeline.lab.evaluation.frame import FollowedBoxes
from pipeline.lab.evaluation.setup import EvaluationSetup, Evaluators
from pipeline.lab.fold_weights import FoldWeights
from pipeline.lab.folds import fold_of

PLAIN = EvaluationSetup(choose_weights("untrained"), "boxes", ["centre"], ["1:1", "circle"])
BOXES = np.array([[0, 0, 9, 9], [5, 5, 20, 30]], np.float32)


def test_what_cannot_be_loaded_is_told_before_the_first_photo() -> None:
    wrong = replace(PLAIN, baselines=["middle"])
    with pytest.raises(UsageError, match="no baseline middle"):
        Evaluators(wrong, "cpu")
    Evaluators(replace(wrong, folds=FoldWeights(networks=Path("made"))), "cpu")  # photo by photo


def test_an_evaluator_has_what_the_setup_names() -> None:
    evaluator = PLAIN.evaluator("cpu")
    assert [*evaluator.baselines] == ["centre"]
    assert [shape.name for shape in evaluator.shapes] == ["1:1", "circle"]
    assert evaluator.judge is None
    assert isinstance(evaluator.engine.source, GivenSource)
    assert evaluator.engine.guard_policy == GuardPolicy.read()  # a job's own, not none
    judged = replace(PLAIN, judge="boxes").evaluator("cpu").judge
    assert isinstance(judged, GivenSource)


def test_a_photo_s_fold_follows_from_the_names_of_set_and_file() -> None:
    """Not from its id, which is a path where two photos of a set share a name."""
    example = Example("more/a.png", Path("more/a.png"))
    assert PLAIN.fold_of(example) is None
    by_fold = replace(PLAIN, folds=FoldWeights(networks=Path("made")), set_name="osie")
    assert by_fold.fold_of(example) == fold_of("osie", "a.png")


def test_people_who_are_listed_are_followed_else_the_set_s_objects() -> None:
    people = FollowedBoxes(BOXES[:1], ["x"])
    listed = replace(PLAIN, followed={"a.png": people})
    boxed = Example("a", Path("a.png"), objects_px=BOXES)
    assert listed.followed_in(boxed) is people
    assert listed.followed_in(replace(boxed, objects_px=None)) is people
    other = replace(boxed, image=Path("b.png"))
    objects = listed.followed_in(other)
    assert objects is not None
    assert objects.boxes_px.tolist() == BOXES.tolist()
    assert objects.groups == ["", ""]
    assert listed.followed_in(replace(other, objects_px=None)) is None


def test_what_s2cnet_reads_follows_from_folds_first() -> None:
    assert PLAIN.backbone_read() == "own"
    assert replace(PLAIN, folds=FoldWeights(networks=Path("n"))).backbone_read() == "own"
    branches = FoldWeights(Path("d"), features=Path("f"))
    assert replace(PLAIN, folds=branches).backbone_read() == "shared"
    packaged = replace(PLAIN, weights=choose_weights("starter"), detector="embedded")
    assert replace(packaged, backbone="auto").backbone_read() == "shared"
    assert replace(packaged, backbone="auto", rank_by="score").backbone_read() == "own"
