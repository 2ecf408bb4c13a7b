"""Compare a list with the committed runs of a store, or with the index of covered photos."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor

import pyarrow as pa

from pipeline.errors import RecordError
from pipeline.ledger.bounded_map import bounded_map
from pipeline.ledger.channels.channel import channel_of
from pipeline.ledger.channels.live import Standing
from pipeline.ledger.coverage.covered import (
    Segment,
    compare_with_segment,
    kind_of,
    read_index,
    usable_segments,
)
from pipeline.ledger.coverage.key_ranges import KeyRanges
from pipeline.ledger.coverage.listed import compared_columns, with_listed
from pipeline.ledger.coverage.nearness import (
    CHANNEL,
    COVERED,
    SETTINGS,
    TRIAL,
    WEIGHTS,
    WITHDRAWN,
    Comparison,
    Nearness,
    Relation,
    compare_with_run,
)
from pipeline.ledger.failures import failures_of
from pipeline.ledger.forgetting import Forgotten
from pipeline.ledger.identity import Identity, RunSpec
from pipeline.ledger.indexes import TAIL
from pipeline.ledger.pinned import input_file_rows, overlapping, read_spec
from pipeline.ledger.records import InputFile, Manifest, PinnedSpec
from pipeline.schema import INPUT_OVERRIDE
from pipeline.storage.spool import PIECE_ROWS, release
from pipeline.storage.store import Store

READERS = 16  # specs and input files fetched at a time


def nearness_of(
    store: Store,
    spec: RunSpec,
    inputs: pa.Table,
    stored: Standing,
    channel: str,
    forgotten: Forgotten,
) -> tuple[Nearness, dict[str, RecordError]]:
    """Find how near the committed runs, latest first, came to covering each row of `inputs`.

    Also returns, by run id, the error of each run that could not be read.
    """
    inputs = compared_columns(inputs, spec)
    ranges = KeyRanges(inputs)
    how = {m.run_id: _relation(stored, m, spec, channel) for m in stored.runs.committed}
    segments = _segments(store, stored.runs.committed, how)
    near = Nearness(inputs, forgotten)
    damaged: dict[str, RecordError] = {}
    try:
        _compare_all(store, near, ranges, stored.runs.committed, how, segments, damaged)
    except _BrokenIndexError:  # then only the runs' own lists are used
        near, damaged = Nearness(inputs, forgotten), {}
        _compare_all(store, near, ranges, stored.runs.committed, how, {}, damaged)
    near.end()
    return near, damaged


class _BrokenIndexError(Exception):
    """A file of the index of covered photos is damaged or gone."""


# The kind and the segment, by the first of the runs that the segment stands for.
_Segments = dict[str, tuple[str, Segment]]


def _segments(
    store: Store, committed: Sequence[Manifest], how: Mapping[str, Relation]
) -> _Segments:
    """Return the segments of the index that may stand for runs of this plan."""
    kinds_of_runs = {manifest.run_id: kind_of(manifest) for manifest in committed}
    alike: dict[tuple[bool, int], list[str]] = {}
    for manifest in committed:
        relation = how[manifest.run_id]
        alike.setdefault((relation.decides, relation.code), []).append(manifest.run_id)
    found: _Segments = {}
    kinds = Counter(kinds_of_runs.values())
    for kind in (kind for kind, count in kinds.items() if count > TAIL):
        index = read_index(store, kind)
        for (decides, _), runs in alike.items():
            # Where runs decide, the latest that had a photo does, of whatever kind. Where they do
            # not, their order does not matter, and other kinds may come between them.
            ids = runs if decides else [run for run in runs if kinds_of_runs[run] == kind]
            found |= {s.runs[0]: (kind, s) for s in usable_segments(index, ids)}
    return found


def _compare_all(
    store: Store,
    near: Nearness,
    ranges: KeyRanges,
    committed: Sequence[Manifest],
    how: Mapping[str, Relation],
    segments: _Segments,
    damaged: dict[str, RecordError],
) -> None:
    """Compare each run, or the segment that stands for it; note runs that cannot be read."""
    manifests = {manifest.run_id: manifest for manifest in committed}
    inside = {run for _, segment in segments.values() for run in segment.runs}
    with ThreadPoolExecutor(READERS) as pool:
        asked = {
            run: pool.submit(_read_run, store, manifests[run], how[run])
            for run in manifests
            if run not in inside
        }
        for run, manifest in manifests.items():
            if run in segments:
                kind, segment = segments[run]
                own = [manifests[one] for one in segment.runs]
                _add_segment(store, near, ranges, kind, segment, own, how, pool)
            elif run in asked:
                try:
                    _add_run(store, near, manifest, how[run], *asked[run].result(), pool)
                except RecordError as error:
                    damaged[run] = error


def _add_segment(
    store: Store, near: Nearness, ranges: KeyRanges, kind: str, segment: Segment,
    own: Sequence[Manifest], how: Mapping[str, Relation], pool: Executor,
) -> None:  # fmt: skip
    """Add what the runs of a segment, `own`, had of the list. Raises _BrokenIndexError."""
    place, relation = len(near.deciding), how[segment.runs[0]]  # all of them decide, or none
    near.deciding += [(one, how[one.run_id]) for one in own if relation.decides]
    when = [one.committed_at for one in own]
    try:
        for found in compare_with_segment(store, ranges, kind, segment, when, place, pool):
            near.add(found, relation)
    except RecordError as error:
        raise _BrokenIndexError from error


def _add_run(
    store: Store, near: Nearness, manifest: Manifest, how: Relation,
    spec: PinnedSpec, failures: pa.Table | None, pool: Executor,
) -> None:  # fmt: skip
    """Add what one run had of the list. Raises RecordError."""
    place = len(near.deciding)
    near.deciding += [(manifest, how)] if how.decides else []
    for found in _compare_run(store, near, manifest, spec, failures, place, pool):
        near.add(found, how)


def _read_run(
    store: Store, manifest: Manifest, how: Relation
) -> tuple[PinnedSpec, pa.Table | None]:
    """Read a run's spec and, where it decides, its failures. Raises RecordError."""
    spec = read_spec(store, manifest.run_id)
    return spec, failures_of(store, manifest) if how.decides else None


