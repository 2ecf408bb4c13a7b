"""Plant small bugs and see whether the tests notice: `python -m tests.mutation [--rooms ...]`.

For each room, mutants are tried in an order whose every beginning is an even sample, until the
minutes are up. What survived is printed; the score goes into docs/RELIABILITY.md with --write.
"""

import argparse
import datetime
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.cli.local_services import s3_server
from tests.mutation.figures import Score, write_scores
from tests.mutation.judge import Judged, Worker
from tests.mutation.mutate import Mutant, mutants_of
from tests.mutation.order import evenly
from tests.mutation.rooms import ROOMS, ROOT, Room

PAGE = ROOT / "docs" / "RELIABILITY.md"
NO_CHANGE = Path(__file__).with_name("no_change.txt")


def arguments() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("--rooms", default=",".join(ROOMS), help=f"of {', '.join(ROOMS)}")
    parser.add_argument("--only", default="", help="modules whose path contains one of these")
    parser.add_argument("--minutes", type=float, default=20.0, help="for all rooms together")
    parser.add_argument("--mutants", type=int, default=10**6, help="at most, a room")
    parser.add_argument("--seed", type=int, default=1, help="of the sample")
    parser.add_argument("--least", type=float, default=0.0, help="exit 1 below this score, in %%")
    parser.add_argument("--write", action="store_true", help=f"the score into {PAGE.name}")
    parser.add_argument("--keep", type=Path, default=ROOT / "mutants-output", help="traces, lists")
    given = parser.parse_args()
    given.rooms = [ROOMS[name] for name in given.rooms.split(",")]
    return given


def no_change() -> set[str]:
    """Keys of mutants that behave as the original does, each with a reason in the file."""
    lines = NO_CHANGE.read_text().splitlines()
    return {line for line in lines if line and not line.startswith("#")}


def stale(known: set[str], mutants: list[Mutant]) -> list[str]:
    """Keys of the modules of these mutants that are no mutants any more: the code has changed."""
    paths = {mutant.path for mutant in mutants}
    made = {mutant.key for mutant in mutants}
    return sorted(key for key in known if key.split(" | ")[0] in paths and key not in made)


@contextmanager
def worker(keep: Path) -> Iterator[Worker]:
    """A worker whose tests share one S3 server."""
    keep.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="mutants") as folder, s3_server(Path(folder)) as server:
        environment = {**os.environ, "TEST_S3_SERVER": server.endpoint_url, "OMP_NUM_THREADS": "1"}
        with Worker(Path(folder), environment) as started:
            yield started


def mutants_of_room(room: Room, only: str, root: Path) -> list[Mutant]:
    """All mutants of a room's modules in a copy of the project."""
    paths = [path.relative_to(root).as_posix() for path in room.sources(root)]
    return [
        mutant
        for path in paths
        if any(part in path for part in only.split(","))
        for mutant in mutants_of(path, (root / path).read_text())
    ]


def try_room(room: Room, given: argparse.Namespace, at: Worker, seconds: float) -> list[Judged]:
    """Judge mutants of one room until the time is up; tell each survivor at once."""
    mutants = mutants_of_room(room, given.only, at.folder)
    end = time.monotonic() + seconds
    trace = at.trace(room, given.keep)
    known = no_change()
    for key in stale(known, mutants):
        print(f"no mutant any more, take it out of {NO_CHANGE.name}: {key}", flush=True)
    judged: list[Judged] = []
    for mutant in evenly(mutants, given.seed)[: given.mutants]:
        if time.monotonic() > end:
            break
        if mutant.key in known:
            judged.append(Judged(mutant, "no change", 0, 0.0))
            continue
        judged.append(at.judge(mutant, trace))
        if not judged[-1].noticed:
            told = judged[-1]
            print(
                f"{told.verdict} ({told.tests} tests)  {mutant.path}:{mutant.line}  {mutant.key}",
                flush=True,
            )
    verdicts = Counter(one.verdict for one in judged)
    print(f"{room.name}: {len(judged)} of {len(mutants)} mutants, {dict(verdicts)}", flush=True)
    if not given.only:
        score = score_of(room, given.seed, len(mutants), judged)
        if given.write:
            write_scores(PAGE, [score])
        print(score.row(), flush=True)
    return judged


def score_of(room: Room, seed: int, all_mutants: int, judged: list[Judged]) -> Score:
    """The figures of one room. A mutant whose lines no test runs was not noticed."""
    told = [one for one in judged if one.verdict != "no change"]
    killed = sum(one.noticed for one in told)
    now = datetime.datetime.now(datetime.UTC)
    day = f"{now.day} {now:%B %Y}"
    return Score(
        room.name, day, seed, all_mutants, len(told), killed, len(judged) - len(told)
    )  # fmt: skip


def main() -> int:
    """Try the rooms one after another, each with its share of the time. Returns the exit code."""
    given = arguments()
    judged: list[Judged] = []
    end = time.monotonic() + 60 * given.minutes
    with worker(given.keep) as at:
        for place, room in enumerate(given.rooms):
            share_s = (end - time.monotonic()) / (len(given.rooms) - place)
            judged += try_room(room, given, at, share_s)
    told = [one for one in judged if one.verdict != "no change"]
    score = 100 * sum(one.noticed for one in told) / max(1, len(told))
    print(f"{score:.1f} % of {len(told)} mutants were noticed")
    return int(score < given.least)


if __name__ == "__main__":
    sys.exit(main())
