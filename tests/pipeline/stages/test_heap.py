"""Freed memory is returned to the system once a task is done."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.photo import allocator
from pipeline.stages import heap
from tests.support.fresh import ROOT

# Resident MB of a fresh process more than at first: after buffers of 100 kB, each with a small one
# behind it that stays, have been freed, and once what is free is given back.
PROGRAM = """
from pipeline.stages.heap import give_back_freed_memory

def resident_mb():
    return int(open("/proc/self/statm").read().split()[1]) * 4096 / 1e6

first = resident_mb()
pairs = [(bytes(bytearray(b"x") * 100_000), bytearray(b"x") * 1_000) for _ in range(1_000)]
small = [pair[1] for pair in pairs]
del pairs
kept = resident_mb() - first
give_back_freed_memory()
print(kept, resident_mb() - first)
"""

# Pages that a fresh process is given while a task makes and frees large buffers, after the first.
FAULTS = """
import resource
from pipeline.stages.heap import keep_freed_memory

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

keep_freed_memory()
for turn in range(4):
    before = faults()
    views = [bytes(bytearray(b"x") * 4_000_000) for _ in range(10)]
    del views
    again = faults() - before
print(again)
"""


# Resident MB of its own that a fresh process has after a task of large photos, before and after it
# looks whether it has grown, and after a task that leaves less than what is worth it.
GROWTH = """
from pipeline.stages import heap

def left_by_task(megabytes):
    turns = range(megabytes * 10)
    pairs = [(bytes(bytearray(b"x") * 100_000), bytearray(b"x") * 1_000) for _ in turns]
    return [pair[1] for pair in pairs]

heap.give_back_growth()
first = heap._own_bytes()
of_large = left_by_task(100)
grown = heap._own_bytes() - first
heap.give_back_growth()
left = heap._own_bytes() - first
of_small = left_by_task(30)
small = heap._own_bytes() - first - left
heap.give_back_growth()
print(grown / 1e6, left / 1e6, small / 1e6, (heap._own_bytes() - first - left) / 1e6)
"""


@pytest.mark.skipif(allocator.glibc() is None, reason="only glibc is told so")
def test_what_a_task_of_large_photos_has_left_is_given_back_at_once() -> None:
    done = subprocess.run(
        [sys.executable, "-c", GROWTH], cwd=ROOT, capture_output=True, text=True, check=True
    )
    grown, left, small, small_left = map(float, done.stdout.split())
    assert grown > 60
    assert left < 20
    assert small > 20
    assert small_left == pytest.approx(small, abs=5)  # the next task takes it


def test_growth_is_counted_from_what_was_left_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """By hand, in MiB: 100 at first; 140 is 40 more; 155 is 55 more, of which 20 stay; 160."""
    sizes, given = iter([100, 140, 155, 120, 160]), []
    monkeypatch.setattr(heap, "glibc", lambda: True)
    monkeypatch.setattr(heap, "_kept", [])
    monkeypatch.setattr(heap, "_own_bytes", lambda: next(sizes) << 20)
    monkeypatch.setattr(heap, "give_back_freed_memory", lambda: given.append(1))
    told = []
    for _ in range(4):
        heap.give_back_growth()
        told.append((len(given), heap._kept[0] >> 20))
    assert told == [(1, 100), (1, 100), (2, 120), (2, 120)]


@pytest.mark.skipif(allocator.glibc() is None, reason="only glibc is told so")
def test_large_buffers_come_from_what_was_freed() -> None:
    """40 MB have 9,766 pages; without bounds of our own all of them are new each time."""
    done = subprocess.run(
        [sys.executable, "-c", FAULTS], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 1_000


@pytest.mark.skipif(allocator.glibc() is None, reason="only glibc is told so")
def test_freed_memory_is_given_back() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, check=True
    )
    kept, left = map(float, done.stdout.split())
    assert kept > 60
    assert left < 20


def test_memory_is_given_back_only_where_no_task_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[float] = []
    monkeypatch.setattr(heap, "IDLE_S", 0.2)
    monkeypatch.setattr(heap, "give_back_freed_memory", lambda: given.append(time.monotonic()))
    for _ in range(4):  # tasks without a pause, each longer than the wait
        with heap.give_back_when_idle():
            time.sleep(0.25)
    assert not given
    ended = time.monotonic()
    while not given and time.monotonic() < ended + 10:
        time.sleep(0.02)
    assert len(given) == 1
    assert given[0] - ended >= 0.15
    with pytest.raises(ValueError, match="broken"), heap.give_back_when_idle():
        raise ValueError("broken")
    assert len(heap._waiting) == 1
    heap._stop_waiting()


def test_a_container_may_hide_what_is_resident(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heap, "Path", lambda name: Path(f"/nowhere{name}"))
    assert heap._own_bytes() == 0
    heap.give_back_growth()


def test_nothing_happens_where_there_is_no_glibc(monkeypatch: pytest.MonkeyPatch) -> None:
    allocator.glibc.cache_clear()
    monkeypatch.setattr(allocator.sys, "platform", "darwin")
    try:
        assert allocator.glibc() is None
        heap.give_back_freed_memory()
        heap.give_back_growth()
    finally:
        allocator.glibc.cache_clear()
