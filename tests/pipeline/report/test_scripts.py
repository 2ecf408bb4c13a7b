"""The files of pages: data as scripts, and removal of earlier pages' files in the same place."""

from pathlib import Path

import pytest

from pipeline.errors import UsageError
from pipeline.report.scripts import PageWriter, data_script
from pipeline.storage.backend import StoreRefusedError
from pipeline.storage.store import Store, open_store

EARLIER = ("run", "index/000", "index/001", "photos/00000", "photos/00001", "crops/00000")
OTHERS = ["data/crops/00000.jpg", "data/mine.js", "data/photos/notes.js", "other/photos/00001.js"]


def test_a_failed_write_is_told(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where a folder should be")
    with pytest.raises(Exception, match="folder should be"):  # noqa: SIM117
        with PageWriter(open_store(str(tmp_path))) as writer:
            writer.write_data("run", {})


def test_scripts_are_one_call_of_plain_json() -> None:
    assert data_script("run", {"a": [1, None, float("nan")], "b": "<"}) == (
        b'S2.take("run",{"a":[1,null,null],"b":"\\u003c"});\n'
    )


@pytest.mark.parametrize("prefix", ["", "runs/ab/gallery/"])
def test_data_of_earlier_pages_are_removed_and_nothing_else(s3: str, prefix: str) -> None:
    store = open_store(f"{s3}/pages")
    for key in OTHERS:
        store.write(prefix + key, b"somebody's own")
    with PageWriter(store, prefix) as writer:
        for name in EARLIER:
            writer.write_data(name, name)
    written = {f"data/{name}.js" for name in EARLIER}
    assert keys_below(store, prefix) == {*OTHERS, *written}
    with PageWriter(store, prefix) as writer:
        for name in ("run", "index/000", "photos/00000"):
            writer.write_data(name, "later")
    written = {"data/run.js", "data/index/000.js", "data/photos/00000.js"}
    assert keys_below(store, prefix) == {*OTHERS, *written}
    assert store.read(f"{prefix}data/photos/00000.js") == b'S2.take("photos/00000","later");\n'


def keys_below(store: Store, prefix: str) -> set[str]:
    return {info.key.removeprefix(prefix) for info in store.list(prefix)}


def test_pages_that_fail_remove_nothing(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    store.write("data/crops/00000.js", b"earlier")
    with pytest.raises(ValueError, match="half way"):  # noqa: SIM117
        with PageWriter(store) as writer:
            raise ValueError(f"half way, {writer.files} files")
    assert keys_below(store, "") == {"data/crops/00000.js"}


def test_a_store_that_refuses_to_delete_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Store, key: str) -> None:
        raise StoreRefusedError(f"s3://x refuses a delete: {key}")

    store = open_store(str(tmp_path))
    store.write("data/crops/00000.js", b"earlier")
    monkeypatch.setattr(Store, "delete", refuse)
    with (
        pytest.raises(
            UsageError, match=r"may show forgotten photos.*data/: s3://x refuses.*delete"
        ),
        PageWriter(store) as writer,
    ):
        writer.write_data("run", {})
    assert (tmp_path / "data" / "run.js").exists()
