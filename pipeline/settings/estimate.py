"""What an estimate of a run measures, and the prices that it uses."""

from dataclasses import dataclass

from pipeline.options import check, option


@dataclass(frozen=True)
class EstimateSettings:
    """An estimate instead of the run: time, machines, requests, bytes, money, each with a range.

    The prices are examples, Amazon's list prices of 2025 for us-east-1 in US dollars: give your
    own.
    """

    estimate: bool = option(
        False, "crop a sample, write nothing, and report what the run would take and cost"
    )
    estimate_photos: int = option(500, "photos in that sample", placeholder="PHOTOS", least=1)
    price_cpu_hour: float = option(
        0.04, "price of a core for an hour, busy or idle", placeholder="MONEY", least=0
    )
    price_gpu_hour: float = option(
        1.0, "price of a GPU for an hour, busy or idle", placeholder="MONEY", least=0
    )
    price_get_1000: float = option(
        0.0004, "price of 1,000 requests that read", placeholder="MONEY", least=0
    )
    price_put_1000: float = option(
        0.005, "price of 1,000 requests that write or list", placeholder="MONEY", least=0
    )
    price_gb_month: float = option(
        0.023, "price of storing 10⁹ bytes of results for a month", placeholder="MONEY", least=0
    )
    price_gb_out: float = option(
        0.0, "price of reading 10⁹ bytes of photos from their store", placeholder="MONEY", least=0
    )

    def __post_init__(self) -> None:
        check(self)
