"""Measure a command with all the processes that it starts: wall time, CPU seconds, memory."""

import contextlib
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[2]
SAMPLE_S = 0.5


@dataclass(frozen=True)
class Cost:
    """The cost of a command: seconds, CPU seconds of all its processes, peak memory."""

    wall_s: float
    cpu_s: float
    peak_mib: float


def measure(
    command: Sequence[str], watch: Callable[[float], None] | None = None, root: Path = ROOT
) -> Cost:
    """Run a command and watch its processes. Memory is proportional (shared pages count once).

    watch: called with their memory in MiB at every sample. root: the tree whose code is run.
    """
    environment = {**os.environ, "PYTHONWARNINGS": "ignore", "RAY_ADDRESS": "local"}
    environment["PYTHONPATH"] = str(root)
    environment["RAY_worker_niceness"] = "0"  # by default, Ray's workers have a lower priority
    start, peak = time.monotonic(), 0.0
    cpu: dict[tuple[int, float], float] = {}
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(command, cwd=root, env=environment, stdout=output, stderr=output)
        try:
            while process.poll() is None:
                memory_mib = _sample(process.pid, cpu)
                peak = max(peak, memory_mib)
                if watch:
                    watch(memory_mib)
                time.sleep(SAMPLE_S)
        finally:  # if this program is stopped, the processes that it started stop with it
            for member in _process_tree(process.pid):
                with contextlib.suppress(psutil.Error):
                    member.kill()
        if process.wait():
            output.seek(0)
            last = "\n".join(output.read().decode(errors="replace").splitlines()[-10:])
            raise SystemExit(f"{' '.join(command)} ended with {process.returncode}:\n{last}")
    return Cost(time.monotonic() - start, sum(cpu.values()), peak)


def _sample(pid: int, cpu: dict[tuple[int, float], float]) -> float:
    """Return the memory of a process tree in MiB; stores each member's CPU seconds in `cpu`."""
    memory = 0
    for member in _process_tree(pid):
        with contextlib.suppress(psutil.Error):
            times = member.cpu_times()
            cpu[member.pid, member.create_time()] = times.user + times.system
            memory += _proportional_bytes(member.pid)
    return memory / 2**20


def _process_tree(pid: int) -> list[psutil.Process]:
    """Return a process and its descendants; [] if it has ended."""
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _proportional_bytes(pid: int) -> int:
    """Return a process's PSS, from Linux; 0 if it has ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith("Pss:")), 0)
