"""How far people agree with the crops: a data set, the network, baselines, a report.

    python jobs/evaluate.py --dataset gaicv1 --data GAICv1/ --output report/
    python jobs/evaluate.py --dataset flms --data FLMS/ --output report/ --detector embedded
    ray job submit --working-dir . -- python jobs/evaluate.py --dataset gaicv2 --data /mnt/GAICv2 \\
        --output /mnt/report --ray

Writes report.html (self-contained) and evaluation.json into --output. Data sets and their folders:
pipeline/datasets. Exit codes: 0 done; 1 failed; 2 wrong usage; 3 done, but more photos than
--max-error-rate could not be judged.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.cropping.build import Weights, choose_weights
from pipeline.errors import UsageError
from pipeline.lab.datasets import NAMES, Dataset, load_dataset
from pipeline.lab.evaluation import baselines
from pipeline.lab.evaluation.baselines.prior import fit_prior
from pipeline.lab.evaluation.groups import read_groups
from pipeline.lab.evaluation.photo import Row
from pipeline.lab.evaluation.report import write_report
from pipeline.lab.evaluation.setup import EvaluationSetup, evaluate_here
from pipeline.lab.evaluation.summary import summarise
from pipeline.lab.evaluation.tables import glance
from pipeline.report.progress import Log, Progress
from pipeline.settings import RunningSettings
from pipeline.shapes import parse_shapes
from s2cnet import WeightsError

USAGE, OVER_ERROR_RATE = 2, 3


def parser() -> argparse.ArgumentParser:
    """The command line, with units and defaults."""
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = made.add_argument
    add("--dataset", required=True, choices=NAMES, help="which layout the folder has")
    add("--data", required=True, type=Path, metavar="FOLDER", help="the data set's folder")
    add("--output", required=True, type=Path, metavar="FOLDER", help="where the report goes")
    add("--split", default="test", help="train, val or test (default: test)")
    add("--limit", type=int, metavar="PHOTOS", help="only the first so many photos (default: all)")
    add(
        "--weights",
        default="default",
        help="file or URI of S2CNet weights, starter, or untrained (default: starter where the "
        "package has it, else untrained)",
    )
    add(
        "--preset",
        default="gaicv1",
        choices=("gaicv1", "gaicv2"),
        help="network of --weights untrained (default: gaicv1)",
    )
    add(
        "--detector",
        default="embedded",
        help="embedded, torchvision:<model>[:weights], vg:<weights>, or boxes: those that come "
        "with the data set (default: embedded)",
    )
    add(
        "--search",
        default="coarse",
        choices=("coarse", "exhaustive"),
        help="how candidates are searched (default: coarse, as in crop_bucket.py)",
    )
    add(
        "--rank-by",
        default="overlap",
        choices=("overlap", "score"),
        help="what decides among candidates: expected overlap with people's crops as in "
        "crop_bucket.py, or the network's score alone (default: overlap)",
    )
    add(
        "--baselines",
        default=",".join(baselines.NAMES),
        metavar="LIST",
        help=f"by comma (default: {','.join(baselines.NAMES)})",
    )
    add(
        "--gaic",
        metavar="WEIGHTS",
        help="file or URI of GAIC weights: the network without a graph as one more baseline "
        "(default: none)",
    )
    add(
        "--focalnet",
        type=Path,
        metavar="ONNX",
        help="FocalNet's crop ranker, format 2: one more baseline (default: none)",
    )
    add(
        "--judge",
        metavar="DETECTOR",
        help="whose objects and text tell violations, named as in --detector (default: the run's)",
    )
    add(
        "--ratios",
        default="1:1,4:3,16:9,9:16,3:4",
        metavar="LIST",
        help="shapes at which gaze, heads, objects or people are followed "
        "(default: 1:1,4:3,16:9,9:16,3:4)",
    )
    add(
        "--groups",
        type=Path,
        metavar="CSV",
        help="photo,x0,y0,x1,y1,group: people whose share in the crops is compared between groups "
        "(default: none)",
    )
    add(
        "--resamples",
        type=int,
        default=1000,
        metavar="N",
        help="bootstrap samples for each interval (default: 1000)",
    )
    add(
        "--seed", type=int, default=0, help="of the bootstrap and an untrained network (default: 0)"
    )
    add(
        "--device",
        default="auto",
        help="cpu, cuda, cuda:N, mps, or auto: a CUDA GPU where there is one (default: auto)",
    )
    add(
        "--ray",
        action="store_true",
        help="on a Ray cluster instead of in this process (default: no)",
    )
    add(
        "--max-error-rate",
        type=float,
        default=0.05,
        metavar="SHARE",
        help="exit with 3 where a larger share of photos could not be judged (default: 0.05)",
    )
    add(
        "--log-format",
        default="text",
        choices=("text", "json"),
        help="how progress is told (default: text)",
    )
    return made


def main(arguments: list[str] | None = None) -> int:
    """Parses, evaluates, writes the report."""
    options = parser()
    chosen = options.parse_args(arguments)
    log = Log(chosen.log_format)
    try:
        dataset, setup = prepare(chosen, log)
        rows = collect(dataset, setup, chosen, log)
    except (UsageError, WeightsError) as error:
        print(f"{options.prog}: {error}", file=sys.stderr)
        return USAGE
    report = {
        "dataset": dataset.name,
        "split": dataset.split,
        "notes": dataset.notes,
        "run": {
            "data": chosen.data.resolve().name,
            "weights": describe(setup.weights),
            "detector": chosen.detector,
            "judge": chosen.judge or chosen.detector,
            "search": chosen.search,
            "rank by": chosen.rank_by,
            "ratios": chosen.ratios,
            "resamples": chosen.resamples,
            "seed": chosen.seed,
        },
        **summarise(rows, chosen.resamples, chosen.seed),
        "rows": rows,
    }
    figures, page = write_report(report, chosen.output)
    tell(report, log)
    log.say("report", f"report   {page}\nfigures  {figures}", report=str(page))
    failed = sum(row["status"] != "ok" for row in rows)
    return OVER_ERROR_RATE if failed > chosen.max_error_rate * len(rows) else 0


def describe(weights: Weights) -> str:
    """What the report calls the network."""
    if weights.kind == "untrained":
        return f"untrained {weights.preset}, seed {weights.seed}"
    return f"{weights.uri or weights.kind} {weights.sha256[:12]}"


def prepare(chosen: argparse.Namespace, log: Log) -> tuple[Dataset, EvaluationSetup]:
    """Read everything but the photos, so that a mistake shows at once."""
    ratios = [shape.name for shape in parse_shapes(chosen.ratios)]
    if chosen.resamples < 1 or (chosen.limit is not None and chosen.limit < 1):
        raise UsageError("--resamples and --limit must be at least 1")
    dataset = load_dataset(chosen.dataset, chosen.data, chosen.split)
    asked = [name for name in chosen.baselines.split(",") if name]
    names, notes = baselines.without_missing(asked)
    baselines.make_baselines(names)
    prior = None
    if "anchor_prior" in names:
        try:
            prior = fit_prior(load_dataset(chosen.dataset, chosen.data, "train"))
        except UsageError as error:
            notes.append(f"left out: no anchor prior: {error}")
    for note in notes:
        log.say("left_out", note)
    setup = EvaluationSetup(
        choose_weights(chosen.weights, chosen.preset, chosen.seed),
        chosen.detector,
        names,
        ratios,
        prior=prior,
        marked=read_groups(chosen.groups) if chosen.groups else {},
        gaic=chosen.gaic,
        focalnet=chosen.focalnet and str(chosen.focalnet),
        judge=chosen.judge,
        search=chosen.search,
        rank_by=chosen.rank_by,
    )
    examples = dataset.examples[: chosen.limit]
    return replace(dataset, examples=examples, notes=[*dataset.notes, *notes]), setup


def collect(
    dataset: Dataset, setup: EvaluationSetup, chosen: argparse.Namespace, log: Log
) -> list[Row]:
    """All rows, ordered by id."""
    progress = Progress(log, len(dataset.examples), len(dataset.examples))
    started, rows = time.perf_counter(), []
    for row in run(dataset, setup, chosen, log):
        rows.append(row)
        progress.advance(1, int(row["status"] == "ok"), 0)
    seconds = time.perf_counter() - started
    log.say("judged", f"{len(rows)} photos in {seconds:.1f} s", photos=len(rows), seconds=seconds)
    return sorted(rows, key=lambda row: str(row["id"]))


def run(
    dataset: Dataset, setup: EvaluationSetup, chosen: argparse.Namespace, log: Log
) -> Iterator[Row]:
    """Here or on Ray."""
    if not chosen.ray:
        return evaluate_here(dataset.examples, setup, chosen.device)
    from pipeline.lab.evaluation.cluster import evaluate_on_ray  # ray is slow to import
    from pipeline.run import start_ray

    gpus_per_actor = 0.0 if chosen.device == "cpu" else 1.0
    workers = start_ray(RunningSettings(gpus_per_actor=gpus_per_actor), len(dataset.examples))
    log.say("workers", workers.why)
    return evaluate_on_ray(
        dataset.examples, setup, workers.device, workers.actors, workers.actor_cpus,
        workers.actor_gpus,
    )  # fmt: skip


def tell(report: dict[str, Any], log: Log) -> None:
    """Every measure of every method, on the terminal."""
    table = glance(report)
    for line in table.lines:
        cells = zip(table.header, line.cells, strict=True)
        figures = {name: cell for name, cell in cells if cell.text != "–"}
        shown = ", ".join(
            f"{name} {cell.text}{' ' + cell.verdict if cell.verdict else ''}"
            for name, cell in figures.items()
        )
        values = {name: cell.text for name, cell in figures.items()}
        log.say("measure", f"{line.name:<17} {shown}", measure=line.name, values=values)


if __name__ == "__main__":
    sys.exit(main())
