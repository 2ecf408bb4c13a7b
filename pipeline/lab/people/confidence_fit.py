"""Fit the confidence on people's labels, and test it on photos that it was not fitted on.

It is a logistic regression with a small ridge on standardised terms, by Newton's method. Every
photo counts 1. There are five folds over photos; neither the networks nor the coefficients of a
fold have seen its photos.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pipeline.boxes import FloatArray
from pipeline.cropping.confidence import TERMS, ConfidenceModel
from pipeline.errors import UsageError
from pipeline.lab.evaluation.calibration import MEASURED, calibration_figures, photo_weights
from pipeline.lab.evaluation.reliability import CalibrationFigures
from pipeline.lab.folds import FOLDS
from pipeline.lab.people.confidence_rows import JudgedCrop

RIDGE = 1.0  # against a total weight of one per photo; .1 to 10 give the same figures
STEPS = 50
TOLERANCE = 1e-10
RESAMPLES = 400
TINY = 1e-3  # for the calibration line: confidences' distance from 0 and 1, and its ridge
MIN_SPREAD = 0.05  # range of confidence for a calibration line; a constant has a few hundredths


def fit_logistic(
    terms: FloatArray, accepted: FloatArray, weights: FloatArray, ridge: float = RIDGE
) -> ConfidenceModel:
    """Fit weights and bias by likelihood, with the ridge on standardised terms [N, T].

    accepted [N]: shares of people, 0..1. weights: [N]. Raises ValueError where the fit does not
    converge.
    """
    mean = weights @ terms / weights.sum()
    scale = np.sqrt(weights @ (terms - mean) ** 2 / weights.sum()) + 1e-9
    x = np.concatenate([(terms - mean) / scale, np.ones((len(terms), 1))], axis=1)
    penalty = np.diag([ridge] * terms.shape[1] + [0.0])
    fitted = np.zeros(x.shape[1])
    for _ in range(STEPS):
        likely = 1 / (1 + np.exp(-(x @ fitted)))
        slope = x.T @ (weights * (accepted - likely)) - penalty @ fitted
        curve = (x * (weights * likely * (1 - likely))[:, None]).T @ x + penalty
        step = np.linalg.solve(curve, slope)
        fitted += step
        if np.abs(step).max() < TOLERANCE:
            own = fitted[:-1] / scale
            return ConfidenceModel(own, float(fitted[-1] - own @ mean))
    raise ValueError(f"the regression did not settle in {STEPS} steps")


def out_of_fold(crops: Sequence[JudgedCrop], terms: FloatArray) -> FloatArray:
    """Predict the confidence [N] of each crop by the model fitted without its photo's fold.

    terms [N, T]: those of the crops, or others to compare with.
    """
    fold = np.array([crop.fold for crop in crops])
    accepted, weights = accepted_of(crops), weights_of(crops)
    found = np.zeros(len(crops))
    for held in range(FOLDS):
        kept, tested = fold != held, fold == held
        if tested.any():
            model = fit_logistic(terms[kept], accepted[kept], weights[kept])
            found[tested] = model.of_terms(terms[tested])
    return found


def check_answers(crops: Sequence[JudgedCrop]) -> None:
    """Raise UsageError where people accept all or none of the chosen crops outside of a fold.

    A fit needs both answers, and every fold is predicted by a fit on the others.
    """
    chosen = [crop for crop in crops if crop.rank == 0]
    if not chosen:
        raise UsageError("people's labels tell of no crop of these photos whether it is accepted")
    for held in sorted({crop.fold for crop in chosen}):
        kept = [crop for crop in chosen if crop.fold != held]
        if not has_both_answers(kept):
            raise UsageError(
                f"{len(kept)} crops are judged on photos outside of fold {held}, and people accept "
                "all or none of them: the confidence is fitted on both kinds, so give more photos"
            )


def has_both_answers(crops: Sequence[JudgedCrop]) -> bool:
    """Return whether people accept some of the crops and refuse some."""
    return 0 < sum(crop.accepted for crop in crops) < len(crops)


def terms_of(crops: Sequence[JudgedCrop]) -> FloatArray:
    """Return the terms of crops: [N, 9]."""
    return np.stack([crop.terms for crop in crops])


def weights_of(crops: Sequence[JudgedCrop]) -> FloatArray:
    """Return weights by which every photo counts 1: [N]."""
    return photo_weights([crop.photo for crop in crops])


def accepted_of(crops: Sequence[JudgedCrop]) -> FloatArray:
    """Return the share of people who accept each crop: [N]."""
    return np.array([crop.accepted for crop in crops])


def out_of_set(crops: Sequence[JudgedCrop], tested: Sequence[JudgedCrop]) -> FloatArray:
    """Predict the confidence [N] of one data set's crops by a model fitted on the other sets."""
    others = [crop for crop in crops if crop.set_name != tested[0].set_name]
    model = fit_logistic(terms_of(others), accepted_of(others), weights_of(others))
    return model.of_terms(terms_of(tested))


