"""The proof's document, page and arithmetic, checked by hand; its steps without a GPU (slow)."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench.uploads import write_uploads
from tests.gpu_proof import arithmetic
from tests.gpu_proof.page import page
from tests.gpu_proof.timing import read, write
from tests.gpu_proof.wheels import LACKING, pinned

ROOT = Path(__file__).parents[2]


def test_arithmetic_of_cores_and_gpu(tmp_path: Path) -> None:
    """20 + 40 + 60 ms of a core: 16 cores do 133 photos/s, which keep 6 ms of GPU 80 % busy."""
    document = tmp_path / "proof.json"
    stages = [
        {"what": "decode", "cpu_ms_beside_others": 20.0},
        {"what": "encode six auto", "cpu_ms_beside_others": 60.0},
        {"what": "encode six webp", "cpu_ms_beside_others": 100.0},
    ]
    ways = [
        {"way": "on a core, by onnxruntime", "cpu_ms": 80.0},
        {"way": "launched", "cpu_ms": 35.0},
        {"way": "as graphs", "cpu_ms": 40.0},
    ]
    write(document, "stages", stages)
    write(document, "worker", {"rows": ways, "gpu_busy_ms_a_photo": 6.0})
    arithmetic.run("cuda", tmp_path, document)
    rows = {(row["way"][:8], row["cores"]): row for row in read(document)["arithmetic"]}
    assert rows["all on t", 16]["photos_a_second"] == 133
    assert rows["all on t", 16]["gpu_busy_percent"] == 80.0
    assert rows["all on t", 32]["photos_a_second"] == 267
    assert rows["with Web", 16]["photos_a_second"] == 100
    assert rows["boxes al", 8]["photos_a_second"] == 133
    assert rows["no GPU", 16]["photos_a_second"] == 100
    assert "gpu_busy_percent" not in rows["no GPU", 16]


def test_page_shows_every_row_and_no_markup_of_a_value() -> None:
    document = {
        "machine": {"gpu": "<b>H100</b>", "date": "2026-11-26"},
        "worker": {"rows": [{"way": "a", "ms": 1.5}, {"way": "b", "cpu": 7}]},
    }
    text = page(document)
    assert "&lt;b&gt;H100" in text
    assert "<b>" not in text
    assert re.findall(r"<td>(a|b|1\.5|7)</td>", text) == ["a", "1.5", "b", "7"]


def test_wheels_have_the_versions_of_this_tree() -> None:
    assert [name.partition("==")[0] for name in pinned()] == list(LACKING)
    assert any(re.fullmatch(r"ray==[\d.]+", name) for name in pinned())


@pytest.mark.slow
def test_steps_run_without_a_gpu(tmp_path: Path) -> None:
    """Only steps that take seconds on a CPU; `worker`, `stages` and `job` take minutes there."""
    command = [sys.executable, "-m", "tests.gpu_proof", "--device", "cpu", "--out", str(tmp_path)]
    write_uploads(tmp_path / "photos", 2, [(640, 480)])
    command += ["--photos", str(tmp_path / "photos"), "--only", "machine", "scoring", "networks"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    found = json.loads((tmp_path / "gpu-proof.json").read_text())
    ended = {row["step"]: row["outcome"].partition(" ")[0] for row in found["steps"]}
    assert set(ended.values()) == {"done"}, (ended, done.stdout[-3000:])
    assert (tmp_path / "index.html").read_text().count("<h2>") == len(ended) + 1
