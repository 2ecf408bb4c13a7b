"""The command `export`: what it refuses, and its message if a file cannot be written."""

import os
from pathlib import Path

import pytest

from pipeline.cli.runs import main
from pipeline.storage.backend import ObjectPart, StoreFailedError, StoreRefusedError
from pipeline.storage.store import Store
from tests.support.row_runs import commit_rows, crop_row, image_row


@pytest.fixture
def output(tmp_path: Path) -> str:
    rows = [crop_row("u/a.jpg", "1:1", (0, 0, 9, 9))]
    commit_rows(tmp_path / "out", [image_row("u/a.jpg")], rows)
    return str(tmp_path / "out")


def run_command(words: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """The exit code, and the message behind the program's name."""
    code = main(words)
    (line,) = capsys.readouterr().err.splitlines()
    return code, line.partition(": ")[2]


@pytest.mark.parametrize(
    ("place", "why"),
    [("none/a.csv", "No such file or directory"), ("file/a.csv", "Not a directory")],
)
def test_a_file_that_cannot_be_written_is_named_as_it_was_asked_for(
    place: str, why: str, output: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a folder that is a file even the draft cannot be removed."""
    (tmp_path / "file").write_text("")
    into = str(tmp_path / place)
    assert run_command(["export", output, "--as", "csv", "--into", into], capsys) == (
        2,
        f"--into {into} cannot be written ({why}): name a file in a folder that is there and may "
        "be written to",
    )


def test_a_folder_is_no_file(
    output: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "photos").mkdir()
    for into in (str(tmp_path / "photos"), f"{tmp_path}/photos/", "."):
        assert run_command(["export", output, "--as", "csv", "--into", into], capsys) == (
            2,
            f"--into {into} is a folder: name a file in it",
        )
    assert sorted(os.listdir(tmp_path)) == ["out", "photos"]


def test_a_pipe_stays_one(output: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As `/dev/stdout` and a shell's `>(…)` do. The text is what standard output gets."""
    assert main(["export", output, "--as", "csv"]) == 0
    expected = capsys.readouterr().out
    assert len(expected.splitlines()) == 2  # a header and a crop
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)  # so that opening it for writing succeeds
    try:
        assert main(["export", output, "--as", "csv", "--into", str(pipe)]) == 0
        assert os.read(reader, 65_536).decode() == expected
    finally:
        os.close(reader)
    assert pipe.is_fifo()


def test_a_draft_is_removed_where_its_place_cannot_be_taken(
    output: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "a.csv.77.part")

    monkeypatch.setattr(Path, "replace", full)
    code, message = run_command(
        ["export", output, "--as", "csv", "--into", str(tmp_path / "a.csv")], capsys
    )
    assert (code, "(No space left on device)" in message) == (2, True)
    assert ".part" not in message
    assert os.listdir(tmp_path) == ["out"]


@pytest.mark.parametrize("kind", [StoreRefusedError, StoreFailedError])
def test_a_store_that_does_not_answer_is_not_taken_for_the_file(
    kind: type[Exception],
    output: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain = Store.read_part

    def read_part(store: Store, key: str, *more: int) -> ObjectPart:
        if key.startswith("_data/crops/"):
            raise kind(f"{output} refuses a get of {key}")
        return plain(store, key, *more)

    monkeypatch.setattr(Store, "read_part", read_part)
    words = ["export", output, "--as", "csv", "--into", str(tmp_path / "a.csv")]
    _, message = run_command(words, capsys)
    assert message.startswith(f"{output} refuses a get of _data/crops/")
    assert os.listdir(tmp_path) == ["out"]


def test_json_is_refused_beside_the_formats(
    output: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for format in ("csv", "jsonl"):
        assert run_command(["export", output, "--as", format, "--json"], capsys) == (
            2,
            "--json is not for export, which has formats of its own: write --as jsonl",
        )
