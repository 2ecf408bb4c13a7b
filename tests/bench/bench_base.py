"""Compare this tree with an earlier commit and with peers, on this machine in one run.

The commit is checked out into its own worktree, and its code is run alternately with this tree's,
so that other load on the machine affects both. Ratios are geometric means over the rounds, with the
95 % confidence interval of the mean (Student's t over the logarithms). They compare the CPU time of
all processes, not wall time. The stages are also run on all cores at once: busy neighbouring cores
make the same work more expensive, and a whole run always has them. Both trees use their defaults.
The size of a photo's thumbnails is reported too, and their similarity to the encoded pixels if the
package `ssimulacra2` is installed.

    python -m tests.bench.bench_base [--base COMMIT] [--rounds N] [--images N] [--json FILE]

Without --base it is the previous release, the commit that docs/PERFORMANCE.md names. NODE_MODULES
names the folder of smartcrop.js, FOCALNET the file of FocalNet (see `peers`).
"""

import argparse
import json
import math
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from tests.bench.peers import PEERS
from tests.bench.process_tree import ROOT, measure
from tests.bench.uploads import write_uploads

Row = dict[str, Any]
Measured = tuple[dict[str, float], dict[str, list[float]]]  # figures, and boxes if there are any
PREVIOUS_RELEASE = re.compile(r"previous release\*\* is commit ([0-9a-f]{7,40})")
# Two-sided 95 % quantiles of Student's t with 1, 2, … degrees of freedom.
T95 = (12.71, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)
STAGES = (
    "read and decode", "detect and score", "cut, encode, commit", "of these, cut and encode",
    "sum of the stages",
)  # fmt: skip
WHOLE = "whole pipeline"


def previous_release() -> str:
    """Return the commit that the figures in docs/PERFORMANCE.md are compared with."""
    (commit,) = PREVIOUS_RELEASE.findall((ROOT / "docs/PERFORMANCE.md").read_text())
    return str(commit)


