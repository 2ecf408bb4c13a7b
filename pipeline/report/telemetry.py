"""Give the figures of a run to Prometheus, from the same totals as `metrics.json`.

    as_dict          `metrics.json`, beside the run's records
    prometheus_text  the text form that Prometheus reads, from an endpoint or from a file
    infra/grafana.json draws the same names; a test compares it with METRICS

No label holds a run id or a photo's address, so the number of series stays small.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest, start_http_server
from prometheus_client import write_to_textfile as write_registry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from pipeline.errors import UsageError
from pipeline.ledger.totals import RunTotals

LOOPBACK = "127.0.0.1"

# name: (help, label or none). Counters end in _total, as Prometheus asks; the others are gauges.
METRICS: dict[str, tuple[str, str]] = {
    "s2cnet_images_total": ("Images on record, by status (ok or the reason)", "status"),
    "s2cnet_images_planned": ("Images of this run's plan", ""),
    "s2cnet_crops_total": ("Crops on record", ""),
    "s2cnet_input_bytes_total": ("Bytes of photos read", ""),
    "s2cnet_crop_bytes_total": ("Bytes of encoded crops", ""),
    "s2cnet_stage_seconds_total": ("Seconds of work, by stage, all workers together", "stage"),
    "s2cnet_storage_requests_total": ("Storage requests, by operation", "operation"),
    "s2cnet_storage_retries_total": ("Storage requests made again, by reason", "reason"),
    "s2cnet_tasks_done_total": ("Tasks on record", ""),
    "s2cnet_tasks_planned": ("Tasks of this run's plan", ""),
    "s2cnet_queue_depth_tasks": ("Tasks planned and not yet on record", ""),
    "s2cnet_start_time_seconds": ("When this attempt at the run started, in Unix time", ""),
    "s2cnet_last_task_time_seconds": ("When the latest task came on record, in Unix time", ""),
}


class Telemetry(RunTotals, Collector):
    """The figures of a run for Prometheus: a scrape may read while the driver adds tasks."""

    def collect(self) -> Iterator[Metric]:
        """Yield the figures as Prometheus families; `prometheus_client` calls this at a scrape."""
        now = self.as_dict()
        values: dict[str, float | dict[str, float]] = {
            "s2cnet_images_total": now["images"],
            "s2cnet_images_planned": now["images_planned"],
            "s2cnet_crops_total": now["crops"],
            "s2cnet_input_bytes_total": now["input_bytes"],
            "s2cnet_crop_bytes_total": now["crop_bytes"],
            "s2cnet_stage_seconds_total": now["stage_seconds"],
            "s2cnet_storage_requests_total": now["storage_requests"],
            "s2cnet_storage_retries_total": now["storage_retries"],
            "s2cnet_tasks_done_total": now["tasks_done"],
            "s2cnet_tasks_planned": now["tasks_planned"],
            "s2cnet_queue_depth_tasks": now["queue_depth_tasks"],
            "s2cnet_start_time_seconds": self.started_s,
            "s2cnet_last_task_time_seconds": self.last_task_s,
        }
        for name, value in values.items():
            yield _family(name, value)

    @property
    def registry(self) -> CollectorRegistry:
        """A registry of these figures alone, without those of the Python process."""
        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        return registry


def prometheus_text(telemetry: Telemetry) -> bytes:
    """The figures in Prometheus's text form."""
    return generate_latest(telemetry.registry)


def write_textfile(telemetry: Telemetry, path: str | Path) -> None:
    """Replace the file at `path` in one step, for a node exporter's textfile collector."""
    write_registry(str(path), telemetry.registry)


@contextmanager
def endpoint(telemetry: Telemetry, port: int | None, host: str = LOOPBACK) -> Iterator[int | None]:
    """Serve the figures at http://host:port/metrics until the block ends; yield the port.

    port: 0 takes a free one, None serves nothing.
    host: loopback, unless a network policy guards another address. There is no password, and
        whoever reaches the port can read the figures; they name no photo.

    Raises UsageError where the port cannot be had.
    """
    if port is None:
        yield None
        return
    try:
        server, thread = start_http_server(port, host, telemetry.registry)
    except OSError as error:
        raise UsageError(f"no metrics on {host}:{port}: {error.strerror or error}") from error
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _family(name: str, value: float | dict[str, float]) -> Metric:
    text, label = METRICS[name]
    make = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
    family = make(name, text, labels=[label] if label else [])
    samples = value.items() if isinstance(value, dict) else [("", value)]
    for of, number in samples:
        family.add_metric([of] if label else [], number)
    return family
