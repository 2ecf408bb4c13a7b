"""The fit of the confidence, against scikit-learn and on synthetic crops."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from pipeline.cropping.confidence import TERMS, ConfidenceModel
from pipeline.errors import UsageError
from pipeline.lab.people.confidence_fit import (
    as_confidence_json,
    calibration_line,
    check_answers,
    fit_logistic,
    out_of_fold,
    out_of_fold_figures,
    out_of_set,
    review_table,
    terms_of,
    weights_of,
)
from pipeline.lab.people.confidence_rows import JudgedCrop

WEIGHTS = np.array([1.0, -1, 0.5, 0, 0, -0.5, 0, 2, 0])


def made(count: int = 600, rank: int = 0) -> list[JudgedCrop]:
    """Crops of five folds, two a photo, accepted with the probability that WEIGHTS say."""
    random = np.random.default_rng(rank)
    crops = []
    for number in range(count):
        terms = random.normal(size=len(TERMS))
        likely = 1 / (1 + np.exp(-(terms @ WEIGHTS)))
        set_name = "osie" if number % 4 < 2 else "flms"
        photo = f"{set_name}/{number // 2}"
        accepted = float(random.random() < likely)
        fold = number // 2 % 5
        crops.append(JudgedCrop(photo, set_name, fold, "1:1", rank, terms, accepted))
    return crops


def test_the_fit_is_that_of_scikit_learn() -> None:
    random = np.random.default_rng(0)
    terms = random.normal(size=(400, 3)) * (1, 20, 0.01) + (0, 5, 1)
    accepted = (random.random(400) < 1 / (1 + np.exp(-terms[:, 0]))).astype(float)
    weights = random.uniform(0.1, 1, 400)
    fitted = fit_logistic(terms, accepted, weights, ridge=2.0)
    mean = np.average(terms, axis=0, weights=weights)
    scale = np.sqrt(np.average((terms - mean) ** 2, axis=0, weights=weights))
    other = LogisticRegression(C=1 / 2.0, tol=1e-10, max_iter=1000)
    other.fit((terms - mean) / scale, accepted, sample_weight=weights)
    wanted = other.predict_proba((terms - mean) / scale)[:, 1]
    assert fitted.of_terms(terms) == pytest.approx(wanted, abs=1e-5)


def test_shares_of_people_are_fitted_as_that_many_answers() -> None:
    terms = np.array([[0.0], [1.0]])
    fitted = fit_logistic(terms, np.array([0.25, 0.75]), np.full(2, 4.0), ridge=1e-9)
    assert fitted.of_terms(terms) == pytest.approx([0.25, 0.75])


def test_a_photo_counts_one_however_many_crops_it_has() -> None:
    crops = [*made(4), *made(2)]  # photos 0 and 1 of two crops each; photo 0 twice as often
    assert weights_of(crops).tolist() == pytest.approx([0.25, 0.25, 0.5, 0.5, 0.25, 0.25])


def test_a_fold_is_told_by_a_model_that_did_not_see_it() -> None:
    crops = made()
    told = out_of_fold(crops, terms_of(crops))
    turned = [
        JudgedCrop(c.photo, c.set_name, c.fold, c.shape, c.rank, c.terms, 1 - c.accepted)
        if c.fold == 3
        else c
        for c in crops
    ]
    again = out_of_fold(turned, terms_of(turned))
    in_fold = np.array([crop.fold == 3 for crop in crops])
    assert again[in_fold] == pytest.approx(told[in_fold])
    assert np.abs(again[~in_fold] - told[~in_fold]).max() > 0.1


def test_figures_of_made_crops() -> None:
    crops = [*made(), *made(rank=1)]
    figures = out_of_fold_figures(crops)
    assert {"confidence", "margin alone", "a constant", "the next crop", "osie", "flms 1:1"} <= set(
        figures
    )
    told, alone = figures["confidence"], figures["margin alone"]
    assert told["crops"] == 600
    assert told["auc"]["low"] > alone["auc"]["mean"] > figures["a constant"]["auc"]["mean"]
    assert told["brier"]["mean"] < alone["brier"]["mean"] < figures["a constant"]["brier"]["mean"]
    assert told["slope"] == pytest.approx(1, abs=0.25)


def test_a_data_set_is_told_by_a_model_that_saw_only_the_others() -> None:
    crops = made()
    osie = [crop for crop in crops if crop.set_name == "osie"]
    flms = [crop for crop in crops if crop.set_name == "flms"]
    told = out_of_set(crops, osie)
    assert told == pytest.approx(out_of_set([*flms, *osie[:3]], osie))
    assert np.abs(told - out_of_set(flms[: len(flms) // 2], osie)).max() > 0.01
    assert "osie, fitted without it" in out_of_fold_figures(crops)


def test_a_line_through_confidence_that_is_too_sure_is_flat() -> None:
    random = np.random.default_rng(0)
    odds = random.normal(size=20_000)
    accepted = (random.random(20_000) < 1 / (1 + np.exp(-(odds / 2 + 0.3)))).astype(float)
    line = calibration_line(1 / (1 + np.exp(-odds)), accepted, np.ones(20_000))
    assert (line["slope"], line["offset"]) == pytest.approx((0.5, 0.3), abs=0.05)
    assert calibration_line(np.full(9, 0.4), np.arange(9) % 2, np.ones(9)) == {}


def test_what_a_level_of_review_finds() -> None:
    crops = made()
    all_below, none_below = review_table(crops, (1.0, 0.0))
    assert all_below["share"] == all_below["of all refused"] == pytest.approx(1)
    assert none_below["share"] == none_below["of all refused"] == 0
    (some,) = review_table(crops, (0.3,))
    assert some["accepted"] < 0.3
    assert some["of all refused"] > some["share"]


def test_in_review_every_photo_counts_one() -> None:
    """Photo 0, with a crop that is accepted and a next one; photo 2, whose one crop is refused."""
    others = made()
    first, second = (
        replace(others[place], photo=f"osie/{name}", accepted=accepted)
        for place, name, accepted in ((0, "two", 1.0), (2, "one", 0.0))
    )
    known = [crop for crop in others if crop.photo not in (others[0].photo, others[2].photo)]
    shown = [*(replace(crop, rank=1) for crop in known), first, replace(first, rank=1), second]
    (below_all,) = review_table(shown, (1.0,))
    assert below_all["accepted"] == pytest.approx(0.5)  # 1 of 2 photos, not 1/2 of 3/2


def test_labels_that_cannot_tell_are_refused() -> None:
    crops = made(40)
    check_answers(crops)
    with pytest.raises(UsageError, match="labels tell of no crop"):
        check_answers([replace(crop, rank=1) for crop in crops])
    kind = [replace(crop, accepted=1.0) for crop in crops]
    with pytest.raises(UsageError, match="32 crops are judged on photos outside of fold 0"):
        check_answers(kind)
    one_fold = [crop for crop in crops if crop.fold == 3]
    with pytest.raises(UsageError, match="0 crops are judged on photos outside of fold 3"):
        check_answers(one_fold)
    # all refusals are of fold 3: without it nobody refuses
    with pytest.raises(UsageError, match="outside of fold 3"):
        check_answers([replace(crop, accepted=float(crop.fold != 3)) for crop in crops])


def test_a_set_is_not_told_by_others_that_people_always_accept() -> None:
    crops = [replace(c, accepted=1.0) if c.set_name == "osie" else c for c in made()]
    figures = out_of_fold_figures(crops)
    assert "osie, fitted without it" in figures
    assert "flms, fitted without it" not in figures


def test_what_is_written_is_read_back() -> None:
    crops = [*made(), *made(rank=1)]
    written = as_confidence_json(crops, out_of_fold_figures(crops))
    assert "flms 150, osie 150" in written["source"] or "osie 150, flms 150" in written["source"]
    model = ConfidenceModel.from_json(written)
    assert model.weights == pytest.approx(WEIGHTS, abs=0.5)
