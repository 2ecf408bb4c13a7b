"""Commands in README and pages are accepted by their parsers; the guide's Python blocks run."""

import argparse
import re
import shlex
import textwrap
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest
from PIL import Image

from pipeline.command_line import parser_of
from pipeline.ledger.promotion.promotion import Request, promote
from pipeline.settings import Settings
from pipeline.storage.store import open_store
from tests.support.tasks import make_inputs, open_ledger, run_all

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "infra" / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TEXTS = {str(page.relative_to(ROOT)): page.read_text() for page in PAGES}
OPTIONS = {
    "crop": ("pipeline.settings", "Settings"),
    "runs": ("pipeline.cli.runs", "COMMANDS"),
    "demo": ("pipeline.cli.demo", "Demo"),
    "fetch-weights": ("pipeline.cli.fetch_weights", "Checkpoints"),
    "evaluate": ("pipeline.lab.cli.evaluate", "EvaluationJob"),
    "train": ("pipeline.lab.cli.train", "TrainJob"),
    "make-starter": ("pipeline.lab.cli.make_starter", "StarterJob"),
    "fine-tune-starter": ("pipeline.lab.cli.fine_tune_starter", "FineTuneJob"),
    "learn-from-people": ("pipeline.lab.cli.learn_from_people", "STEPS"),
}
BLOCK = re.compile(r"^( *)```(\w*)\n(.*?)^\1```", re.DOTALL | re.MULTILINE)
# At the beginning of a line, or behind `ray job submit … --`.
COMMAND = re.compile(r"(?:.* -- )? *(?:s2cnet-|python (?:/app/)?jobs/)([a-z_-]+?)(?:\.py)? (.*)")
SHOWN = {  # pages whose Python blocks need nothing but photo.jpg and the run in thumbs/
    "docs/index.md", "docs/GUIDE.md", "docs/COOKBOOK.md",
}  # fmt: skip


def python_blocks(page: str) -> list[str]:
    """The blocks of Python of a page."""
    return [
        textwrap.dedent(text) for _, kind, text in BLOCK.findall(TEXTS[page]) if kind == "python"
    ]


def commands() -> list[tuple[str, str, str]]:
    """(page, command, its words) of every line that a person could type."""
    found = []
    for page, text in TEXTS.items():
        for line in text.replace("\\\n", " ").splitlines():
            if match := COMMAND.match(re.split(r" {2,}(?=[^-.\s])", line.strip())[0]):
                name = {"crop_bucket": "crop"}.get(match[1], match[1].replace("_", "-"))
                found.append((page, name, match[2]))
    return found


@cache
def parser(name: str) -> argparse.ArgumentParser:
    module, options = OPTIONS[name]
    return parser_of(getattr(import_module(module), options), "")


@pytest.mark.parametrize(("page", "name", "words"), [c for c in commands() if c[2] != "--help"])
def test_a_command_is_accepted(page: str, name: str, words: str) -> None:
    """Input and output, once said, are three dots."""
    given = shlex.split(words)
    if "…" in given:
        at = given.index("…")
        given[at : at + 1] = ["--input", "in/", "--output", "out/"]
    chosen = vars(parser(name).parse_args(given))  # exits where a word is wrong
    if name == "crop":
        Settings.of(**chosen)


def test_commands_are_found_where_they_are() -> None:
    pages = {page for page, *_ in commands()}
    assert {"README.md", "docs/COOKBOOK.md", "docs/GUIDE.md", "docs/RUNBOOK.md"} <= pages
    assert len(commands()) > 40
    assert ("docs/GUIDE.md", "runs", "list out/") in commands()


@pytest.mark.parametrize(
    ("page", "block"), [(page, block) for page in sorted(SHOWN) for block in python_blocks(page)]
)
def test_a_python_block_runs(
    page: str, block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = open_store("thumbs/")
    promote(store, run_all(open_ledger(store, make_inputs(7))).run_id, Request())
    Image.radial_gradient("L").convert("RGB").save("photo.jpg")
    exec(compile(block.replace("s3://thumbs/", "thumbs/"), page, "exec"), {})
    assert ("first" in block) == bool(list(tmp_path.glob("first.*")))
