"""Compute the figures of the gallery's overview: positions, confidence and sizes of crops."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.ledger.reader import Run
from pipeline.photo.encoding.automatic import in_words
from pipeline.report.costs import cost_lines
from pipeline.report.gallery.contents import Contents, numbers
from pipeline.report.gallery.index import Decisions
from pipeline.schema import EDGES

CELLS = 16  # on each side of the map of crop centres
BINS = 20  # of histograms
OUTLIERS = 1.0  # per cent left out at either end of the margins' histogram
Numbers = NDArray[np.float64]


def run_facts(run: Run) -> list[list[str]]:
    """Return the main facts about the run, as pairs of name and text."""
    manifest = run.manifest
    weights, asked = manifest.get("weights"), manifest["settings"]
    encoding = str(asked.get("format")), asked.get("jpeg_encoder") == "jpegli"
    committed = datetime.fromtimestamp(manifest["committed_at"], UTC)
    return [
        ["run", manifest["run_id"]],
        ["committed", committed.strftime("%Y-%m-%d %H:%M UTC")],
        ["weights", describe_weights(weights) if weights else "unknown"],
        ["detector", str(manifest["detector"])[:40]],
        ["code", str(manifest["code_version"])[:40]],
        ["crops", "none, only boxes" if asked.get("boxes_only") else in_words(*encoding)],
        ["settings", ", ".join(f"{n} {v}" for n, v in sorted(asked.items()))],
    ]


def describe_weights(weights: Mapping[str, Any]) -> str:
    """Describe the manifest's `weights` in a few words."""
    if weights["kind"] == "untrained":
        return f"untrained {weights['preset']}, seed {weights['seed']}"
    return f"{weights['kind']} {weights['sha256'][:12]}"


def work_of(run: Run) -> dict[str, Any]:
    """Return CPU seconds by stage and what limited the run; for old runs, seconds of work."""
    metrics = run.manifest["metrics"]
    lines = cost_lines(metrics.get("costs") or {})
    seconds = [[line.word, round(line.cost.cpu_s, 1)] for line in lines]
    return {
        "cpu": bool(lines),
        "seconds": seconds or [[n, round(s, 1)] for n, s in metrics.get("seconds", {}).items()],
        "limits": run.manifest.get("session", {}).get("limits", ""),
    }


def overview_of(contents: Contents, decisions: Decisions) -> dict[str, Any]:
    """Compute the plots' figures. Histograms are counts in equal bins from `low` to `high`.

    All count only first crops, except `all_crops`.
    """
    images, crops = contents.images, contents.crops
    first = contents.is_first
    boxes_rel = _boxes_rel(contents)
    return {
        "photos": len(images),
        "crops": int(first.sum()),
        "all_crops": len(crops),
        "statuses": _counts(images["status"]),
        "kinds": _counts(images["kind"]),
        "formats": _counts(images["format"]),
        "decisions": decisions.counts,
        "confidence": _confidence(crops.filter(pa.array(first))),
        "margin": _margins(crops["margin"].filter(pa.array(first))),
        "places": [
            _places(boxes_rel[first & (contents.shape == n)]) for n in range(len(contents.shapes))
        ],
    }


def _boxes_rel(contents: Contents) -> Numbers:
    """Return the boxes of all crops as shares of their photos' sides: [crops, 4]."""
    sides = [numbers(contents.images[n])[contents.photo] for n in ("width_px", "height_px")]
    edges = [contents.crops[name].to_numpy() for name in EDGES]
    boxes: Numbers = np.stack(edges, axis=1) / np.stack([*sides, *sides], axis=1)
    return boxes


def _places(boxes_rel: Numbers) -> dict[str, Any]:
    """Return the positions of one shape's crops: a map of centres, the median box, area shares."""
    boxes_rel = boxes_rel[np.isfinite(boxes_rel).all(axis=1)]
    centres = (boxes_rel[:, :2] + boxes_rel[:, 2:]) / 2
    span = [[0.0, 1.0], [0.0, 1.0]]
    counts, _, _ = np.histogram2d(centres[:, 1], centres[:, 0], bins=CELLS, range=span)
    areas = (boxes_rel[:, 2] - boxes_rel[:, 0]) * (boxes_rel[:, 3] - boxes_rel[:, 1])
    median = np.median(boxes_rel, axis=0).round(4).tolist() if len(boxes_rel) else None
    area = np.histogram(areas, bins=BINS, range=(0.0, 1.0))[0]
    return {
        "centres": counts.astype(int).tolist(),
        "median": median,
        "area": _histogram(area, 0.0, 1.0),
    }


def _confidence(crops: pa.Table) -> dict[str, Any] | None:
    """Return histograms of confidence, one for each verdict; None if the run has no confidence."""
    values = numbers(crops["confidence"])
    if not np.isfinite(values).any():
        return None
    verdicts = np.array([verdict or "" for verdict in crops["verdict"].to_pylist()], object)
    parts = []
    for verdict in sorted(set(verdicts)):
        mine = values[(verdicts == verdict) & np.isfinite(values)]
        counts = np.histogram(mine, bins=BINS, range=(0.0, 1.0))[0]
        parts.append([verdict, counts.tolist()])
    return {"low": 0.0, "high": 1.0, "parts": parts}


def _margins(margins: pa.ChunkedArray) -> dict[str, Any] | None:
    """Return a histogram of the margins by which crops were chosen; None if there are none."""
    values = numbers(margins)
    values = values[np.isfinite(values)]
    if not len(values):
        return None
    low, high = np.percentile(values, [OUTLIERS, 100 - OUTLIERS])
    high = max(high, low + 1e-6)
    return _histogram(np.histogram(values, bins=BINS, range=(low, high))[0], low, high)


def _histogram(counts: NDArray[np.int64], low: float, high: float) -> dict[str, Any]:
    return {"low": float(low), "high": float(high), "counts": counts.tolist()}


def _counts(column: pa.ChunkedArray) -> list[list[Any]]:
    """Count the values, the most frequent first; nulls are left out."""
    counted = pc.value_counts(column.drop_null()).to_pylist()
    pairs = [[one["values"], one["counts"]] for one in counted]
    return sorted(pairs, key=lambda pair: (-pair[1], pair[0]))
