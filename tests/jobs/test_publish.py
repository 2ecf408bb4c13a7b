"""The `publish` command: what is live if no run id is given, and every format by its name."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli.runs import main
from pipeline.storage.store import open_store
from tests.support.tasks import make_inputs, open_ledger, run_all

deltalake = pytest.importorskip("deltalake")
pytest.importorskip("pyiceberg")


@pytest.fixture
def output(tmp_path: Path) -> str:
    """Two live runs and one that is not."""
    store = open_store(str(tmp_path / "out"))
    for count, start, live in ((4, 0, True), (3, 4, True), (2, 7, False)):
        ledger = open_ledger(store, make_inputs(count, start=start))
        run_all(ledger, promote="manual")
        if live:
            assert main(["promote", store.uri, ledger.run_id]) == 0
    return store.uri


def published(output: str, *options: str, capsys: pytest.CaptureFixture[str]) -> Any:
    capsys.readouterr()
    assert main(["publish", output, *options]) == 0
    return json.loads(capsys.readouterr().out)


def rows(output: str, name: str) -> list[str]:
    table = deltalake.DeltaTable(f"{output}/_data/{name}").to_pyarrow_table(columns=["uri"])
    return sorted(table["uri"].to_pylist())


def test_delta_tables_of_what_is_live(output: str, capsys: pytest.CaptureFixture[str]) -> None:
    said = published(output, capsys=capsys)
    assert said == {"run_id": "live", "versions": {"images": 1, "crops": 1}}
    for name in ("images", "crops"):
        assert rows(output, name) == make_inputs(7)["uri"].to_pylist()
    again = published(output, "--as", "delta", "--json", capsys=capsys)
    assert again["versions"] == {"images": None, "crops": None}


def test_iceberg_tables_of_one_channel(output: str, capsys: pytest.CaptureFixture[str]) -> None:
    said = published(output, "--as", "iceberg", capsys=capsys)
    assert said == {"run_id": "live", "versions": {"images": 1, "crops": 1}}
    assert main(["publish", output, "--as", "iceberg", "--channel", "nothing"]) == 2
    assert "--channel 'nothing' has nothing live in " in capsys.readouterr().err
