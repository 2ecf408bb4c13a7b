"""Forecast a run from a sample: each figure with a range that contains it in 95 of 100 samples.

The cost of photos is estimated by a ratio estimator over the sample's tasks, which are random
groups (`sample.py`), and a bootstrap over them (Efron and Tibshirani, 1993, ch. 13). Shares have
Wilson's interval, which is also valid for a sample in which nothing failed.

A run takes what the sample took, since every run has its start and end, plus what the remaining
photos take: wall_s + (work of the remaining photos) / (rate of the busy cluster). A worker's first
task is slower than those after it, so it counts only in the sample. The range does not cover a
cluster that others use more, or less, than while the sample ran.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from msgspec.structs import replace

from pipeline.estimate.measure import Measured, cpu_work_s, gpu_work_s
from pipeline.estimate.prices import HOUR_S, ResourceUsage, cost_of
from pipeline.estimate.ranges import Draws, Range, percentiles, wilson
from pipeline.ledger.figures import Cost, Figures
from pipeline.report.costs import limits
from pipeline.schema import OK
from pipeline.settings import EstimateSettings

REPEATS = 2_000  # of the bootstrap
LEAST_WARM = 8  # tasks by workers that had done one before; with fewer, all tasks count
PAGE = 1_000  # objects in one response to a list request
MILLION = 1_000_000
SEED = 12


@dataclass(frozen=True)
class Forecast:
    """What a run would take.

    photos, sampled: photos of the run, and of the sample
    start_s:         time until the first photo is scored
    fixed_s:         all time that does not grow with the number of photos
    core_hours, gpu_hours: paid for; cpu_hours, gpu_work_hours: busy
    failed:          photos that fail
    by_status:       photos without crops by status, whether they failed or were left out
    review, by_reason: crops that a person should look at; crops by verdict and reason
    limits:          what keeps the run from being faster, in words
    cost, cost_total, cost_per_million: money by part, in all, and per million photos
    """

    photos: int
    sampled: int
    wall_s: Range
    start_s: float
    fixed_s: float
    photos_per_s: Range
    core_hours: Range
    gpu_hours: Range
    cpu_hours: Range
    gpu_work_hours: Range
    gets: Range
    puts: Range
    read_bytes: Range
    written_bytes: Range
    crops: Range
    failed: Range
    by_status: dict[str, Range]
    review: Range
    by_reason: dict[str, Range]
    limits: str
    cost: dict[str, float]
    cost_total: Range
    cost_per_million: Range


def forecast(sample: Measured, inputs: pa.Table, tasks: int, prices: EstimateSettings) -> Forecast:
    """Forecast the run over a list. tasks: how many the run is cut into."""
    return _Forecaster(sample, inputs, tasks).forecast(prices)


class _Forecaster:
    def __init__(self, sample: Measured, inputs: pa.Table, tasks: int) -> None:
        self.sample, self.inputs, self.run_tasks = sample, inputs, tasks
        self.photos, self.total = inputs.num_rows, sample.total
        self.sampled = self.total.photos
        random = np.random.default_rng(SEED)
        slices = len(sample.rates)
        warm = [one for one in sample.tasks if not _starts(one)]
        self.warm = warm if len(warm) >= LEAST_WARM else list(sample.tasks)
        self.random = random
        rates = np.array(sample.rates)[random.integers(0, slices, (REPEATS, slices))].mean(1)
        self.rate, self.rates = float(np.mean(sample.rates)), np.maximum(rates, 1e-9)
        # Finite population correction: only the photos outside the sample are unknown.
        self.unknown = math.sqrt(1 - self.sampled / self.photos)

    def forecast(self, prices: EstimateSettings) -> Forecast:
        sample, machines = self.sample, self.sample.machines
        wall_s, photos_per_s = self.time()
        started_s = sum(one.costs["start"].cpu_s for one in sample.tasks if "start" in one.costs)
        gets, puts = self.requests()
        read, written = self.read(), self.per_photo(_written_bytes)
        cost, total = self.money(prices, wall_s, gets, puts, read, written)
        return Forecast(
            photos=self.photos,
            sampled=self.sampled,
            wall_s=wall_s,
            start_s=sample.start_s,
            fixed_s=max(0.0, sample.wall_s - sample.work(self.total) / self.rate),
            photos_per_s=photos_per_s,
            core_hours=wall_s.times(machines.cores / HOUR_S),
            gpu_hours=wall_s.times(machines.gpus / HOUR_S),
            cpu_hours=self.of_work(cpu_work_s).plus(started_s).times(1 / HOUR_S),
            gpu_work_hours=self.of_work(gpu_work_s).times(1 / HOUR_S),
            gets=gets,
            puts=puts,
            read_bytes=read,
            written_bytes=written,
            crops=self.per_photo(lambda figures: figures.crops),
            failed=self.share(self.total.failed).times(self.photos),
            by_status={
                status: self.share(count).times(self.photos)
                for status, count in sorted(self.total.statuses.items(), key=lambda one: -one[1])
                if status != OK
            },
            review=self.crops_like(
                sum(n for key, n in self.total.verdicts.items() if key.endswith("|review"))
            ),
            by_reason={
                key: self.crops_like(count)
                for key, count in sorted(self.total.reasons.items(), key=lambda one: -one[1])
            },
            limits=limits(self.costs(), machines, wall_s.value, sample.start_s),
            cost=cost,
            cost_total=total,
            cost_per_million=total.times(MILLION / self.photos),
        )

    def money(self, prices: EstimateSettings, *took: Range) -> tuple[dict[str, float], Range]:
        """Return the money by part, and in all.

        took: wall seconds, gets, puts, bytes read, bytes written.
        """
        machines = self.sample.machines
        value, low, high = (
            cost_of(ResourceUsage(wall_s, machines.cores, machines.gpus, *others), prices)
            for wall_s, *others in (
                [getattr(one, name) for one in took] for name in ("value", "low", "high")
            )
        )
        return value, Range(*(sum(cost.values()) for cost in (value, low, high)))

    def time(self) -> tuple[Range, Range]:
        """Return the wall time of the run, and the busy cluster's photos per second."""
        sample, left = self.sample, self.photos - self.sampled
        each, draws = self.mean(sample.work, self.warm)
        wall_s = sample.wall_s + left * each / self.rate
        walls_s = sample.wall_s + left * draws / self.rates
        return percentiles(wall_s, walls_s), percentiles(self.rate / each, self.rates / draws)

    def of_work(self, figure: Callable[[Figures], float]) -> Range:
        """Return the total of a figure that is larger in a worker's first task.

        It is what the sample took, with its first tasks, plus what the other photos take without.
        """
        each, draws = self.mean(figure, self.warm)
        done, left = figure(self.total), self.photos - self.sampled
        return percentiles(done + left * each, done + left * draws)

    def mean(
        self, figure: Callable[[Figures], float], tasks: Sequence[Figures]
    ) -> tuple[float, Draws]:
        """Return a figure per photo: from the tasks, and in every repeat of the bootstrap."""
        values = np.array([figure(one) for one in tasks], float)  # [tasks]
        photos = np.array([one.photos for one in tasks], float)
        drawn = self.random.integers(0, len(tasks), (REPEATS, len(tasks)))  # [REPEATS, tasks]
        mean = values.sum() / photos.sum()
        draws = values[drawn].sum(1) / photos[drawn].sum(1)
        return mean, mean + (draws - mean) * self.unknown

    def per_photo(self, figure: Callable[[Figures], float]) -> Range:
        """Return the total of a figure that grows with the photos (bootstrap over tasks)."""
        return percentiles(*self.mean(figure, self.sample.tasks)).times(self.photos)

    def requests(self) -> tuple[Range, Range]:
        """Return the requests that read, and those that write or list, of photos and tasks.

        Committing reads each task's record once. Listing takes one request per page.
        """
        costs, asked = self.total.costs, self.total.requests
        gets = _requests(costs, "read")
        puts = _requests(costs, "encode")
        per_task = len(self.sample.tasks)
        task_gets = self.run_tasks * ((asked.get("get", 0) - gets) / per_task + 1)
        task_puts = self.run_tasks * (asked.get("put", 0) - puts) / per_task
        pages = math.ceil(self.photos / PAGE) + math.ceil(self.run_tasks / PAGE)
        return (
            self.per_photo(lambda one: _requests(one.costs, "read")).plus(task_gets),
            self.per_photo(lambda one: _requests(one.costs, "encode")).plus(task_puts + pages),
        )

    def read(self) -> Range:
        """Return the bytes of photos: from the list if it has all sizes, else from the sample."""
        if self.inputs["bytes"].null_count:
            return self.per_photo(lambda one: one.bytes)
        known = float(pc.sum(self.inputs["bytes"]).as_py() or 0)
        return Range(known, known, known)

    def share(self, count: float) -> Range:
        """Return the share of all photos that are like `count` photos of the sample (Wilson)."""
        return wilson(count, self.sampled, self.unknown)

    def crops_like(self, count: int) -> Range:
        """Return how many crops of the run are like `count` crops of the sample.

        Crops of the same photo are correlated, so the interval counts as many independent cases as
        the sample has photos, not crops.
        """
        crops = max(self.total.crops, 1)
        share = self.share(count / crops * self.sampled)
        return share.times(self.photos * self.total.crops / self.sampled)

    def costs(self) -> dict[str, Cost]:
        """Return the costs of all photos, for the text on what limits the run."""
        factor = self.photos / self.sampled
        return {
            stage: cost
            if stage == "start"
            else replace(
                cost,
                cpu_s=cost.cpu_s * factor,
                gpu_s=cost.gpu_s * factor,
                wait_s=cost.wait_s * factor,
            )
            for stage, cost in self.total.costs.items()
        }


def _requests(costs: Mapping[str, Cost], stage: str) -> int:
    return costs[stage].requests if stage in costs else 0


def _starts(figures: Figures) -> int:
    return figures.costs["start"].starts if "start" in figures.costs else 0


def _written_bytes(figures: Figures) -> float:
    return sum(cost.written_bytes for cost in figures.costs.values())
