"""Keeps one picture from taking its task with it when it kills or hangs its worker.

Ray gives a task whose worker died to another worker, and a picture that kills workers would kill
that one too, for ever. So a worker leaves a note on its machine of the image it is busy with. Who
takes the task over finds the note, and an image that DEATHS workers died on is given up: it
becomes a row with the status `worker_died`, and its task goes on. A worker that is busy with one
image for longer than the deadline ends itself, and the same happens with the status `timeout`.
"""

import json
import os
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

from pipeline.stages.task import PhotoRow, Stage, Task

# A spot machine that goes, or an operator's kill, can hit the same image once or even twice.
DEATHS = 3
EXIT_CODE = 70  # of a worker that ends itself


def one_by_one(task: Task, stage: Stage, run_id: str, deadline_s: float) -> Iterator[PhotoRow]:
    """The photos of a task that have not failed, in order, each noted while the caller works on it.

    A photo that DEATHS workers have died on is given up and left out.
    """
    note = _path(run_id, task.number, stage)
    deaths = _read(note)
    for index, row in enumerate(task.rows):
        if row.failure:
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
    return folder / f"{run_id}-{task}-{stage}"


def _read(note: Path) -> dict[str, list[str]]:
    """How workers ended on which image of the task; nothing where the note is absent or torn."""
    try:
        found = json.loads(note.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _write(note: Path, deaths: dict[str, list[str]]) -> None:
    """In one step, for a worker may die at any moment."""
    draft = note.with_name(f"{note.name}-{os.getpid()}")
    draft.write_text(json.dumps(deaths))
    draft.replace(note)


def _end_worker(note: Path, deaths: dict[str, list[str]]) -> None:
    _write(note, deaths)
    os._exit(EXIT_CODE)
