"""Note that a cluster has lost the GPUs of a run's workers, and say so."""

import time
from collections.abc import Sequence

from pipeline.cluster.nodes import ClusterNode, total
from pipeline.report.progress import Log, duration

LOST_S = 600.0
"""How long a run waits for another machine with a GPU before it goes on on the CPU."""
SAY_EVERY_S = 60.0  # that it waits


class GpuLoss:
    """How long no machine has had a GPU for the workers of a run."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self.since_s: float | None = None  # None while there is one
        self.said_s = 0.0

    def is_final(self, nodes: Sequence[ClusterNode], share: float) -> bool:
        """Return whether the run should go on without GPUs: for LOST_S no machine has had one.

        Says every SAY_EVERY_S that it waits. A cluster without any cores is waited for.

        nodes: the machines now; share: of a worker, in GPUs
        """
        now_s = time.monotonic()
        if any(one.gpus >= share for one in nodes):
            self.since_s = None
            return False
        if self.since_s is None:
            self.since_s, self.said_s = now_s, now_s - SAY_EVERY_S
        left_s, cores = self.since_s + LOST_S - now_s, total(nodes).cpus
        if cores and left_s <= 0:
            self.log.say("no_gpu", "no machine with a GPU has joined: going on without", cpu=cores)
            self.since_s = None
            return True
        if now_s >= self.said_s + SAY_EVERY_S:
            self.said_s = now_s
            self.log.say("no_gpu", _waiting(share, left_s if cores else None), cpu=cores)
        return False


def _waiting(share: float, left_s: float | None) -> str:
    """Say what is waited for, and how long, in seconds; None: until it comes."""
    if left_s is None:
        return (
            "no machine with cores is left in the cluster: waiting for one. What is recorded stays:"
            " if none will come, stop the job, and the same command continues on another cluster"
        )
    return (
        f"no machine in the cluster has {share:.3g} GPU for a scoring worker: waiting for one to "
        f"join; without one, the run goes on on the CPU in {duration(left_s)}"
    )
