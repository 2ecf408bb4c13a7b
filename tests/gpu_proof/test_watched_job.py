"""The step `job`'s figures on a job's processes and its workers' threads, calculated by hand."""

import json
import os
import sys
import threading
from contextlib import suppress
from pathlib import Path

from pipeline.photo.sandbox import child
from tests.gpu_proof.job import middle, sampled, write_copies
from tests.gpu_proof.processes import Reading, Sample, Watched, take_sample
from tests.gpu_proof.sampled_job import Watch, stages, where
from tests.gpu_proof.stages import FORMATS


def reading(role: str, user_s: float, waited_s: float | None, voluntary: int) -> Reading:
    return Reading(role, 1, user_s, user_s / 10, 15, 3, waited_s, voluntary, 2 * voluntary)


def test_a_role_s_time_is_that_between_two_moments() -> None:
    """A reader that begins to encode counts for both roles; a late process counts from its start.

    By hand: 10 photos in the 2 s from 101 to 103, and samples at 101, 102 and 103.
    """
    scorer = [reading("scoring worker", s, 4 * s, 100 * n) for n, s in enumerate((0, 1, 2, 3.5, 9))]
    other = [reading(role, s, None, 0) for role, s in (("reader", 5), ("reader", 6))]
    samples = [
        Sample(100.0, {7: scorer[0]}, [0, 0, 0, 0, 0, 0, 0, 0]),
        Sample(101.0, {7: scorer[1], 8: other[0]}, [10, 0, 0, 10, 0, 0, 0, 0]),
        Sample(102.0, {7: scorer[2], 8: other[1]}, [20, 0, 0, 20, 0, 0, 0, 0]),
        Sample(
            103.0, {7: scorer[3], 8: reading("encoder", 6.5, None, 0)}, [60, 0, 0, 30] + [0] * 4
        ),
        Sample(104.0, {7: scorer[4]}, [99, 0, 0, 99, 0, 0, 0, 0]),
    ]
    watched = Watched(samples)
    rows = {row["role"]: row for row in watched.rows(101.0, 103.0, 10)}
    assert rows["scoring worker"] == {
        "role": "scoring worker", "processes": 1, "threads": 3, "nice": 15,
        "cores_busy": 1.38, "user_ms_a_photo": 250.0, "system_ms_a_photo": 25.0,
        "waited_for_a_core_ms_a_photo": 1000.0, "switches_a_photo": 20.0,
        "forced_switches_a_photo": 40.0,
    }  # fmt: skip
    assert rows["reader"]["user_ms_a_photo"] == 100.0
    assert rows["encoder"]["user_ms_a_photo"] == 50.0
    assert "waited_for_a_core_ms_a_photo" not in rows["reader"], "this kernel does not report it"
    shares = watched.machine(101.0, 103.0)
    assert (shares["user_percent"], shares["idle_percent"]) == (71.4, 28.6)
    assert watched.rows(103.5, 110.0, 10) == [], "one sample gives no time"


def test_the_processes_are_those_below_the_job() -> None:
    found = take_sample(os.getpid()).readings
    assert os.getpid() in found
    assert os.getppid() not in found
    assert found[os.getpid()].user_s > 0


def test_the_middle_of_a_run_is_told_by_its_records(tmp_path: Path) -> None:
    """11 tasks, one every 2 s: between the fourth and the ninth are five tasks of 16 photos."""
    folder = tmp_path / "runs/a/tasks"
    folder.mkdir(parents=True)
    for number in range(11):
        file = folder / f"{number:08}.json"
        file.touch()
        os.utime(file, (1000 + 2 * number, 1000 + 2 * number))
    assert middle(tmp_path) == (1006.0, 1016.0, 80)


def test_samples_become_milliseconds_a_photo(tmp_path: Path) -> None:
    """2 tasks are 32 photos; 1.6 s of them 50 ms each, three quarters in one function."""
    sampled_figures = {"tasks": 2, "wall_s": 1.6, "cpu_s": 0.8, "waited_for_a_core_s": 0.16}
    sampled_figures |= {"samples": [["a", "R", 20], ["a", "S", 10], ["b", "D", 10]]}
    (tmp_path / "7.json").write_text(json.dumps(sampled_figures))
    whole, first, second = sampled(tmp_path)
    assert whole == {
        "function": "all", "ms": 50.0, "on_a_core_ms": 25.0, "waits_for_a_core_ms": 5.0
    }  # fmt: skip
    assert first == {"function": "a", "ms": 37.5, "waits_for_something_ms": 12.5}
    assert second == {"function": "b", "ms": 12.5, "waits_for_something_ms": 12.5}


def test_a_thread_is_where_its_innermost_function_of_ours_is() -> None:
    assert where(sys._getframe()).endswith("of_ours_is")
    seen: list[str] = []
    header = type("Plane", (), {"mode": property(lambda _: seen.append(where(sys._getframe())))})
    with suppress(TypeError):
        child.bytes_of(header())  # type: ignore[arg-type]
    assert seen[0] == "photo/sandbox/child:bytes_of > <lambda>"


def test_a_thread_s_own_state_is_seen() -> None:
    watch = Watch(threading.get_ident(), threading.get_native_id())
    assert watch.state() == "R", "this very thread is at work"


def test_ways_differ_in_priority_alone() -> None:
    lowered, same = stages("lowered"), stages("same")
    assert lowered.score is same.score
    assert (lowered.read.__name__, same.read.__name__) == ("read_low_priority", "read_in_worker")
    assert FORMATS[0] == "auto"


def test_all_photos_of_a_job_differ(tmp_path: Path) -> None:
    """Otherwise the job would decode a picture once and reuse its result for the others."""
    (tmp_path / "few").mkdir()
    for number in range(3):
        (tmp_path / f"few/{number}").write_bytes(b"%d" % number)
    write_copies(tmp_path / "few", tmp_path / "many", 25)
    files = sorted((tmp_path / "many").iterdir())
    assert len({one.read_bytes() for one in files}) == len({one.stat().st_ino for one in files})
    assert len(files) == 25
