"""Run tests repeatedly, each time in a process forked from one that has the libraries loaded.

It is a separate program, `python fork_server.py`, which never imports the project, so that each
child imports it from the requested folder. One request a line on stdin, one answer a line on
stdout, both JSON:

    {"folder": ..., "tests": [...], "seconds": ..., "log": ...} -> {"code": 0, "seconds": 1.5}
    the same with {"trace": FILE, "sources": [...]}             -> and FILE has which test ran what

code: pytest's exit code; "late" if the time was up; "killed by N" for a signal.
"""

import contextlib
import importlib
import json
import os
import resource
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any

LIBRARIES = (
    "pytest", "_pytest.assertion.rewrite", "numpy", "numpy.testing", "pyarrow", "pyarrow.parquet",
    "pyarrow.compute", "pyarrow.dataset", "pyarrow.fs", "torch", "torchvision", "PIL.Image",
    "PIL.ImageCms", "PIL.ImageOps", "pillow_heif", "cv2", "msgspec", "safetensors.torch", "fsspec",
    "fsspec.implementations.memory", "s3fs", "boto3", "botocore.session", "aiobotocore.session",
    "aiohttp", "scipy", "scipy.ndimage", "seccompy", "cykooz_resizer", "prometheus_client", "yaml",
    "psutil", "coverage", "xml.etree.ElementTree", "http.server", "multiprocessing.forkserver",
)  # fmt: skip
LARGEST_FILE = 2 << 30  # bytes: stops a mutant that writes forever
POLL_S = 0.02


def main() -> None:
    """Serve requests until stdin ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    sys.path[:] = [entry for entry in sys.path if entry and Path(entry) != Path(__file__).parent]
    for name in LIBRARIES:
        try:
            importlib.import_module(name)
        except ImportError:
            print(f"not loaded beforehand: {name}", file=sys.stderr)
    for line in sys.stdin:
        answers.write(json.dumps(serve(json.loads(line))) + "\n")
        answers.flush()


def serve(request: dict[str, Any]) -> dict[str, Any]:
    """Fork a child for one request and wait for it, at most for the requested seconds."""
    began = time.monotonic()
    child = os.fork()
    if child == 0:
        code = 70
        try:
            code = run(request)
        except BaseException:  # noqa: BLE001  a process ends here
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    code_or_word = wait(child, began + request["seconds"])
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)  # processes that it left running
    return {"code": code_or_word, "seconds": time.monotonic() - began}


def wait(child: int, end: float) -> int | str:
    """Return the exit code of a child, or a text on how else it ended."""
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.WEXITSTATUS(status) if os.WIFEXITED(status) else f"killed by {status & 127}"
        if time.monotonic() > end:
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return "late"
        time.sleep(POLL_S)


def run(request: dict[str, Any]) -> int:
    """Run pytest in the folder, in the child; returns its exit code."""
    os.setsid()
    log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for own, taken in ((0, nothing), (1, log), (2, log)):
        os.dup2(taken, own)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LARGEST_FILE, LARGEST_FILE))
    folder = request["folder"]
    os.chdir(folder)
    sys.path.insert(0, folder)
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # some are already loaded; none is needed
    os.environ["PYTHONPATH"] = folder  # processes started by tests use the mutant too
    import pytest

    options = ["-q", "-x", "-p", "no:cacheprovider", "--tb=short"]
    if "trace" not in request:
        return int(pytest.main([*options, *request["tests"]]))
    from coverage import Coverage

    options.remove("-x")
    measured = Coverage(
        data_file=None, include=request["sources"], messages=False, config_file=False
    )
    recorder = Recorder(measured)
    measured.start()
    code = int(pytest.main([*options, *request["tests"]], plugins=[recorder]))
    measured.stop()
    data = measured.get_data()
    ran = {
        os.path.relpath(file, folder): data.contexts_by_lineno(file)
        for file in data.measured_files()
    }
    Path(request["trace"]).write_text(json.dumps({"ran": ran, **recorder.results()}))
    return code


class Recorder:
    """Tells the tracer which test is running, and records how long each took."""

    def __init__(self, measured: Any) -> None:
        self.measured = measured
        self.seconds: dict[str, float] = {}
        self.failed: set[str] = set()

    def results(self) -> dict[str, Any]:
        """Return the trace to be stored."""
        return {"seconds": self.seconds, "failed": sorted(self.failed)}

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Handle the start of a test, before its fixtures are set up."""
        self.measured.switch_context(nodeid)

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Handle the end of each phase of a test: setup, call, teardown."""
        self.seconds[report.nodeid] = self.seconds.get(report.nodeid, 0.0) + report.duration
        if report.failed:
            self.failed.add(report.nodeid)
        if report.when == "teardown":
            self.measured.switch_context("")


if __name__ == "__main__":
    main()
