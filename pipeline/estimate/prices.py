"""Compute what a run costs at given prices, part by part."""

from dataclasses import dataclass

from pipeline.settings import EstimateSettings

HOUR_S, GIGABYTE = 3600.0, 1e9


@dataclass(frozen=True)
class Taken:
    """What a run takes: wall time, machines, requests by price, bytes."""

    wall_s: float
    cores: float
    gpus: float
    gets: float
    puts: float  # and lists, at the same price
    read_bytes: float
    written_bytes: float


def cost_of(taken: Taken, prices: EstimateSettings) -> dict[str, float]:
    """Return the money by part. A cluster is paid for as long as it exists, busy or not."""
    hours = taken.wall_s / HOUR_S
    return {
        "cpu": hours * taken.cores * prices.price_cpu_hour,
        "gpu": hours * taken.gpus * prices.price_gpu_hour,
        "requests": (taken.gets * prices.price_get_1000 + taken.puts * prices.price_put_1000)
        / 1000,
        "month_of_storage": taken.written_bytes / GIGABYTE * prices.price_gb_month,
        "reading": taken.read_bytes / GIGABYTE * prices.price_gb_out,
    }
