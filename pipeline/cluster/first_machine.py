"""Wait for the first machine of a cluster."""

import time

import ray

from pipeline.cluster.flow import ALWAYS
from pipeline.cluster.gpu_loss import SAY_EVERY_S
from pipeline.cluster.nodes import cluster_nodes, total
from pipeline.report.progress import Log, duration
from pipeline.stop import Drained, Stop

POLL_S = 1.0  # between two looks whether the job is asked to stop


def await_machine(stop: Stop, log: Log) -> None:
    """Wait until the cluster has a machine with a core, and say so. Raises Drained after a stop.

    A task waits in the cluster meanwhile, so that an autoscaler starts a machine for it.
    """
    waiting = ray.remote(_nothing).options(num_cpus=1, max_retries=ALWAYS).remote()
    began_s = said_s = time.monotonic()
    while not ray.wait([waiting], timeout=POLL_S)[0]:
        if total(cluster_nodes()).cpus:  # it is there, and busy with the work of another job
            ray.cancel(waiting)
            return
        if (now_s := time.monotonic()) >= said_s + SAY_EVERY_S:
            said_s = now_s
            message = (
                f"no machine with cores has joined the cluster in {duration(now_s - began_s)}: "
                "still waiting. `ray status` shows what keeps an autoscaler from starting one; if "
                "none will come, stop the job, and the same command does it on another cluster"
            )
            log.say("waiting", message)
        if stop.asked:
            ray.cancel(waiting)
            raise Drained


def _nothing() -> None:
    """Run where there is a machine."""
