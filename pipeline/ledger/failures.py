"""Tell the kinds of failure apart in the runs of every release, and when each is tried again.

    permanent      the bytes can never work: never, unless somebody asks (`retry --kind permanent`)
    transient      passing: in the next night
    circumstances  rights, keys, where the object lies, what is installed: in nights 1, 2, 4, 8, …
                   after the first failure, so that a photo which stays out of reach costs as many
                   reads as the logarithm of its nights; what a limit of the run refused, never
                   under the same limits. A changed object (ETag) is done again at once

A night is a committed run of the same kind, or 20 hours, whichever make more.
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
OF_IMAGES = ["image_id", "status", "error_stage", "error_kind", "error_message"]
# Refused by a setting that is part of the run's identity: the same run refuses it again.
LIMITS = frozenset(
    {"too_large", "too_many_pixels", "too_many_scans", "too_many_frames", "too_much_memory"}
)
EXTRA_MISSING = "extra_missing"
EXTRA = "pillow_heif"  # the one package that a format needs
# How releases before `circumstances` began the messages of what they called by other names.
_UNKNOWN_ANSWER = r"^\w*Error: "  # of `bad_uri`: the store or the disk said something unknown
_NO_HEIC = "HEIC needs"  # of `unsupported_format`

# How a photo left a run, as numbers that Arrow and NumPy compare fast.
WELL, PERMANENT, LIMIT, TRANSIENT, CIRCUMSTANCES, EXTRA_LACKS = range(6)
Left = NDArray[np.int8]  # [rows] of these


def kinds_of(images: pa.Table) -> pa.ChunkedArray:
    """The kind of each row's failure, null where it has none. images: the columns OF_IMAGES.

    Rows of releases that knew two kinds are told by status.
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
    """The failed photos of a task's rows, as `FAILURES`. images: the columns OF_IMAGES at least."""
    kind = kinds_of(images)
    no_heic = pc.and_(
        pc.equal(images["status"], "unsupported_format"),
        pc.fill_null(pc.equal(kind, "circumstances"), False),
    )
    status = pc.if_else(no_heic, EXTRA_MISSING, images["status"])
    table = pa.table([images["image_id"], status, kind], schema=FAILURES.remove_metadata())
    return table.filter(pc.is_valid(table["kind"]))


def failures_of(store: Store, manifest: Manifest) -> pa.Table:
    """The failed photos of a committed run, as `FAILURES`. Raises RecordError.

    Of runs of earlier releases, permanent failures are known only where circumstances may be among
    them: telling them takes reading the run's rows.
    """
    if manifest.failures is not None:
        return failed_photos(store, manifest.failures)
    may_be = {
        *ReadError.circumstance_statuses, *DecodeError.circumstance_statuses,
        "bad_uri", "unsupported_format",
    }  # fmt: skip
    if may_be & manifest.metrics.statuses.keys():
        files = data_files(store, manifest, "images")
        parts = [failed_rows(read_table(store, file.key, OF_IMAGES)) for file in files]
        return pa.concat_tables(parts) if parts else FAILURES.empty_table()
    ids = unsettled_ids(store, manifest)
    columns = [ids, *(pa.repeat(pa.scalar(one), len(ids)) for one in ("unsettled", "transient"))]
    return pa.table(columns, schema=FAILURES)


def left_by(failures: pa.Table, ids: pa.Array) -> Left:
    """How each of these photos left the run whose failures are given: [ids]."""
    left = np.full(len(ids), WELL, np.int8)
    if not failures.num_rows:
        return left
    at = pc.index_in(ids, failures["image_id"].combine_chunks())
    failed = at.is_valid().to_numpy(zero_copy_only=False)
    rows = failures.take(at.drop_null())
    left[failed] = _codes(rows["kind"], rows["status"])
    return left


def _codes(kind: pa.ChunkedArray, status: pa.ChunkedArray) -> Left:
    of_kind = {"permanent": PERMANENT, "transient": TRANSIENT, "circumstances": CIRCUMSTANCES}
    # A kind of a later release is tried again like a passing one: nothing is settled by mistake.
    codes = np.array([of_kind.get(one, TRANSIENT) for one in kind.to_pylist()], np.int8)
    for number, one in enumerate(status.to_pylist()):
        if codes[number] == CIRCUMSTANCES and one in LIMITS:
            codes[number] = LIMIT
        elif codes[number] == CIRCUMSTANCES and one == EXTRA_MISSING:
            codes[number] = EXTRA_LACKS
    return codes


def are_due(
    left: Left, tries: NDArray[np.int32], runs: NDArray[np.int32], age_s: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Whether each photo is to be tried again tonight: [rows].

    tries: how often it has failed by circumstances, one after another
    runs:  committed runs of the kind since the first of these, that one left out
    age_s: seconds since the first of these
    """
    nights = np.maximum(runs + 1, age_s / NIGHT_S)
    due = nights >= np.exp2(np.maximum(tries - 1, 0))
    there = find_spec(EXTRA) is not None
    return np.where(left == EXTRA_LACKS, due & there, due & (left == CIRCUMSTANCES))
