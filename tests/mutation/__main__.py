"""Plant small bugs and check whether the tests notice: `python -m tests.mutation [--rooms ...]`.

For each room, mutants are tested until the time is up, in an order of which any beginning is an
even sample. Survivors are printed; with --write the score goes into docs/RELIABILITY.md.
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.mutation.figures import Score, write_scores
from tests.mutation.judge import Judged, Worker
from tests.mutation.mutate import Mutant, mutants_of
from tests.mutation.order import evenly
from tests.mutation.rooms import ROOMS, ROOT, Room
from tests.mutation.verdict_log import VerdictLog, passed, read_results
from tests.mutation.worker_pool import WorkerPool, worker_pool

PAGE = ROOT / "docs" / "RELIABILITY.md"
NO_CHANGE = Path(__file__).with_name("no_change.txt")


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("--rooms", default=",".join(ROOMS), help=f"of {', '.join(ROOMS)}")
    parser.add_argument("--only", default="", help="modules whose path contains one of these")
    parser.add_argument("--without", default="", help="leave out modules as --only names them")
    parser.add_argument("--minutes", type=float, default=20.0, help="for all rooms together")
    parser.add_argument("--jobs", type=int, default=1, help="workers at once, each on a core")
    parser.add_argument("--mutants", type=int, default=10**6, help="at most, a room")
    parser.add_argument("--seed", type=int, default=1, help="of the sample")
    parser.add_argument("--least", type=float, default=0.0, help="exit 1 below this score, in %%")
    parser.add_argument("--write", action="store_true", help=f"the score into {PAGE.name}")
    parser.add_argument("--keep", type=Path, default=ROOT / "mutants-output", help="traces, lists")
    parser.add_argument("--told", type=Path, help="each verdict into this file, as it comes")
    parser.add_argument("--again", type=Path, nargs="+", default=[], metavar="FILE",
                        help="only those that were not noticed, by files of --told")  # fmt: skip
    parser.add_argument("--take", type=Path, nargs="+", default=[], metavar="FILE",
                        help="run nothing; write the scores of files of --told")  # fmt: skip
    given = parser.parse_args()
    given.rooms = [ROOMS[name] for name in given.rooms.split(",")]
    return given


def no_change() -> set[str]:
    """Read the keys of mutants that behave like the original, each with a reason in the file."""
    lines = NO_CHANGE.read_text().splitlines()
    return {line for line in lines if line and not line.startswith("#")}


def stale(known: set[str], mutants: list[Mutant]) -> list[str]:
    """Return known keys that no longer match a mutant of their module, as the code has changed."""
    paths = {mutant.path for mutant in mutants}
    made = {mutant.key for mutant in mutants}
    return sorted(key for key in known if key.split(" | ")[0] in paths and key not in made)


def mutants_of_room(room: Room, root: Path) -> list[Mutant]:
    """Return all mutants of a room's modules in a copy of the project."""
    paths = [path.relative_to(root).as_posix() for path in room.sources(root)]
    return [mutant for path in paths for mutant in mutants_of(path, (root / path).read_text())]


def path_matches(mutant: Mutant, parts: str) -> bool:
    """Return whether a mutant's module path contains one of these comma-separated parts."""
    return any(part in mutant.path for part in parts.split(","))


def chosen(
    mutants: Sequence[Mutant], given: argparse.Namespace, again: set[str] | None
) -> list[tuple[int, Mutant]]:
    """Return the mutants to judge in order, each with its place in the order of all."""
    places = [*enumerate(evenly(mutants, given.seed))]
    if again is not None:
        return [(place, mutant) for place, mutant in places if mutant.key in again]
    places = [(place, mutant) for place, mutant in places if path_matches(mutant, given.only)]
    if given.without:
        places = [
            (place, mutant) for place, mutant in places if not path_matches(mutant, given.without)
        ]
    return places[: given.mutants]


def judge_room(
    room: Room, given: argparse.Namespace, pool: WorkerPool, seconds: float, log: VerdictLog
) -> list[Judged]:
    """Judge mutants of one room until the time is up; print each survivor at once."""
    end = time.monotonic() + seconds
    mutants = mutants_of_room(room, pool.folder)
    known = no_change()
    for key in stale(known, mutants):
        print(f"no mutant any more, take it out of {NO_CHANGE.name}: {key}", flush=True)
    trace = pool.trace(room, given.keep)
    again = None
    if given.again:
        earlier = read_results(given.again).get(room.name)
        again = earlier.not_noticed if earlier else set()
    log.room(room.name, given.seed, len(mutants))

    def judge(worker: Worker, placed: tuple[int, Mutant]) -> Judged:
        place, mutant = placed
        judged = passed(mutant) if mutant.key in known else worker.judge(mutant, trace)
        log.judged(room.name, place, judged)
        return judged

    done: list[Judged] = []
    for one in pool.share(chosen(mutants, given, again), judge, end):
        done.append(one)
        if not one.noticed and one.mutant.key not in known:
            where = f"{one.mutant.path}:{one.mutant.line}"
            print(f"{one.verdict} ({one.tests} tests)  {where}  {one.mutant.key}", flush=True)
    verdicts = Counter(one.verdict for one in done)
    print(f"{room.name}: {len(done)} of {len(mutants)} mutants, {dict(verdicts)}", flush=True)
    return done


def print_scores(scores: Sequence[Score], write: bool) -> None:
    """Print scores, and with `write` put them into the page."""
    if write:
        write_scores(PAGE, scores)
    for score in scores:
        print(score.row(), flush=True)


def main() -> int:
    """Test the rooms one after another, each for its share of the time; returns the exit code."""
    given = arguments()
    if given.take:
        print_scores(
            [
                results.score(room, no_change())
                for room, results in read_results(given.take).items()
            ],
            True,
        )
        return 0
    given.keep.mkdir(parents=True, exist_ok=True)
    log_file = given.told or given.keep / f"told-{time.time_ns()}.jsonl"
    judged: list[Judged] = []
    end = time.monotonic() + 60 * given.minutes
    with worker_pool(given.jobs) as pool:
        for place, room in enumerate(given.rooms):
            share_s = (end - time.monotonic()) / (len(given.rooms) - place)
            judged += judge_room(room, given, pool, share_s, VerdictLog(log_file))
            whole = not (given.only or given.without or given.again)
            results = read_results([log_file])[room.name]
            print_scores([results.score(room.name, no_change())], given.write and whole)
    counted = [one for one in judged if one.verdict != "no change"]
    score = 100 * sum(one.noticed for one in counted) / max(1, len(counted))
    print(f"{score:.1f} % of {len(counted)} mutants were noticed")
    return int(score < given.least)


if __name__ == "__main__":
    sys.exit(main())
