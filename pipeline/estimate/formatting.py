"""Format a forecast: as lines for a person, and as one document for a program."""

from dataclasses import asdict
from typing import Any

from pipeline.estimate.forecast import Forecast
from pipeline.estimate.ranges import Range
from pipeline.report.progress import duration
from pipeline.words import counted

GIGABYTE = 1e9
SMALL_DIGITS = 4  # of figures below 1


def document(forecast: Forecast) -> dict[str, Any]:
    """Return all figures by name; a figure with a range has `value`, `low` and `high`."""
    return {name: _rounded(value) for name, value in asdict(forecast).items()}


def lines(forecast: Forecast) -> list[str]:
    """Return the forecast for a person, each figure with its 95 % range."""
    out = [
        f"estimate {counted(forecast.photos, 'photo')}, from {forecast.sampled:,} of them",
        f"  time         {_seconds(forecast.wall_s)}",
        f"               {forecast.fixed_s:.0f} s whatever the number, then "
        f"{_number(forecast.photos_per_s, 2)} photos/s",
        f"  cores        {_number(forecast.core_hours, 2)} hours paid, "
        f"{_number(forecast.cpu_hours, 2)} busy",
        f"  GPUs         {_number(forecast.gpu_hours, 2)} hours paid, "
        f"{_number(forecast.gpu_work_hours, 2)} busy",
        f"  requests     {_number(forecast.gets)} that read, "
        f"{_number(forecast.puts)} that write or list",
        f"  read         {_number(forecast.read_bytes.times(1 / GIGABYTE), 2)} GB",
        f"  written      {_number(forecast.written_bytes.times(1 / GIGABYTE), 2)} GB",
        f"  failures     {_number(forecast.failed)} photos",
    ]
    out += [f"               {_number(one)} {status}" for status, one in forecast.by_status.items()]
    crops = counted(round(forecast.crops.value), "crop")
    out += [
        f"  to look at   {_number(forecast.review)} of {crops}",
        *(f"               {_number(one)} {key}" for key, one in forecast.by_reason.items()),
        f"  limit        {forecast.limits}",
        f"  cost         {_number(forecast.cost_total, 2)}: "
        + ", ".join(f"{part} {_number(Range(m, m, m), 2)}" for part, m in forecast.cost.items()),
        f"               {_number(forecast.cost_per_million, 2)} for a million photos",
    ]
    return out


def _number(one: Range, digits: int = 0) -> str:
    """Return `1,200 (1,100 to 1,300)`, or only the value if the range rounds to the same number."""
    digits = SMALL_DIGITS if digits and one.value < 1 else digits
    value, low, high = (f"{number:,.{digits}f}" for number in (one.value, one.low, one.high))
    return value if low == high == value else f"{value} ({low} to {high})"


def _seconds(one: Range) -> str:
    value, low, high = (duration(seconds) for seconds in (one.value, one.low, one.high))
    return f"{value} ({low} to {high})"


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(inner) for name, inner in value.items()}
    return float(f"{value:.6g}") if isinstance(value, float) else value
