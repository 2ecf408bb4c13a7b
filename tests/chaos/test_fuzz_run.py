"""The whole crop job on a folder of mutated pictures: one typed row each, no crash, flat memory."""

import os
import random
import time
from collections import Counter, defaultdict
from pathlib import Path
from statistics import median

import psutil
import pytest

from pipeline import open_run
from pipeline.cli.local_services import ray_head
from pipeline.cluster.workers import Finisher, read_in_worker
from pipeline.ledger.audit import verify_run
from pipeline.storage.store import open_store
from tests.pipeline.photo.sandbox.test_decode_fuzz import STATUSES, mutated
from tests.support.crop_jobs import finish, start, tree
from tests.support.odd_photos import good_photos, heic_photo

__all__ = ["tree"]  # a fixture
pytestmark = pytest.mark.chaos
PICTURES = int(os.environ.get("CHAOS_FUZZ_PICTURES", "4000"))
TASK_IMAGES = 50
ACTORS = 2
SAMPLE_S = 1.0
STARTS_S = 15  # in which a process loads what it needs
# Processes by what is in their title; actors live as long as the run, Ray may replace the others.
KINDS = {
    "scoring actor": f"ray::{Finisher.__name__}",
    "decoding child": "pipeline.photo.sandbox.child",
    "reading worker": f"ray::{read_in_worker.__name__}",
}


class Memory:
    """What each process of a run has in memory of its own, sampled over time, in MB."""

    def __init__(self) -> None:
        self.mb: dict[tuple[str, int], list[float]] = defaultdict(list)

    def sample(self) -> None:
        for process in psutil.Process().children(recursive=True):
            try:
                title = " ".join(process.cmdline())
                status = Path(f"/proc/{process.pid}/status").read_text()
            except (psutil.NoSuchProcess, OSError):
                continue
            for kind, mark in KINDS.items():
                if mark in title and "RssAnon:" in status:
                    own_kb = int(status.split("RssAnon:")[1].split()[0])
                    self.mb[kind, process.pid].append(own_kb / 1024)

    def of(self, kind: str) -> list[list[float]]:
        return [series for (of, _), series in self.mb.items() if of == kind]

    def __str__(self) -> str:
        lines = []
        for kind in KINDS:
            for series in self.of(kind):
                tenths = series[:: max(1, len(series) // 10)]
                lines.append(f"{kind}, MB over time: {[round(mb) for mb in tenths]}")
        return "\n".join(lines)


def write_mutated(folder: Path, count: int, seed: int) -> None:
    folder.mkdir()
    rng = random.Random(seed)
    pictures = [*good_photos().values(), heic_photo()]
    for number in range(count):
        data = mutated(rng.choice(pictures), rng.choice(pictures), rng)
        (folder / f"{number:06}.jpg").write_bytes(data)


def test_a_run_of_mutated_pictures(tree: Path, tmp_path: Path) -> None:
    write_mutated(tmp_path / "in", PICTURES, seed=3)
    out = str(tmp_path / "out")
    arguments = ["--input", str(tmp_path / "in"), "--output", out]
    arguments += [f"--task-images={TASK_IMAGES}", f"--num-actors={ACTORS}"]
    environment = {"OMP_NUM_THREADS": "1", "RAY_worker_niceness": "0"}
    memory = Memory()
    # Patient, as it may run beside much else: lateness is not what is tested.
    patient = ["--decode-timeout-s=60", "--image-timeout-s=300"]
    with ray_head(tmp_path, environment, cpus=2) as head:
        began = time.monotonic()
        job = start(tree, head, *arguments, *patient)
        while job.poll() is None:
            memory.sample()
            time.sleep(SAMPLE_S)
        code, told = finish(job)
    run = open_run(out)
    images = run.images()
    statuses = Counter(images["status"].to_pylist())
    print(f"{images.num_rows} rows in {time.monotonic() - began:.0f} s: {dict(statuses)}\n{memory}")
    assert code == 0, told[-3:]
    assert sorted(images["uri"].to_pylist()) == sorted(
        str(picture) for picture in (tmp_path / "in").iterdir()
    )
    assert set(statuses) <= STATUSES
    assert min(statuses["ok"], statuses["corrupt"], statuses["truncated"]) > PICTURES / 100
    assert run.crops().num_rows == 2 * statuses["ok"]
    assert verify_run(open_store(out), run.manifest["run_id"]).problems == []
    assert len(memory.of("scoring actor")) == ACTORS, "one was replaced"
    for kind in KINDS:
        assert memory.of(kind), f"no {kind} was seen"
        for series in memory.of(kind):
            half = len(series) // 2
            if half > STARTS_S:  # one photo may take much for a second: what grows stays
                assert median(series[half:]) < 1.2 * median(series[STARTS_S:half]) + 20
