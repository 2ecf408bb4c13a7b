"""The records of a run as typed documents: read with validation, written as plain JSON.

Keys that this release does not know are ignored, so that a later release may add some. A `format`
above FORMAT, a missing key, a value of the wrong type and anything that is not JSON all raise
RecordError.
"""

import json
import threading
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Protocol, TypeVar

import msgspec
from msgspec import Meta, Struct

from pipeline.errors import RecordError
from pipeline.ledger.figures import Figures
from pipeline.ledger.identity import Identity
from pipeline.storage.store import Store

FORMAT = 1  # of the records below; a reader refuses a newer one
ABANDONED = "abandoned"  # verdict of a run that `runs.py gc` gave up; it cannot be committed

Count = Annotated[int, Meta(ge=0)]


class InputFile(Struct, frozen=True, kw_only=True):
    """One file of the pinned input list; its key contains its hash.

    first_uri, last_uri: by these a later run skips files that cannot hold its photos.
    """

    sha256: str
    rows: Count
    bytes: Count
    first_uri: str
    last_uri: str


class PinnedPlan(Struct, frozen=True, kw_only=True):
    """How the pinned list is cut into tasks: file k starts with task k · tasks_per_file."""

    rows: Count
    tasks: Count
    tasks_per_file: Annotated[int, Meta(ge=1)]
    files: tuple[InputFile, ...]

    def __post_init__(self) -> None:
        if len(self.files) != -(-self.tasks // self.tasks_per_file):
            raise ValueError(f"{self.tasks} tasks cannot lie in {len(self.files)} files")


class PinnedSpec(Identity, frozen=True, kw_only=True):
    """spec.json: what the run is, and its plan."""

    advice: ClassVar[str] = (
        "Restore it from a copy. If the run is not committed, delete its folder instead and start "
        "its job again."
    )
    format: int = FORMAT
    run_id: str
    plan: PinnedPlan

    @property
    def footer(self) -> dict[str, Any]:
        """The facts about the run in the footer of each of its data files."""
        names = ("run_id", "settings", "weights_sha256", "detector", "code_version")
        return {name: getattr(self, name) for name in names}


class DataFile(Struct, frozen=True):
    """One Parquet file of one task."""

    table: str
    key: str
    rows: Count
    bytes: Count
    sha256: str


class FailedPhoto(Struct, frozen=True):
    """A photo without crops because it failed. kind: one of `errors.FailureKind`."""

    image_id: str
    status: str
    kind: str


class TaskRecord(Struct, frozen=True, kw_only=True):
    """tasks/<n>.json: task n is done; these files, and no others, hold its rows.

    unsettled: ids of the photos that failed for a transient reason; a later run retries them.
    failures:  every photo that failed; None in records of earlier releases.
    """

    advice: ClassVar[str] = "Delete it and start the job again, which does the task again."
    format: int = FORMAT
    task: Count
    attempt: str
    images: Count
    files: tuple[DataFile, ...]
    unsettled: tuple[str, ...] = ()
    failures: tuple[FailedPhoto, ...] | None = None
    metrics: Figures = Figures()


class StoredList(Struct, frozen=True, kw_only=True):
    """A list in an object of its own; the record that names it keeps its hash."""

    key: str
    sha256: str
    rows: Count


class TableTotals(Struct, frozen=True, kw_only=True):
    """How much of one table a run wrote."""

    files: Count
    rows: Count
    bytes: Count


class UnifiedType(Struct, frozen=True, kw_only=True):
    """A column whose type differs between runs: its common type, and which runs had which."""

    type: str
    was: Mapping[str, Mapping[str, Any]]


class Manifest(Identity, frozen=True, kw_only=True):
    """_MANIFEST.json of a committed run.

    committed_at: Unix time, seconds
    columns, unified: types of the list's columns, and those that differ from the runs that were
        live; see `ledger.columns`. None in old runs
    files, unsettled: the lists of data files and of the ids of photos left unsettled
    failures:     the list of all failed photos; None in runs of earlier releases
    job:          all settings that the job was given
    session:      facts about the attempt that committed
    document:     the JSON document as read, including keys of later releases
    """

    advice: ClassVar[str] = (
        "Restore it from a copy; until then the run does not count as committed."
    )
    format: int
    run_id: str
    verdict: str
    committed_at: float
    rows: Count
    tasks: Count
    tables: Mapping[str, TableTotals]
    metrics: Figures
    files: StoredList
    unsettled: StoredList
    failures: StoredList | None = None
    weights: Mapping[str, Any] = {}
    columns: Mapping[str, str] | None = None
    unified: Mapping[str, UnifiedType] | None = None
    job: Mapping[str, Any] = {}
    session: Mapping[str, Any] = {}
    document: Mapping[str, Any] = {}

    @property
    def only_failed_again(self) -> bool:
        """Whether the run did only photos that had failed, and all of them failed again."""
        return self.session.get("repeats") is True and not self.metrics.ok


class Abandoned(Struct, frozen=True, kw_only=True):
    """_MANIFEST.json of a run that `runs.py gc` gave up."""

    advice: ClassVar[str] = Manifest.advice
    verdict: Literal["abandoned"]
    committed_at: float = 0.0


class Record(Protocol):
    """A kind of record. advice: what to do about one that cannot be used."""

    advice: ClassVar[str]


RecordT = TypeVar("RecordT", bound=Record)

# msgspec 0.22 crashes the process if two threads convert to a type for the first time at once.
_FIRST_USE = threading.Lock()
_USED: set[type] = set()


# Keys added by later releases. Omitted where they are null, so that older records do not change.
OPTIONAL = ("render_of", "failures", "columns", "unified")


def to_bytes(document: Struct | Mapping[str, Any]) -> bytes:
    """Encode a record as JSON; the same content gives the same bytes."""
    plain = msgspec.to_builtins(document)
    for name in OPTIONAL:
        if plain.get(name, ...) is None:
            del plain[name]
    return json.dumps(plain, sort_keys=True, indent=1).encode() + b"\n"


def read_record(store: Store, key: str, kind: type[RecordT]) -> RecordT:
    """Read the record at `key`. Raises FileNotFoundError, or RecordError if it is unusable."""
    return typed(parse(store.read(key), key, kind.advice), key, kind)


def parse(data: bytes, key: str, advice: str) -> dict[str, Any]:
    """Parse the JSON of a record that this release can read; its fields are not checked yet.

    Raises RecordError, with `advice` unless the record is of a newer release.
    """
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        problem = f"it is not whole JSON: {error}" if data else "it is empty"
        raise RecordError(key, problem, advice) from error
    version = document.get("format") if isinstance(document, dict) else None
    if type(version) is not int or version < 1:
        raise RecordError(key, "it has no number `format`, so no release wrote it", advice)
    if version > FORMAT:
        newer = f"it has format {version}, and this release reads {FORMAT}"
        raise RecordError(key, newer, "Use the release that wrote it: upgrade s2cnet-thumbnails.")
    return {**document}


def typed(document: Mapping[str, Any], key: str, kind: type[RecordT]) -> RecordT:
    """Convert a document to a record. Raises RecordError for missing keys and wrong types."""
    try:
        if kind not in _USED:
            with _FIRST_USE:
                try:
                    return msgspec.convert(document, kind)
                finally:
                    _USED.add(kind)
        return msgspec.convert(document, kind)
    except msgspec.ValidationError as error:
        raise RecordError(key, str(error), kind.advice) from error