def out_of_fold_figures(crops: Sequence[JudgedCrop]) -> CalibrationFigures:
    """Compute out-of-fold figures of the chosen and the next crops, and of other predictors.

    The figures of the chosen crops are also given by data set and shape. The other predictors are a
    constant (the mean of the other folds), only the margin and, for each data set, the model fitted
    on the other data sets, where people accept some of their crops and refuse some.
    """
    of_all = out_of_fold(crops, terms_of(crops))
    is_chosen = np.array([crop.rank == 0 for crop in crops])
    chosen = [crop for crop in crops if crop.rank == 0]
    later = [crop for crop in crops if crop.rank > 0]
    confidence, lead = of_all[is_chosen], TERMS.index("lead")
    margin = out_of_fold(chosen, terms_of(chosen)[:, lead : lead + 1])
    constant = out_of_fold(chosen, np.zeros((len(chosen), 1)))
    found: CalibrationFigures = {
        "confidence": calibration_of(chosen, confidence),
        "margin alone": calibration_of(chosen, margin),
        "a constant": calibration_of(chosen, constant),
    }
    if later:
        found["the next crop"] = calibration_of(later, of_all[~is_chosen])
    for name, shape in dict.fromkeys((c.set_name, part) for c in chosen for part in ("", c.shape)):
        part = np.array([c.set_name == name and shape in ("", c.shape) for c in chosen])
        picked = [chosen[place] for place in np.flatnonzero(part)]
        found[f"{name} {shape}".strip()] = calibration_of(picked, confidence[part])
        if not shape:
            found[f"{name}, margin alone"] = calibration_of(picked, margin[part])
            if has_both_answers([crop for crop in crops if crop.set_name != name]):
                found[f"{name}, fitted without it"] = calibration_of(
                    picked, out_of_set(crops, picked)
                )
    return found


def calibration_line(
    confidence: FloatArray, accepted: FloatArray, weights: FloatArray
) -> CalibrationFigures:
    """Fit Platt's line: slope and offset of the log-odds of acceptance over those of confidence.

    They are 1 and 0 where the confidence is calibrated; a slope below 1 means overconfidence. Empty
    where the confidence hardly varies, or where people accept all crops or none.
    """
    if np.ptp(confidence) < MIN_SPREAD or not 0 < weights @ accepted < weights.sum():
        return {}
    likely = np.clip(confidence, TINY, 1 - TINY)
    odds = np.log(likely / (1 - likely))[:, None]
    line = fit_logistic(odds, accepted, weights, ridge=TINY)
    return {"slope": float(line.weights[0]), "offset": line.bias}


def review_table(crops: Sequence[JudgedCrop], levels: Sequence[float]) -> list[CalibrationFigures]:
    """Tabulate for each level the share of chosen crops with less confidence, and their acceptance.

    accepted: the share of these crops that people accept. of all refused: their share of all
    refusals. Every photo counts 1.
    """
    confidence, accepted = out_of_fold(crops, terms_of(crops)), accepted_of(crops)
    chosen = np.array([crop.rank == 0 for crop in crops])
    confidence, accepted = confidence[chosen], accepted[chosen]
    weights, refused = weights_of([crop for crop in crops if crop.rank == 0]), 1 - accepted
    found = []
    for level in levels:
        under = weights * (confidence < level)
        found.append(
            {
                "below": level,
                "share": float(under.sum() / weights.sum()),
                "accepted": float(under @ accepted / max(under.sum(), 1e-9)),
                "of all refused": float(under @ refused / (weights @ refused)),
            }
        )
    return found


def as_confidence_json(
    crops: Sequence[JudgedCrop], figures: CalibrationFigures
) -> CalibrationFigures:
    """Build the contents of `confidence.json`: the model fitted on all photos, and its test."""
    model = fit_logistic(terms_of(crops), accepted_of(crops), weights_of(crops))
    counts = {
        name: len({crop.photo for crop in crops if crop.set_name == name})
        for name in dict.fromkeys(crop.set_name for crop in crops)
    }
    return {
        "source": "logistic regression on people's labels, pipeline/lab/people/confidence_fit.py; "
        + "photos: "
        + ", ".join(f"{name} {count}" for name, count in counts.items()),
        "out_of_fold": {name: round(figures["confidence"][name]["mean"], 4) for name in MEASURED},
        "weights": {
            term: round(float(value), 6) for term, value in zip(TERMS, model.weights, strict=True)
        },
        "bias": round(model.bias, 6),
    }


def calibration_of(crops: Sequence[JudgedCrop], confidence: FloatArray) -> CalibrationFigures:
    """Measure the calibration of crops by their confidence [N], with intervals over photos."""
    accepted, photos = accepted_of(crops), [crop.photo for crop in crops]
    figures = calibration_figures(confidence, accepted, photos, RESAMPLES, 0)
    return {**figures, **calibration_line(confidence, accepted, weights_of(crops))}
