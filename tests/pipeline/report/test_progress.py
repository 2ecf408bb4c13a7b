"""A run's output: a rewritten line, plain lines, JSON lines, and the summary."""

import io
import json
import threading
from collections.abc import Mapping

import pytest

from pipeline.local import LocalWorkers
from pipeline.report.progress import (
    Log,
    Progress,
    duration,
    log_stalls,
    rate_text,
    summary_lines,
    verdict_text,
)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def run(log: Log, clock: Clock) -> None:
    """Four tasks of 10 photos, one every 4 seconds, one photo of each failed."""
    progress = Progress(log, images=40, tasks=4)
    for _ in range(4):
        clock.now += 4
        progress.advance(images=10, failed=1, crops=54)


def test_plain_lines_come_every_ten_seconds_and_at_the_end() -> None:
    clock, stream = Clock(), io.StringIO()
    run(Log("text", stream, clock), clock)
    assert stream.getvalue().splitlines() == [
        "30 of 40 photos (75 %), 3 failed, 2.5 photos/s, 0:04 left",
        "40 of 40 photos (100 %), 4 failed, 2.5 photos/s, 0:00 left",
    ]


@pytest.mark.parametrize(
    ("images_per_s", "text"), [(41.26, "41.3"), (0.1, "0.1"), (0.0372, "0.037"), (0.004, "0.004")]
)
def test_slow_rates_are_no_zeros(images_per_s: float, text: str) -> None:
    assert rate_text(images_per_s) == f"{text} photos/s"


def test_a_terminal_sees_one_line_that_rewrites_itself() -> None:
    clock, stream = Clock(), Terminal()
    run(Log("text", stream, clock), clock)
    assert "\n" not in stream.getvalue()
    assert stream.getvalue().count("\r") == 4


def test_json_lines_carry_the_figures() -> None:
    clock, stream = Clock(), io.StringIO()
    run(Log("json", stream, clock), clock)
    first = json.loads(stream.getvalue().splitlines()[0])
    assert first["event"] == "progress"
    assert (first["time"], first["images"], first["of"], first["failed"]) == (112.0, 30, 40, 3)
    assert (first["images_per_s"], first["left_s"]) == (2.5, 4.0)


class SaysMore(io.StringIO):
    """While its first line is written, another is said: by this thread and by another one."""

    log: Log

    def write(self, text: str) -> int:
        if text == "first\n":
            self.log.say("more", "handler")
            other = threading.Thread(target=self.log.say, args=("more", "thread"))
            other.start()
            other.join(60)
            assert not other.is_alive(), "nobody waits for the writer"
        return super().write(text)


def test_what_is_said_in_the_middle_of_a_line_comes_after_it() -> None:
    stream = SaysMore()
    stream.log = Log(stream=stream)
    stream.log.say("first", "first")
    assert stream.getvalue().splitlines() == ["first", "handler", "thread"]
    stream.log.say("last", "last")
    assert stream.getvalue().splitlines()[3:] == ["last"]


def test_a_job_that_waits_says_so_and_what_is_free() -> None:
    stream, asked = io.StringIO(), threading.Event()

    def free() -> dict[str, float]:
        asked.set()
        return {"CPU": 0.5}

    log = Log("json", stream)
    progress = Progress(log, images=40, tasks=4)
    with log_stalls(log, progress, free, every_s=0.01):
        assert asked.wait(10)
    event = json.loads(stream.getvalue().splitlines()[0])
    assert (event["event"], event["cpu"], event["gpu"]) == ("waiting", 0.5, 0)
    assert "0.5 CPU, 0 GPU" in event["message"]


def test_a_local_job_that_waits_names_no_cluster() -> None:
    stream, asked = io.StringIO(), threading.Event()
    local = LocalWorkers(processes=2, cores=2)

    def free() -> Mapping[str, float] | None:
        asked.set()
        return local.free()

    log = Log("json", stream)
    with log_stalls(log, Progress(log, images=40, tasks=4), free, every_s=0.01):
        assert asked.wait(10)
    event = json.loads(stream.getvalue().splitlines()[0])
    assert (event["event"], event["message"]) == ("waiting", "no task was finished in 0.01 s")


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (68.4, "1:08"), (7384, "2:03:04"), (3599.6, "1:00:00")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_summary_names_every_status_and_where_the_time_went() -> None:
    lines = summary_lines(
        {
            "images": 10,
            "statuses": {"ok": 7, "corrupt": 1, "truncated": 2},
            "crops": 42,
            "images_per_s": 3.5,
            "wall_s": 75.0,
            "seconds": {"decode": 1.0, "score": 3.0},
        }
    )
    assert [line.split()[0] for line in lines[1:4]] == ["7", "2", "1"]
    assert [line.split()[1] for line in lines[1:4]] == ["ok", "truncated", "corrupt"]
    assert "3.5 photos/s over 1:15" in lines[5]
    assert lines[-1].split() == ["score", "3.0", "75", "%"]


def test_verdicts_of_all_shapes_are_counted_with_their_commonest_reasons() -> None:
    verdicts = {"1:1|ok": 1_200, "16:9|ok": 34, "1:1|fallback": 12, "16:9|review": 3}
    reasons = {
        "fallback|pad": 1, "fallback|next": 6, "review|heads": 3, "fallback|largest": 3,
        "fallback|blur": 2,
    }  # fmt: skip
    assert verdict_text(verdicts, reasons) == (
        "1,234 ok, 12 fallback (6 next, 3 largest, 2 blur), 3 review (3 heads)"
    )
    assert verdict_text({"1:1|review": 1}, {}) == "1 review"
