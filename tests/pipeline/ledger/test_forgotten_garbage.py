"""Forgotten photos are erased as far as possible where a file of a run is lost or damaged."""

from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.errors import RecordError
from pipeline.ledger.forgetting import forget
from pipeline.ledger.garbage import look_for_garbage, remove_garbage
from pipeline.ledger.manifest import data_files, read_committed
from pipeline.storage.store import Store, open_store
from tests.support.tasks import done, make_inputs, open_ledger

IDS = make_inputs(3)["image_id"].to_pylist()
OWN = "crops/aa/one.webp"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "out"))


@pytest.fixture
def run(store: Store) -> str:
    """One of three photos is to be forgotten; its crop is an object of its own."""
    ledger = open_ledger(store, make_inputs(3))
    for task in range(ledger.task_count):
        tables = done(ledger.task_inputs(task))
        crops = tables["crops"]
        first = [name == IDS[0] for name in crops["image_id"].to_pylist()]
        column, field = crops.schema.get_field_index("file"), crops.schema.field("file")
        keys = pa.array([OWN if own else None for own in first], field.type)
        tables["crops"] = crops.set_column(column, field, keys)
        ledger.commit_task(task, tables)
    store.write(OWN, b"pixels")
    store.write(f"runs/{ledger.run_id}/gallery/index.html", b"<html>")
    ledger.finish({})
    forget(store, [IDS[0]])
    return ledger.run_id


def keys_of(store: Store, run: str, table: str) -> list[str]:
    return [file.key for file in data_files(store, read_committed(store, run), table)]


def test_a_lost_file_does_not_keep_the_others(store: Store, run: str) -> None:
    (crops,), (images,) = keys_of(store, run, "crops"), keys_of(store, run, "images")
    store.delete(crops)
    found = look_for_garbage(store, 0)
    assert f"{crops} cannot be used: it is gone" in str(found.damaged[run])
    assert images in {one.info.key for one in found.garbage if one.erase}
    remove_garbage(store, found.garbage)
    assert not store.exists(images)  # it is rewritten without the photo
    assert not store.exists(f"runs/{run}/gallery/index.html")
    assert not [one for one in look_for_garbage(store, 0).garbage if one.erase]


def test_rows_that_name_a_crop_stay_until_all_runs_can_be_read(store: Store, run: str) -> None:
    """Another photo could have the same crop in the damaged run, and only a row has its key."""
    other = f"runs/{'b' * 20}/_MANIFEST.json"
    store.write(other, b"{")
    (crops,), (images,) = keys_of(store, run, "crops"), keys_of(store, run, "images")
    remove_garbage(store, look_for_garbage(store, 0).garbage)
    assert store.exists(OWN)
    assert (store.exists(crops), store.exists(images)) == (True, False)
    assert not store.exists(f"runs/{run}/gallery/index.html")
    store.delete(other)
    remove_garbage(store, look_for_garbage(store, 0).garbage)
    assert not store.exists(OWN)
    assert not store.exists(crops)


@pytest.mark.parametrize("table", ["images", "crops"])
def test_a_damaged_file_is_named_and_the_others_are_erased(
    store: Store, run: str, table: str
) -> None:
    (damaged,) = keys_of(store, run, table)
    store.write(damaged, b"PAR1 no table PAR1")
    (other,) = keys_of(store, run, "images" if table == "crops" else "crops")
    found = look_for_garbage(store, 0)
    if table == "crops":  # it is read at once, for the crops that it names
        assert damaged in str(found.damaged[run])
        remove_garbage(store, found.garbage)
    else:
        with pytest.raises(RecordError, match=damaged):
            remove_garbage(store, found.garbage)
    assert not store.exists(other)
    assert store.exists(damaged)
