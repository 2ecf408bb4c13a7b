"""Forecasts against hand-calculated figures, and against randomly drawn runs."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest

from pipeline.estimate.forecast import Forecast, forecast
from pipeline.estimate.formatting import document, lines
from pipeline.estimate.measure import Measured, measured
from pipeline.estimate.prices import ResourceUsage, cost_of
from pipeline.estimate.ranges import Range, percentiles
from pipeline.ledger.figures import Cost, Figures
from pipeline.report.costs import Machines
from pipeline.settings import EstimateSettings
from pipeline.stages.task import TaskSummary

CPU = Machines(cores=2, gpus=0, actors=2, device="cpu")
GPU = Machines(cores=16, gpus=1, actors=1, device="cuda")
FREE = EstimateSettings(
    price_cpu_hour=0, price_gpu_hour=0, price_get_1000=0, price_put_1000=0, price_gb_month=0
)


def inputs(count: int, size: int | None = 1_000) -> pa.Table:
    """Of a list only its length and its sizes count here."""
    return pa.table({"bytes": pa.repeat(pa.scalar(size, pa.int64()), count)})


def task(score_s: float = 8.0, photos: int = 10, failed: int = 0, review: int = 0) -> Figures:
    """Figures of one task; without the scoring it takes 2 CPU s."""
    return Figures(
        statuses={"ok": photos - failed, "corrupt": failed} if failed else {"ok": photos},
        crops=2 * (photos - failed),
        verdicts={"1:1|ok": 2 * (photos - failed) - review, "1:1|review": review},
        reasons={"review|head_cut": review} if review else {},
        bytes=2_000 * photos,
        costs={
            "read": Cost(cpu_s=0.5, requests=photos),
            "decode": Cost(cpu_s=0.5),
            "score": Cost(cpu_s=score_s, gpu_s=score_s / 2),
            "encode": Cost(cpu_s=0.25, requests=2 * photos, written_bytes=300 * photos),
            "commit": Cost(cpu_s=0.5, requests=5, written_bytes=700 * photos),
            "hand_over": Cost(cpu_s=0.25, requests=1),
        },
        requests={"get": photos + 2, "put": 2 * photos + 4},
    )


def sample(tasks: Sequence[Figures], machines: Machines = CPU, rate: float = 1.6) -> Measured:
    """Tasks of 100 s in all, of which 12 s passed before the first scoring."""
    return Measured(tasks, 100.0, 12.0, [rate] * 8, not machines.gpus, machines)


def told(
    tasks: Sequence[Figures], photos: int = 1_000, prices: EstimateSettings = FREE, cut: int = 50
) -> Forecast:
    return forecast(sample(tasks), inputs(photos), cut, prices)


def test_time_is_the_sample_s_and_the_rest_at_the_rate_of_the_busy_cluster() -> None:
    """10 tasks of 10 photos, 10 CPU s each: 900 photos are left, 900 CPU s at 1.6 a second."""
    found = told([task()] * 10)
    assert found.wall_s == Range(100 + 900 / 1.6, 662.5, 662.5)
    assert found.fixed_s == pytest.approx(100 - 100 / 1.6)
    assert found.photos_per_s.value == pytest.approx(1.6)
    assert found.core_hours.value == pytest.approx(2 * 662.5 / 3600)
    assert found.cpu_hours.value == pytest.approx(1_000 / 3600)
    assert found.limits.startswith("limited by scoring: 2 cores busy 75 %")


def test_on_a_gpu_it_is_photos_that_are_left() -> None:
    found = forecast(sample([task()] * 10, GPU, rate=4.0), inputs(1_000), 50, FREE)
    assert found.wall_s.value == pytest.approx(100 + 900 / 4)
    assert found.gpu_hours.value == pytest.approx(325 / 3600)
    assert found.gpu_work_hours.value == pytest.approx(100 * 4 / 3600)


def test_a_sample_of_everything_is_the_run_itself() -> None:
    tasks = [task(score_s) for score_s in (4.0, 8.0, 20.0, 1.0)]
    found = forecast(sample(tasks), inputs(40), 4, FREE)
    for one in (found.wall_s, found.cpu_hours, found.written_bytes, found.failed, found.review):
        assert one.low == pytest.approx(one.value) == pytest.approx(one.high)
    assert found.wall_s.value == 100


def test_starting_workers_is_paid_once() -> None:
    first = task()
    with_start = Figures(costs={"start": Cost(cpu_s=36.0, starts=2)}) + first
    found = told([with_start, *[task()] * 9])
    assert found.cpu_hours.value == pytest.approx((1_000 + 36) / 3600)
    assert found.wall_s.value == 662.5


def test_the_first_task_of_a_worker_counts_in_the_sample_alone() -> None:
    """3 of 12 tasks take 20 CPU s in place of 10: the 880 photos that are left take 1 s each."""
    first = Figures(costs={"start": Cost(starts=1)}) + task(score_s=18.0)
    found = told([first] * 3 + [task()] * 9)
    assert found.cpu_hours.value == pytest.approx((150 + 880) / 3600)
    assert found.wall_s.value == pytest.approx(100 + 880 / 1.6)


def test_where_most_tasks_are_a_worker_s_first_all_count() -> None:
    first = Figures(costs={"start": Cost(starts=1)}) + task(score_s=18.0)
    found = told([first] * 5 + [task()] * 5)
    assert found.cpu_hours.value == pytest.approx(1_000 * 1.5 / 3600)


def test_requests_are_of_photos_and_of_tasks() -> None:
    """A photo: 1 GET, 2 PUTs. A task: 2 + 1 GETs (its record, at the commit), 4 PUTs. 2 lists."""
    found = told([task()] * 10, cut=50)
    assert found.gets.value == 1_000 + 50 * 3
    assert found.puts.value == 2_000 + 50 * 4 + 2


def test_bytes_read_are_those_of_the_list_and_else_of_the_sample() -> None:
    assert told([task()] * 10).read_bytes == Range(1e6, 1e6, 1e6)
    unknown = forecast(sample([task()] * 10), inputs(1_000, None), 50, FREE)
    assert unknown.read_bytes.value == 2e6
    assert unknown.written_bytes.value == 1e6


@pytest.mark.parametrize(("value", "low", "high"), [(500, 25, 975), (10, 10, 975), (990, 25, 990)])
def test_a_range_is_the_middle_of_the_draws_and_holds_the_value(
    value: float, low: float, high: float
) -> None:
    """Of 0 to 1000, a fortieth lies below 25 and as much above 975."""
    assert percentiles(value, np.arange(1001.0)) == Range(value, low, high)


def test_failures_have_wilson_s_interval() -> None:
    """10 of 100: 0.0552 to 0.1744 (Agresti and Coull, 1998); nearly all photos are unknown."""
    found = told([task(failed=1)] * 10, photos=10_000_000)
    assert found.failed.value == pytest.approx(1e6)
    assert (found.failed.low, found.failed.high) == pytest.approx((0.5523e6, 1.7437e6), rel=1e-3)
    assert found.by_status == {"corrupt": found.failed}


def test_nothing_that_failed_does_not_mean_that_nothing_will() -> None:
    """0 of 100: up to z² / (n + z²) = 3.70 %."""
    failed = told([task()] * 10, photos=10_000_000).failed
    assert (failed.value, failed.low) == (0, 0)
    assert failed.high == pytest.approx(0.0370e7, rel=1e-2)


def test_crops_to_look_at_are_counted_as_crops_and_ranged_as_photos() -> None:
    """2 of 20 crops a task: a tenth of 20,000,000 crops, as exact as 100 photos make it."""
    found = told([task(review=2)] * 10, photos=10_000_000)
    review = found.review
    assert review.value == pytest.approx(2e6)
    assert (review.low, review.high) == pytest.approx((1.1046e6, 3.4874e6), rel=1e-3)
    assert found.by_reason == {"review|head_cut": review}
    (line,) = (line for line in lines(found) if line.endswith(" review|head_cut"))
    assert line.split()[0] == "2,000,000"


def test_cost_is_the_sum_of_its_parts() -> None:
    """Two hours of 3 cores and 1 GPU, 2 M GETs, .5 M PUTs, 40 GB kept, 100 GB read."""
    prices = EstimateSettings(
        price_cpu_hour=0.05, price_gpu_hour=2.0, price_get_1000=0.0004, price_put_1000=0.005,
        price_gb_month=0.023, price_gb_out=0.02,
    )  # fmt: skip
    taken = ResourceUsage(7_200, 3, 1, 2e6, 0.5e6, 100e9, 40e9)
    assert cost_of(taken, prices) == pytest.approx(
        {"cpu": 0.30, "gpu": 4.0, "requests": 3.3, "month_of_storage": 0.92, "reading": 2.0}
    )


def test_cost_of_a_million_photos() -> None:
    prices = EstimateSettings(
        price_cpu_hour=3.6, price_gpu_hour=0, price_get_1000=0, price_put_1000=0, price_gb_month=0
    )
    found = told([task()] * 10, prices=prices)
    assert found.cost_total.value == pytest.approx(2 * 662.5 / 1_000)
    assert found.cost_per_million.value == pytest.approx(2 * 662.5)


def test_ranges_hold_the_truth_as_often_as_they_say() -> None:
    """80 samples of runs whose photos take a log-normal time: 95 % are to hold it."""
    random = np.random.default_rng(5)
    held = 0
    for _ in range(80):
        works = random.lognormal(0.0, 0.8, 160)  # CPU s a photo
        mean = float(np.exp(0.8**2 / 2))
        tasks = [
            Figures(statuses={"ok": 10}, costs={"score": Cost(cpu_s=float(part.sum()))})
            for part in works.reshape(16, 10)
        ]
        found = forecast(sample(tasks), inputs(20_000), 300, FREE).cpu_hours
        held += found.low <= 20_000 * mean / 3600 <= found.high
    assert 66 <= held <= 79


def test_one_document_and_lines_tell_the_same() -> None:
    found = told([task(failed=1, review=1)] * 10)
    whole = document(found)
    assert whole["wall_s"] == {"value": 662.5, "low": 662.5, "high": 662.5}
    assert whole["by_status"]["corrupt"]["value"] == pytest.approx(100)
    text = "\n".join(lines(found))
    assert "1,000 photos, from 100 of them" in text
    assert "time         11:02 (11:02 to 11:02)" in text
    assert "38 s whatever the number, then 1.60 photos/s" in text
    assert "100 (" in text


def span_summary(number: int, read: float, score: float, commit: float) -> TaskSummary:
    """A task that is read from `read` to `read` + 2 s, scored for 4 s and committed for 1 s."""
    spans = {
        "read": (read, read + 2),
        "score": (score, score + 4),
        "commit": (commit, commit + 1),
    }
    costs = {
        "read": Cost(cpu_s=0.5),
        "decode": Cost(cpu_s=1.5),
        "score": Cost(cpu_s=4.0, gpu_s=3.0),
        "encode": Cost(cpu_s=1.0),
        "start": Cost(cpu_s=50.0),
    }
    return TaskSummary(number, Figures(statuses={"ok": 8}, costs=costs), spans)


def test_the_rate_is_that_of_the_time_when_all_are_busy() -> None:
    """One worker: five tasks are scored one after another from 110 s on, the last from 126 s.

    Between 110 and 126 s four tasks are scored (16 CPU s), four are committed (4 s), and of the
    reading two tasks' share lies there (4 s): 24 CPU s in 16 s.
    """
    reads = (102.0, 104.0, 106.0, 110.0, 112.0)
    done = [span_summary(n, read, 110 + 4 * n, 114 + 4 * n) for n, read in enumerate(reads)]
    done[3] = span_summary(3, 110.0, 122.0, 125.0)  # its end lies in the busy time
    found = measured(done, 100.0, 131.0, CPU)
    assert (found.wall_s, found.start_s) == (31.0, 10.0)
    assert found.per_cpu
    assert np.mean(found.rates) == pytest.approx(24 / 16)
    assert found.work(found.total) == pytest.approx(5 * 7.0), "without starting"


def test_on_a_busy_gpu_the_rate_counts_photos() -> None:
    done = [span_summary(n, 102.0, 110 + 4 * n, 114 + 4 * n) for n in range(5)]
    found = measured(done, 100.0, 131.0, GPU)
    assert not found.per_cpu, "15 of 21 s of the GPU, 35 of 336 of the cores"
    assert np.mean(found.rates) == pytest.approx(8 / 4)
    assert found.work(found.total) == 40


def test_few_tasks_that_start_at_once_are_measured_to_their_end() -> None:
    done = [span_summary(n, 102.0, 110.0, 114.0) for n in range(2)]
    found = measured(done, 100.0, 115.0, CPU)
    assert np.mean(found.rates) == pytest.approx(2 * (4 + 1) / 5)
