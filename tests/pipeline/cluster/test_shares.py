"""How the stages share a cluster with given resources, calculated by hand."""

import re

import pytest
from ray.exceptions import RayError

from pipeline.cluster.capacity import Capacity
from pipeline.cluster.causes import cause_of
from pipeline.cluster.flow import Stages
from pipeline.cluster.nodes import ClusterNode
from pipeline.cluster.shares import ClusterShares, share_out
from pipeline.cluster.workers import Finisher, Scorer, commit_low_priority, read_low_priority
from pipeline.errors import SettingError
from pipeline.stages.commit import cut_encode_commit

MANY = 10_000  # tasks


def room(workers: ClusterShares, cpus: float) -> float:
    """Cores left beside all actors."""
    return cpus - workers.actors * workers.actor_cpus


@pytest.mark.parametrize("cpus", [1, 2, 3, 16, 64])
def test_on_cpu_there_is_an_actor_a_core_and_room_for_the_other_stages(cpus: int) -> None:
    workers = share_out([ClusterNode(cpus, 0)], MANY, 0, 1.0)
    assert (workers.device, workers.actors, workers.actor_gpus) == ("cpu", cpus, 0)
    assert room(workers, cpus) >= workers.task_cpus, "the other stages would wait for ever"
    assert "no GPU" in workers.why


@pytest.mark.parametrize(
    ("gpus", "each", "actors"), [(1, 1.0, 1), (8, 1.0, 8), (1, 0.5, 2), (2, 0.25, 8), (8, 2.0, 4)]
)
def test_gpus_are_shared_as_asked(gpus: int, each: float, actors: int) -> None:
    workers = share_out([ClusterNode(16, gpus)], MANY, 0, each)
    assert (workers.device, workers.actors, workers.actor_gpus) == ("cuda", actors, each)
    assert workers.actors * workers.actor_gpus <= gpus
    assert room(workers, 16) >= workers.task_cpus


@pytest.mark.parametrize(
    ("gpus", "each", "actors"),
    [(4, 0.6, 4), (3, 0.4, 6), (8, 0.3, 24), (1, 0.6, 1), (3, 1 / 3, 9), (7, 0.1, 70), (5, 2.0, 2)],
)
def test_no_worker_lies_on_two_gpus_in_part(gpus: int, each: float, actors: int) -> None:
    """A GPU holds one worker of .6, two of .4 and three of .3; what is left of it holds none."""
    workers = share_out([ClusterNode(16, gpus)], MANY, 0, each)
    assert (workers.device, workers.actors) == ("cuda", actors)


@pytest.mark.parametrize("cpus", [1, 2, 4])
def test_many_gpu_actors_leave_room_on_few_cores(cpus: int) -> None:
    workers = share_out([ClusterNode(cpus, 4)], MANY, 0, 0.5)
    assert room(workers, cpus) >= workers.task_cpus


@pytest.mark.parametrize(
    ("cpus", "gpus", "actors"), [(2, 1, 1), (16, 1, 5), (32, 1, 10), (96, 1, 16), (64, 8, 16)]
)
def test_without_a_share_a_worker_has_three_cores(cpus: int, gpus: int, actors: int) -> None:
    """Of 64 cores and 8 GPUs, each GPU has 8 cores: two workers."""
    workers = share_out([ClusterNode(cpus, gpus)], MANY, 0, None)
    assert (workers.device, workers.actors) == ("cuda", actors)
    assert workers.actors * workers.actor_gpus <= gpus
    assert room(workers, cpus) >= workers.task_cpus


def test_a_gpu_can_be_left_alone() -> None:
    workers = share_out([ClusterNode(4, 1)], MANY, 0, 0.0)
    assert (workers.device, workers.actor_gpus) == ("cpu", 0)
    assert "left alone" in workers.why


@pytest.mark.parametrize("nodes", [[], [ClusterNode(0, 0)]])
def test_a_cluster_whose_machines_have_left_counts_as_one_core(nodes: list[ClusterNode]) -> None:
    workers = share_out(nodes, MANY, 0, None)
    assert (workers.device, workers.actors, workers.task_cpus) == ("cpu", 1, 0.5)


