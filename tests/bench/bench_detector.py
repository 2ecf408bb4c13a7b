"""Compare the embedded detector with that of before it learned gaze and heads, in one run.

Input, network and reading its maps, one photo at a time on one thread. Both trees take turns, each
with all engines that it has. A row is an engine of each tree: the same one, and the faster one that
each tree uses by default. Ratios are geometric means over the rounds, with 95 % intervals. What the
detector gained meanwhile is in docs/QUALITY.md (gaze kept, heads cut or lost).

    python -m tests.bench.bench_detector [--base COMMIT] [--rounds N] [--json FILE]
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.bench.bench_base import Row, ratio, worktree
from tests.bench.bench_decode import show
from tests.bench.process_tree import ROOT
from tests.bench.uploads import write_uploads

BEFORE = "4841e41f"  # the last commit without a gaze map
PHOTOS = 24
# Engine now, engine before. Before, runs of 10,000 photos or more compiled the network by default,
# shorter ones did not; now ONNX Runtime is used wherever it is installed.
PAIRS = (
    ("torch", "torch"),
    ("torch, compiled", "torch, compiled"),
    ("ONNX Runtime", "torch"),
    ("ONNX Runtime", "torch, compiled"),
)
Costs = dict[str, list[float]]  # engine: CPU ms a photo, by round


def measured(tree: Path, photos: Path, cache: Path) -> dict[str, float]:
    """Return CPU milliseconds a photo by engine, of a tree."""
    program = str(Path(__file__).with_name("detector_costs.py"))
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    # -P: the modules next to the program belong to this tree and must not be found
    done = subprocess.run(
        [sys.executable, "-P", "-W", "ignore", program, str(photos), str(cache)],
        cwd=tree, env={**os.environ, **threads, "PYTHONPATH": str(tree)},
        check=True, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    costs: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return costs


def rows(now: Costs, before: Costs) -> list[Row]:
    """Return a row for each of `PAIRS`: median CPU ms, ratio and its interval."""
    return [
        {
            "now": engine,
            "before": other,
            "ms now": sorted(now[engine])[len(now[engine]) // 2],
            "ms before": sorted(before[other])[len(before[other]) // 2],
            **ratio(now[engine], before[other]),
        }
        for engine, other in PAIRS
        if engine in now and other in before
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--base", default=BEFORE, metavar="COMMIT", help="default %(default)s")
    parser.add_argument("--rounds", type=int, default=5, metavar="N")
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    costs: dict[str, Costs] = {"now": {}, "before": {}}
    with worktree(arguments.base) as base, tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        write_uploads(work / "photos", PHOTOS, sizes=((1024, 768), (768, 1024), (800, 600)))
        trees = {"now": ROOT, "before": base}
        for turn in range(arguments.rounds):
            for name in sorted(trees, reverse=bool(turn % 2)):
                found = measured(trees[name], work / "photos", work / f"cache-{name}")
                for engine, cost in found.items():
                    costs[name].setdefault(engine, []).append(cost)
            # After each round, so that an interrupted run still shows results.
            show(f"round {turn + 1} of {arguments.rounds}", rows(**costs))
    if arguments.json:
        arguments.json.write_text(json.dumps(rows(**costs), indent=1))


if __name__ == "__main__":
    main()