def git(*words: str) -> str:
    done = subprocess.run(("git", *words), cwd=ROOT, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@contextmanager
def worktree(commit: str) -> Iterator[Path]:
    """Check out a commit's tree into a folder that is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="base") as folder:
        tree = Path(folder) / "tree"
        git("worktree", "add", "--quiet", "--detach", str(tree), commit)
        try:
            yield tree
        finally:
            git("worktree", "remove", "--force", str(tree))


def stage_processes(tree: Path, photos: Path, output: Path, count: int = 1) -> list[Row]:
    """Return the results of `stage_costs` for a tree, run in `count` processes at once."""
    environment = {**os.environ, "PYTHONPATH": str(tree), "OPENBLAS_NUM_THREADS": "1"}
    program = str(Path(__file__).with_name("stage_costs.py"))
    # -P: the modules next to the program belong to this tree and must not be found
    command = [sys.executable, "-P", "-W", "ignore", program, str(photos)]
    running = [
        subprocess.Popen(
            [*command, f"{output}-{number}"],
            cwd=tree, env=environment, stdout=subprocess.PIPE, text=True,
        )
        for number in range(count)
    ]  # fmt: skip
    outputs = [process.communicate()[0] for process in running]
    if any(process.returncode for process in running):
        raise SystemExit(f"{tree}: stage_costs failed")
    return [json.loads(text.splitlines()[-1]) for text in outputs]


def whole_run(tree: Path, photos: Path, output: Path) -> tuple[float, float, float]:
    """Measure CPU seconds, seconds and peak MiB of the job on a folder of photos."""
    where = ["--input", str(photos), "--output", str(output)]
    sizes = ["--task-images", "8", "--weights", "untrained"]  # so that few photos fill all workers
    cost = measure([sys.executable, "jobs/crop_bucket.py", *where, *sizes], root=tree)
    return cost.cpu_s, cost.wall_s, cost.peak_mib


def ratio(now: Sequence[float], before: Sequence[float]) -> Row:
    """Compute the ratio of two paired series and its interval."""
    logs = [math.log(a / b) for a, b in zip(now, before, strict=True)]
    middle, spread = mean(logs), 0.0
    if len(logs) > 1:
        spread = T95[min(len(logs) - 1, len(T95)) - 1] * stdev(logs) / math.sqrt(len(logs))
    return {
        "ratio": round(math.exp(middle), 3),
        "from": round(math.exp(middle - spread), 3),
        "to": round(math.exp(middle + spread), 3),
    }


def overlap(boxes: dict[str, list[float]], others: dict[str, list[float]]) -> Row:
    """Measure how similar the crops of two trees are."""
    ious = [_iou(box, others[key]) for key, box in boxes.items() if key in others]
    return {
        "crops of both": len(ious),
        "the same": sum(iou > 1 - 1e-6 for iou in ious),
        "mean IoU": round(mean(ious), 4),
    }


def _iou(first: Sequence[float], second: Sequence[float]) -> float:
    wide = min(first[2], second[2]) - max(first[0], second[0])
    high = min(first[3], second[3]) - max(first[1], second[1])
    both = max(0.0, wide) * max(0.0, high)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (first, second)]
    return both / (sum(areas) - both)


def compare(work: Path, base: Path, rounds: int, images: int) -> tuple[list[Row], Row]:
    """Measure rows by stage and for whole runs, and the similarity of the crops."""
    few, many = work / "few", work / "many"
    write_uploads(many, images)
    few.mkdir()
    for photo in sorted(many.iterdir())[: images // 4]:
        os.link(photo, few / photo.name)
    trees = {"now": ROOT, "before": base}
    figures: dict[str, dict[str, list[float]]] = {name: {} for name in trees}
    boxes: dict[str, dict[str, list[float]]] = {}
    rows: list[Row] = []
    for turn in range(rounds):
        order = sorted(trees, reverse=bool(turn % 2))
        for measure_stage in (stages_alone, stages_at_once, whole_runs):
            for name in order:
                found, chosen = measure_stage(trees[name], few, many, work / f"{name}-{turn}")
                boxes |= {name: chosen} if chosen else {}
                for what, figure in found.items():
                    figures[name].setdefault(what, []).append(figure)
        print(f"\nround {turn + 1} of {rounds}", flush=True)
        rows = table(figures)
        show(rows)  # so that an interrupted run still shows results
    return rows, overlap(boxes["now"], boxes["before"])


def table(figures: dict[str, dict[str, list[float]]]) -> list[Row]:
    """Return both trees' means, ratios and intervals for each measurement."""
    now, before = figures["now"], figures["before"]
    return [
        {
            "what": what,
            "now": mean(now[what]),
            "before": mean(before[what]),
            **ratio(now[what], before[what]),
        }
        for what in now
    ]


def stages_alone(tree: Path, few: Path, _: Path, output: Path) -> Measured:
    """Measure each stage by itself, in one process."""
    (result,) = stage_processes(tree, few, output)
    found = {stage: 1000 * result["costs"][stage] for stage in STAGES}
    found["thumbnails of a photo, kB"] = result["bytes"] / 1000
    if result["ssimulacra2"] is not None:
        found["their SSIMULACRA2"] = result["ssimulacra2"]
    return found, result["boxes"]


def stages_at_once(tree: Path, few: Path, _: Path, output: Path) -> Measured:
    """Measure the stages in as many processes as there are cores."""
    cores = os.cpu_count() or 1
    results = stage_processes(tree, few, output.with_suffix(".all"), cores)
    cost = mean(each["costs"][STAGES[-1]] for each in results)
    return {f"the same on {cores} cores at once": 1000 * cost}, {}


def whole_runs(tree: Path, few: Path, many: Path, output: Path) -> Measured:
    """Run the job on few and on many photos: the difference is per photo, the rest is startup.

    The few photos are enough to start all workers: a worker that starts only in the longer run
    would count as a cost of its photos.
    """
    counts = [sum(1 for _ in folder.iterdir()) for folder in (few, many)]
    small = whole_run(tree, few, output.with_suffix(".few"))
    large = whole_run(tree, many, output.with_suffix(".many"))
    a_photo = [(b - a) / (counts[1] - counts[0]) for a, b in zip(small, large, strict=True)]
    return {
        WHOLE: 1000 * a_photo[0],
        "start of a job, CPU s": small[0] - counts[0] * a_photo[0],
        "start of a job, s": small[1] - counts[0] * a_photo[1],
        "peak memory, MiB": large[2],
    }, {}


def peer_rows(photos: Sequence[Path], ours: float) -> list[Row]:
    """Measure CPU ms a photo of the installed peers, and how many times ours that is."""
    costs = {name: peer(photos) for name, peer in PEERS.items()}
    return [
        {"what": name, "CPU ms a photo": 1000 * cost, "times ours": 1000 * cost / ours}
        for name, cost in costs.items()
        if cost is not None
    ]


def naive_row(work: Path, ours: float) -> Row:
    """Measure CPU ms a photo of the naive Ray Data script, from the difference of two runs."""
    quarter, photos = work / "quarter", sorted((work / "few").iterdir())
    quarter.mkdir()
    for photo in photos[: len(photos) // 4]:
        os.link(photo, quarter / photo.name)
    script = [sys.executable, "tests/bench/naive_ray_data.py"]
    costs = [
        measure([*script, str(folder), str(work / f"naive-{folder.name}")]).cpu_s
        for folder in (work / "few", quarter)
    ]
    cost = 1000 * (costs[0] - costs[1]) / (len(photos) - len(photos) // 4)
    return {
        "what": "naive Ray Data script, same networks",
        "CPU ms a photo": cost,
        "times ours": cost / ours,
    }


def show(rows: Sequence[Row]) -> None:
    for row in rows:
        cells = [f"{v:10.3f}" if isinstance(v, float) else f"{v!s:>10}" for v in row.values()]
        print(f"{cells[0].strip():45}", *cells[1:], flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", help="a commit; default: the last that changed the figures")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--images", type=int, default=256, help="a quarter is the small run")
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    base = chosen.base or previous_release()
    with tempfile.TemporaryDirectory(prefix="bench") as folder, worktree(base) as tree:
        work = Path(folder)
        rows, alike = compare(work, tree, chosen.rounds, chosen.images)
        print(f"\nCPU ms a photo where no unit is named, this tree and {base[:9]}:")
        print(f"{'':45} {'now':>10} {'before':>10} {'ratio':>10} {'from':>10} {'to':>10}")
        show(rows)
        print(", ".join(f"{name}: {value}" for name, value in alike.items()))
        ours = next(row["now"] for row in rows if row["what"] == WHOLE)
        peers = [naive_row(work, ours), *peer_rows(sorted((work / "few").iterdir()), ours)]
        print(f"\n{'peers':45} {'CPU ms':>10} {'times ours':>10}")
        show(peers)
    if chosen.json:
        found = {"base": base, "rows": rows, "crops": alike, "peers": peers}
        chosen.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