def test_the_number_of_actors_can_be_given() -> None:
    assert share_out([ClusterNode(4, 0)], MANY, 3, 1.0).actors == 3
    assert share_out([ClusterNode(4, 4)], MANY, 2, 1.0).actors == 2


@pytest.mark.parametrize(
    ("gpus", "share", "told"),
    [
        ([1], 2.0, "no machine of the cluster has more than 1 (1 machine with 1 GPU)"),
        ([3], 4.0, "no machine of the cluster has more than 3 (1 machine with 3 GPUs)"),
        ([1, 0, 1, 1], 2.0, "more than 1 (3 machines with 1 GPU, 1 machine with 0 GPUs)"),
        ([1, 2], 4.0, "Ask for at most 2, or start the job once a machine with 4 has joined"),
        ([0.5, 0.5], 1.0, "more than 0.5 (2 machines with 0.5 GPUs)"),
    ],
)
def test_a_share_that_no_machine_has_is_refused(gpus: list[float], share: float, told: str) -> None:
    """Ray would let the workers wait, and the job with them, for ever."""
    nodes = [ClusterNode(16, one) for one in gpus]
    with pytest.raises(SettingError, match=re.escape(told)):
        share_out(nodes, MANY, 0, share)
    with pytest.raises(SettingError, match=re.escape(told)):
        share_out(nodes, MANY, 0, share, startable_gpus=share - 0.5)


def test_a_share_that_an_autoscaler_can_bring_is_waited_for() -> None:
    workers = share_out([ClusterNode(16, 1)] * 2, MANY, 0, 2.0, startable_gpus=2.0)
    assert (workers.device, workers.actors, workers.actor_gpus) == ("cuda", 1, 2)
    assert workers.why.endswith("2 for each of 1 actor, of which 1 wait for room")


@pytest.mark.parametrize(
    ("gpus", "share", "actors"),
    [
        ([4, 1, 1, 1], 2.0, 2),  # not three of seven GPUs
        ([2, 2, 0], 2.0, 2),
        ([1, 1], 0.6, 2),
        ([1, 0.5], 0.5, 3),
    ],
)
def test_workers_are_counted_machine_by_machine(
    gpus: list[float], share: float, actors: int
) -> None:
    workers = share_out([ClusterNode(8, one) for one in gpus], MANY, 0, share)
    assert workers.actors == actors
    assert "wait" not in workers.why


@pytest.mark.parametrize(
    "nodes",
    [
        [ClusterNode(1, 1)] * 4,
        [ClusterNode(1, 1)] * 2,
        [ClusterNode(1, 1), ClusterNode(1, 0)],
        [ClusterNode(8, 1)] * 4 + [ClusterNode(8, 0)] * 20,
        [ClusterNode(4, 8), ClusterNode(64, 0)],
        [ClusterNode(0, 2), ClusterNode(4, 0)],
        [ClusterNode(2, 1), ClusterNode(16, 4)],
    ],
)
@pytest.mark.parametrize("share", [None, 0.25, 1.0])
def test_each_machine_has_room_for_its_workers_and_one_for_a_task(
    nodes: list[ClusterNode], share: float | None
) -> None:
    """Ray places nothing on two machines. Each GPU holds as many workers as its whole allows."""
    workers = share_out(nodes, MANY, 0, share)
    per_gpu = int(1 / workers.actor_gpus + 1e-6)
    used = [int(one.gpus) * per_gpu * workers.actor_cpus for one in nodes]
    assert workers.actors == sum(int(one.gpus) * per_gpu for one in nodes)
    assert all(own <= one.cpus + 1e-9 for own, one in zip(used, nodes, strict=True))
    left = max(one.cpus - own for own, one in zip(used, nodes, strict=True))
    assert 0 < workers.task_cpus <= left + 1e-9, "the other stages would wait for ever"
    assert workers.task_cpus >= 0.5


def test_machines_without_gpus_bring_no_more_workers_than_a_gpus_machine_has_cores_for() -> None:
    """By hand: 192 cores and 4 GPUs would be 16 workers each; 8 cores hold 13 of .6 beside a GPU.

    A machine with 4 cores and 8 GPUs has less than a core for each.
    """
    mixed = share_out([ClusterNode(8, 1)] * 4 + [ClusterNode(8, 0)] * 20, MANY, 0, None)
    assert (mixed.actors, mixed.actor_cpus) == (52, 0.6)
    few = share_out([ClusterNode(4, 8), ClusterNode(160, 0)], MANY, 0, None)
    assert (few.actors, few.actor_cpus) == (8, 0.5)


