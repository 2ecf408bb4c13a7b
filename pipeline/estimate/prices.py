"""Compute what a run costs at given prices, part by part."""

from dataclasses import dataclass

from pipeline.settings import EstimateSettings

HOUR_S, GIGABYTE = 3600.0, 1e9


@dataclass(frozen=True)
class ResourceUsage:
    """What a run takes: wall time, machines, requests by price, bytes."""

    wall_s: float
    cores: float
    gpus: float
    gets: float
    puts: float  # and lists, at the same price
    read_bytes: float
    written_bytes: float


def cost_of(usage: ResourceUsage, prices: EstimateSettings) -> dict[str, float]:
    """Return the money by part. A cluster is paid for as long as it exists, busy or not."""
    hours = usage.wall_s / HOUR_S
    return {
        "cpu": hours * usage.cores * prices.price_cpu_hour,
        "gpu": hours * usage.gpus * prices.price_gpu_hour,
        "requests": (usage.gets * prices.price_get_1000 + usage.puts * prices.price_put_1000)
        / 1000,
        "month_of_storage": usage.written_bytes / GIGABYTE * prices.price_gb_month,
        "reading": usage.read_bytes / GIGABYTE * prices.price_gb_out,
    }
