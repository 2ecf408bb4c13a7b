"""Another rule of choice beside the packaged one: what the crops of both keep of people's labels.

Both choose from the same maps and scores, told by networks that did not learn from the photo, so
the difference is paired photo by photo. A rule that was fitted on these photos has seen their
labels; that matters little for two rules which differ in their penalties.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from pipeline.boxes import Box, Boxes, area, intersection, iou
from pipeline.cropping.rule import Rule, packaged_rule
from pipeline.errors import UsageError
from pipeline.lab.evaluation.evidence import FaultEvidence, fault_evidence
from pipeline.lab.evaluation.fairness import Interval
from pipeline.lab.evaluation.kept import gaze_kept, heads_cut_and_lost
from pipeline.lab.evaluation.summary import bootstrap
from pipeline.lab.fold_weights import FoldWeights
from pipeline.lab.people.held_out import OWN, HeldOutPhoto, held_out_photos, labelled_photos
from pipeline.lab.people.held_out_choice import choose_held_out
from pipeline.lab.people.settings import CompareJob
from pipeline.report.progress import Log

SURE_HEAD = 0.5  # least likelihood of a head that the detector finds, for HEADS_OUTSIDE
SHOWN = 0.9  # a head is outside where a crop shows a smaller share of its box
MANY = 2  # photos with more heads than that are crowds
MOVED = 0.9  # a crop is another one where both overlap by less (IoU)


def compare_rules(job: CompareJob, log: Log) -> None:
    """Write what both rules keep, and the difference, of every measure; say each in a line.

    Raises UsageError where the rule cannot be read, no folder of labels is given or a fold's
    weights are missing.
    """
    other = read_rule(job.rule)
    photos = labelled_photos(job)
    seen = held_out_photos(
        photos, FoldWeights(job.detectors, job.networks, job.features), job.cache, log
    )
    report = compared(seen, packaged_rule(), other, job.resamples)
    for name, part in report.items():
        log.say("compared", comparison_line(name, part))
    job.output.write_text(json.dumps(report, indent=1) + "\n")


def read_rule(path: Path) -> Rule:
    """The rule in a file like `pipeline/cropping/choice.json`. Raises UsageError."""
    try:
        return Rule.from_json(json.loads(path.read_text()))
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        problem = f"{type(error).__name__}: {error}"
        raise UsageError(
            f"{path} is no rule of choice ({problem}); `rule` writes one, and "
            "pipeline/cropping/choice.json is one"
        ) from error


def compared(
    photos: Sequence[HeldOutPhoto], first: Rule, second: Rule, resamples: int, seed: int = 0
) -> dict[str, dict[str, Interval]]:
    """Measure -> `first`, `second` and `difference`, means over photos with their intervals."""
    found: dict[str, list[tuple[float, float]]] = {}
    for photo in photos:
        crops = [choose_held_out(photo, rule=rule).crops for rule in (first, second)]
        measured = [measures_of(photo, of_rule) for of_rule in crops]
        for name, value in measured[0].items():
            found.setdefault(name, []).append((value, measured[1][name]))
        moved = [iou(a, b) < MOVED for a, b in zip(*crops, strict=True)]
        found.setdefault("crops that are others", []).append((0.0, float(np.mean(moved))))
    interval = bootstrap(resamples, seed)
    return {
        name: {
            "first": interval(a for a, _ in pairs),
            "second": interval(b for _, b in pairs),
            "difference": interval(b - a for a, b in pairs),
        }
        for name, pairs in sorted(found.items())
    }


def measures_of(photo: HeldOutPhoto, crops: Sequence[Box]) -> dict[str, float]:
    """What crops of a photo's shapes, in their order, keep: "set, measure, shape" -> 0..1."""
    human, set_name = photo.labels.example.human_px, photo.labels.set_name
    evidence = fault_evidence(photo.labels.example, photo.objects, photo.size_wh)
    heads = sure_heads(photo)
    found: dict[str, float] = {}
    own = []
    for place, (shape, crop) in enumerate(zip(photo.shapes, crops, strict=True)):
        if shape.name == OWN:
            own.append(float(iou(crop, human[place])))
        elif shape.ratio is None:
            found[f"{set_name}, overlap, free"] = float(iou(crop, human).mean())
        else:
            for name, value in _of_shape(crop, evidence, heads):
                found[f"{set_name}, {name}, {shape.name}"] = value
    if own:
        found[f"{set_name}, overlap, own"] = float(np.mean(own))
    return found


def _of_shape(crop: Box, evidence: FaultEvidence, heads: Boxes) -> Iterator[tuple[str, float]]:
    """Measures of a crop of a shape with a ratio. heads: of `sure_heads`."""
    if evidence.gaze is not None:
        yield "gaze kept", float(gaze_kept(crop[None], evidence.gaze)[0])
    if len(evidence.drawn_heads):
        cut, lost = heads_cut_and_lost(crop[None], evidence.drawn_heads)
        yield "heads cut or lost", float(cut[0] + lost[0])
    if 1 <= len(heads) <= MANY:
        shown = intersection(crop[None], heads)[0] / area(heads)
        few = "one head outside" if len(heads) == 1 else "two heads outside"
        yield few, float((shown < SHOWN).mean())


def sure_heads(photo: HeldOutPhoto) -> Boxes:
    """Likely heads [H, 4] that the detector finds, source pixels; none where people drew heads."""
    attention = photo.objects.attention
    if attention is None or photo.labels.example.heads_px is not None:
        return np.zeros((0, 4), np.float32)
    sure = attention.heads_rel[attention.likelihood >= SURE_HEAD]
    return np.asarray(sure * np.tile(photo.size_wh, 2), np.float32)


def comparison_line(name: str, part: dict[str, Interval]) -> str:
    """One line of figures."""
    first, second, change = part["first"], part["second"], part["difference"]
    return (
        f"{name:<36} {first['photos']:>5} photos, {first['mean']:.4f} to {second['mean']:.4f}: "
        f"{change['mean']:+.4f} ({change['low']:+.4f} to {change['high']:+.4f})"
    )