def test_half_a_gpu_holds_a_worker_by_default() -> None:
    assert share_out([ClusterNode(2, 0.5)], MANY, 0, None).actor_gpus == 0.5


def test_a_part_of_a_gpu_holds_a_worker_of_that_part() -> None:
    """A node may be started with half of a GPU."""
    workers = share_out([ClusterNode(2, 0.5)], MANY, 0, 0.5)
    assert (workers.actors, workers.actor_gpus) == (1, 0.5)


def test_workers_that_find_no_room_are_told() -> None:
    """Two GPUs hold one worker of .6 each."""
    assert "3 actors, of which 1 wait for room" in share_out([ClusterNode(9, 2)], MANY, 3, 0.6).why
    assert "wait" not in share_out([ClusterNode(9, 2)], MANY, 2, 0.6).why


@pytest.mark.parametrize(("most", "asked", "actors"), [(3, 0, 3), (1, 0, 1), (3, 8, 3), (3, 2, 2)])
@pytest.mark.parametrize("gpus", [0, 8])
def test_a_small_run_starts_no_idle_actors(most: int, asked: int, actors: int, gpus: int) -> None:
    """16 cores and 8 GPUs hold 16 and 8 actors; `asked` is `--num-actors`, 0 if it is not given."""
    workers = share_out([ClusterNode(16, gpus)], most, asked, 1.0)
    assert workers.actors == actors
    assert workers.why.endswith(", enough for what there is to do") == (asked != 2)
    assert "enough" not in share_out([ClusterNode(16, gpus)], MANY, asked, 1.0).why


def test_an_actor_on_a_core_commits_and_one_on_a_gpu_hands_on() -> None:
    on_cpu = share_out([ClusterNode(4, 0)], MANY, 0, 1.0)
    assert (on_cpu.stages.score, on_cpu.stages.encode) == (Finisher, None)
    on_gpu = share_out([ClusterNode(4, 1)], MANY, 0, 1.0)
    assert on_gpu.stages == Stages(read_low_priority, Scorer, commit_low_priority)
    stored = on_cpu.without_scoring()
    assert (stored.stages.score, stored.stages.encode) == (None, cut_encode_commit)


FULL = "OSError: [Errno 28] No space left on device"
WRAPPED = f"""ray::MapBatches(cut_encode_commit)() (pid=7, ip=127.0.0.2)
    file.write(data)
{FULL}

The above exception was the direct cause of the following exception:

ray::MapBatches(cut_encode_commit)() (pid=7, ip=127.0.0.2)
ray.exceptions.UserCodeException: UDF failed to process a data block.
Failed to map after 1/1 attempts (total backoff 0.0s).
To change retry attempts, configure `ray.data.DataContext.get_current()`.
"""


@pytest.mark.parametrize(
    ("told", "cause"),
    [
        (f"ray::map()\n  File x\n{FULL}", FULL),
        (WRAPPED, FULL),
        (WRAPPED.replace(FULL, f"{FULL}\n\nDuring this:\n\npipeline.errors.LedgerError: so"),
         "so"),
        ("ray::Scorer.__init__()\npipeline.errors.GpuShareError: too little\n", "too little"),
        ("The actor died.\nIt is gone.\n", "It is gone."),
        ("ray.exceptions.RayError: System error", "ray.exceptions.RayError: System error"),
        ("", "RayError"),
    ],
)  # fmt: skip
def test_a_failure_is_told_by_what_the_worker_raised(told: str, cause: str) -> None:
    assert cause_of(RayError(told)) == cause


def test_on_a_cpu_as_many_tasks_run_as_there_are_cores_whatever_the_actors_are() -> None:
    """Actors with half of all cores leave the other half to tasks of half a core each."""
    for cores in range(1, 129):
        for actors in range(-(-cores // 2), cores + 1):  # fewer take a whole core each
            shares = share_out([ClusterNode(float(cores), 0.0)], actors, 0, None)
            assert shares.capacity == Capacity(actors, cores), "21 cores, 19 actors: not 20 tasks"
