"""README's Python blocks, run unchanged on a small run and a small photo."""

import re
from pathlib import Path

import pytest
from PIL import Image

from pipeline.storage.store import open_store
from tests.support.tasks import make_inputs, open_ledger, run_all

README = (Path(__file__).resolve().parents[2] / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_there_are_examples() -> None:
    assert len(BLOCKS) == 2


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.splitlines()[0])
def test_example_runs(block: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # Tasks of 3, 3 and 1 images, the third of a task fails: 5 of 7 are ok.
    run_all(open_ledger(open_store(str(tmp_path)), make_inputs(7)), {2: "permanent"})
    Image.radial_gradient("L").convert("RGB").save(tmp_path / "photo.jpg")
    local = block.replace("s3://thumbs/", str(tmp_path)).replace(
        "photo.jpg", f"{tmp_path}/photo.jpg"
    )
    exec(compile(local, "README.md", "exec"), {})
    printed = capsys.readouterr().out
    if "open_run" in block:
        assert re.search(r"ok\s+5", printed)
        assert re.search(r"1:1\s+│\s+5\s+│\s+0\.5", printed)
    else:
        assert re.findall(r"^(\S+) \(", printed, re.MULTILINE) == ["1:1", "16:9", "circle"]
