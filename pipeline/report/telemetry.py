"""Export the figures of a run to Prometheus, from the same totals as `metrics.json`.

    as_dict         `metrics.json`, next to the run's records
    endpoint        the text form that Prometheus reads, over HTTP
    write_textfile  the same as a file
    infra/grafana.json plots the same names; a test compares it with METRICS

No label holds a run id or a photo's address, and each figure has a bounded number of series.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client import write_to_textfile as write_registry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from pipeline.errors import SettingError
from pipeline.ledger.figures import Figures
from pipeline.ledger.totals import RunTotals
from pipeline.shapes import MOST_SHAPES

LOOPBACK = "127.0.0.1"

# name: (help, labels). Counters end in _total, as Prometheus requires; the others are gauges,
# except the histogram CONFIDENCE.
METRICS: dict[str, tuple[str, tuple[str, ...]]] = {
    "s2cnet_images_total": ("Images on record, by status (ok or the reason)", ("status",)),
    "s2cnet_images_planned": ("Images of this run's plan", ()),
    "s2cnet_crops_total": (
        "Crops on record, by verdict (ok, fallback, review) and shape",
        ("verdict", "ratio"),
    ),
    "s2cnet_crop_reasons_total": (
        "Crops whose verdict has a reason, by both",
        ("verdict", "reason"),
    ),
    "s2cnet_crop_confidence": ("Crops by their probability to be accepted by a person", ()),
    "s2cnet_input_bytes_total": ("Bytes of photos read", ()),
    "s2cnet_crop_bytes_total": ("Bytes of encoded crops", ()),
    "s2cnet_stage_seconds_total": ("Seconds of work, by stage, all workers together", ("stage",)),
    "s2cnet_cpu_seconds_total": ("CPU seconds of the workers, by stage", ("stage",)),
    "s2cnet_gpu_seconds_total": ("Seconds of work on a GPU times its share, by stage", ("stage",)),
    "s2cnet_wait_seconds_total": ("Seconds that threads waited for stores, by stage", ("stage",)),
    "s2cnet_worker_starts_total": ("Worker processes started", ()),
    "s2cnet_storage_requests_total": ("Storage requests, by operation", ("operation",)),
    "s2cnet_storage_retries_total": ("Storage requests made again, by reason", ("reason",)),
    "s2cnet_tasks_done_total": ("Tasks on record", ()),
    "s2cnet_tasks_planned": ("Tasks of this run's plan", ()),
    "s2cnet_queue_depth_tasks": ("Tasks planned and not yet on record", ()),
    "s2cnet_start_time_seconds": ("When this attempt at the run started, in Unix time", ()),
    "s2cnet_last_task_time_seconds": ("When the latest task came on record, in Unix time", ()),
}
CONFIDENCE = "s2cnet_crop_confidence"
UNKNOWN = "unknown"  # label of crops in tasks whose records have no verdicts
OTHER = "other"  # label of all values beyond MOST_VALUES
# Series of one figure, besides that of all others: three verdicts of as many shapes as a job takes.
# Only a resumed run of an earlier version may have more. Which ones are the largest changes while
# it works, so series would come and go, and the sum of the others is no counter.
MOST_VALUES = 3 * MOST_SHAPES

Values = dict[tuple[str, ...], float]  # by label values, in the order of METRICS


class Telemetry(RunTotals, Collector):
    """The figures of a run for Prometheus. A scrape may read them while the driver adds tasks."""

    def collect(self) -> Iterator[Metric]:
        """Yield the figures as Prometheus families; `prometheus_client` calls this at a scrape."""
        now, totals = self.as_dict(), self.totals
        costs = totals.costs
        values: dict[str, float | Values] = {
            "s2cnet_images_total": _one_label(now["images"]),
            "s2cnet_images_planned": now["images_planned"],
            "s2cnet_crops_total": _crops(totals),
            "s2cnet_crop_reasons_total": _bounded(_two_labels(totals.reasons)),
            "s2cnet_input_bytes_total": now["input_bytes"],
            "s2cnet_crop_bytes_total": now["crop_bytes"],
            "s2cnet_stage_seconds_total": _one_label(now["stage_seconds"]),
            "s2cnet_cpu_seconds_total": {(stage,): cost.cpu_s for stage, cost in costs.items()},
            "s2cnet_gpu_seconds_total": {(stage,): cost.gpu_s for stage, cost in costs.items()},
            "s2cnet_wait_seconds_total": {(stage,): cost.wait_s for stage, cost in costs.items()},
            "s2cnet_worker_starts_total": sum(cost.starts for cost in costs.values()),
            "s2cnet_storage_requests_total": _one_label(now["storage_requests"]),
            "s2cnet_storage_retries_total": _one_label(now["storage_retries"]),
            "s2cnet_tasks_done_total": now["tasks_done"],
            "s2cnet_tasks_planned": now["tasks_planned"],
            "s2cnet_queue_depth_tasks": now["queue_depth_tasks"],
            "s2cnet_start_time_seconds": self.started_s,
            "s2cnet_last_task_time_seconds": self.last_task_s,
        }
        for name, value in values.items():
            yield _family(name, value)
        yield _confidence(totals)

    @property
    def registry(self) -> CollectorRegistry:
        """A registry with only these figures, without those of the Python process."""
        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        return registry


def write_textfile(telemetry: Telemetry, path: str | Path) -> None:
    """Replace the file at `path` atomically, for a node exporter's textfile collector."""
    write_registry(str(path), telemetry.registry)


