"""Changes of a column's type between nights are in the manifest, and `show` prints them."""

import json
from typing import Any

import pyarrow as pa
import pytest

from pipeline.cli.runs import main
from pipeline.errors import RecordError
from pipeline.ledger import columns
from pipeline.ledger.layout import manifest_key
from pipeline.ledger.reader import open_run
from pipeline.ledger.records import Manifest
from pipeline.storage.store import Store
from tests.support.tasks import make_inputs, open_ledger, run_all


def night(store: Store, number: int, **lists: pa.Array) -> Manifest:
    """A run of three new photos with these columns in its list."""
    inputs = make_inputs(3, start=3 * number)
    for name, values in lists.items():
        inputs = inputs.append_column(name, values)
    return run_all(open_ledger(store, inputs))


def told(manifest: Manifest, name: str) -> Any:
    return manifest.document.get(name)


NUMBERS = pa.array([7, 8, 9], pa.int64())
TEXTS = pa.array(["007", "8", None])


def test_text_yesterday_and_a_number_today(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    first = night(store, 0, shop=TEXTS, size=NUMBERS)
    assert told(first, "columns") == {"shop": "string", "size": "int64"}
    assert not told(first, "unified")
    second = night(store, 1, shop=NUMBERS, size=NUMBERS)
    assert told(second, "columns") == {"shop": "int64", "size": "int64"}
    was = {
        "int64": {"runs": 1, "latest": second.run_id},
        "string": {"runs": 1, "latest": first.run_id},
    }
    assert told(second, "unified") == {"shop": {"type": "string", "was": was}}
    # It is what a reader of the current table finds.
    run = open_run(store.uri)
    assert run.images()["shop"].type == pa.string()
    assert list(run.unified) == ["shop"]
    assert main(["show", store.uri, second.run_id]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["unified"] == {"shop": {"type": "string", "was": was}}
    assert shown["columns"] == {"shop": "int64", "size": "int64"}


def test_a_column_that_a_night_lacks_is_remembered(store: Store) -> None:
    first = night(store, 0, shop=pa.array([1.5, 2.5, None]))
    between = night(store, 1)
    assert told(between, "columns") == {"shop": "double"}
    last = night(store, 2, shop=NUMBERS)
    assert told(last, "unified")["shop"] == {
        "type": "double",
        "was": {
            "int64": {"runs": 1, "latest": last.run_id},
            "double": {"runs": 1, "latest": first.run_id},
        },
    }


def test_it_is_still_told_on_later_nights_and_with_the_values_of_tonight(store: Store) -> None:
    night(store, 0, shop=pa.array([1.5, 2.5, None]))
    second = night(store, 1, shop=NUMBERS)
    assert told(second, "unified")["shop"]["type"] == "double"
    third = night(store, 2, shop=pa.array([1, 2, 2**53 + 1], pa.int64()))  # no float holds it
    found = told(third, "unified")["shop"]
    assert found["type"] == "string"
    assert found["was"]["int64"] == {"runs": 2, "latest": third.run_id}
    assert open_run(store.uri).images()["shop"].type == pa.string()


def test_nights_that_agree_cost_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    night(store, 0, shop=NUMBERS)

    def not_asked(*_: object) -> None:
        raise AssertionError("a file was read")

    for name in ("data_files", "columns_of_files"):
        monkeypatch.setattr(columns, name, not_asked)
    assert told(night(store, 1, shop=NUMBERS), "columns") == {"shop": "int64"}
    assert told(night(store, 2), "columns") == {"shop": "int64"}
    with pytest.raises(AssertionError, match="a file was read"):
        night(store, 3, shop=TEXTS)


def test_runs_of_earlier_releases_are_looked_at(store: Store) -> None:
    first = night(store, 0, shop=TEXTS)
    document = dict(first.document)
    del document["columns"]
    store.write(manifest_key(first.run_id), json.dumps(document).encode())
    second = night(store, 1, shop=NUMBERS)
    assert told(second, "unified")["shop"]["type"] == "string"


def test_a_damaged_run_keeps_no_other_from_being_committed(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    night(store, 0, shop=TEXTS)

    def damaged(*_: object) -> None:
        raise RecordError("key", "it is gone", "Restore it.")

    monkeypatch.setattr(columns, "columns_of_files", damaged)
    second = night(store, 1, shop=NUMBERS)
    assert (told(second, "columns"), told(second, "unified")) == (None, None)
