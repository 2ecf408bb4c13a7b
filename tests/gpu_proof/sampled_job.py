"""Run a job whose scoring workers are sampled every few milliseconds.

    python -m tests.gpu_proof.sampled_job lowered|same FOLDER [arguments of jobs/crop_bucket.py]

`lowered` is the product's way: processes next to a GPU's worker have a lower priority than it;
`same` leaves them all the priority that Ray sets. Each scoring worker writes FOLDER/<pid>.json.
"""

import json
import os
import sys
import time
from collections import Counter
from pathlib import Path
from threading import Event, Thread, get_ident, get_native_id
from types import FrameType
from typing import Any

import pyarrow as pa

from pipeline.cluster.flow import Stages
from pipeline.cluster.shares import ClusterShares
from pipeline.cluster.workers import Scorer, commit_low_priority, read_in_worker, read_low_priority
from pipeline.stages.commit import cut_encode_commit

FOLDER = "GPU_PROOF_SAMPLES"  # environment variable of the workers
EVERY_S = 0.005
WARM_TASKS = 3  # until graphs are recorded for every photo size
OWN = ("pipeline", "s2cnet", "cuda_ops")
WAITS = "waits for its next task"


class SampledScorer(Scorer):
    """The second stage as an actor that is sampled."""

    def __init__(self, job: Any, device: str, gpus: float = 0.0) -> None:
        super().__init__(job, device, gpus)
        self.tasks = 0
        self.watch: Watch | None = None

    def do(self, block: pa.Table) -> pa.Table:
        """Do what `Scorer.do` does, and sample it."""
        if self.watch is None:
            self.watch = Watch(get_ident(), get_native_id())
        self.tasks += 1
        if self.tasks == WARM_TASKS + 1:
            self.watch.begin()
        self.watch.at_work = True
        try:
            return super().do(block)
        finally:
            self.watch.at_work = False
            if self.tasks > WARM_TASKS:
                self.watch.write(self.tasks - WARM_TASKS)


class Watch(Thread):
    """Samples one thread: its innermost function of our code, and whether it runs or waits."""

    def __init__(self, ident: int, native: int) -> None:
        super().__init__(daemon=True)
        self.ident_of, self.native = ident, native
        self.at_work = False
        self.counts: Counter[tuple[str, str]] = Counter()
        self.began_s = self.began_cpu_s = self.began_wait_s = 0.0

    def begin(self) -> None:
        """Start sampling."""
        self.began_s, (self.began_cpu_s, self.began_wait_s) = time.perf_counter(), self.times_s()
        self.start()

    def run(self) -> None:
        pause = Event()
        while not pause.wait(EVERY_S):
            frame = sys._current_frames().get(self.ident_of)
            place = where(frame) if self.at_work and frame is not None else WAITS
            self.counts[place, self.state()] += 1

    def state(self) -> str:
        """Return R if it runs or waits for a core, D if it waits for a disk, S for other waits."""
        try:
            text = Path(f"/proc/self/task/{self.native}/stat").read_text()
        except OSError:
            return "?"
        return text.rpartition(")")[2].split()[0]

    def times_s(self) -> tuple[float, float]:
        """Return CPU time and time waiting for a core; 0 if the kernel does not report it."""
        try:
            fields = Path(f"/proc/self/task/{self.native}/schedstat").read_text().split()
        except OSError:
            return time.thread_time(), 0.0
        return int(fields[0]) / 1e9, int(fields[1]) / 1e9

    def write(self, tasks: int) -> None:
        """Write the samples so far."""
        cpu_s, wait_s = self.times_s()
        found = {
            "tasks": tasks,
            "wall_s": time.perf_counter() - self.began_s,
            "cpu_s": cpu_s - self.began_cpu_s,
            "waited_for_a_core_s": wait_s - self.began_wait_s,
            "samples": [[*key, count] for key, count in self.counts.copy().items()],
        }
        folder = Path(os.environ[FOLDER])
        draft = folder / f"{os.getpid()}.draft"
        draft.write_text(json.dumps(found))
        draft.replace(folder / f"{os.getpid()}.json")


def where(frame: FrameType) -> str:
    """Return a stack's innermost function of our code, and the foreign function that it calls."""
    inner: FrameType | None = frame
    while inner is not None:
        parts = Path(inner.f_code.co_filename).parts
        own = next((at for at, part in enumerate(parts) if part in OWN), None)
        if own is not None and "site-packages" not in parts:
            name = f"{Path(*parts[own + 1 :]).with_suffix('')}:{inner.f_code.co_name}"
            return name if inner is frame else f"{name} > {frame.f_code.co_name}"
        inner = inner.f_back
    return frame.f_code.co_name


def stages(priority: str) -> Stages:
    """Return the stages of a job on a GPU, with a sampled scorer."""
    if priority == "same":
        return Stages(read_in_worker, SampledScorer, cut_encode_commit)
    return Stages(read_low_priority, SampledScorer, commit_low_priority)


def main() -> int:
    """Run the job."""
    priority, folder, *arguments = sys.argv[1:]
    os.environ[FOLDER] = folder
    ClusterShares.stages = property(lambda _: stages(priority))  # type: ignore[assignment]
    from pipeline.cli import crop

    return crop.main(arguments)


if __name__ == "__main__":
    # Imported as a module: classes of `__main__` would be pickled with each task.
    from tests.gpu_proof.sampled_job import main as imported

    sys.exit(imported())
