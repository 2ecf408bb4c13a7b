"""docs/ENGINES.md: its commands and examples are run in order, on one small run."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli.runs import main
from pipeline.ledger.card import write_card
from pipeline.ledger.promotion.promotion import Request, promote
from pipeline.ledger.reader import open_run
from pipeline.storage.store import open_store
from tests.support.picture_runs import commit_pictures
from tests.support.tasks import make_inputs, open_ledger, run_all

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "ENGINES.md").read_text()
COLUMN = {"Hugging Face": "struct"}  # --picture-column, by section
BLOCK = re.compile(r"```(bash|python)\n(.*?)```", re.DOTALL)


@pytest.mark.parametrize("section", re.findall(r"\n## (.*)\n", PAGE))
def test_a_section_runs(
    section: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))  # of `datasets`
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("POLARS_ICEBERG_PLANNER", "pyiceberg")  # else it warns of a faster one
    output = f"{tmp_path}/thumbs"
    store = open_store(output)
    manifest = commit_pictures(
        store, make_inputs(7), 200, picture_column=COLUMN.get(section, "bytes")
    )
    run_id = manifest.run_id
    assert write_card(store, manifest)
    promote(store, run_id, Request())
    blocks = BLOCK.findall(PAGE.split(f"\n## {section}\n")[1].split("\n## ")[0])
    for language, text in blocks:
        local = text.replace("s3://thumbs/_iceberg", f"file://{output}/_iceberg")
        local = local.replace("s3://thumbs/", f"{output}/").replace("RUN", run_id)
        if language == "bash":
            assert main(shlex.split(local)[1:]) == 0
        else:
            exec(compile(local, "ENGINES.md", "exec"), {})
        told = capsys.readouterr().out
        assert told
        if "count(*)" in text:
            assert "7" in told
        if "Image" in text or "features" in text:
            assert "Image(" in told
    assert len(open_run(output).images()) == 7
    assert bool(blocks) == (section != "Plain Parquet")


def test_datasets_shows_crops_as_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With one cast, of files with plain bytes."""
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    pytest.importorskip("datasets")
    cast = '.cast_column("image", datasets.Image())'
    assert cast in PAGE
    block = next(text for _, text in BLOCK.findall(PAGE) if "data_files=" in text)
    block = block.replace('split="train"\n)', f'split="train"\n){cast}')
    run_id = run_all(open_ledger(open_store(str(tmp_path)), make_inputs(7))).run_id
    found: dict[str, Any] = {}
    local = block.replace("s3://thumbs/", f"{tmp_path}/").replace("RUN", run_id)
    exec(compile(local, "ENGINES.md", "exec"), found)
    crops = found["crops"]
    assert crops.features["image"] == found["datasets"].Image()
    plain = crops.cast_column("image", found["datasets"].Image(decode=False))
    assert plain[6]["image"]["bytes"] == b"s3://ugc/000006.jpg"
