"""Every command that reads runs, on a store with one damaged object."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.cli.runs import main
from pipeline.ledger import pinned
from pipeline.ledger.promotion.promotion import Request, promote
from pipeline.storage.store import open_store
from tests.support.row_runs import commit_rows, crop_row, image_row

# What is damaged, by a pattern of keys, and how.
DAMAGED = {
    "runs/{run}/_MANIFEST.json": ("gone", "cut", "newer"),
    "runs/{run}/spec.json": ("gone", "cut", "newer"),
    "channels/*/*.json": ("cut", "newer"),
    "runs/{run}/files-*.parquet": ("gone", "cut"),
    "runs/{run}/failures-*.parquet": ("gone",),
    "runs/{run}/input/*.parquet": ("gone",),
    "runs/{run}/tasks/*.json": ("cut",),
    "_data/crops/run={run}/*.parquet": ("gone", "cut"),
    "_data/images/run={run}/*.parquet": ("cut",),
}
HOW: dict[str, Callable[[bytes], bytes | None]] = {
    "gone": lambda data: None,
    "cut": lambda data: data[: len(data) // 2],
    "newer": lambda data: re.sub(rb'"format": \d+', b'"format": 99', data) + b" ",
}
COMMANDS = (
    "list OUT", "show OUT RUN", "verify OUT RUN", "verify OUT OTHER", "diff OUT RUN OTHER",
    "diff OUT RUN OTHER --html NEW/diff", "gallery OUT RUN --into NEW/pages",
    "gallery OUT --into NEW/live", "export OUT --as imgproxy", "export OUT RUN --as csv",
    "rollback OUT", "promote OUT RUN", "history OUT", "forget OUT s3://b/1.jpg --why asked",
    "prune OUT NEW", "gc OUT --older-than 0s --delete", "publish OUT --as delta",
    "publish OUT RUN --as delta", "publish OUT --as iceberg",
    "publish OUT RUN --as huggingface --into NEW/set", "publish-files OUT",
)  # fmt: skip


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A folder with two live runs, of two photos each, one of which failed."""
    folder, ids = tmp_path_factory.mktemp("store") / "out", []
    for number in range(2):
        uri = f"s3://b/{number}.jpg"
        images = [image_row(uri), image_row(f"s3://b/{number}bad.jpg", None, status="corrupt")]
        run = commit_rows(folder, images, [crop_row(uri, "1:1", (0, 0, 60, 60))])
        ids.append(str(run.manifest["run_id"]))
        promote(open_store(str(folder)), ids[-1], Request())
    return folder, ids


@pytest.mark.parametrize(
    ("what", "how"), [(what, how) for what, ways in DAMAGED.items() for how in ways]
)
def test_one_damaged_object_is_one_line_or_nothing(
    what: str,
    how: str,
    runs: tuple[Path, list[str]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder, (run_id, other) = runs
    new = tmp_path / "new"
    new.mkdir()
    (new / "a.jpg").write_bytes(b"x")
    for command in COMMANDS:
        out = tmp_path / "out"
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(folder, out)
        pinned._input_file.cache_clear()
        for path in out.glob(what.format(run=run_id)):
            damaged = HOW[how](path.read_bytes())
            path.unlink() if damaged is None else path.write_bytes(damaged)
        words = {"OUT": str(out), "RUN": run_id, "OTHER": other}
        words |= {word: word.replace("NEW", str(new)) for word in command.split() if "NEW" in word}
        code = main([words.get(word, word) for word in command.split()])  # raises nothing
        said = capsys.readouterr()
        assert code in (0, 1), (command, said.err)
        assert code == 0 or said.err.strip() or said.out.strip(), command
        problems = [line for line in said.err.splitlines() if not line.startswith("WARNING")]
        assert len(problems) <= 2, (command, said.err)