def _compare_run(
    store: Store,
    near: Nearness,
    manifest: Manifest,
    spec: PinnedSpec,
    failures: pa.Table | None,
    place: int,
    pool: Executor,
) -> Iterator[Comparison]:
    """Yield what one run had of the list, for each file of its own list. Raises RecordError."""
    overlaps = list(overlapping(near.inputs["uri"], spec.plan.files))
    own = spec.list_columns if failures is not None else ()  # only if the run decides
    columns = ["image_id", "etag", INPUT_OVERRIDE.name, *own]  # some lists lack the others

    def fetch(file: InputFile) -> pa.Table:
        return with_listed(input_file_rows(store, spec, file, columns), spec)

    fetched = bounded_map(pool, fetch, [spec.plan.files[number] for number, _ in overlaps])
    for (_, rows), theirs in zip(overlaps, fetched, strict=True):
        for start in range(rows.start, rows.stop, PIECE_ROWS):
            part = range(start, min(start + PIECE_ROWS, rows.stop))
            ours = near.inputs.slice(part.start, len(part))
            yield compare_with_run(ours, part, theirs, manifest, failures, place)
        release()


def _relation(stored: Standing, old: Manifest, new: Identity, channel: str) -> Relation:
    if (old.weights_sha256, old.detector) != (new.weights_sha256, new.detector):
        return Relation(False, WEIGHTS)
    if old.settings != new.settings:
        return Relation(False, SETTINGS)
    state = stored.state(old, channel)
    if state == "trial":
        return Relation(False, TRIAL)
    if state == "withdrawn":
        return Relation(False, WITHDRAWN)
    if state == "candidate" and channel_of(old) != channel:
        return Relation(False, CHANNEL)
    return Relation(True, COVERED, waits=state == "candidate" and not old.only_failed_again)
