"""Step `arithmetic`: what the other steps' figures mean for machines of other sizes."""

from pathlib import Path
from typing import Any

from tests.gpu_proof.timing import Row, read, report_row, write
from tests.gpu_proof.worker import ON_A_CORE

CORES = (8, 16, 32)


def run(device: str, photos: Path, document: Path) -> None:
    """Write the cores' photos a second, and the share of the GPU that these would keep busy."""
    found = read(document)
    stages = {row["what"]: row for row in found["stages"]}
    decode_ms, encode_ms = (cpu_ms(stages, name) for name in ("decode", "encode six auto"))
    worker = found["worker"]
    choose = {row["way"]: float(row["cpu_ms"]) for row in worker["rows"]}
    *_, choose_ms = choose.values()  # the product uses the last way
    gpu_ms = worker.get("gpu_busy_ms_a_photo")
    rows: list[Row] = []
    whole = decode_ms + choose_ms + encode_ms
    ways = {
        "all on the cores but the networks": whole,
        "with WebP thumbnails": whole - encode_ms + cpu_ms(stages, "encode six webp"),
        "boxes alone": decode_ms + choose_ms,
        "JPEG decoded on the GPU": whole - decode_ms,
        "JPEG decoded and encoded on the GPU": choose_ms,
    }
    without_gpu = "no GPU"
    if ON_A_CORE in choose:
        ways[without_gpu] = whole - choose_ms + choose[ON_A_CORE]
    for way, ms in ways.items():
        for cores in CORES:
            a_second = 1000 * cores / ms
            row: Row = {"way": way, "cores": cores, "cpu_ms_a_photo": round(ms, 1)}
            row["photos_a_second"] = round(a_second)
            if gpu_ms and way != without_gpu:
                row["gpu_busy_percent"] = round(100 * a_second * gpu_ms / 1000, 1)
            report_row(row, rows)
    write(document, "arithmetic", rows)


def cpu_ms(stages: dict[str, Any], name: str) -> float:
    """Return the CPU milliseconds of a stage while all cores are busy."""
    return float(stages[name]["cpu_ms_beside_others"])
