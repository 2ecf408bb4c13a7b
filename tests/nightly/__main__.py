"""Run the tests that are too long for every merge: `python -m tests.nightly [PART ...]`.

Slow, chaos and compiler tests, a corpus of mutated files, a part of the mutation run: one after
another, each within its time limit, under 80 minutes together. Each result replaces the previous
one in docs/RELIABILITY.md, unless all tests of the part were skipped.
"""

import argparse
import datetime
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.mutation.rooms import ROOMS
from tests.nightly.parts import PARTS, Part
from tests.nightly.results import SKIPPED, Result, read_report, write_results

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "RELIABILITY.md"


def rooms_of(seed: int) -> tuple[str, str]:
    """Choose the two rooms that are mutated in a night: tracing their tests takes minutes each."""
    names = list(ROOMS)
    place = seed % len(names)
    return names[place], names[(place + len(names) // 2) % len(names)]


def run_part(part: Part, folder: Path, seed: int) -> Result:
    """Run one part and all processes that it starts, at most for its minutes."""
    report = folder / f"{part.name}.xml"
    words = [*part.words]
    if part.words[0] == "pytest":
        words += ["-p", "no:cacheprovider", f"--junitxml={report}"]
    if part.words[0] == "tests.mutation":
        words += ["--seed", str(seed), "--rooms", ",".join(rooms_of(seed))]
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", *words], cwd=ROOT, env={**os.environ, **part.environment},
        start_new_session=True,
    )  # fmt: skip
    try:
        ending = "passed" if process.wait(60 * part.minutes) == 0 else "failed"
    except subprocess.TimeoutExpired:
        ending = "not finished"
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    counts, figures = read_report(report)
    if ending == "passed" and re.fullmatch(r"\d+ skipped", counts):
        ending = SKIPPED
    now = datetime.datetime.now(datetime.UTC)
    minutes = (time.monotonic() - began) / 60
    return Result(
        part.name, part.command, f"{now.day} {now:%B %Y}", minutes, ending, counts, figures
    )


def main() -> int:
    """Run the parts. Returns 1 if one failed or did not finish."""
    parser = argparse.ArgumentParser(prog="python -m tests.nightly", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}")
    day = datetime.datetime.now(datetime.UTC).date().toordinal()
    parser.add_argument("--seed", type=int, default=day % 10_000, help="of the mutants; the day's")
    given = parser.parse_args()
    if unknown := set(given.parts) - set(PARTS):
        parser.error(f"no part called {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # ends the part too
    endings = []
    with tempfile.TemporaryDirectory(prefix="nightly") as folder:
        for name in given.parts or PARTS:
            print(f"\n== {name}: {PARTS[name].command}", flush=True)
            result = run_part(PARTS[name], Path(folder), given.seed)
            write_results(PAGE, [result])
            print(result.row(), flush=True)
            endings.append(result.ending)
    return int(not {"passed", SKIPPED}.issuperset(endings))


if __name__ == "__main__":
    sys.exit(main())
