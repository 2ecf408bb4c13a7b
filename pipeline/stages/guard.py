"""Keep a photo that kills or hangs its worker from stopping its task.

Ray gives a task whose worker died to another worker, so a photo that kills workers would kill one
after another without end. Each worker therefore notes, in a file on its machine, which photo it is
busy with. The next worker finds the note, and a photo on which DEATHS workers have died is given
up: its row fails with the status `worker_died`, and the task goes on. A worker that is busy with
one photo beyond the deadline ends itself, and the photo fails with `timeout` in the same way.
"""

import json
import os
import stat
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

from pipeline.errors import LedgerError
from pipeline.stages.task import PhotoRow, Stage, Task

# A preempted machine or an operator's kill can hit the same photo once or even twice.
DEATHS = 3
EXIT_CODE = 70  # of a worker that ends itself


def one_by_one(task: Task, stage: Stage, run_id: str, deadline_s: float) -> Iterator[PhotoRow]:
    """The photos of a task that have not ended, in order, each noted while the caller works on it.

    A photo that DEATHS workers have died on is given up and left out.
    """
    note = _path(run_id, task.number, stage)
    deaths = _read(note)
    for index, row in enumerate(task.rows):
        if row.has_ended:
            continue
        died = deaths.get(str(index), [])
        if len(died) >= DEATHS:
            message = f"{len(died)} workers ended while they were busy with this photo"
            row.fail(stage, died[-1], "transient", message)
            continue
        _write(note, {**deaths, str(index): [*died, "worker_died"]})
        late = {**deaths, str(index): [*died, "timeout"]}
        timer = threading.Timer(deadline_s, _end_worker, [note, late])
        timer.daemon = True
        timer.start()
        try:
            yield row
        finally:
            timer.cancel()
    note.unlink(missing_ok=True)


def died_before(task: Task, stage: Stage, run_id: str) -> bool:
    """Whether a worker of this machine ended while it was busy with this task."""
    return bool(_read(_path(run_id, task.number, stage)))


def _path(run_id: str, task: int, stage: str) -> Path:
    folder = Path(tempfile.gettempdir()) / f"s2cnet-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()  # anyone may make a folder of this name first, or a link
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise LedgerError(
            f"{folder} is open to other users or not this user's, and workers keep notes there; "
            "remove it, or set TMPDIR to a folder of your own"
        )
    return folder / f"{run_id}-{task}-{stage}"


def _read(note: Path) -> dict[str, list[str]]:
    """How workers ended, by the number of the photo in its task; empty without a whole note."""
    try:
        found = json.loads(note.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _write(note: Path, deaths: dict[str, list[str]]) -> None:
    """Replace the note in one step, since a worker may die at any moment."""
    draft = note.with_name(f"{note.name}-{os.getpid()}")
    draft.write_text(json.dumps(deaths))
    draft.replace(note)


def _end_worker(note: Path, deaths: dict[str, list[str]]) -> None:
    _write(note, deaths)
    os._exit(EXIT_CODE)
