"""A real Ray cluster, and jobs for it whose stages only take time."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
from ray.cluster_utils import Cluster
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from tests.support import slow_stages
from tests.support.fresh import ROOT
from tests.support.slow_flows import CORES
from tests.support.slow_stages import SlowJob


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with (
        pytest.MonkeyPatch.context() as patch,
        # Short, for sockets; and no other job on this machine finds this cluster and joins it.
        tempfile.TemporaryDirectory(prefix="ray", dir="/tmp", ignore_cleanup_errors=True) as own,
    ):
        patch.setenv("RAY_TMPDIR", own)
        patch.setenv("PYTHONPATH", str(ROOT))  # of the workers
        patch.delenv("RAY_ADDRESS", raising=False)
        # A node that was killed is known as lost after 2.5 s, not 15. One that only answers late is
        # given ten seconds, as always.
        patch.setenv("RAY_health_check_period_ms", "500")
        nodes = {"num_cpus": CORES, "object_store_memory": 100 << 20}
        made = Cluster(initialize_head=True, head_node_args={**nodes, "include_dashboard": False})
        try:
            ray.init(address=made.address, log_to_driver=False, logging_level="error")
            yield made
        finally:
            ray.shutdown()
            made.shutdown()


@pytest.fixture
def job(tmp_path: Path) -> SlowJob:
    (tmp_path / "notes").touch()
    return SlowJob(tmp_path / "notes", score_s=0.1)


@pytest.fixture
def head_taken(cluster: Cluster) -> Iterator[Any]:
    """An actor with all cores of the head's node: till it is killed, Ray puts nothing there."""
    there = NodeAffinitySchedulingStrategy(cluster.head_node.node_id, soft=False)
    made = ray.remote(slow_stages.Idle).options(num_cpus=CORES, scheduling_strategy=there).remote()
    ray.get(made.ready.remote())
    yield made
    ray.kill(made)  # where the test has not come to it
