"""Measure a committed run for a gate: shares of errors, guard trips and cuts, overlap with live."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.boxes import iou
from pipeline.gate import FIGURES, GateFigures
from pipeline.ledger.figures import Figures
from pipeline.ledger.forgetting import read_forgotten, without
from pipeline.ledger.known_runs import repair_chain
from pipeline.ledger.records import Manifest
from pipeline.ledger.sampling import live_crops, locate_photos, sampled_rows
from pipeline.schema import EDGES
from pipeline.storage.store import Store

KEYS = ("image_id", "ratio", "rank")
VERDICT = {"review_rate": "review", "fallback_rate": "fallback"}
CUTS = {"head_cut_rate": "heads_cut", "face_cut_rate": "faces_cut", "text_cut_rate": "text_cut"}
MEANS = {"mean_confidence": "confidence", "mean_subject_share": "subject_share"}
MOVED_BELOW = 0.9  # IoU
Z99 = 2.5758  # of the normal distribution, two-sided 99 %
OVERLAP = ("mean_overlap_with_current", "moved_rate")
CAUSES = ("etag", "override", "focus_source", "focus_x", "focus_y")  # of crops, see `_causes`


def measure(
    store: Store, run_id: str, live: Iterable[Manifest] = (), behind: bool = False
) -> GateFigures:
    """Measure a committed run, together with the runs that it repairs.

    live:   runs to compare with, front to back
    behind: whether each of the measured runs goes behind live ones that were committed after it;
        the photos that these show are left out

    With many tasks, only a sample is measured. Rates of verdicts and errors still cover the whole
    run, unless it repairs others or later ones show some of its photos. A damaged live run is
    reported and left out of the comparison. Raises LedgerError if the run is not committed,
    RecordError if it is damaged.
    """
    manifests = repair_chain(store, run_id)
    own = {manifest.run_id for manifest in manifests}
    wanted = ["verdict", *CUTS.values(), *MEANS.values()]
    given = ["objects"] if manifests[0].takes_boxes else []
    columns = {
        "images": ["image_id", "uri", "status", *CAUSES, *given],
        "crops": [*KEYS, *EDGES, *wanted],
    }
    tables, whole = sampled_rows(store, manifests, read_forgotten(store).hidden, columns)
    images = tables["images"].sort_by("uri").combine_chunks()
    crops = tables["crops"].combine_chunks()
    damaged: dict[str, str] = {}
    others = [manifest for manifest in live if manifest.run_id not in own]
    covered = _hidden(store, manifests, images, others, damaged) if behind else set()
    if covered:
        there = pa.array(sorted(covered), pa.string())
        images, crops = (without(rows, there) for rows in (images, crops))
    values, unknown = _crop_figures(crops)
    values |= _image_figures(images)
    if len(manifests) == 1 and not covered and not whole:
        values |= _run_rates(manifests[0])
    overlap, not_applicable = _overlap(store, images, crops, others, damaged)
    if crops.num_rows == 0:  # nothing to measure, which breaks no term
        unknown, not_applicable = {}, not_applicable | dict.fromkeys(unknown, "no crop to measure")
    return GateFigures(values | overlap, unknown, not_applicable, damaged)


def _hidden(
    store: Store, manifests: list[Manifest], images: pa.Table, live: list[Manifest],
    damaged: dict[str, str],
) -> set[str]:  # fmt: skip
    """Return the photos whose rows are hidden by live runs committed after the run that has them.

    manifests: a run and those that it repairs. damaged: as for `locate_photos`.
    """
    found: set[str] = set()
    for manifest in manifests:  # the latest first: what hides its rows hides those behind it too
        later = [other for other in live if other.committed_at > manifest.committed_at]
        found |= locate_photos(store, later, images, damaged).keys()
        if manifest is not manifests[-1]:
            own = locate_photos(store, [manifest], images, damaged)
            images = without(images, pa.array([*own], pa.string()))
    return found


def wilson_lower_bound(hits: float, count: float) -> float:
    """Return the lower end of Wilson's 99 % interval (1927) of the share hits / count."""
    if count == 0 or hits == 0:  # rounding could leave a little above 0
        return 0.0
    share, square = hits / count, Z99 * Z99
    spread = Z99 * math.sqrt(share * (1 - share) / count + square / (4 * count * count))
    return max(0.0, (share + square / (2 * count) - spread) / (1 + square / count))


def _image_figures(images: pa.Table) -> dict[str, float]:
    statuses = Counter(images["status"].to_pylist())
    return _rate("error_rate", Figures(statuses=statuses).failed, images.num_rows)


