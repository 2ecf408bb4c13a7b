"""Keep a photo that kills or hangs its worker from stopping its task.

If a worker dies, Ray gives its task to another one, so a photo that kills workers would kill one
after another without end. Each worker therefore notes, in a file on its machine, which photo it is
working on. The next worker reads the note, and a photo on which DEATHS workers have died is given
up: its row fails with the status `worker_died`, and the task continues. A worker that spends more
than the deadline on one photo exits, and the photo fails with `timeout` in the same way.

If a worker was killed for lack of memory, by the kernel or by Ray's monitor, its photo is not
blamed: others may have taken the memory. The worker notes when memory is short, and the next one
checks whether the kernel has killed processes since. Nor is it blamed if the whole job ended, as
when somebody stops it. After OTHER_ENDS such ends the photo waits for another night.
"""

import json
import os
import stat
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from pipeline.errors import LedgerError
from pipeline.stages.memory import is_short, kernel_kills
from pipeline.stages.task import PhotoRow, Stage, Task

# A preempted machine or an operator's kill can hit the same photo once or even twice.
DEATHS = 3
OTHER_ENDS = 12
# In a note: ends of a worker that were not the photo's fault.
NO_MEMORY, JOB_ENDED = "no_memory", "job_ended"
POLL_S = 0.5  # between two checks of the memory
BUSY = "busy"  # in a note: the photo a worker is busy with, the kernel's kills before it, the job
EXIT_CODE = 70  # of a worker that exits at the deadline


def one_by_one(
    task: Task, stage: Stage, run_id: str, deadline_s: float, session: str = ""
) -> Iterator[PhotoRow]:
    """Yield the photos of a task that have not ended, each noted while the caller works on it.

    A photo on which DEATHS workers have died is given up and skipped.

    session: of the job (`Job.session`), which another call of the same command does not share.
    """
    note = _path(run_id, task.number, stage)
    deaths, kills = _read(note, session), str(kernel_kills())
    for index, row in enumerate(task.rows):
        if row.has_ended:
            continue
        died = deaths.get(str(index), [])
        if _give_up(row, stage, died):
            continue
        busy = {**deaths, BUSY: [str(index), kills, session]}
        _write(note, {**busy, str(index): [*died, "worker_died"]})
        watch = _Watchdog(note, busy, index, died, deadline_s)
        watch.start()
        try:
            yield row
        finally:
            watch.ended.set()
            watch.join()  # else it could write a note about a photo that is done
    note.unlink(missing_ok=True)


def _give_up(row: PhotoRow, stage: Stage, died: list[str]) -> bool:
    """Fail a photo on which too many workers have ended; return whether it has ended.

    died: how each worker ended.
    """
    own = [how for how in died if how not in (NO_MEMORY, JOB_ENDED)]
    if len(own) >= DEATHS:
        message = f"{len(own)} workers ended while they were busy with this photo"
        row.fail(stage, own[-1], "transient", message)
    elif len(died) >= OTHER_ENDS:
        of_memory = died.count(NO_MEMORY)
        message = f"{len(died)} workers ended on it, {of_memory} of them for want of memory"
        status = "out_of_memory" if of_memory else "worker_died"
        row.fail(stage, status, "transient", message)
    return row.has_ended


class _Watchdog(threading.Thread):
    """Watches a worker on one photo: ends it at the deadline, and notes when memory is short."""

    def __init__(
        self, note: Path, busy: dict[str, list[str]], index: int, died: list[str], deadline_s: float
    ) -> None:
        super().__init__(daemon=True)
        self.ended = threading.Event()
        self._note, self._busy, self._died = note, busy, died
        self._index, self._end = str(index), time.monotonic() + deadline_s

    def run(self) -> None:
        noted = False
        while not self.ended.wait(max(0.0, min(POLL_S, self._end - time.monotonic()))):
            if time.monotonic() >= self._end:
                self._write_end("timeout")
                os._exit(EXIT_CODE)
            if is_short() != noted:
                noted = not noted
                self._write_end(NO_MEMORY if noted else "worker_died")

    def _write_end(self, how: str) -> None:
        """Note how the worker is about to end, where the disk allows: the watch has to go on."""
        with suppress(LedgerError):
            _write(self._note, {**self._busy, self._index: [*self._died, how]})


def died_before(task: Task, stage: Stage, run_id: str, session: str = "") -> bool:
    """Return whether a worker of this machine ended while it was busy with this task."""
    return bool(_read(_path(run_id, task.number, stage), session))


def _path(run_id: str, task: int, stage: str) -> Path:
    folder = Path(tempfile.gettempdir()) / f"s2cnet-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()  # anyone may have created a folder of this name first, or a link
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise LedgerError(
            f"{folder} is open to other users or not this user's, and workers keep notes there; "
            "remove it, or set TMPDIR to a folder of your own"
        )
    return folder / f"{run_id}-{task}-{stage}"


def _read(note: Path, session: str) -> dict[str, list[str]]:
    """Return how workers ended, by the photo's number in its task; empty without a valid note."""
    try:
        found = json.loads(note.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    if not isinstance(found, dict):
        return {}
    index, kills, *job = found.pop(BUSY, ["", "0"])  # earlier releases noted no job
    ends = found.get(index, [])
    if ends and ends[-1] == "worker_died":
        if kernel_kills() > int(kills):
            ends[-1] = NO_MEMORY
        elif job not in ([], [session]):
            ends[-1] = JOB_ENDED
    return found


def _write(note: Path, deaths: dict[str, list[str]]) -> None:
    """Replace the note in one step, since a worker may die at any moment. Raises LedgerError."""
    draft = note.with_name(f"{note.name}-{os.getpid()}")
    try:
        draft.write_text(json.dumps(deaths))
        draft.replace(note)
    except OSError as error:
        raise LedgerError(
            f"{note.parent} takes no file ({error.strerror}), and workers keep notes there; make "
            "room, or set TMPDIR to another folder, and start again"
        ) from error
