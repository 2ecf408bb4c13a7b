"""Compare two committed runs: settings, photos, statuses and boxes."""

import heapq
from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import LedgerError
from pipeline.ledger.channels.channel import channel_of
from pipeline.ledger.channels.live import every_live_run, standing
from pipeline.ledger.forgetting import read_forgotten
from pipeline.ledger.identity import spec_differences
from pipeline.ledger.known_runs import committed_run
from pipeline.ledger.pair_parts import RunRows, pair_parts
from pipeline.ledger.pinned import read_spec
from pipeline.ledger.reader import Run, open_run
from pipeline.ledger.records import Manifest
from pipeline.schema import EDGES
from pipeline.storage.store import Store

EXAMPLES = 20  # examples that a comparison names of each kind of difference
KEY = ("uri", "ratio", "rank")
IMAGE_COLUMNS = ("uri", "status", "content_sha256")
Photos: TypeAlias = Mapping[str, Mapping[str, str | None]]  # rows of `images` by address


@dataclass(frozen=True)
class RunPair:
    """Two runs to compare.

    old_id: if the old rows come from several runs, the one that most photos come from.
    """

    old: Run
    new: Run
    old_id: str
    new_id: str

    @classmethod
    def of(cls, store: Store, old_id: str, new_id: str) -> "RunPair":
        """Open two runs. Raises what `open_run` raises."""
        old, new = (open_run(store.uri, run_id) for run_id in (old_id, new_id))
        return cls(old, new, old_id, new_id)

    @classmethod
    def with_live(cls, store: Store, run_id: str) -> "RunPair":
        """Open a run, and for its photos what was live in its channel before it.

        If the run is not live, that is what is. Raises what `open_run` raises, LedgerError if
        nothing is or was live, and RecordError if a record that decides this is damaged.
        """
        new = open_run(store.uri, run_id)
        before = live_before(store, run_id)
        if not before:
            raise LedgerError(
                f"nothing was live in the channel of run {run_id} before it: name a run to compare "
                "it with"
            )
        photos = new.images(["image_id"])["image_id"].combine_chunks()
        old = Run(store, [before], read_forgotten(store).hidden, photos)
        counts = {
            one["values"]: one["counts"]
            for one in pc.value_counts(old.images(["run_id"])["run_id"]).to_pylist()
        }
        ids = [manifest.run_id for manifest in before]
        return cls(old, new, max(ids, key=lambda one: counts.get(one, 0)), run_id)


def compare_runs(store: Store, pair: RunPair) -> dict[str, Any]:
    """Return what differs between two committed runs: settings, photos, statuses and boxes.

    A crop has moved only where its photo has the same content in both runs, or that is not known.
    """
    found = _Differences()
    for was, now in pair_parts(pair.old, pair.new, IMAGE_COLUMNS, (*KEY, *EDGES)):
        found.add(was, now)
    specs = (read_spec(store, run_id) for run_id in (pair.old_id, pair.new_id))
    return {
        "old": pair.old_id,
        "new": pair.new_id,
        "settings": spec_differences(*specs),
        "images": found.images,
        "status_examples": found.statuses,
        "content_examples": found.contents,
        "crops": found.crops,
        "moved_examples": found.moved,
    }


class _Differences:
    """Counts and the first examples, by address, of the parts added so far."""

    def __init__(self) -> None:
        names = ("both", "only_old", "only_new")
        self.images = dict.fromkeys((*names, "status_changed", "content_changed"), 0)
        self.crops = dict.fromkeys((*names, "moved", "of_changed_photos"), 0)
        self.statuses: list[dict[str, Any]] = []
        self.contents: list[dict[str, Any]] = []
        self.moved: list[dict[str, Any]] = []

    def add(self, old: RunRows, new: RunRows) -> None:
        """Add the rows of some photos in both runs."""
        was, now = (_by_uri(rows.images) for rows in (old, new))
        statuses, contents = (_changed(was, now, name) for name in ("status", "content_sha256"))
        _add(self.images, was.keys(), now.keys())
        self.images["status_changed"] += len(statuses)
        self.images["content_changed"] += len(contents)
        self.statuses = _first(self.statuses, _examples(statuses))
        self.contents = _first(self.contents, _examples(contents))

        boxes_was, boxes_now = (_boxes(rows.crops) for rows in (old, new))
        shared = boxes_was.keys() & boxes_now.keys()
        same_photo = [key for key in shared if key[0] not in contents]
        moved = sorted(key for key in same_photo if boxes_was[key] != boxes_now[key])
        _add(self.crops, boxes_was.keys(), boxes_now.keys())
        self.crops["moved"] += len(moved)
        self.crops["of_changed_photos"] += len(shared) - len(same_photo)
        examples = [
            {**dict(zip(KEY, key, strict=True)), "old": boxes_was[key], "new": boxes_now[key]}
            for key in moved[:EXAMPLES]
        ]
        self.moved = _first(self.moved, examples)


def _add(counts: dict[str, int], was: Set[object], now: Set[object]) -> None:
    """Count what is in both runs, and what is in one only."""
    counts["both"] += len(was & now)
    counts["only_old"] += len(was - now)
    counts["only_new"] += len(now - was)


def _changed(was: Photos, now: Photos, column: str) -> dict[str, tuple[str, str]]:
    """Return, by the photo's address, a column's two values where both are known and differ."""
    values = {uri: (was[uri][column], now[uri][column]) for uri in was.keys() & now.keys()}
    return {uri: (a, b) for uri, (a, b) in values.items() if a and b and a != b}


def _examples(changed: Mapping[str, tuple[str, str]]) -> list[dict[str, str]]:
    """List the first photos with what they had in the old run and have in the new one."""
    first = heapq.nsmallest(EXAMPLES, changed.items())
    return [{"uri": uri, "old": was, "new": now} for uri, (was, now) in first]


def _first(known: list[dict[str, Any]], more: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the first examples of two lists, by the values of KEY that they have."""
    both = sorted([*known, *more], key=lambda one: [one[name] for name in KEY if name in one])
    return both[:EXAMPLES]


def live_before(store: Store, run_id: str) -> list[Manifest]:
    """Return the live runs that are behind a run in its channel, front first.

    If the run is not live, these are all live runs of its channel. Raises what `committed_run`
    raises, and RecordError if the channel's record or one of these runs is damaged or gone.
    """
    own, known = channel_of(committed_run(store, run_id)), standing(store)
    places = known.places(run_id)
    name = own if own in places or not places else min(places)
    place, _ = places.get(name, (0, 0))  # 1 for the front
    return every_live_run(known, name, behind=place)


def _by_uri(images: pa.Table) -> Photos:
    return {row["uri"]: row for row in images.to_pylist()}


def _boxes(crops: pa.Table) -> dict[tuple[str, str, int], tuple[float, ...]]:
    """Return boxes by uri, ratio and rank, rounded to 0.01 px to ignore smaller differences."""
    return {
        (row["uri"], row["ratio"], row["rank"]): tuple(round(row[side], 2) for side in EDGES)
        for row in crops.to_pylist()
    }
