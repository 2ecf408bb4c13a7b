"""Classify the failures in runs of every release, and decide when each kind is retried.

    permanent      the bytes can never work: retried only on request (`retry --kind permanent`)
    transient      temporary: retried in the next night
    circumstances  rights, keys, the object's place, what is installed: retried in nights 1, 2, 4,
                   8, … after the first failure, so that the number of reads of a photo that stays
                   out of reach is logarithmic in its nights. A photo refused by a limit of the run
                   is never retried under the same limits. A changed object (ETag) is done again
                   at once

A night is a committed run of the same kind, or 20 hours, whichever gives more nights.
"""

from importlib.util import find_spec

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.errors import DecodeError, ReadError
from pipeline.ledger.manifest import FAILURES, data_files, failed_photos, unsettled_ids
from pipeline.ledger.records import Manifest
from pipeline.ledger.tables import read_table
from pipeline.storage.store import Store

NIGHT_S = 20 * 3600.0
FAILURE_COLUMNS = ["image_id", "status", "error_stage", "error_kind", "error_message"]
# Refused by a setting that is part of the run's identity: the same run would refuse it again.
LIMITS = frozenset(
    {"too_large", "too_many_pixels", "too_many_scans", "too_many_frames", "too_much_memory"}
)
EXTRA_MISSING = "extra_missing"
EXTRA = "pillow_heif"  # the only package that a format needs
# Releases before `circumstances` used other statuses; their messages begin like this.
_UNKNOWN_ANSWER = r"^\w*Error: "  # of `bad_uri`: an unknown error of the store or the disk
_NO_HEIC = "HEIC needs"  # of `unsupported_format`

# The outcome of a photo in a run, as numbers that Arrow and NumPy compare fast.
SUCCEEDED, PERMANENT, LIMIT, TRANSIENT, CIRCUMSTANCES, NEEDS_EXTRA = range(6)
PhotoOutcomes = NDArray[np.int8]  # [rows] of these


def kinds_of(images: pa.Table) -> pa.ChunkedArray:
    """Return the kind of each row's failure, null where none. images: the columns FAILURE_COLUMNS.

    Rows of releases that had only two kinds are classified by status.
    """
    kind, status, stage = (images[n] for n in ("error_kind", "status", "error_stage"))
    message = pc.fill_null(images["error_message"], "")
    circumstances = pc.or_(
        _one_of(stage, "read", status, ReadError.circumstance_statuses),
        _one_of(stage, "decode", status, DecodeError.circumstance_statuses),
    )
    unknown = pc.and_(
        pc.equal(status, "bad_uri"), pc.match_substring_regex(message, _UNKNOWN_ANSWER)
    )
    no_heic = pc.and_(pc.equal(status, "unsupported_format"), pc.starts_with(message, _NO_HEIC))
    circumstances = pc.or_(circumstances, pc.or_(unknown, no_heic))
    earlier = pc.and_(pc.fill_null(pc.equal(kind, "permanent"), False), circumstances)
    return pc.if_else(earlier, "circumstances", kind)


def _one_of(
    stage: pa.ChunkedArray, name: str, status: pa.ChunkedArray, statuses: frozenset[str]
) -> pa.ChunkedArray:
    of_stage = pc.fill_null(pc.equal(stage, name), False)
    return pc.and_(of_stage, pc.is_in(status, pa.array(sorted(statuses))))


def failed_rows(images: pa.Table) -> pa.Table:
    """Return the failed photos of a task, as `FAILURES`. images: has FAILURE_COLUMNS."""
    kind = kinds_of(images)
    no_heic = pc.and_(
        pc.equal(images["status"], "unsupported_format"),
        pc.fill_null(pc.equal(kind, "circumstances"), False),
    )
    status = pc.if_else(no_heic, EXTRA_MISSING, images["status"])
    table = pa.table([images["image_id"], status, kind], schema=FAILURES.remove_metadata())
    return table.filter(pc.is_valid(table["kind"]))


def failures_of(store: Store, manifest: Manifest) -> pa.Table:
    """Read the failed photos of a committed run, as `FAILURES`. Raises RecordError.

    For runs of earlier releases, permanent failures are included only where some may be due to
    circumstances, because telling them apart takes reading the run's rows.
    """
    if manifest.failures is not None:
        return failed_photos(store, manifest.failures)
    may_be = {
        *ReadError.circumstance_statuses, *DecodeError.circumstance_statuses,
        "bad_uri", "unsupported_format",
    }  # fmt: skip
    if may_be & manifest.metrics.statuses.keys():
        files = data_files(store, manifest, "images")
        parts = [failed_rows(read_table(store, file.key, FAILURE_COLUMNS)) for file in files]
        return pa.concat_tables(parts) if parts else FAILURES.empty_table()
    ids = unsettled_ids(store, manifest)
    columns = [ids, *(pa.repeat(pa.scalar(one), len(ids)) for one in ("unsettled", "transient"))]
    return pa.table(columns, schema=FAILURES)


def photo_outcomes(failures: pa.Table, ids: pa.Array) -> PhotoOutcomes:
    """Return the outcome of each of these photos in the run with these failures: [ids]."""
    outcomes = np.full(len(ids), SUCCEEDED, np.int8)
    if not failures.num_rows:
        return outcomes
    at = pc.index_in(ids, failures["image_id"].combine_chunks())
    failed = at.is_valid().to_numpy(zero_copy_only=False)
    rows = failures.take(at.drop_null())
    outcomes[failed] = _codes(rows["kind"], rows["status"])
    return outcomes


def _codes(kind: pa.ChunkedArray, status: pa.ChunkedArray) -> PhotoOutcomes:
    of_kind = {"permanent": PERMANENT, "transient": TRANSIENT, "circumstances": CIRCUMSTANCES}
    # A kind of a later release is retried like a transient one: nothing is settled by mistake.
    codes = np.array([of_kind.get(one, TRANSIENT) for one in kind.to_pylist()], np.int8)
    for number, one in enumerate(status.to_pylist()):
        if codes[number] == CIRCUMSTANCES and one in LIMITS:
            codes[number] = LIMIT
        elif codes[number] == CIRCUMSTANCES and one == EXTRA_MISSING:
            codes[number] = NEEDS_EXTRA
    return codes


def are_due(
    outcomes: PhotoOutcomes,
    tries: NDArray[np.int32],
    runs: NDArray[np.int32],
    age_s: NDArray[np.float64],
) -> NDArray[np.bool_]:
    """Return whether each photo is to be retried tonight: [rows].

    tries: number of consecutive failures by circumstances
    runs:  committed runs of the kind after that of the first of these failures
    age_s: seconds since the first of these failures
    """
    nights = np.maximum(runs + 1, age_s / NIGHT_S)
    due = nights >= np.exp2(np.maximum(tries - 1, 0))
    there = find_spec(EXTRA) is not None
    return np.where(outcomes == NEEDS_EXTRA, due & there, due & (outcomes == CIRCUMSTANCES))
