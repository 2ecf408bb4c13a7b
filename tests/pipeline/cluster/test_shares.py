"""How the stages share a cluster with given resources, calculated by hand."""

import pytest
from ray.exceptions import RayError

from pipeline.cluster.causes import cause_of
from pipeline.cluster.flow import Stages
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
    workers = share_out({"CPU": cpus}, MANY, 0, 1.0)
    assert (workers.device, workers.actors, workers.actor_gpus) == ("cpu", cpus, 0)
    assert room(workers, cpus) >= workers.task_cpus, "the other stages would wait for ever"
    assert "no GPU" in workers.why


@pytest.mark.parametrize(
    ("gpus", "each", "actors"), [(1, 1.0, 1), (8, 1.0, 8), (1, 0.5, 2), (2, 0.25, 8), (8, 2.0, 4)]
)
def test_gpus_are_shared_as_asked(gpus: int, each: float, actors: int) -> None:
    workers = share_out({"CPU": 16, "GPU": gpus}, MANY, 0, each)
    assert (workers.device, workers.actors, workers.actor_gpus) == ("cuda", actors, each)
    assert workers.actors * workers.actor_gpus <= gpus
    assert room(workers, 16) >= workers.task_cpus


@pytest.mark.parametrize(
    ("gpus", "each", "actors"),
    [(4, 0.6, 4), (3, 0.4, 6), (8, 0.3, 24), (1, 0.6, 1), (3, 1 / 3, 9), (7, 0.1, 70), (5, 2.0, 2)],
)
def test_no_worker_lies_on_two_gpus_in_part(gpus: int, each: float, actors: int) -> None:
    """A GPU holds one worker of .6, two of .4 and three of .3; what is left of it holds none."""
    workers = share_out({"CPU": 16, "GPU": gpus}, MANY, 0, each)
    assert (workers.device, workers.actors) == ("cuda", actors)


@pytest.mark.parametrize("cpus", [1, 2, 4])
def test_many_gpu_actors_leave_room_on_few_cores(cpus: int) -> None:
    workers = share_out({"CPU": cpus, "GPU": 4}, MANY, 0, 0.5)
    assert room(workers, cpus) >= workers.task_cpus


@pytest.mark.parametrize(
    ("cpus", "gpus", "actors"), [(2, 1, 1), (16, 1, 5), (32, 1, 10), (96, 1, 16), (64, 8, 16)]
)
def test_without_a_share_a_worker_has_three_cores(cpus: int, gpus: int, actors: int) -> None:
    """Of 64 cores and 8 GPUs, each GPU has 8 cores: two workers."""
    workers = share_out({"CPU": cpus, "GPU": gpus}, MANY, 0, None)
    assert (workers.device, workers.actors) == ("cuda", actors)
    assert workers.actors * workers.actor_gpus <= gpus
    assert room(workers, cpus) >= workers.task_cpus


def test_a_gpu_can_be_left_alone() -> None:
    workers = share_out({"CPU": 4, "GPU": 1}, MANY, 0, 0.0)
    assert (workers.device, workers.actor_gpus) == ("cpu", 0)
    assert "left alone" in workers.why


@pytest.mark.parametrize("resources", [{}, {"CPU": 0.0}])
def test_a_cluster_whose_machines_have_left_counts_as_one_core(resources: dict[str, float]) -> None:
    workers = share_out(resources, MANY, 0, None)
    assert (workers.device, workers.actors, workers.task_cpus) == ("cpu", 1, 0.5)


def test_the_number_of_actors_can_be_given() -> None:
    assert share_out({"CPU": 4}, MANY, 3, 1.0).actors == 3
    assert share_out({"CPU": 4, "GPU": 4}, MANY, 2, 1.0).actors == 2


@pytest.mark.parametrize(("gpus", "share"), [(1, 2.0), (3, 4.0)])
def test_a_share_that_no_worker_can_get_is_refused(gpus: int, share: float) -> None:
    """Ray would let the workers wait, and the job with them, for ever."""
    with pytest.raises(SettingError, match=rf"{share:g} GPU .* the cluster has {gpus:g}"):
        share_out({"CPU": 16, "GPU": gpus}, MANY, 0, share)


def test_a_part_of_a_gpu_holds_a_worker_of_that_part() -> None:
    """A node may be started with half of a GPU."""
    workers = share_out({"CPU": 2, "GPU": 0.5}, MANY, 0, 0.5)
    assert (workers.actors, workers.actor_gpus) == (1, 0.5)


def test_workers_that_find_no_room_are_told() -> None:
    """Two GPUs hold one worker of .6 each."""
    assert "3 actors, of which 1 wait for room" in share_out({"CPU": 9, "GPU": 2}, MANY, 3, 0.6).why
    assert "wait" not in share_out({"CPU": 9, "GPU": 2}, MANY, 2, 0.6).why


def test_a_small_run_starts_no_idle_actors() -> None:
    assert share_out({"CPU": 16}, 3, 0, 1.0).actors == 3
    assert share_out({"CPU": 16, "GPU": 8}, 1, 0, 1.0).actors == 1


def test_an_actor_on_a_core_commits_and_one_on_a_gpu_hands_on() -> None:
    on_cpu = share_out({"CPU": 4}, MANY, 0, 1.0)
    assert (on_cpu.stages.score, on_cpu.stages.encode) == (Finisher, None)
    on_gpu = share_out({"CPU": 4, "GPU": 1}, MANY, 0, 1.0)
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
         "pipeline.errors.LedgerError: so"),
        ("The actor died.\nIt is gone.\n", "It is gone."),
        ("ray.exceptions.RayError: System error", "ray.exceptions.RayError: System error"),
        ("", "RayError"),
    ],
)  # fmt: skip
def test_a_failure_is_told_by_what_the_worker_raised(told: str, cause: str) -> None:
    assert cause_of(RayError(told)) == cause