@contextmanager
def endpoint(telemetry: Telemetry, port: int | None, host: str = LOOPBACK) -> Iterator[int | None]:
    """Serve the figures at http://host:port/metrics until the block ends; yield the port.

    port: 0 takes a free one, None serves nothing.
    host: loopback, unless a network policy protects another address. There is no password: anyone
        who reaches the port can read the figures; they name no photo.

    Raises SettingError if the port cannot be bound.
    """
    if port is None:
        yield None
        return
    try:
        server, thread = start_http_server(port, host, telemetry.registry)
    except OSError as error:
        problem = f"cannot be used: no metrics on {host}:{port}: {error.strerror or error}"
        raise SettingError("metrics_port", problem) from error
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _one_label(values: Mapping[str, float]) -> Values:
    return {(value,): number for value, number in values.items()}


def _two_labels(counts: Mapping[str, int]) -> Values:
    """Convert counts keyed `first|second` to two labels."""
    return {(key.partition("|")[0], key.partition("|")[2]): n for key, n in counts.items()}


def _crops(totals: Figures) -> Values:
    """Count crops by verdict and shape, including those of records without verdicts."""
    counts: Values = {
        (verdict, ratio): n for (ratio, verdict), n in _two_labels(totals.verdicts).items()
    }
    unjudged = totals.crops - sum(totals.verdicts.values())
    if unjudged or not counts:
        counts[UNKNOWN, UNKNOWN] = unjudged
    return _bounded(counts)


def _bounded(values: Values) -> Values:
    """Return the largest values, and the sum of the others under the label `other`."""
    ordered = sorted(values.items(), key=lambda item: (-item[1], item[0]))
    kept, left = dict(ordered[:MOST_VALUES]), ordered[MOST_VALUES:]
    if left:
        kept[(OTHER,) * len(left[0][0])] = sum(number for _, number in left)
    return kept


def _confidence(totals: Figures) -> Metric:
    """Build the histogram of confidence; Prometheus's buckets are cumulative."""
    below, buckets = 0, []
    for tenth in range(1, 11):
        end = str(tenth / 10)
        below += totals.confidence.get(end, 0)
        buckets.append((end, below))
    family = HistogramMetricFamily(CONFIDENCE, METRICS[CONFIDENCE][0])
    family.add_metric([], [*buckets, ("+Inf", below)], totals.confidence_sum)
    return family


def _family(name: str, value: float | Values) -> Metric:
    text, labels = METRICS[name]
    make = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
    family = make(name, text, labels=labels)
    for of, number in value.items() if isinstance(value, dict) else [((), value)]:
        family.add_metric(of, number)
    return family
