"""The runbook's section "crops look wrong tonight", followed literally after a bad night.

Every command of the section runs in a shell, in the order of the page. The placeholders are filled
in, and the last command, which starts a job, runs in this process instead of a cluster.
"""

import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline import open_run
from pipeline.cli.crop import parser
from pipeline.settings import Settings
from tests.support.odd_photos import scene
from tests.support.one_process import run_here

pytestmark = pytest.mark.usefixtures("_workers_end_with_the_test")

ROOT = Path(__file__).resolve().parents[2]
RUNBOOK = (ROOT / "docs/RUNBOOK.md").read_text()
DATED = "s3://ugc/2026/11/21/"  # the input of the page's job

torch.set_num_threads(1)


def commands() -> list[str]:
    """What the section tells to type, in its order, without the remarks."""
    section = RUNBOOK.split("## Crops look wrong tonight")[1].split("\n## ")[0]
    lines = [
        line for block in re.findall(r"```\n(.*?)```", section, re.S) for line in block.splitlines()
    ]
    return [line.split("  #")[0].strip() for line in lines]


@dataclass
class Night:
    """An output in which tonight's run is live and wrong, and the page's placeholders."""

    folder: Path
    before: str
    now: str

    def settings(self, **more: object) -> Settings:
        return settings(self.folder, **more)

    def typed(self, command: str) -> str:
        """The command with its placeholders filled in."""
        filled = {
            "$OUT": self.folder / "out",
            "RUN_BEFORE": self.before,
            "RUN_NOW": self.now,
            "/tmp/": f"{self.folder}/",
            DATED: self.folder / "in",
            "overrides.csv": self.folder / "overrides.csv",
        }
        pattern = "|".join(map(re.escape, filled))
        return re.sub(pattern, lambda found: str(filled[found[0]]), command)

    def shell(self, command: str) -> subprocess.CompletedProcess[str]:
        """What a shell answers to a command of the page."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        return subprocess.run(
            ["bash", "-c", self.typed(command)], cwd=ROOT, env={**os.environ, "PATH": path},
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    @property
    def live(self) -> str:
        run_id: str = open_run(str(self.folder / "out")).manifest["run_id"]
        return run_id


def settings(folder: Path, **more: object) -> Settings:
    return Settings.of(
        input=str(folder / "in"), output=str(folder / "out"), ratios="1:1,16:9",
        thumbnail_size=64, **more,
    )  # fmt: skip


@pytest.fixture
def night(tmp_path: Path) -> Night:
    (tmp_path / "in").mkdir()
    for number in range(3):
        picture = np.roll(scene(200 + 40 * number, 180), 30 * number, axis=1)
        Image.fromarray(picture).save(tmp_path / "in" / f"{number}.jpg")
    before = run_here(settings(tmp_path)).run_id
    # Tonight somebody left the weights out and the rule too, and the gate let it pass.
    wrong = {"weights": "untrained", "rank_by": "score", "gate": "error_rate<=0.01"}
    now = run_here(settings(tmp_path, **wrong)).run_id
    return Night(tmp_path, before, now)


def test_from_the_alert_to_the_crops_of_before_and_a_decision_that_lasts(night: Night) -> None:
    assert night.live == night.now, "the wrong crops are what readers see"
    history, listing, show, gallery, diff, rollback, files, live, promote, again = commands()

    answer = night.shell(history)
    assert night.now in answer.stdout, answer.stderr
    answer = night.shell(listing)
    latest = answer.stdout.splitlines()[-2:]
    assert [line.split()[0] for line in latest] == [night.before, night.now], answer.stderr
    answer = night.shell(show)
    assert '"untrained' in answer.stdout, answer.stderr

    answer = night.shell(gallery)
    assert answer.returncode == 0, answer.stderr
    assert (night.folder / "tonight" / "index.html").is_file()
    answer = night.shell(diff)
    assert answer.returncode == 0, answer.stderr
    assert (night.folder / "changed" / "index.html").is_file()

    for move in (rollback, files):
        answer = night.shell(move)
        assert answer.returncode == 0, answer.stderr
    answer = night.shell(live)
    assert answer.stdout.strip() == night.before == night.live, answer.stderr

    answer = night.shell(promote)
    assert answer.returncode == 4, "half of the crops are not where those are that live again"
    assert "FAILS  moved_rate<=0.1" in answer.stdout
    assert night.live == night.before

    photo = str(night.folder / "in" / "1.jpg")
    decision = f"uri,ratio,x0,y0,x1,y1\n{photo},1:1,20,10,140,130\n"
    (night.folder / "overrides.csv").write_text(decision)
    arguments = shlex.split(night.typed(again))
    assert arguments[:2] == ["python", "jobs/crop_bucket.py"]
    typed = vars(parser().parse_args(arguments[2:]))
    job = Settings.of(**{**typed, "ratios": "1:1,16:9", "thumbnail_size": 64})
    assert run_here(job).rows == 1, "the other photos are covered"
    crops = open_run(str(night.folder / "out")).crops().to_pylist()
    boxes = {(c["uri"], c["ratio"]): (c["x0"], c["y0"], c["x1"], c["y1"]) for c in crops}
    assert boxes[photo, "1:1"] == (20, 10, 140, 130)
    assert len(boxes) == 6, "the others are as they were"
