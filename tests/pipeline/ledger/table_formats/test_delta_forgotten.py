"""What a Delta table knows of its files' runs after photos were forgotten in it."""

import pyarrow as pa
import pytest

from pipeline.errors import LedgerError
from pipeline.ledger.forgetting import forget
from pipeline.ledger.garbage import look_for_garbage, remove_garbage
from pipeline.ledger.layout import run_key
from pipeline.ledger.table_formats.delta import forget_in_delta, publish_delta
from pipeline.storage.store import Store
from tests.support.committed import committed_runs, runs_of_pictures
from tests.support.shaped_runs import IDS
from tests.support.tasks import make_inputs, open_ledger, run_all

deltalake = pytest.importorskip("deltalake")


def crops_of(store: Store) -> pa.Table:
    return deltalake.DeltaTable(f"{store.uri}/_data/crops").to_pyarrow_table()


def paths(store: Store) -> set[str]:
    found = deltalake.DeltaTable(f"{store.uri}/_data/crops").file_uris()
    return {uri.partition("/_data/crops/")[2] for uri in found}


def test_an_older_run_published_after_forgetting_does_not_hide_the_newer_one(store: Store) -> None:
    older, newer = committed_runs(store, make_inputs(3), make_inputs(3, etag="v2"))
    publish_delta(store, newer.run_id)
    forget(store, [IDS[2]])
    remove_garbage(store, look_for_garbage(store, 0).garbage)
    assert runs_of_pictures(crops_of(store)) == {0: "second", 1: "second"}
    publish_delta(store, older.run_id)
    assert runs_of_pictures(crops_of(store)) == {0: "second", 1: "second"}


def test_only_delta_files_that_have_forgotten_photos_are_written_again(store: Store) -> None:
    """Tasks of three photos: 0 to 2, and 3 to 5; a file of an unknown run is looked into."""
    run = run_all(open_ledger(store, make_inputs(6)))
    publish_delta(store, run.run_id)
    first, second = sorted(paths(store))
    assert forget_in_delta(store, [IDS[4]]) == ["images", "crops"]
    (copy,) = paths(store) - {first}
    assert copy.startswith(f"from={run.run_id}/00000001-")
    assert store.exists(f"_data/crops/{second}")  # it is the run's, which `gc` erases itself
    assert sorted(runs_of_pictures(crops_of(store))) == [0, 1, 2, 3, 5]
    table = deltalake.DeltaTable(f"{store.uri}/_data/crops")
    table.optimize.compact()  # as a person may: one file of several runs
    assert len(paths(store)) == 1
    version = table.version()
    forget_in_delta(store, [IDS[4], IDS[8]])
    assert deltalake.DeltaTable(f"{store.uri}/_data/crops").version() == version
    forget_in_delta(store, [IDS[0]])
    (left,) = paths(store)
    assert left.startswith("from=several/00000000-")
    forget_in_delta(store, [IDS[n] for n in (1, 2, 3, 5)])
    assert paths(store) == set()
    assert not list(store.list("_data/crops/from=several/"))


def test_photos_are_forgotten_in_a_delta_table_whose_run_has_lost_its_list(store: Store) -> None:
    run = run_all(open_ledger(store, make_inputs(3)))
    publish_delta(store, run.run_id)
    for info in list(store.list(run_key(run.run_id, "input/"))):
        store.delete(info.key)
    forget_in_delta(store, [IDS[1]])
    assert sorted(runs_of_pictures(crops_of(store))) == [0, 2]


def test_garbage_goes_where_a_table_is_broken_and_rows_wait_for_it(store: Store) -> None:
    """The files of forgotten photos stay as long as a table names them; then they go too."""
    run = run_all(open_ledger(store, make_inputs(3)))
    publish_delta(store, run.run_id)
    orphan = f"_data/images/run={run.run_id}/00000000-{'0' * 16}.parquet"
    store.write(orphan, b"lost a race")
    forget(store, [IDS[1]])
    log = "_data/crops/_delta_log/00000000000000000000.json"
    whole = store.read(log)
    store.write(log, b"{")
    own = {one.info.key for one in look_for_garbage(store, 0).garbage if one.erase is not None}
    with pytest.raises(LedgerError, match="_data/crops cannot be read"):
        remove_garbage(store, look_for_garbage(store, 0).garbage)
    assert not store.exists(orphan)
    assert own
    assert all(map(store.exists, own))
    store.write(log, whole)
    remove_garbage(store, look_for_garbage(store, 0).garbage)
    assert not any(map(store.exists, own))
    assert sorted(runs_of_pictures(crops_of(store))) == [0, 2]
