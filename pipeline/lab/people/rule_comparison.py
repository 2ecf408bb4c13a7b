"""Compare another rule of choice with the packaged one, by what their crops keep of the labels.

Both choose from the same maps and scores, so the difference is paired photo by photo. The maps are
from detectors that were not trained on the photo. So are the scores if S2CNets by fold are given;
else they are from the packaged one, which was trained on these sets. A rule that was fitted on
these photos has seen their labels, which matters little for two rules that differ in penalties.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import astuple
from pathlib import Path

import numpy as np

from pipeline.boxes import Box, Boxes, iou, shares_inside
from pipeline.cropping.rule import Rule, packaged_rule
from pipeline.errors import UsageError
from pipeline.lab.evaluation.evidence import FaultEvidence, fault_evidence
from pipeline.lab.evaluation.intervals import Interval, bootstrap
from pipeline.lab.evaluation.kept import gaze_kept, heads_cut_and_lost
from pipeline.lab.fold_weights import FoldWeights
from pipeline.lab.json_text import json_text
from pipeline.lab.people.held_out import OWN, HeldOutPhoto, held_out_photos, labelled_photos
from pipeline.lab.people.held_out_choice import choose_held_out
from pipeline.lab.people.settings import CompareJob
from pipeline.output_files import make_parent_folder, write_text_atomic
from pipeline.report.progress import Log

MIN_HEAD_LIKELIHOOD = 0.5  # least likelihood of a detected head that is counted
MAX_HEADS = 2  # photos with more of these are left out of "one head" and "two heads outside"
GROUP_HEADS = (3, 6)  # photos with fewer or more drawn heads are left out of "group heads outside"
MIN_SHOWN = 0.9  # a head is outside where a crop shows a smaller share of its box
CHANGED_IOU = 0.9  # a crop has changed where the IoU of both rules' crops is lower
MEAN = "mean"  # in the name of a measure: over all shapes that have a ratio


def compare_rules(job: CompareJob, log: Log) -> None:
    """Write both rules' figures and the difference for every measure; log each in a line.

    Raises UsageError where the rule cannot be read, no folder of labels is given or a fold's
    weights are missing.
    """
    other = read_rule(job.rule)
    weights = FoldWeights(job.detectors, job.networks, job.features)
    photos = labelled_photos(job, log)
    make_parent_folder(job.output, "output")
    seen = held_out_photos(photos, weights, job.cache, log)
    report = comparison_report(seen, packaged_rule(), other, job.resamples)
    for name, part in report.items():
        log.say("compared", comparison_line(name, part))
    write_text_atomic(job.output, json_text(report, 1) + "\n")


def read_rule(path: Path) -> Rule:
    """Read the rule from a file like `pipeline/cropping/choice.json`. Raises UsageError."""
    try:
        rule = Rule.from_json(json.loads(path.read_text(encoding="utf-8-sig")))
        of_place = (rule.gaze_weight, rule.gaze_pull, rule.placement)
        agreement = (rule.overlap, rule.gaze, rule.free, *of_place)
        weights = (astuple(rule.penalties), astuple(rule.framing))
        numbers = np.hstack([np.ravel(value).astype(float) for value in (*agreement, *weights)])
    except OSError as error:
        raise UsageError(f"--rule {path} cannot be read: {error.strerror}") from error
    except UsageError as error:  # its message is specific already
        raise UsageError(f"--rule {path}: {error}") from error
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        problem = f"{type(error).__name__}: {error}"
        raise UsageError(
            f"--rule {path} is no rule of choice ({problem}); start from a copy of "
            "pipeline/cropping/choice.json"
        ) from error
    if not np.isfinite(numbers).all():
        raise UsageError(f"--rule {path}: all coefficients and weights have to be finite numbers")
    return rule


def comparison_report(
    photos: Sequence[HeldOutPhoto], packaged: Rule, other: Rule, resamples: int, seed: int = 0
) -> dict[str, dict[str, Interval]]:
    """Map measure -> `packaged`, `other` and `difference`: means over photos with intervals.

    resamples: bootstrap samples for each interval; seed: for their random numbers.
    "crops changed" has only `difference`: the share of crops.
    """
    found: dict[str, list[tuple[float, float]]] = {}
    changed = []
    for photo in photos:
        crops = [choose_held_out(photo, rule=rule).crops for rule in (packaged, other)]
        measured = [measures_of(photo, of_rule) for of_rule in crops]
        for name, value in measured[0].items():
            found.setdefault(name, []).append((value, measured[1][name]))
        changed.append(float((iou(np.stack(crops[0]), np.stack(crops[1])) < CHANGED_IOU).mean()))
    interval = bootstrap(resamples, seed)
    report = {
        name: {
            "packaged": interval(a for a, _ in pairs),
            "other": interval(b for _, b in pairs),
            "difference": interval(b - a for a, b in pairs),
        }
        for name, pairs in sorted(found.items())
    }
    return {"crops changed": {"difference": interval(changed)}, **report}


def measures_of(photo: HeldOutPhoto, crops: Sequence[Box]) -> dict[str, float]:
    """Measure crops: "set, measure, shape" -> share 0..1, and its mean over shapes (MEAN).

    crops: one [4] xyxy in source pixels for each of `photo.shapes`, in order. For gaze and overlap
    higher is better, for heads lower.
    """
    human, set_name = photo.labels.example.human_px, photo.labels.set_name
    evidence = fault_evidence(photo.labels.example, photo.objects, photo.size_wh)
    heads = counted_heads(photo)
    found: dict[str, float] = {}
    own = []
    of_shapes: dict[str, list[float]] = {}
    for place, (shape, crop) in enumerate(zip(photo.shapes, crops, strict=True)):
        if shape.name == OWN:
            own.append(float(iou(crop, human[place])))
        elif shape.ratio is None:
            found[f"{set_name}, overlap, free"] = float(iou(crop, human).mean())
        else:
            for name, value in _of_shape(crop, evidence, heads):
                found[f"{set_name}, {name}, {shape.name}"] = value
                of_shapes.setdefault(f"{set_name}, {name}, {MEAN}", []).append(value)
    if own:
        found[f"{set_name}, overlap, {OWN}"] = float(np.mean(own))
    return found | {name: float(np.mean(values)) for name, values in of_shapes.items()}


def _of_shape(crop: Box, evidence: FaultEvidence, heads: Boxes) -> Iterator[tuple[str, float]]:
    """Measure a crop of a shape with a ratio. heads: the result of `counted_heads`."""
    if evidence.gaze is not None:
        yield "gaze kept", float(gaze_kept(crop[None], evidence.gaze)[0])
    if len(evidence.drawn_heads):
        cut, lost = heads_cut_and_lost(crop[None], evidence.drawn_heads)
        yield "heads cut or lost", float(cut[0] + lost[0])
        if GROUP_HEADS[0] <= len(evidence.drawn_heads) <= GROUP_HEADS[1]:
            yield "group heads outside", _share_outside(crop, evidence.drawn_heads)
    if 1 <= len(heads) <= MAX_HEADS:
        few = "one head outside" if len(heads) == 1 else "two heads outside"
        yield few, _share_outside(crop, heads)


def _share_outside(crop: Box, heads: Boxes) -> float:
    return float((shares_inside(crop, heads) < MIN_SHOWN).mean())


def counted_heads(photo: HeldOutPhoto) -> Boxes:
    """Return the detector's likely heads [H, 4], source pixels; none where people drew heads."""
    attention = photo.objects.attention
    if attention is None or photo.labels.example.heads_px is not None:
        return np.zeros((0, 4), np.float32)
    counted = attention.heads_rel[attention.likelihood >= MIN_HEAD_LIKELIHOOD]
    return np.asarray(counted * np.tile(photo.size_wh, 2), np.float32)


def comparison_line(name: str, part: dict[str, Interval]) -> str:
    """Format one line of figures."""
    change = part["difference"]
    means = [part[rule]["mean"] for rule in ("packaged", "other") if rule in part]
    both = " to ".join(f"{mean:.4f}" for mean in means)
    # A difference is shown with its sign; the share of changed crops has none.
    mean, low, high = (f"{change[key]:{'+' if both else ''}.4f}" for key in ("mean", "low", "high"))
    interval = f"{mean} ({low} to {high})"
    return f"{name:<36} {change['photos']:>5} photos, {both + ': ' if both else ''}{interval}"
