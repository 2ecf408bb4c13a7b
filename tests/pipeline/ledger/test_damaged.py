"""A damaged, half-written, foreign or newer record or list gives one typed error."""

import copy
import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pyarrow as pa
import pytest

from pipeline import open_run
from pipeline.errors import LedgerError, RecordError
from pipeline.ledger.audit import verify_run
from pipeline.ledger.layout import manifest_key, run_key, spec_key, task_key
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.manifest import data_files, read_manifest
from pipeline.ledger.pinned import read_spec
from pipeline.ledger.tables import parquet_bytes
from pipeline.storage.store import Store
from tests.support.damaged import path_of, run_id, store
from tests.support.tasks import make_inputs, open_ledger, run_all

__all__ = ["run_id", "store"]  # fixtures

Place = tuple[str | int, ...]  # keys and indices that lead to a value of a document

READ: dict[str, Callable[[Store, str], object]] = {
    "spec.json": read_spec,
    "_MANIFEST.json": read_manifest,
    "tasks/00000000.json": lambda store, run_id: Ledger(store, run_id).record(0),
}
FOREIGN = {
    "empty": b"",
    "zeros": bytes(20),
    "text": b"<Error><Code>NoSuchKey</Code></Error>",
    "another product's": b'{"version": "1.0", "entries": [1, 2]}',
    "another product's format": b'{"format": "parquet", "rows": 3}',
    "a list": b"[1, 2, 3]",
    "null": b"null",
    "deep": b"[" * 100_000,
    "format 0": b'{"format": 0}',
    "format true": b'{"format": true}',
}
# Keys that a record may lack.
OPTIONAL = {
    "parent", "generation", "unsettled", "weights", "job", "session", "metrics", "statuses",
    "crops", "bytes", "crop_bytes", "seconds", "requests", "confidence_sum", "failures",
    "columns",
}  # fmt: skip


def refused(store: Store, name: str, run_id: str) -> str:
    """The message with which reading a record is refused: one line that names the object."""
    with pytest.raises(RecordError) as error:
        READ[name](store, run_id)
    message = str(error.value)
    assert isinstance(error.value, LedgerError)
    assert error.value.key == run_key(run_id, name)
    assert error.value.key in message
    assert "\n" not in message
    assert error.value.advice
    return message


@pytest.mark.parametrize("name", READ)
@pytest.mark.parametrize("what", FOREIGN)
def test_what_no_release_wrote(store: Store, run_id: str, name: str, what: str) -> None:
    path_of(store, run_key(run_id, name)).write_bytes(FOREIGN[what])
    refused(store, name, run_id)


@pytest.mark.parametrize("name", READ)
def test_a_record_that_was_cut_short(store: Store, run_id: str, name: str) -> None:
    path = path_of(store, run_key(run_id, name))
    whole = path.read_bytes()
    for length in range(0, len(whole) - 2, 7):
        path.write_bytes(whole[:length])
        refused(store, name, run_id)


@pytest.mark.parametrize("name", READ)
def test_a_newer_format_says_upgrade(store: Store, run_id: str, name: str) -> None:
    path = path_of(store, run_key(run_id, name))
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 2}))
    message = refused(store, name, run_id)
    assert "it has format 2, and this release reads 1" in message
    assert "upgrade" in message


@pytest.mark.parametrize("name", READ)
def test_keys_of_a_later_release_are_ignored(store: Store, run_id: str, name: str) -> None:
    before = READ[name](store, run_id)
    path = path_of(store, run_key(run_id, name))
    path.write_text(json.dumps({**json.loads(path.read_text()), "focus": [0.5, 0.5]}))
    after = READ[name](store, run_id)
    if name == "_MANIFEST.json":
        assert open_run(store.uri, run_id).manifest["focus"] == [0.5, 0.5]
    else:
        assert after == before


@pytest.mark.parametrize("name", READ)
def test_a_missing_key(store: Store, run_id: str, name: str) -> None:
    path = path_of(store, run_key(run_id, name))
    document = json.loads(path.read_text())
    names = {"settings", "tables", "requests"}  # whose keys are not the record's own
    tried = 0
    for place in places(document):
        if isinstance(place[-1], int) or place[-1] in OPTIONAL or names & {*place[-2:-1]}:
            continue
        path.write_text(json.dumps(without(document, place)))
        assert str(place[-1]) in refused(store, name, run_id), place
        tried += 1
    assert tried >= 10


@pytest.mark.parametrize("name", READ)
def test_a_value_of_another_type(store: Store, run_id: str, name: str) -> None:
    """Whatever stands in any place, a record is read or refused by the one error."""
    path = path_of(store, run_key(run_id, name))
    document = json.loads(path.read_text())
    for place in places(document):
        for value in (None, True, -1, 1.5, "x", [], [1], {}, {"x": "y"}):
            path.write_text(json.dumps(changed(document, place, value)))
            with suppress(RecordError):
                READ[name](store, run_id)
    numbers = [place for place in places(document) if place[-1] in ("rows", "task")]
    assert numbers
    for place in numbers:
        path.write_text(json.dumps(changed(document, place, "three")))
        assert str(place[-1]) in refused(store, name, run_id)


