"""Decide whether a room's tests notice a mutant.

A worker has a copy of the project and a fork server. A mutant replaces its module in the copy; then
the tests that execute its lines run, the quickest first, until one fails.
"""

import contextlib
import hashlib
import json
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.mutation.mutate import Mutant
from tests.mutation.rooms import ROOT, Room

COPIED = ("cuda_ops", "docs", "infra", "jobs", "pipeline", "s2cnet", "tests")
TRACE_S = 540.0  # for the tests of one file
LONGEST_TEST_S = 15.0  # a test that takes longer is not used
LONGEST_S = 60.0  # total time of the tests for one mutant, as measured without it
MOST_TESTS = 5000
QUICK_S = 0.05  # limit of the tests used for lines that a module runs at import
SLACK_S, SLACK = 20.0, 5.0  # a mutant is late after SLACK times the tests' usual time and SLACK_S


NOTICED = frozenset({"killed", "late"})


@dataclass(frozen=True)
class Judged:
    """The result for a mutant.

    verdict: "killed", "late" (killed: it hangs), "survived" or "not run" (no test runs its lines)
    tests:   how many tests were chosen
    """

    mutant: Mutant
    verdict: str
    tests: int
    seconds: float

    @property
    def noticed(self) -> bool:
        return self.verdict in NOTICED


@dataclass
class Trace:
    """The lines that a room's tests run, module -> line -> tests, and how long each test takes.

    failed: tests that fail without any mutant; they are not used.
    """

    ran: dict[str, dict[int, set[str]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(set))
    )
    seconds: dict[str, float] = field(default_factory=dict)
    failed: set[str] = field(default_factory=set)

    def add(self, stored: Any) -> None:
        """Add the trace of one test file. stored: as `fork_server` writes it."""
        for module, lines in stored["ran"].items():
            for line, tests in lines.items():
                self.ran[module][int(line)].update(test for test in tests if test)
        self.seconds.update(stored["seconds"])
        self.failed.update(stored["failed"])

    def tests_of(self, mutant: Mutant) -> list[str]:
        """Return the tests that run a mutant's lines, within the limits.

        Tests in the module's own files, `test_<module>` and `test_<module>_…`, come first; among
        these and among the others, the quickest come first.
        Lines that run at import belong to no test: then it is all tests that run any line of the
        module, and all quick ones, since reading a value runs no line.
        Lines that no traced test runs may run in a process that a test starts, which is not traced:
        then it is the tests in files named after the module.
        """
        lines = self.ran.get(mutant.path, {})
        places = range(mutant.line, mutant.last_line + 1)
        found = set().union(*(lines.get(place, set()) for place in places))
        if not _in_function(mutant):
            found = set().union(*lines.values()) if lines else set()
            found |= {test for test, takes_s in self.seconds.items() if takes_s <= QUICK_S}
        stem = mutant.path.rpartition("/")[2].removesuffix(".py")
        own = re.compile(rf"/test_{stem}(_\w+)?\.py::")
        if not found:
            found = {test for test in self.seconds if own.search(test)}
        order = {
            test: (own.search(test) is None, self.seconds.get(test, 0.0), test) for test in found
        }
        chosen, total_s = [], 0.0
        for test in sorted(found - self.failed, key=order.__getitem__):
            takes_s = self.seconds.get(test, 0.0)
            if takes_s > LONGEST_TEST_S or total_s + takes_s > LONGEST_S:
                continue
            total_s += takes_s
            chosen.append(test)
        return chosen[:MOST_TESTS]


def _in_function(mutant: Mutant) -> bool:
    last = mutant.where.rpartition(".")[2]
    return bool(last) and not last[0].isupper()


class Worker:
    """A copy of the project and a fork server that runs tests in it."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder / "tree"
        for name in COPIED:
            shutil.copytree(ROOT / name, self.folder / name, ignore=shutil.ignore_patterns("*.pyc"))
        for file in ROOT.iterdir():
            if file.is_file():
                shutil.copy2(file, self.folder / file.name)
        self.log = folder / "log.txt"
        self.server = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("fork_server.py"))],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            text=True, env=environment, cwd=self.folder,
        )  # fmt: skip

    def __enter__(self) -> "Worker":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.server.kill()
        self.server.wait()

    def ask(self, tests: Iterable[str], seconds: float, **more: Any) -> tuple[int | str, float]:
        """Run tests in the copy; returns the code, see `fork_server`, and the seconds."""
        request = {
            "folder": str(self.folder), "tests": [*tests], "seconds": seconds,
            "log": str(self.log), **more,
        }  # fmt: skip
        assert self.server.stdin is not None
        assert self.server.stdout is not None
        self.server.stdin.write(json.dumps(request) + "\n")
        self.server.stdin.flush()
        answer = json.loads(self.server.stdout.readline())
        return answer["code"], answer["seconds"]

    def trace(self, room: Room, name: str, kept: Path) -> Any:
        """Trace what one test file runs; reuses an earlier trace if nothing changed."""
        paths = room.sources(self.folder)  # those of the copy: the project may change meanwhile
        sources_digest = _digest([*paths, self.folder / "tests/conftest.py"])
        store = kept / f"{Path(name).stem}-{_digest([self.folder / name], sources_digest)}.json"
        if not store.exists():
            sources = [str(path) for path in paths]
            code, _ = self.ask([name], TRACE_S, trace=str(store), sources=sources)
            if code not in (0, 1, 5):
                print(self.log.read_text()[-3000:], file=sys.stderr)
                print(f"does not run ({code}), so it judges nothing: {name}", flush=True)
                return {"ran": {}, "seconds": {}, "failed": []}
        return json.loads(store.read_text())

    def judge(self, mutant: Mutant, trace: Trace) -> Judged:
        """Run the tests for a mutant's lines against it."""
        tests = trace.tests_of(mutant)
        if not tests:
            return Judged(mutant, "not run", 0, 0.0)
        usual_s = sum(trace.seconds.get(test, 0.0) for test in tests)
        with self.mutated(mutant):
            code, seconds = self.ask(tests, SLACK_S + SLACK * usual_s)
        if code == 5:
            raise SystemExit(f"pytest does not find {tests[0]}")
        verdict = {0: "survived", "late": "late"}.get(code, "killed")
        return Judged(mutant, verdict, len(tests), seconds)

    @contextlib.contextmanager
    def mutated(self, mutant: Mutant) -> Iterator[None]:
        """Put a mutant in place of its module for the block. Compiled files would hide it."""
        module = self.folder / mutant.path
        original = module.read_bytes()
        try:
            self.forget(module)
            module.write_text(mutant.source)
            yield
        finally:
            module.write_bytes(original)
            self.forget(module)

    def forget(self, module: Path) -> None:
        """Remove a module's compiled files."""
        for compiled in (module.parent / "__pycache__").glob(f"{module.stem}.*.pyc"):
            compiled.unlink()


def _digest(files: Iterable[Path], begin: str = "") -> str:
    digest = hashlib.sha256(begin.encode())
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]
