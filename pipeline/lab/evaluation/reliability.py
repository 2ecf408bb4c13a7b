"""Test the confidence of a run's crops against whether people accept them.

A photo's row has an entry for each of its crops whose acceptance the labels determine, see
`pipeline.lab.evaluation.acceptance`.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pipeline.boxes import Boxes, FloatArray
from pipeline.cropping.results import ScoredCrop
from pipeline.lab.evaluation.acceptance import accepted_by_people
from pipeline.lab.evaluation.calibration import (
    auc,
    bins_of,
    brier,
    calibration_figures,
    photo_weights,
    reliability,
    with_interval,
)

ALL_CROPS = "all crops"

AcceptanceEntry = dict[str, Any]
CalibrationFigures = dict[str, Any]


def entry_of(shape: str, crop: ScoredCrop, accepted: float | None) -> list[AcceptanceEntry]:
    """Make the entry of one crop for a photo's row; an empty list where acceptance is unknown.

    shape: its name in the table; `own` for a person's own ratio.
    """
    if accepted is None or crop.confidence is None:
        return []
    entry = {"shape": shape, "accepted": accepted, "confidence": crop.confidence}
    return [{**entry, "margin": crop.margin}]


def acceptance_by_people(
    chosen: Sequence[ScoredCrop], human: Boxes, names: Sequence[str]
) -> list[AcceptanceEntry]:
    """Judge the crop of each person's shape by that person, and a last, free one by everybody."""
    entries = []
    for name, crop, own in zip(names, chosen, human, strict=False):
        entries += entry_of(name, crop, accepted_by_people(crop.box_px, own[None]))
    for crop in chosen[len(names) :]:
        entries += entry_of("free", crop, accepted_by_people(crop.box_px, human))
    return entries


def confidence_figures(rows: Sequence[Any], resamples: int, seed: int) -> CalibrationFigures:
    """Compute the figures of all crops and of each shape, and the bins of the reliability plot.

    Empty where no crop has both a confidence and a known acceptance.
    """
    entries = [(row["id"], entry) for row in rows for entry in row.get("acceptance", ())]
    if not entries:
        return {}
    shapes = dict.fromkeys(entry["shape"] for _, entry in entries)
    parts = {ALL_CROPS: entries} | {
        shape: [(photo, entry) for photo, entry in entries if entry["shape"] == shape]
        for shape in shapes
    }
    shown = parts if len(shapes) > 1 else {ALL_CROPS: entries}
    figures = {name: _figures(part, resamples, seed) for name, part in shown.items()}
    return {"parts": figures, "bins": _bins(entries, resamples, seed)}


def _figures(
    entries: Sequence[tuple[str, AcceptanceEntry]], resamples: int, seed: int
) -> CalibrationFigures:
    """Measure the confidence's calibration, the margin's AUC, and a constant's Brier score."""
    photos, confidence, accepted = _columns(entries)
    weights = photo_weights(photos)
    margins = [entry["margin"] for _, entry in entries]
    widest = max((margin for margin in margins if margin is not None), default=0.0)
    margin = np.array([widest if each is None else each for each in margins])
    constant = np.full(len(entries), weights @ accepted / weights.sum())
    measure = _interval_of(accepted, weights, photos, resamples, seed)
    return {
        **calibration_figures(confidence, accepted, photos, resamples, seed),
        "auc of margin": measure(auc, margin),
        "brier of a constant": measure(brier, constant),
    }


def _bins(
    entries: Sequence[tuple[str, AcceptanceEntry]], resamples: int, seed: int
) -> list[CalibrationFigures]:
    """Return the bins of `reliability`, each with an interval of its acceptance over photos."""
    photos, confidence, accepted = _columns(entries)
    weights = photo_weights(photos)
    bins, found = bins_of(confidence, weights), []
    numbers = sorted(set(bins.tolist()))
    for number, each in zip(numbers, reliability(confidence, accepted, weights), strict=True):
        inside = bins == number
        own = [photo for photo, is_inside in zip(photos, inside, strict=True) if is_inside]
        measure = _interval_of(accepted[inside], weights[inside], own, resamples, seed)
        interval = measure(_mean_accepted, confidence[inside])
        found.append({**vars(each), "low": interval["low"], "high": interval["high"]})
    return found


def _interval_of(
    accepted: FloatArray, weights: FloatArray, photos: Sequence[str], resamples: int, seed: int
) -> Callable[..., dict[str, float]]:
    return lambda measure, predicted: with_interval(
        measure, predicted, accepted, weights, photos, resamples, seed
    )


def _mean_accepted(_: FloatArray, accepted: FloatArray, weights: FloatArray) -> float:
    return float(weights @ accepted / weights.sum()) if weights.sum() > 0 else float("nan")


def _columns(
    entries: Sequence[tuple[str, AcceptanceEntry]],
) -> tuple[list[str], FloatArray, FloatArray]:
    """Return the photos, confidence [N] and accepted [N]."""
    confidence = np.array([entry["confidence"] for _, entry in entries], np.float64)
    accepted = np.array([entry["accepted"] for _, entry in entries], np.float64)
    return [photo for photo, _ in entries], confidence, accepted
