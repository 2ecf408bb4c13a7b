"""The crop job on a three-node Ray cluster on this machine, with processes killed at random.

Killed with kill -9, at random: the driver (then the same command is started again), a task worker,
a scoring actor, a decoding child, or a whole node (its raylet; a new node joins). Once in a run the
head dies with everything, and the job continues on a new cluster. All that counts is in the store.
"""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from pipeline import open_run
from pipeline.cli.local_services import RayHead, ray_head
from pipeline.cluster.workers import Finisher, Scorer, read_in_worker
from pipeline.ledger.audit import verify_run
from pipeline.stages.commit import cut_encode_commit
from pipeline.storage.store import open_store
from tests.conftest import S3_ENVIRONMENT
from tests.support.crop_jobs import finish, start, tree, write_scenes

__all__ = ["tree"]  # a fixture
pytestmark = pytest.mark.chaos
RUNS = int(os.environ.get("CHAOS_CLUSTER_RUNS", "10"))
PHOTOS = 160
NODES = ("127.0.0.3", "127.0.0.4")
# A head on loopback alone is joined by no other node.
SEVERAL_NODES = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "1"}
RUN_S = 600.0
HEAD_DIES = 0.3  # share of the runs
SOON = 0.1  # chance that a victim in sight dies at this look, ten looks a second
# How the victims look in the list of processes.
VICTIMS = {
    "task worker": tuple(f"ray::{one.__name__}" for one in (read_in_worker, cut_encode_commit)),
    "scoring actor": tuple(f"ray::{one.__name__}" for one in (Scorer, Finisher)),
    "decoding child": ("pipeline.photo.sandbox.child",),
    "raylet": ("raylet/raylet",),
}


class Cluster:
    """A head without CPUs to speak of and worker nodes, each with a raylet of its own."""

    def __init__(self, head: RayHead, folder: Path) -> None:
        self.head, self.folder = head, folder
        self.nodes: dict[str, subprocess.Popen[bytes]] = {}

    def start_node(self, address: str) -> None:
        command = [
            *(sys.executable, "-m", "ray.scripts.scripts", "start", "--block"),
            *(f"--address={self.head.address}", f"--node-ip-address={address}", "--num-cpus=1"),
            *(f"--object-store-memory={128 << 20}", "--disable-usage-stats"),
            "--metrics-export-port=0",
        ]
        with (self.folder / f"node-{address}.log").open("ab") as log:
            self.nodes[address] = subprocess.Popen(
                command, stdout=log, stderr=log, env={**os.environ, **self.head.environment},
                start_new_session=True,
            )  # fmt: skip

    def repair(self) -> None:
        """A node in place of each that died."""
        for address, node in list(self.nodes.items()):
            if node.poll() is not None:
                self.start_node(address)

    def family(self) -> Iterator[psutil.Process]:
        for node in self.nodes.values():
            with contextlib.suppress(psutil.NoSuchProcess):
                yield from psutil.Process(node.pid).children(recursive=True)

    def stop(self) -> None:
        family = [*self.family()]
        for node in self.nodes.values():
            node.kill()
            node.wait()
        for member in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                member.kill()
        psutil.wait_procs(family, 10)


@contextlib.contextmanager
def cluster(s3_server: str, folder: Path) -> Iterator[Cluster]:
    environment = {
        **S3_ENVIRONMENT,
        **SEVERAL_NODES,
        "AWS_ENDPOINT_URL": s3_server,
        "OMP_NUM_THREADS": "1",
    }
    environment["RAY_worker_niceness"] = "0"  # else (15) other work on the machine starves workers
    with ray_head(folder, environment, cpus=1) as head:
        made = Cluster(head, folder)
        try:
            for address in NODES:
                made.start_node(address)
            yield made
        finally:
            made.stop()


def kill_one(nodes: Cluster, driver: subprocess.Popen[str], kind: str, draw: random.Random) -> bool:
    """kill -9 a victim of this kind; False where there is none yet."""
    if kind == "driver":
        driver.kill()
        return True
    everywhere = psutil.Process().children(recursive=True)  # the head's workers as well
    found = []
    for process in nodes.family() if kind == "raylet" else everywhere:
        with contextlib.suppress(psutil.NoSuchProcess):
            text = " ".join(process.cmdline())
            if any(mark in text for mark in VICTIMS[kind]):
                found.append(process)
    if found:
        with contextlib.suppress(psutil.NoSuchProcess):
            draw.choice(found).kill()
    return bool(found)


def one_run(
    tree: Path, s3_server: str, arguments: list[str], seed: int, folder: Path
) -> Counter[str]:
    """One of each kind dies, in random order; what died is started again until the run is done."""
    draw = random.Random(seed)
    kills: Counter[str] = Counter()
    end = time.monotonic() + RUN_S
    due = draw.sample(["driver", *VICTIMS], k=1 + len(VICTIMS))
    head_dies = draw.random() < HEAD_DIES
    while time.monotonic() < end:
        with cluster(s3_server, folder) as nodes:
            driver = start(tree, nodes.head, *arguments)
            pause = draw.uniform(3, 12)  # the driver comes up, plans, or has tasks at work
            while time.monotonic() < end:
                time.sleep(pause)
                if driver.poll() is not None:
                    code, told = finish(driver)
                    if code == 0:
                        return kills
                    if code != -signal.SIGKILL:  # the job gave up by itself: what did it say?
                        kills[f"(driver ended with {code}: {told[-1:]})"] += 1
                    nodes.repair()
                    driver = start(tree, nodes.head, *arguments)
                if head_dies and kills.total() >= 2:
                    head_dies = False
                    kills["head, with everything"] += 1
                    break
                pause = 0.1
                soon = draw.random() < SOON  # not always at the first sight of a victim
                if due and soon and kill_one(nodes, driver, due[0], draw):
                    kills[due.pop(0)] += 1
                    pause = draw.uniform(0, 3)
                nodes.repair()
            driver.kill()
            finish(driver)
    raise AssertionError(f"the run found no end; killed were {dict(kills)}, {due} are due")


def test_runs_on_a_cluster_that_is_killed(
    tree: Path, s3_server: str, s3: str, tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:  # fmt: skip
    write_scenes(tmp_path / "in", PHOTOS)
    store = open_store(s3)
    for photo in (tmp_path / "in").iterdir():
        store.write(f"in/{photo.name}", photo.read_bytes())
    kills: Counter[str] = Counter()
    statuses: Counter[str] = Counter()
    for number in range(RUNS):
        output = f"{s3}/out-{number}"
        arguments = ["--input", f"{s3}/in/", "--output", output, "--task-images", "2"]
        folder = tmp_path / f"run-{number}"
        folder.mkdir()
        kills += one_run(tree, s3_server, arguments, number, folder)
        run = open_run(output)
        images = run.images()
        assert sorted(images["uri"].to_pylist()) == sorted(
            f"{s3}/in/{photo.name}" for photo in (tmp_path / "in").iterdir()
        )
        statuses += Counter(images["status"].to_pylist())
        assert run.crops().num_rows == 2 * images["status"].to_pylist().count("ok")
        assert verify_run(open_store(output), run.manifest["run_id"]).problems == []
        print(f"[{number + 1}/{RUNS}] {dict(kills)}; rows by status {dict(statuses)}", flush=True)
    record_property("figures", f"{RUNS} runs, killed {dict(kills)}; rows {dict(statuses)}")
    assert set(statuses) <= {"ok", "worker_died", "decoder_died", "timeout"}
    assert kills.keys() >= {"driver", *VICTIMS}, "some kinds were never in sight"
