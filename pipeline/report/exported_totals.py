"""Export a run's figures while it works, where a job's settings ask for it."""

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import SettingError
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.totals import RunTotals
from pipeline.output_files import is_stream
from pipeline.report.progress import Log
from pipeline.settings import RunningSettings


@contextmanager
def exported_totals(
    settings: RunningSettings, ledger: Ledger, log: Log
) -> Iterator[tuple[RunTotals, Callable[[], None]]]:
    """Yield a run's totals, exported to Prometheus if asked for, and what to call after a task.

    A metrics file that cannot be written causes one warning. Raises SettingError if the port is not
    available.
    """
    about = (ledger.run_id, ledger.rows, ledger.task_count)
    if not (settings.metrics_port or settings.metrics_file):
        yield RunTotals(*about), lambda: None
        return
    from pipeline.report.telemetry import Telemetry, endpoint, write_textfile  # needs an extra

    totals = Telemetry(*about)
    path, has_warned = settings.metrics_file, False

    def export() -> None:
        nonlocal has_warned
        try:
            if path:
                write_textfile(totals, path)
        except OSError as error:  # the run continues without its figures
            if not has_warned:
                why = error.strerror or error
                log.say("metrics", f"WARNING: the figures cannot be written into {path}: {why}")
            has_warned = True

    with endpoint(totals, settings.metrics_port or None, settings.metrics_host):
        yield totals, export


def check_metrics_host(host: str) -> None:
    """Raise SettingError, before the work, if this machine has no such address to serve at.

    An empty one is refused with or without a port: a server would take it for all addresses.
    """
    if not host:
        raise SettingError(
            "metrics_host", "is empty: leave it out for 127.0.0.1, or name an address"
        )
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as tried:
            tried.bind(address)
    except (OSError, UnicodeError) as error:  # UnicodeError: no host can have this name
        why = getattr(error, "strerror", None) or error
        raise SettingError(
            "metrics_host", f"{host!r} is no address of this machine: {why}"
        ) from error


def check_metrics_file(path: str) -> None:
    """Raise SettingError, before the work, if no file can be written there. path: "" for none."""
    if not path:
        return
    folder = Path(path).absolute().parent
    if not (folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)):
        problem = f"names a file in {folder}, which is no folder that this job may write into"
        raise SettingError("metrics_file", f"{problem}: make it first")
    if os.path.isdir(path) or is_stream(Path(path)):  # writing would replace it
        what = "folder" if os.path.isdir(path) else "device or pipe"
        raise SettingError("metrics_file", f"must name a file, and {path} is a {what}")
