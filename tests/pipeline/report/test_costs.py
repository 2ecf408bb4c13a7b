"""What a run cost and what limited it, with hand-calculated figures."""

import re

import pytest

from pipeline.ledger.figures import Cost, Figures
from pipeline.report.costs import Machines, Session, cost_lines, cost_table, limits
from pipeline.report.progress import summary_lines

TWO_CORES = Machines(cores=2, gpus=0, actors=2, device="cpu")
ONE_GPU = Machines(cores=16, gpus=1, actors=1, device="cuda")
COSTS = {
    "score": Cost(cpu_s=30.0),
    "read": Cost(cpu_s=2.0, wait_s=12.5, requests=1_200, read_bytes=34_500_000),
    "commit": Cost(cpu_s=8.0, requests=40, written_bytes=1_250_000),
    "start": Cost(cpu_s=10.0, starts=3),
}


def test_lines_come_in_the_order_of_the_work_with_their_share_of_the_cpu() -> None:
    lines = cost_lines(COSTS)
    assert [line.word for line in lines] == ["starting", "reading", "scoring", "writing"]
    assert [line.share for line in lines] == [0.2, 0.04, 0.6, 0.16]


def test_lines_are_read_from_a_stored_manifest_and_old_ones_have_none() -> None:
    stored = {"score": {"cpu_s": 3.0}, "later": {"cpu_s": 1.0, "a_key_of_a_later_release": 7}}
    assert [(line.stage, line.share) for line in cost_lines(stored)] == [
        ("score", 0.75),
        ("later", 0.25),
    ]
    assert cost_lines({}) == []
    assert cost_table({}) == []


def test_the_table_has_a_row_a_stage() -> None:
    table = cost_table(COSTS)
    head = " ".join(table[0].split())
    assert head == "cost CPU s GPU s waited s requests MB read MB written"
    assert table[2].split() == ["reading", "2.0", "4", "%", "0.0", "12.5", "1,200", "34.5", "0.0"]
    assert table[-1].strip() == "3 worker processes started"
    assert len({len(row) for row in table[:-1]}) == 1, "the columns stand below each other"


def test_the_summary_has_costs_and_what_limited_the_run() -> None:
    summary = {"images": 4, "statuses": {"ok": 4}, "crops": 4, "seconds": {"score": 3.0}}
    lines = summary_lines({**summary, "costs": {"score": {"cpu_s": 3.0}}, "limits": "x limits: y"})
    assert [line for line in lines if line.startswith("cost")]
    assert lines[-1] == "limit    x limits: y"


@pytest.mark.parametrize(
    ("costs", "machines", "start_s", "words"),
    [
        # 50 CPU s in 2 · 30 s: 83 %, of which scoring has 30 s.
        (
            COSTS, TWO_CORES, 5.0,
            "limited by scoring: 2 cores busy 83 % of the time, 60 % of it scoring",
        ),
        (COSTS, TWO_CORES, 16.0, "starting took 16 of 30 s, until the first photo was scored"),
        # 18 GPU s in 30 - 10 s: 90 %; the cores were at 50 s of 480.
        (
            {**COSTS, "detect": Cost(gpu_s=18.0)}, ONE_GPU, 10.0,
            "limited by scoring: 1 GPU busy 90 % of the time",
        ),
        # Neither the GPU (25 %) nor the cores: 260 s of waiting are more than 50 s of work.
        (
            {**COSTS, "detect": Cost(gpu_s=5.0), "read": Cost(wait_s=260.0)}, ONE_GPU, 10.0,
            "limited by reading: its threads waited 260 s for store, disk or network, "
            "16 cores busy 10 % of the time",
        ),
        (
            COSTS, Machines(cores=4, gpus=0, actors=4, device="cpu"), 5.0,
            "not limited by the job: 4 cores busy 42 % of the time; others use the machines, or "
            "it waits for workers",
        ),
    ],
)  # fmt: skip
def test_what_limits_is_said_in_words(
    costs: dict[str, Cost], machines: Machines, start_s: float, words: str
) -> None:
    assert limits(costs, machines, 30.0, start_s) == words


def test_a_session_times_itself_and_counts_its_own_tasks() -> None:
    times = iter([1_000.0, 1_030.0])
    session = Session(clock=lambda: next(times))
    session.use(TWO_CORES)
    figures = Figures(statuses={"ok": 30}, costs=COSTS)
    session.task_done(figures, {"read": (1_001.0, 1_003.0), "score": (1_006.0, 1_010.0)})
    session.task_done(Figures(statuses={"ok": 15}), {"score": (1_005.0, 1_020.0)})
    assert session.facts() == {
        "wall_s": 30.0,
        "start_s": 5.0,
        "images_per_s": 1.5,
        "device": "cpu",
        "actors": 2,
        "cores": 2,
        "gpus": 0,
        "limits": "limited by scoring: 2 cores busy 83 % of the time, 60 % of it scoring",
    }


def test_machines_that_join_count_from_then_on() -> None:
    """2 cores for 10 s and 5 with a GPU for 20 s: 120 s of cores and 20 s of a GPU in 30 s."""
    times = iter([1_000.0, 1_010.0, 1_030.0])
    session = Session(clock=lambda: next(times))
    session.use(TWO_CORES)
    session.use(Machines(cores=5, gpus=1, actors=3, device="cuda"))
    session.task_done(Figures(costs={"score": Cost(cpu_s=60.0)}), {"score": (1_000.0, 1_020.0)})
    facts = session.facts()
    assert (facts["cores"], facts["gpus"]) == (4.0, 0.67)
    assert (facts["actors"], facts["device"]) == (3, "cuda")
    assert facts["limits"].startswith("limited by scoring: 4 cores busy 50 % of the time")


def test_a_long_name_moves_no_column() -> None:
    """`reading decisions`, of `render`, has 17 letters; each first number ends below its head."""
    head, *rows, _ = cost_table({"recall": Cost(cpu_s=1.0), "encode": Cost(cpu_s=23.0)})
    firsts = [re.search(r"\d+\.\d", row) for row in rows]
    ends = {found.end() for found in firsts if found}
    assert ends == {head.index("CPU s") + len("CPU s")}


def test_tasks_that_measured_nothing_limit_nothing() -> None:
    assert limits({}, TWO_CORES, 30.0, 5.0) == ""


def test_a_session_without_work_tells_nothing() -> None:
    assert Session().facts() == {}
