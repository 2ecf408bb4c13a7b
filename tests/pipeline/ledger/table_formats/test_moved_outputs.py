"""Outputs that were renamed or copied with their Iceberg tables, whose addresses are absolute."""

import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from pyiceberg.table import StaticTable

from pipeline.cli.runs import main
from pipeline.ledger.audit import verify_run
from pipeline.ledger.forgetting import forget
from pipeline.ledger.table_formats.iceberg import publish_iceberg
from pipeline.storage.store import Store, open_store
from tests.support.put_live import put
from tests.support.shaped_runs import IDS
from tests.support.tasks import make_inputs, open_ledger, run_all


def published_at(place: Path) -> Store:
    """Publish two runs: of photos 0 to 3, and of photo 1; so a copy has photos 0 and 2."""
    store = open_store(str(place))
    for inputs in (make_inputs(4), make_inputs(1, start=1)):
        run_id = run_all(open_ledger(store, inputs), mark=" first").run_id
        put(store, run_id)
        publish_iceberg(store, run_id)
    assert len(copies(store)) == 2  # of `images` and `crops`
    return store


def copies(store: Store) -> list[str]:
    return [info.key for info in store.list("_iceberg/") if "/data/" in info.key]


def photos_in(store: Store) -> list[str]:
    rows = StaticTable.from_metadata(f"{store.uri}/_iceberg/crops").scan().to_arrow()
    return sorted(rows["image_id"].to_pylist())


def ids(*numbers: int) -> list[str]:
    return sorted(IDS[n] for n in numbers)


def holds(store: Store, text: str) -> bool:
    """Whether any table's file or list of the output has a text; their columns are plain."""
    keys = [info.key for info in store.list("") if info.key.endswith(".parquet")]
    return any(text in str(pq.read_table(Path(store.uri, key)).to_pylist()) for key in keys)


def test_photos_are_erased_in_an_output_that_was_renamed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    published_at(tmp_path / "old")
    (tmp_path / "old").rename(tmp_path / "new")
    store = open_store(str(tmp_path / "new"))
    assert main(["publish", store.uri, "--as", "iceberg"]) == 1
    told = capsys.readouterr().err
    assert f"when the output was at file://{tmp_path}/old/_iceberg/images: publish from" in told
    assert "or delete `_iceberg/` here and publish again" in told
    forget(store, [IDS[0]])
    assert main(["gc", store.uri, "--delete"]) == 1
    told = capsys.readouterr().err
    for name in ("images", "crops"):
        assert f"forgotten photos are still in a table: the Iceberg table {name} was" in told
    assert not holds(store, "000000.jpg")
    assert copies(store) == []  # both held the photo
    assert main(["gc", store.uri, "--delete"]) == 0
    shutil.rmtree(tmp_path / "new" / "_iceberg")  # as the message says
    assert main(["publish", store.uri, "--as", "iceberg"]) == 0
    assert photos_in(store) == ids(1, 2, 3)


def test_forgetting_in_a_copy_leaves_the_original_as_it_is(tmp_path: Path) -> None:
    original = published_at(tmp_path / "a")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    copy = open_store(str(tmp_path / "b"))
    forget(copy, [IDS[3]])
    assert main(["gc", copy.uri, "--delete"]) == 1
    assert not holds(copy, "000003.jpg")
    assert len(copies(copy)) == 2  # they do not hold the photo
    assert photos_in(original) == ids(0, 1, 2, 3)
    assert main(["gc", original.uri, "--delete"]) == 0


def test_a_table_at_another_address_of_the_same_folder_is_mended_from_there(tmp_path: Path) -> None:
    store = published_at(tmp_path / "real")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    forget(store, [IDS[0], IDS[3]])
    assert main(["gc", str(tmp_path / "link"), "--delete"]) == 1
    assert not holds(store, "000000.jpg")
    assert main(["publish", store.uri, "--as", "iceberg"]) == 0
    assert photos_in(store) == ids(1, 2)
    for run_id in {info.key.split("/")[1] for info in store.list("runs/")} - {"_probe", "_index"}:
        assert verify_run(store, run_id).problems == []
