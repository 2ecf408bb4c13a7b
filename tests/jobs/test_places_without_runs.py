"""What the commands of `runs.py` do with an output that has no run, or none that counts."""

from pathlib import Path

import pytest

from pipeline.cli.runs import main
from pipeline.cli.runs.export import Export
from pipeline.storage.backend import StoreFailedError
from pipeline.storage.store import open_store
from tests.support.tasks import make_inputs, open_ledger

NEED_A_RUN = [
    "gallery OUT", "export OUT --as csv", "rollback OUT", "history OUT", "publish OUT",
    "publish OUT --as iceberg", "publish OUT --as huggingface --into made", "publish-files OUT",
    "publish-files OUT --check",
]  # fmt: skip


def test_a_place_without_runs_is_said_and_no_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["list", str(tmp_path)]) == 0
    printed = capsys.readouterr()
    assert printed.err == f"there are no runs in {open_store(str(tmp_path)).uri}\n"
    assert printed.out.startswith("run ")
    assert main(["list", str(tmp_path), "--json"]) == 0
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("command", NEED_A_RUN)
def test_a_folder_of_something_else_is_wrong_usage_and_one_with_an_open_run_is_not(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    (tmp_path / "out/runs/_index").mkdir(parents=True)
    words = command.replace("OUT", "out").split()
    assert main(words) == 2
    told = capsys.readouterr().err.partition(": ")[2]
    assert told == "there are no runs in out: name the output of a job\n"
    open_ledger(open_store("out"), make_inputs(1))
    assert main(words) == 1
    told = capsys.readouterr().err.partition(": ")[2]
    assert told in ("no run is committed in out\n", "nothing was ever promoted in out\n")
    assert not (tmp_path / "made").exists()


def test_a_damaged_record_is_told_where_the_runs_are_gone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = open_store(str(tmp_path))
    store.write("channels/web/00000001.json", b"{")
    assert main(["export", str(tmp_path), "--as", "csv"]) == 1
    assert "cannot be used: " in capsys.readouterr().err


def test_a_store_that_fails_is_told_where_there_are_no_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise StoreFailedError("the disk does not answer")

    monkeypatch.setattr(Export, "run", fails)
    assert main(["export", str(tmp_path), "--as", "csv"]) == 1
    assert "the disk does not answer" in capsys.readouterr().err