def _crop_figures(crops: pa.Table) -> tuple[dict[str, float], dict[str, str]]:
    """Return the gate's figures of the crops, and why others have no value, by name."""
    values: dict[str, float] = {}
    unknown: dict[str, str] = {}
    for figure, verdict in VERDICT.items():
        if _known(crops, "verdict"):
            values |= _rate(figure, _count(crops, "verdict", verdict), crops.num_rows)
        else:
            unknown |= dict.fromkeys((figure, f"{figure}_low"), _no_column("verdict"))
    for figure, column in CUTS.items():
        if _known(crops, column):
            cut = pc.sum(pc.greater(crops[column], 0)).as_py() or 0
            values[figure] = cut / pc.count(crops[column]).as_py()
        else:
            unknown[figure] = _no_column(column)
    for figure, column in MEANS.items():
        if _known(crops, column):
            values[figure] = pc.mean(crops[column]).as_py()
        else:
            unknown[figure] = _no_column(column)
    return values, unknown


def _run_rates(manifest: Manifest) -> dict[str, float]:
    """Return the rates over all photos and crops, by the counts in the manifest."""
    figures = manifest.metrics
    values = _rate("error_rate", figures.failed, figures.photos)
    total = sum(figures.verdicts.values())
    for figure, verdict in VERDICT.items() if total else ():
        hits = sum(n for key, n in figures.verdicts.items() if key.endswith(f"|{verdict}"))
        values |= _rate(figure, hits, total)
    return values


def _overlap(
    store: Store, images: pa.Table, crops: pa.Table, live: list[Manifest], damaged: dict[str, str]
) -> tuple[dict[str, float], dict[str, str]]:
    """Compare the best crops with the live ones of the same, unchanged photos.

    A photo whose boxes or focus somebody has changed is not the same, nor is one with an override:
    its crop is meant to be another.

    Returns the mean IoU and the share below MOVED_BELOW; or, by figure, why there is none.
    """
    if not live:
        return {}, dict.fromkeys(OVERLAP, "nothing else is live")
    places = locate_photos(store, live, images, damaged)
    ours = _boxes(crops)
    pairs = []
    for given in (False, True):
        runs = [manifest for manifest in live if manifest.takes_boxes == given]
        objects = ["objects"] if given and "objects" in images.column_names else []
        known = _causes(images, objects)
        names = [*CAUSES, *objects]
        found = live_crops(store, runs, places, [*KEYS, *EDGES], damaged, names)
        for their_images, their_crops in found:
            causes = _causes(their_images, objects).items()
            same = {image_id for image_id, cause in causes if known.get(image_id) == cause}
            theirs = _boxes(their_crops)
            pairs += [(ours[k], box) for k, box in theirs.items() if k in ours and k[0] in same]
    if not pairs:
        return {}, dict.fromkeys(OVERLAP, "no unchanged photo in common with what is live")
    shares = iou(*(np.array(boxes) for boxes in zip(*pairs, strict=True)))
    figures = (float(shares.mean()), float((shares < MOVED_BELOW).mean()))
    return dict(zip(OVERLAP, figures, strict=True)), {}


def _boxes(crops: pa.Table) -> dict[tuple[str, str], tuple[float, ...]]:
    """Return the best crop's box by photo and shape."""
    best = crops.filter(pc.equal(crops["rank"], 0))
    ids, ratios, *sides = (best[name].to_pylist() for name in ("image_id", "ratio", *EDGES))
    boxes = zip(*sides, strict=True)
    return dict(zip(zip(ids, ratios, strict=True), boxes, strict=True))


def _rate(name: str, hits: float, count: float) -> dict[str, float]:
    found = {name: hits / count if count else 0.0}
    if f"{name}_low" in FIGURES:
        found[f"{name}_low"] = wilson_lower_bound(hits, count)
    return found


def _count(rows: pa.Table, column: str, value: str) -> int:
    return int(pc.sum(pc.equal(rows[column], value)).as_py() or 0)


def _known(rows: pa.Table, column: str) -> bool:
    return column in rows.column_names and rows[column].null_count < rows.num_rows


def _no_column(column: str) -> str:
    return f"no crop of the run says {column}"


def _causes(images: pa.Table, objects: Sequence[str]) -> Mapping[str, tuple[Any, ...]]:
    """Return, by photo, what decides its crops beside the program: object, boxes, listed focus.

    objects: the column `objects` where boxes are given, else empty. Photos with an override are
    left out.
    """
    columns = []
    for name in ("image_id", *CAUSES, *objects):
        known = name in images.column_names  # runs of early versions lack some
        columns.append(images[name].to_pylist() if known else [None] * images.num_rows)
    found = {}
    for image_id, etag, override, source, x, y, *boxes in zip(*columns, strict=True):
        if override is None:
            found[image_id] = (etag, (x, y) if source == "list" else None, *boxes)
    return found
