"""Report a run's progress to a person or to a log collector.

text, on a terminal   one line that is rewritten: photos, share, rate, time left
text, elsewhere       the same as a plain line at most every 10 seconds
json                  one JSON object a line, for every event
"""

import json
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, TextIO

from pipeline.report.costs import cost_table
from pipeline.standard_output import discard_output, take_all_characters
from pipeline.words import counted

PLAIN_EVERY_S = 10.0
TERMINAL_EVERY_S = 0.2
STALL_EVERY_S = 60.0
TOP_REASONS = 3  # reasons listed for each verdict in the summary


class Log:
    """Writes the events of a run as they happen, as text or as JSON lines.

    A signal handler may log while the same thread is writing. Its text is queued and the current
    writer writes it next, since reentering a stream raises RuntimeError.

    A stream that cannot be written, such as a full disk or a pipe whose reader is gone, does not
    end the work: one warning goes to stderr, and later events are dropped.
    """

    def __init__(
        self,
        log_format: str = "text",
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.json = log_format == "json"
        self.stream = stream or sys.stdout
        self.clock = clock
        take_all_characters(self.stream, for_programs=self.json)
        self.live = not self.json and self.stream.isatty()
        self._is_lost = False
        self._waiting: deque[str] = deque()
        self._writes = threading.Lock()

    def say(self, event: str, message: str, **fields: Any) -> None:
        """Write one event: `message` for a person, `fields` for a program."""
        if self.json:
            record = {"time": round(self.clock(), 3), "event": event, "message": message, **fields}
            message = json.dumps(record, ensure_ascii=False, default=str)
        elif self.live:
            message = f"\r\x1b[K{message}"
        self._write(message + "\n")

    def rewrite(self, line: str) -> None:
        """Replace the current line of a terminal."""
        self._write(f"\r\x1b[K{line}")

    def _write(self, text: str) -> None:
        self._waiting.append(text)
        # Checked again after the release: a text may have been queued just before it.
        while self._waiting and self._writes.acquire(blocking=False):
            try:
                while self._waiting:
                    text = self._waiting.popleft()
                    if not self._is_lost:
                        self.stream.write(text)
                        self.stream.flush()
            except OSError as error:
                self._lose(error)
            finally:
                self._writes.release()

    def _lose(self, error: OSError) -> None:
        self._is_lost = True
        discard_output(self.stream)
        with suppress(OSError):
            why = error.strerror or error
            print(f"WARNING: the log ends here, it cannot be written: {why}", file=sys.stderr)


class Progress:
    """Counts photos as tasks finish, and logs how many, how fast and the time left."""

    def __init__(self, log: Log, images: int, tasks: int) -> None:
        self.log, self.images, self.tasks = log, images, tasks
        self.done = self.failed = self.crops = self.tasks_done = 0
        self.started = self.last_logged = log.clock()

    def advance(self, images: int, failed: int, crops: int) -> None:
        """Count one more recorded task; log progress if the last line is old enough."""
        self.done += images
        self.failed += failed
        self.crops += crops
        self.tasks_done += 1
        now = self.log.clock()
        every_s = TERMINAL_EVERY_S if self.log.live else PLAIN_EVERY_S
        if now - self.last_logged < every_s and self.done < self.images:
            return
        self.last_logged = now
        if self.log.live:
            self.log.rewrite(self.line(now))
        else:
            self.log.say("progress", self.line(now), **self.figures(now))

    def figures(self, now: float) -> dict[str, float | None]:
        """Return photos done, total, failed, photos/s and seconds left (None before the first)."""
        rate = self.done / max(now - self.started, 1e-9)
        left_s = round((self.images - self.done) / rate, 1) if self.done else None
        return {
            "images": self.done,
            "of": self.images,
            "failed": self.failed,
            "crops": self.crops,
            "tasks": self.tasks_done,
            "images_per_s": round(rate, 2),
            "left_s": left_s,
        }

    def line(self, now: float) -> str:
        """Format as `1,200 of 4,000 photos (30 %), 12 failed, 41.3 photos/s, 1:08 left`."""
        rate = self.done / max(now - self.started, 1e-9)
        share = 100 * self.done // max(self.images, 1)
        left = duration((self.images - self.done) / rate) if self.done else "?"
        failed = f", {self.failed:,} failed" if self.failed else ""
        counts = f"{self.done:,} of {counted(self.images, 'photo')} ({share} %){failed}"
        return f"{counts}, {rate_text(rate)}, {left} left"


@contextmanager
def log_stalls(
    log: Log,
    progress: Progress,
    free: Callable[[], Mapping[str, float] | None],
    every_s: float = STALL_EVERY_S,
) -> Iterator[None]:
    """While the block runs, log each interval of `every_s` seconds in which no task finished.

    free: returns the cluster's free resources, as Ray names them, None without a cluster. They are
        logged too, since a job may wait for cores or GPUs that other jobs hold, or that the cluster
        does not have.
    """
    ended = threading.Event()

    def watch() -> None:
        seen = progress.tasks_done
        while not ended.wait(every_s):
            if progress.tasks_done == seen:
                message = f"no task was finished in {every_s:g} s"
                if (now := free()) is None:
                    log.say("waiting", message)
                else:
                    cores, gpus = now.get("CPU", 0.0), now.get("GPU", 0.0)
                    message += f"; free in the cluster: {cores:g} CPU, {gpus:g} GPU"
                    log.say("waiting", message, cpu=cores, gpu=gpus)
            seen = progress.tasks_done

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def duration(seconds: float) -> str:
    """Format seconds as `0:05`, `1:08` or `2:03:04`."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def rate_text(images_per_s: float) -> str:
    """Format as `41.3 photos/s`, and slow rates as `0.037 photos/s`."""
    return f"{images_per_s:.1f} photos/s" if images_per_s >= 0.1 else f"{images_per_s:.2g} photos/s"


def verdict_text(verdicts: Mapping[str, int], reasons: Mapping[str, int]) -> str:
    """Format the counts of verdicts and reasons: `90 ok, 8 fallback (8 fallback_next), …`.

    verdicts: counts by `ratio|verdict`; reasons: counts by `verdict|reason`, of which the three
    most frequent are listed.
    """
    counts: Counter[str] = Counter()
    for key, count in verdicts.items():
        counts[key.rpartition("|")[2]] += count
    parts = []
    for verdict in ("ok", "fallback", "review"):
        own = {key.partition("|")[2]: n for key, n in reasons.items() if key.startswith(verdict)}
        commonest = Counter(own).most_common(TOP_REASONS)
        why = ", ".join(f"{count:,} {reason}" for reason, count in commonest)
        if counts[verdict]:
            parts.append(f"{counts[verdict]:,} {verdict}" + (f" ({why})" if why else ""))
    return ", ".join(parts)


def opening(output: str, run_id: str) -> tuple[str, str]:
    """Return two lines of Python that open the crops of a committed run."""
    return "from pipeline import open_run", f"crops = open_run({output!r}, {run_id!r}).crops()"


def summary_lines(summary: dict[str, Any]) -> list[str]:
    """Format a run's summary: photos by status, crops, rate, time and costs by stage."""
    seconds: dict[str, float] = summary["seconds"]
    total = sum(seconds.values()) or 1.0
    statuses = sorted(summary["statuses"].items(), key=lambda item: (-item[1], item[0]))
    lines = [f"photos   {summary['images']:,}"]
    lines += [f"  {count:>9,}  {status}" for status, count in statuses]
    if kinds := summary.get("kinds"):
        lines.append("kinds")
        lines += [f"  {n:>9,}  {kind}" for kind, n in sorted(kinds.items(), key=lambda i: -i[1])]
    if summary.get("shared"):
        lines.append(
            "same bytes as another photo, result shared: " + counted(summary["shared"], "photo")
        )
    if summary.get("overridden"):
        lines.append("by override " + counted(summary["overridden"], "photo"))
    lines.append(f"crops    {summary['crops']:,}")
    if summary.get("verdicts"):
        lines.append(f"verdicts {verdict_text(summary['verdicts'], summary.get('reasons', {}))}")
    if summary.get("images_per_s"):
        lines.append(
            f"speed    {rate_text(summary['images_per_s'])} over {duration(summary['wall_s'])}"
        )
    lines.append("time     seconds that photos spent in each stage, waiting included")
    lines += [f"  {name:<8}{s:>9.1f}  {100 * s / total:3.0f} %" for name, s in seconds.items()]
    lines += cost_table(summary.get("costs", {}))
    lines += [f"limit    {summary['limits']}"] if summary.get("limits") else []
    return lines
