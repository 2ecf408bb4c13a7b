"""Step `worker`: one scoring worker on photos of many sizes, and what keeps it busy."""

import cProfile
import pstats
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch

from pipeline.cropping.build import make_engine
from pipeline.cropping.engine import CropEngine
from pipeline.cropping.weights import choose_weights
from pipeline.photo.decode import Photo, decode
from pipeline.shapes import parse_shapes
from pipeline.stages.worker import one_thread
from s2cnet.onnx import has_onnxruntime
from s2cnet.recording import Recording
from tests.gpu_proof.timing import Row, report_row, wait, write

SHAPES = parse_shapes("1:1,4:3,16:9,9:16,3:4,circle")
MOST = 40  # photos
TOP = 12  # functions and kernels shown
ON_A_CORE = "on a core, by onnxruntime"  # like a job without a GPU


def run(device: str, photos: Path, document: Path) -> None:
    """Write times a photo, agreement with the CPU's crops, and profiles of CPU and GPU."""
    one_thread()  # like a worker of a job
    seen = [decode(path.read_bytes()) for path in sorted(photos.iterdir())[:MOST]]
    exact = boxes_of(make_engine(choose_weights(), device="cpu"), seen[:12])
    rows: list[Row] = []
    ways: dict[str, dict[str, Any]] = {}
    if has_onnxruntime():
        ways[ON_A_CORE] = {"device": "cpu", "runtime": "onnxruntime"}
    ways["launched kernel by kernel"] = {"device": device}
    if device == "cuda":  # the last is the product's way and is profiled
        ways["as graphs"] = {"device": device, "cache": document.parent}
    for name, options in ways.items():
        engine = make_engine(choose_weights(), **options)
        row: Row = {"way": name}
        with recordings_timed() as recorded:
            first = _pass(engine, seen)
        row |= {"first_pass_ms": first["ms"], "until_first_objects_ms": first["until_objects_ms"]}
        row |= {"recordings": len(recorded), "recording_s": round(sum(recorded), 2)}
        row |= min((_pass(engine, seen) for _ in range(3)), key=lambda one: one["ms"])
        found = boxes_of(engine, seen[:12])
        equal = [bool((a == b).all()) for a, b in zip(found, exact, strict=True)]
        row["crops_as_on_cpu"] = f"{sum(equal)} of {len(equal)}"
        report_row(row, rows)
    work = partial(boxes_of, engine, seen)
    write(document, "worker", {"rows": rows, **profiles(work, len(seen), device)})


@contextmanager
def recordings_timed() -> Iterator[list[float]]:
    """Collect the seconds of recording each CUDA graph in the block."""
    found: list[float] = []
    record = Recording.__init__

    def timed(recording: Recording, *about: Any) -> None:
        start = time.perf_counter()
        record(recording, *about)
        wait()
        found.append(time.perf_counter() - start)

    with mock.patch.object(Recording, "__init__", timed):
        yield found


def _pass(engine: CropEngine, photos: list[Photo]) -> Row:
    """Measure milliseconds a photo: in total, until objects are known, and of CPU time."""
    start, cpu = time.perf_counter(), time.process_time()
    found = engine.see(photos)
    wait()
    objects_s = time.perf_counter() - start
    for one in found:
        engine.choose(one, SHAPES, 1)
    wait()
    each = 1000 / len(photos)
    return {
        "ms": round(each * (time.perf_counter() - start), 2),
        "until_objects_ms": round(each * objects_s, 2),
        "cpu_ms": round(each * (time.process_time() - cpu), 2),
    }


def boxes_of(engine: CropEngine, photos: list[Photo]) -> list[np.ndarray]:
    """Return every crop's box, in whole source pixels."""
    chosen = [engine.choose(one, SHAPES, 1).crops for one in engine.see(photos)]
    return [np.round(crop.box_px) for crop in chain(*chosen)]


def profiles(work: Callable[[], object], photos: int, device: str) -> dict[str, Any]:
    """Profile where CPU and GPU spend their time, milliseconds a photo."""
    profile = cProfile.Profile()
    profile.runcall(work)
    stats: Any = pstats.Stats(profile)
    spent = sorted(stats.stats.items(), key=lambda one: -one[1][2])[:TOP]
    on_cpu = [
        {"function": f"{Path(file).name}:{name}", "ms": round(1000 * values[2] / photos, 2)}
        for (file, _, name), values in spent
    ]
    if device != "cuda":
        return {"cpu": on_cpu}
    kinds = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=kinds) as traced:
        work()
        wait()
    events = [one for one in traced.key_averages() if one.device_type.name == "CUDA"]
    events.sort(key=lambda one: -one.self_device_time_total)
    on_gpu = [
        {"kernel": one.key[:70], "ms": round(one.self_device_time_total / 1000 / photos, 3)}
        for one in events[:TOP]
    ]
    busy = sum(one.self_device_time_total for one in events) / 1000 / photos
    return {"cpu": on_cpu, "gpu": on_gpu, "gpu_busy_ms_a_photo": round(busy, 3)}
