"""A run whose cluster loses all machines that have a GPU for its workers."""

import io
import json
import threading
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import pytest
import ray
from ray.cluster_utils import Cluster
from ray.core.generated import autoscaler_pb2

from pipeline.cluster import flow as flow_module
from pipeline.cluster import gpu_loss, growing
from pipeline.cluster.flow import Stages
from pipeline.cluster.gpu_loss import LOST_S, GpuLoss
from pipeline.cluster.growing import ClusterWorkers
from pipeline.cluster.nodes import ClusterNode, startable_gpus
from pipeline.cluster.shares import ClusterShares, share_out
from pipeline.report.progress import Log
from pipeline.stop import Stop
from tests.support import slow_stages
from tests.support.slow_flows import CORES
from tests.support.slow_stages import DeviceScorer, SlowJob, notes_of, number

TASKS = 40
WAIT_S = 180.0  # for the run
CPUS, ONE_GPU = ClusterNode(8, 0), ClusterNode(8, 1)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now_s = [1000.0]
    monkeypatch.setattr(gpu_loss.time, "monotonic", lambda: now_s[0])
    return now_s


def said(stream: io.StringIO) -> list[str]:
    return [json.loads(line)["message"] for line in stream.getvalue().splitlines()]


def test_a_loss_is_said_each_minute_and_final_after_ten(clock: list[float]) -> None:
    stream = io.StringIO()
    loss = GpuLoss(Log("json", stream))
    assert not loss.is_final([CPUS, ONE_GPU], 0.5)
    assert not said(stream)
    finals = []
    for second in range(1000, 1601):
        clock[0] = float(second)
        finals.append(loss.is_final([CPUS], 0.5))
    assert finals == [False] * 600 + [True]
    *waiting, last = said(stream)
    assert len(waiting) == 10
    assert waiting[0].endswith("without one, the run goes on on the CPU in 10:00")
    assert waiting[9].endswith("in 1:00")
    assert "no machine in the cluster has 0.5 GPU for a scoring worker" in waiting[0]
    assert last == "no machine with a GPU has joined: going on without"


def test_a_gpu_that_comes_back_starts_the_wait_anew(clock: list[float]) -> None:
    loss = GpuLoss(Log(stream=io.StringIO()))
    for at_s, nodes in ((1000, [CPUS]), (1599, [CPUS, ONE_GPU]), (1601, [CPUS]), (2200, [CPUS])):
        clock[0] = float(at_s)
        assert not loss.is_final(nodes, 1.0)
    clock[0] = 2201.0
    assert loss.is_final([CPUS], 1.0)


def test_a_machine_with_too_few_gpus_is_none(clock: list[float]) -> None:
    loss = GpuLoss(Log(stream=io.StringIO()))
    loss.is_final([CPUS, ONE_GPU], 2.0)
    clock[0] += LOST_S
    assert loss.is_final([CPUS, ONE_GPU], 2.0)


def test_a_cluster_without_cores_is_waited_for(clock: list[float]) -> None:
    stream = io.StringIO()
    loss = GpuLoss(Log("json", stream))
    for _ in range(3):
        assert not loss.is_final([ClusterNode(0, 0)], 1.0)
        clock[0] += LOST_S
    assert len(said(stream)) == 3
    assert all("the same command continues on another cluster" in one for one in said(stream))
    assert loss.is_final([CPUS], 1.0), "cores without a GPU, for long enough"


def test_a_gpu_that_comes_after_the_wait_is_used(
    clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [CPUS, ONE_GPU]
    monkeypatch.setattr(growing, "cluster_nodes", lambda: [*found])
    log = Log(stream=io.StringIO())
    workers = ClusterWorkers(lambda nodes, *_: share_out(nodes, TASKS, 0, 1.0), log)
    del found[1]
    assert workers._capacity([*found]) is not None
    clock[0] += LOST_S
    for _ in range(2):
        assert workers._capacity([*found]) is None
        assert (workers.shares.device, workers.wanted.device) == ("cuda", "cpu")
        assert workers.wanted.cores == 8
    workers.shares = workers.wanted  # as `work` does between two flows
    assert workers._capacity([*found]) is not None
    found.append(ONE_GPU)
    workers._capacity([*found])
    assert workers.wanted.device == "cuda"


class GpuShares(ClusterShares):
    """The shares of stages that only take time."""

    @property
    def stages(self) -> Stages:
        """Stand in for `ClusterShares.stages`."""
        encode = slow_stages.encode if self.device == "cuda" else None
        return Stages(slow_stages.read, DeviceScorer, encode)


def divided(nodes: Sequence[ClusterNode], *_: object) -> ClusterShares:
    return GpuShares(**asdict(share_out(nodes, TASKS, 0, 0.5)))


@pytest.fixture
def gpu_node(cluster: Cluster) -> Iterator[Any]:
    node = cluster.add_node(num_cpus=CORES, num_gpus=1, object_store_memory=100 << 20)
    yield node
    if node in cluster.worker_nodes:
        cluster.remove_node(node, allow_graceful=False)


def test_a_run_that_loses_its_gpus_goes_on_on_the_cpu(
    cluster: Cluster, gpu_node: Any, job: SlowJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tasks that the lost actors held, and those that waited for them, are done again."""
    monkeypatch.setattr(gpu_loss, "LOST_S", 3.0)
    monkeypatch.setattr(flow_module, "STALL_S", 2.0)
    monkeypatch.setattr(growing, "unpack_summaries", lambda block: [number(block)])
    stream = io.StringIO()
    workers = ClusterWorkers(divided, Log("json", stream))
    assert workers.does == "scoring on cuda"
    found: list[Any] = []

    def work() -> None:
        for task in workers.work(deque(range(TASKS)), job, Stop()):  # type: ignore[arg-type]
            found.append(task)
            if len(found) == 5:
                cluster.remove_node(gpu_node, allow_graceful=False)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(WAIT_S)
    assert sorted(found) == list(range(TASKS))
    assert workers.does == "scoring on cpu"
    assert said(stream)[-1] == "no machine with a GPU has joined: going on without"
    devices = Counter(one.what for one in notes_of(job) if one.what in ("cpu", "cuda"))
    assert devices == {"cuda": 2, "cpu": 2}


def test_machines_that_an_autoscaler_tells_of_count(cluster: Cluster) -> None:
    """Two groups, of which the one with 8 GPUs may have no machine."""
    assert startable_gpus() == 0.0
    config = autoscaler_pb2.ClusterConfig()
    for gpus, most in ((2, 4), (8, 0)):
        group = config.node_group_configs.add()
        group.resources["GPU"], group.max_count = gpus, most
    client = ray._private.worker.global_worker.gcs_client
    client.report_cluster_config(config.SerializeToString())
    try:
        assert startable_gpus() == 2.0
    finally:
        client.report_cluster_config(autoscaler_pb2.ClusterConfig().SerializeToString())
    assert startable_gpus() == 0.0