def places(value: Any, above: Place = ()) -> Iterator[Place]:
    """Every place in a document."""
    inside: Any = value.items() if isinstance(value, dict) else ()
    inside = enumerate(value) if isinstance(value, list) else inside
    for key, below in inside:
        yield (*above, key)
        yield from places(below, (*above, key))


def without(document: Any, place: Place) -> Any:
    made, inside = _copy(document, place)
    del inside[place[-1]]
    return made


def changed(document: Any, place: Place, value: object) -> Any:
    made, inside = _copy(document, place)
    inside[place[-1]] = value
    return made


def _copy(document: Any, place: Place) -> tuple[Any, Any]:
    """A copy of a document, and what holds the place in it."""
    made = inside = copy.deepcopy(document)
    for key in place[:-1]:
        inside = inside[key]
    return made, inside


def test_the_records_of_another_run(store: Store, run_id: str) -> None:
    other = open_ledger(store, make_inputs(7, etag="v2"))
    run_all(other)
    for name in ("spec.json", "_MANIFEST.json"):
        path = path_of(store, run_key(run_id, name))
        path.write_bytes(path_of(store, run_key(other.run_id, name)).read_bytes())
        assert f"it is that of run {other.run_id!r}" in refused(store, name, run_id)
    first, second = (path_of(store, task_key(run_id, n)) for n in (0, 1))
    first.write_bytes(second.read_bytes())
    assert "it is that of task 1" in refused(store, "tasks/00000000.json", run_id)


def test_other_objects_beside_the_task_records_are_ignored(store: Store) -> None:
    ledger = open_ledger(store, make_inputs(7))
    for name in ("README", "1.json", "00000001.json.bak", "00000009.json"):
        store.write(run_key(ledger.run_id, f"tasks/{name}"), b"?")
    assert ledger.pending() == [0, 1, 2]
    assert run_all(ledger).rows == 7


NULLS = pa.table({name: [None] for name in ("table", "key", "rows", "bytes", "sha256")})


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "it is not such a list"),
        (parquet_bytes(pa.table({"key": ["a"]})), "it is not such a list"),
        (parquet_bytes(pa.table({"image_id": ["a"]})), "it is not such a list"),
        (parquet_bytes(NULLS), "it is not such a list"),
        (None, "it is gone"),
    ],
    ids=["empty", "missing columns", "another table", "nulls", "gone"],
)
def test_the_list_of_files(store: Store, run_id: str, data: bytes | None, problem: str) -> None:
    """Damage that the hash in the manifest agrees with, and a list that is gone."""
    manifest = path_of(store, manifest_key(run_id))
    document = json.loads(manifest.read_text())
    key = document["files"]["key"]
    if data is None:
        path_of(store, key).unlink()
    else:
        path_of(store, key).write_bytes(data)
        document["files"]["sha256"] = hashlib.sha256(data).hexdigest()
        manifest.write_text(json.dumps(document))
    found = Ledger(store, run_id).manifest
    assert found is not None
    for read in (
        lambda: data_files(store, found),
        lambda: open_run(store.uri, run_id).images(),
        lambda: verify_run(store, run_id),
    ):
        with pytest.raises(RecordError, match=problem) as error:
            read()
        assert key in str(error.value)
        assert "\n" not in str(error.value)


def test_a_list_that_was_cut_short(store: Store, run_id: str) -> None:
    key = json.loads(path_of(store, manifest_key(run_id)).read_text())["files"]["key"]
    path = path_of(store, key)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(RecordError, match="was changed after the run was committed"):
        open_run(store.uri, run_id).images()


def test_a_data_file_that_is_gone_or_foreign(store: Store, run_id: str) -> None:
    manifest = Ledger(store, run_id).manifest
    assert manifest is not None
    path = path_of(store, data_files(store, manifest, "images")[0].key)
    foreign = parquet_bytes(pa.table({"a": [1]}))
    for data, problem in ((b"half", "cannot be read"), (foreign, "something else")):
        path.write_bytes(data)
        with pytest.raises(RecordError, match=problem):
            open_run(store.uri, run_id).images()
    path.unlink()
    with pytest.raises(RecordError, match="it is gone"):
        open_run(store.uri, run_id).images()


def test_a_spec_that_is_not_there(store: Store, run_id: str) -> None:
    path_of(store, spec_key(run_id)).unlink()
    assert f"there is no run {run_id}" in refused(store, "spec.json", run_id)


@pytest.mark.parametrize("damage", [None, b"half"])
@pytest.mark.parametrize("name", ["unsettled", "failures"])
def test_verify_finds_a_lost_list_of_photos_that_failed(
    store: Store, run_id: str, name: str, damage: bytes | None
) -> None:
    key = json.loads(path_of(store, manifest_key(run_id)).read_text())[name]["key"]
    assert verify_run(store, run_id).problems == []
    if damage is None:
        path_of(store, key).unlink()
    else:
        path_of(store, key).write_bytes(damage)
    (problem,) = verify_run(store, run_id).problems
    assert key in problem
