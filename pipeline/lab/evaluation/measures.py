"""The measures of one photo, for scores and for crops."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.boxes import Boxes, iou
from pipeline.cropping.candidates import largest
from pipeline.lab.evaluation.evidence import FaultEvidence
from pipeline.lab.evaluation.kept import (
    best_gaze_kept,
    best_heads_cut_and_lost,
    gaze_kept,
    heads_cut_and_lost,
)
from pipeline.lab.evaluation.metrics import KS, NS, acc, acc_weighted, bde, mean_acc, pcc, srcc
from pipeline.lab.evaluation.violations import KINDS, violations
from pipeline.shapes import Shape

MeasureValues = dict[str, float]


def score_measures(mos: ArrayLike, predicted: ArrayLike) -> MeasureValues:
    """Compute srcc, pcc, acc5, acc10, Acc_K/N, rank-weighted means, and the best crop's MOS."""
    truth, guess = np.asarray(mos, np.float64), np.asarray(predicted, np.float64)
    values = {"srcc": srcc(truth, guess), "pcc": pcc(truth, guess)}
    for n in NS:
        values[f"acc{n}"] = mean_acc(truth, guess, n)
        values[f"accw{n}"] = float(np.mean([acc_weighted(truth, guess, k, n) for k in KS]))
        values |= {f"acc{k}_{n}": acc(truth, guess, k, n) for k in KS}
    values["mos_of_best"] = float(truth[np.argmax(guess)])
    return values


def overlap_measures(
    human: Boxes, crops: Sequence[Sequence[float]], width: int, height: int
) -> dict[str, list[float]]:
    """Compute IoU and boundary displacement of each crop with the person's crop it belongs to."""
    pairs = list(zip(human, crops, strict=True))
    return {
        "iou": [float(iou(truth, np.array(crop))) for truth, crop in pairs],
        "bde": [bde(crop, [truth], width, height) for truth, crop in pairs],
    }


def free_crop_measures(
    human: Boxes, crop: NDArray[np.float64], width: int, height: int
) -> MeasureValues:
    """Compare a crop of free shape with the person's nearest to it, as usual for FCDB and FLMS."""
    best = float(np.max(iou(crop, human)))
    return {"free_iou": best, "free_bde": bde(crop, human, width, height)}


def fault_measures(
    box: Sequence[float], shape: Shape, evidence: FaultEvidence, best: MeasureValues
) -> MeasureValues:
    """Measure a crop [4] of a shape by the evidence: gaze and heads kept, violations times 100.

    best: result of `best_of_shape` for the same shape.
    """
    crop = np.array([box], np.float32)
    values: MeasureValues = {}
    if evidence.gaze is not None:
        values["gaze_kept"] = float(gaze_kept(crop, evidence.gaze, shape)[0])
    if len(evidence.drawn_heads):
        cut, lost = heads_cut_and_lost(crop, evidence.drawn_heads, shape)
        values |= _head_measures(float(cut[0]), float(lost[0]))
    found = violations(crop[0], shape, evidence, best.get("gaze_kept"))
    values |= {kind: 100.0 * (kind in found) for kind in KINDS}
    return values | {"any violation": 100.0 * bool(found)}


def best_of_shape(shape: Shape, evidence: FaultEvidence) -> MeasureValues:
    """Measure gaze and heads, each for the candidate of a shape that is best at it."""
    values: MeasureValues = {}
    if evidence.gaze is not None:
        values["gaze_kept"] = best_gaze_kept(shape, evidence.gaze, evidence.size_wh)
    if len(evidence.drawn_heads):
        values |= _head_measures(
            *best_heads_cut_and_lost(shape, evidence.drawn_heads, evidence.size_wh)
        )
    return values


def _head_measures(cut: float, lost: float) -> MeasureValues:
    return {"heads_cut": cut, "heads_lost": lost, "heads_out": cut + lost}


def people_agreement(
    human: Boxes, width: int, height: int
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Measure agreement between people at each person's ratio, as a reference for methods.

    Returns the agreement with one other person (a mean over the other people), and with the others'
    mean crop. Both crops are brought to that ratio about their own centre, with the same area.
    """
    one: dict[str, list[float]] = {"iou": [], "bde": []}
    mean: dict[str, list[float]] = {"iou": [], "bde": []}
    for index, truth in enumerate(human):
        others = np.delete(human, index, axis=0)
        ratio = float((truth[2] - truth[0]) / (truth[3] - truth[1]))
        fitted = np.array([to_ratio(box, ratio, width, height) for box in others])
        one["iou"].append(float(np.mean(iou(truth, fitted))))
        one["bde"].append(float(np.mean([bde(box, [truth], width, height) for box in fitted])))
        consensus = to_ratio(others.mean(0), ratio, width, height)
        mean["iou"].append(float(iou(truth, consensus)))
        mean["bde"].append(bde(consensus, [truth], width, height))
    return one, mean


def to_ratio(
    box: NDArray[np.floating], ratio: float, width: int, height: int
) -> NDArray[np.float64]:
    """Change a box to a ratio with the same centre and area, then shrink and move it inside."""
    x0, y0, x1, y1 = (float(edge) for edge in box)
    area = (x1 - x0) * (y1 - y0)
    full_w, _ = largest(width, height, ratio)
    new_w = min((area * ratio) ** 0.5, full_w)
    size = np.array([new_w, new_w / ratio])
    centre = np.array([x0 + x1, y0 + y1]) / 2
    low = np.clip(centre - size / 2, 0, np.maximum(np.array([width, height]) - size, 0))
    return np.concatenate([low, low + size])
