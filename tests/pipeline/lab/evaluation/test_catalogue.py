"""The names of measures and methods: the report, the product's code and papers use the same."""

import numpy as np
import pytest

from pipeline.lab.datasets import NAMES as DATASETS
from pipeline.lab.evaluation import measures
from pipeline.lab.evaluation.baselines import NAMES as BASELINES
from pipeline.lab.evaluation.catalogue import (
    BEST,
    CONSENSUS,
    MEASURES,
    METHODS,
    NETWORK,
    OTHER_PERSON,
    OURS,
    measure_of,
    shape_key,
    shape_of,
)
from pipeline.lab.evaluation.copies import copy_measures
from pipeline.lab.evaluation.evidence import DRAWN_CUT, FaultEvidence
from pipeline.lab.evaluation.published import FIGURES, published_for
from pipeline.lab.evaluation.summary import SLICE_MEASURES
from pipeline.lab.evaluation.tables import GLANCE_SHAPES, QUESTIONS
from pipeline.shapes import parse_shape


def test_every_method_has_a_name() -> None:
    """A method without one would be missing in the report."""
    references = {OTHER_PERSON, CONSENSUS, BEST}
    assert references == {"other_person", "other_people", "best_possible"}  # in the JSON
    assert (OURS, NETWORK) == ("s2cnet", "network_score")
    assert set(METHODS) == {OURS, NETWORK, "gaic", "focalnet", *BASELINES, *references}
    assert next(iter(METHODS)) == OURS
    assert len({*METHODS.values()}) == len(METHODS)
    assert (METHODS["focalnet"], METHODS["smartcrop_js"]) == ("FocalNet", "smartcrop.js")


def test_every_measure_of_a_photo_has_a_name() -> None:
    mos = np.arange(12.0)
    box = np.array([[0, 0, 50, 50]], np.float32)
    evidence = FaultEvidence((200, 100), box, DRAWN_CUT, box, box, box, box[:, 2:] / 2, None)
    square = parse_shape("1:1")
    best = measures.best_of_shape(square, evidence)
    judged = measures.fault_measures([0, 0, 100, 100], square, evidence, best)
    agreement = {"iou", "bde", "free_iou", "free_bde"}
    assert agreement == {
        *measures.overlap_measures(box, box.tolist(), 200, 100),
        *measures.free_crop_measures(box, box[0].astype(float), 200, 100),
    }
    scored, of_copies = measures.score_measures(mos, mos), copy_measures([1.0])
    assert set(MEASURES) == agreement | {*scored, *judged, *of_copies}


def test_measures_of_papers_have_their_names() -> None:
    told = [MEASURES[key].name for key in ("iou", "bde", "srcc", "pcc", "acc5", "acc10", "acc1_5")]
    assert told == ["IoU", "BDE", "SRCC", "PCC", "Acc5", "Acc10", "Acc 1/5"]


def test_faults_are_counted_per_100_photos_and_shares_to_a_thousandth() -> None:
    per_100 = {key for key, one in MEASURES.items() if one.unit == "per 100 crops"}
    kinds = {"head cut", "face lost", "subject halved", "text cut", "wrong subject"}
    assert per_100 == kinds | {"any violation"}
    assert {one.unit for key, one in MEASURES.items() if key not in per_100} == {""}
    assert {key: one.digits for key, one in MEASURES.items()} == {
        key: 1 if key in per_100 else 3 for key in MEASURES
    }


def test_slices_tell_measures_of_the_page() -> None:
    assert all(MEASURES[key].on_page for key in SLICE_MEASURES)


def test_single_shapes_are_reported_where_a_table_shows_them() -> None:
    by_shape = {key for key, one in MEASURES.items() if one.per_shape}
    assert by_shape == {*GLANCE_SHAPES, *QUESTIONS}


def test_only_accuracies_of_one_number_of_crops_are_left_off_the_page() -> None:
    hidden = [key for key, one in MEASURES.items() if not one.on_page]
    assert hidden == [f"acc{k}_{n}" for n in (5, 10) for k in (1, 2, 3, 4)]


@pytest.mark.parametrize("measure", ["iou", "gaze_kept", "any violation", "head cut"])
def test_a_key_tells_measure_and_shape(measure: str) -> None:
    assert measure_of(measure) is MEASURES[measure]
    assert shape_of(measure) == ""
    key = shape_key(measure, "16:9")
    assert (measure_of(key), shape_of(key)) == (MEASURES[measure], "16:9")


def test_published_figures_are_of_our_data_sets_and_in_our_units() -> None:
    assert {*FIGURES} <= {*DATASETS}
    for rows in FIGURES.values():
        for row in rows:
            assert row.method
            assert row.source
            assert {*row.values} in ({"srcc", "acc5", "acc10"}, {"free_iou", "free_bde"})
            assert all(0 < value < 1 for value in row.values.values())
    assert [row.method for row in published_for("flms")] == ["CACNet"]
    assert published_for("photos") == []
