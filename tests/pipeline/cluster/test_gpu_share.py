"""A run whose GPUs have too little memory for as many workers as the default starts.

No GPU is needed: nodes only claim to have one, and actors only claim that it is small.
"""

import io
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
import torch
from ray.cluster_utils import Cluster

from pipeline.cluster import growing
from pipeline.cluster.flow import Stages
from pipeline.cluster.growing import ClusterWorkers, start_ray
from pipeline.cluster.nodes import ClusterNode
from pipeline.cluster.shares import ClusterShares, share_of_gpu, share_out
from pipeline.cluster.workers import Finisher, Scorer
from pipeline.errors import GpuShareError, LedgerError
from pipeline.report.progress import Log
from pipeline.settings import RunningSettings, Settings
from pipeline.stages import crop
from pipeline.stop import Stop
from tests.support import slow_stages
from tests.support.slow_stages import SlowJob, SmallGpuScorer, notes_of, number

TASKS = 30
NOWHERE = Log(stream=io.StringIO())


class SmallGpuShares(ClusterShares):
    """The shares of stages that only take time."""

    @property
    def stages(self) -> Stages:
        """Stand in for `ClusterShares.stages`."""
        return Stages(slow_stages.read, SmallGpuScorer, slow_stages.encode)


def small(*about: Any) -> ClusterShares:
    return SmallGpuShares(**asdict(share_out(*about)))


def divided(
    nodes: Sequence[ClusterNode], left: int | None = None, there: int = 0, least_share: float = 0.0
) -> ClusterShares:
    return share_out(nodes, 1000, 0, None, 0.0, least_share)


@pytest.fixture
def gpu_node(cluster: Cluster) -> Iterator[None]:
    """A machine that says that it has a GPU, and twelve cores."""
    node = cluster.add_node(num_cpus=12, num_gpus=1, object_store_memory=100 << 20)
    yield
    cluster.remove_node(node, allow_graceful=False)


@pytest.mark.usefixtures("gpu_node")
def test_fewer_workers_share_a_gpu_of_little_memory(
    job: SlowJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By hand: 14 cores are four workers of a quarter; with .4 for each, two of a half."""
    monkeypatch.setattr(growing, "unpack_summaries", lambda block: [number(block)])
    monkeypatch.setattr(growing, "share_out", small)
    workers = start_ray(RunningSettings(), TASKS, NOWHERE, Stop())
    assert (workers.machines.actors, workers.shares.actor_gpus) == (4, 0.25)
    found: list[Any] = list(workers.work(deque(range(TASKS)), job, Stop()))  # type: ignore[arg-type]
    assert sorted(found) == list(range(TASKS))
    assert (workers.machines.actors, workers.shares.actor_gpus) == (2, 0.5)
    assert workers.why == "1 GPU in the cluster, 0.5 for each of 2 actors"
    counts = Counter(one.what for one in notes_of(job))
    assert (counts["score"], counts["encode"]) == (TASKS, TASKS), "nothing was done twice"
    assert counts["cuda"] <= 4 + 2


@pytest.mark.parametrize(
    ("least", "workers"), [(0.0, 16), (0.0625, 16), (0.09, 11), (0.18, 5), (0.7, 1), (1.0, 1)]
)
def test_a_gpu_is_shared_by_as_many_as_its_memory_holds(least: float, workers: int) -> None:
    """96 cores and a GPU are 16 workers. By hand: 1 / .09 = 11.1, and 1 / .18 = 5.6."""
    share = share_of_gpu([ClusterNode(96, 1)], least)
    assert share >= least
    assert share == pytest.approx(1 / workers, abs=1e-4)
    assert share_out([ClusterNode(96, 1)], 1000, 0, None, 0.0, least).actors == workers
    assert share_out([ClusterNode(96, 1)], 1000, 0, 0.0625, 0.0, least).actors == 16, "as asked"


def test_machines_that_join_later_keep_the_share(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the workers would be replaced by too small ones, and these again, for the whole run."""
    there = [ClusterNode(48, 1)]
    monkeypatch.setattr(growing, "cluster_nodes", lambda: [*there])
    workers = ClusterWorkers(divided, NOWHERE)
    assert workers.shares.actor_gpus == 0.0625
    workers._enlarge_share(GpuShareError("too little", 0.18), 1000)
    assert workers._capacity([*there]) is None
    workers.shares = workers.wanted
    there.append(ClusterNode(48, 1))
    assert workers._capacity([*there]) is not None
    assert (workers.wanted.actor_gpus, workers.wanted.actors) == (0.2, 10)


def test_a_share_that_cannot_be_larger_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else one flow would follow another for ever."""
    monkeypatch.setattr(growing, "cluster_nodes", lambda: [ClusterNode(2, 1)])
    workers = ClusterWorkers(divided, NOWHERE)
    assert workers.shares.actor_gpus == 1.0
    with pytest.raises(LedgerError, match=r"^too little$"):
        workers._enlarge_share(GpuShareError("too little", 1.0), 1000)


@pytest.mark.parametrize("kind", [Scorer, Finisher])
@pytest.mark.parametrize("asked", [None, 0.05])
def test_an_actor_tells_that_its_share_is_too_small_unless_it_was_asked_for(
    asked: float | None, kind: type[Scorer | Finisher], monkeypatch: pytest.MonkeyPatch
) -> None:
    about = SimpleNamespace(total_memory=8 * 10**9)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda: about)
    monkeypatch.setattr(crop, "one_thread", lambda: None)
    monkeypatch.setattr("pipeline.cluster.workers.use_system_allocator", lambda: None)
    running = {} if asked is None else {"gpus_per_actor": asked}
    job = crop.Job(Settings.of(input="in", output="out", **running), None, "run")  # type: ignore[arg-type]
    if asked is None:
        actor = kind(job, "cuda", 0.05)
        told = actor.ready()
        assert told is not None
        assert told.enough == 0.18
        with pytest.raises(GpuShareError, match=r"give --gpus-per-actor 0\.18"):
            actor.do(pa.table({"task": [0]}))  # restarted here by Ray, as if it were ready
    else:
        with pytest.raises(GpuShareError, match=r"give --gpus-per-actor 0\.18"):
            kind(job, "cuda", asked)
