"""Evaluate on a data set, here or on Ray: read it, judge every photo, write the report."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from pipeline.cropping.build import GIVEN
from pipeline.cropping.weights import Weights, choose_weights
from pipeline.device import choose_device
from pipeline.errors import SettingError, UsageError, naming
from pipeline.lab.datasets import Dataset, Example, load_dataset, log_notes
from pipeline.lab.evaluation import baselines
from pipeline.lab.evaluation.baselines.prior import read_prior
from pipeline.lab.evaluation.groups import people_of
from pipeline.lab.evaluation.photo import Row
from pipeline.lab.evaluation.report import report_files, write_report
from pipeline.lab.evaluation.settings import EvaluationJob
from pipeline.lab.evaluation.setup import EvaluationSetup, evaluate_here
from pipeline.lab.evaluation.summary import not_judged, summarise
from pipeline.lab.evaluation.tables import glance
from pipeline.lab.fold_weights import FoldWeights
from pipeline.lab.folds import set_name_of
from pipeline.lab.weight_files import naming_weights
from pipeline.output_files import make_parent_folder
from pipeline.report.progress import Log, Progress
from pipeline.words import counted

ALL = "all"  # of the job's `baselines`
OWN_SETS = ("labels", "crops", "photos")  # our own formats: the set has its folder's name

VERDICT_WORDS = {
    "better": " (this run is better)", "worse": " (this run is worse)", "level": " (level)",
}  # fmt: skip
"""What follows another method's figure in the log."""


def evaluate_dataset(job: EvaluationJob, log: Log) -> float:
    """Judge every photo, write the report; return the share of photos that could not be judged.

    Raises UsageError before the first photo.
    """
    dataset, setup = prepare(job, log)
    for path in report_files(job.output):
        make_parent_folder(path, "output")
    rows = collect(dataset, setup, job, log)
    report = {
        "dataset": dataset.name,
        "split": dataset.split,
        "notes": dataset.notes,
        "run": {
            "data": job.data.resolve().name,
            "weights": describe(setup.weights),
            "detector": job.detector,
            "judge": job.judge or job.detector,
            **folds_entry(setup.folds, setup.set_name),
            "search": job.search,
            "rank by": job.rank_by,
            "backbone": setup.backbone_read(),
            "ratios": job.ratios,
            "resamples": job.resamples,
            "seed": job.seed,
        },
        **summarise(rows, job.resamples, job.seed),
        "rows": rows,
    }
    figures, page = write_report(report, job.output)
    log_measures(report, log)
    log_failures(rows, log)
    log.say("report", f"report   {page}\nfigures  {figures}", report=str(page))
    return float(sum(row["status"] != "ok" for row in rows)) / max(1, len(rows))


def describe(weights: Weights) -> str:
    """Return the report's name for the network."""
    if weights.kind == "untrained":
        return f"untrained {weights.preset}, seed {weights.seed}"
    return f"{weights.uri or weights.kind} {weights.sha256[:12]}"


def folds_of(job: EvaluationJob, set_name: str) -> FoldWeights | None:
    """Return the weights by fold; None where the job has none.

    Raises UsageError where a file is missing or contains something else, or photos were held out
    under another set's name.
    """
    if job.detectors is None and job.networks is None and job.features is None:
        return None
    folds = FoldWeights(job.detectors, job.networks, job.features)
    folds.check([set_name])
    return folds


def folds_entry(folds: FoldWeights | None, set_name: str) -> dict[str, str]:
    """Return the report's entry on weights by fold; empty where there are none."""
    if folds is None:
        return {}
    given = {
        "detectors": folds.detectors,
        "networks": folds.networks,
        "branches": folds.features,
    }
    names = ", ".join(f"{what} of {at.name}" for what, at in given.items() if at is not None)
    return {"held out from": f"{names}, by the names of photos in {set_name}"}


def parse_baselines(text: str) -> list[str]:
    """Parse the names of `--baselines`. Raises SettingError where there are none."""
    names = [name for part in text.split(",") if (name := part.strip())]
    if not names:
        raise SettingError("baselines", f"names none: write some of {', '.join(baselines.NAMES)}")
    if ALL in names:  # a wrong name beside it is refused where baselines are made
        names = [*baselines.NAMES, *names]
    return [name for name in dict.fromkeys(names) if name != ALL]


def check_given_boxes(job: EvaluationJob, examples: Sequence[Example]) -> None:
    """Raise SettingError where the data set's boxes are asked for as objects but it has none."""
    for option, named in (("detector", job.detector), ("judge", job.judge)):
        if named == GIVEN and all(one.objects_px is None for one in examples):
            raise SettingError(
                option,
                f"{GIVEN} takes those that come with a data set, and {job.data} has none",
            )


def prepare(job: EvaluationJob, log: Log) -> tuple[Dataset, EvaluationSetup]:
    """Read everything but the photos, so that mistakes are reported at once."""
    with naming("data"):
        dataset = load_dataset(job.dataset, job.data, job.split)
    examples = dataset.examples[: job.limit]
    check_given_boxes(job, examples)
    with naming("baselines"):
        names, notes = baselines.without_missing(parse_baselines(job.baselines))
        baselines.make_baselines(names)
    if not job.ray:
        with naming("device"):
            choose_device(job.device)
    prior = None
    if "anchor_prior" in names:
        try:
            prior = read_prior(job.dataset, job.data, job.split)
        except UsageError as error:
            notes.append(f"left out: anchor_prior is fitted on the split train: {error}")
    with naming("groups"):
        followed, unknown = people_of(job.groups, dataset) if job.groups else ({}, [])
    notes += unknown
    log_notes([*dataset.notes, *notes], log)
    set_name = set_name_of(job.data) if dataset.name in OWN_SETS else dataset.name
    with naming_weights("weights"):
        weights = choose_weights(job.weights, job.preset, job.seed)
    setup = EvaluationSetup(
        weights,
        job.detector,
        names,
        [shape.name for shape in job.shapes],
        prior=prior,
        followed=followed,
        gaic=job.gaic,
        focalnet=None if job.focalnet is None else str(job.focalnet),
        judge=job.judge,
        folds=folds_of(job, set_name),
        set_name=set_name,
        search=job.search,
        rank_by=job.rank_by,
        backbone=job.backbone,
        copies=job.copies,
    )
    return replace(dataset, examples=examples, notes=[*dataset.notes, *notes]), setup


def collect(dataset: Dataset, setup: EvaluationSetup, job: EvaluationJob, log: Log) -> list[Row]:
    """Judge every photo and log progress; return the rows ordered by id."""
    progress = Progress(log, len(dataset.examples), len(dataset.examples))
    started, rows = time.perf_counter(), []
    for row in evaluated_rows(dataset, setup, job, log):
        rows.append(row)
        progress.advance(1, int(row["status"] != "ok"), 0)
    seconds = time.perf_counter() - started
    log.say(
        "judged",
        f"{counted(len(rows), 'photo')} in {seconds:.1f} s",
        photos=len(rows),
        seconds=seconds,
    )
    return sorted(rows, key=lambda row: str(row["id"]))


def evaluated_rows(
    dataset: Dataset, setup: EvaluationSetup, job: EvaluationJob, log: Log
) -> Iterator[Row]:
    """Judge every photo, in this process or on Ray."""
    if not job.ray:
        return evaluate_here(dataset.examples, setup, job.device)
    setup.evaluator("cpu")  # what is wrong with it is reported here, not by a worker
    from pipeline.lab.evaluation.cluster import evaluate_on_ray  # Ray is slow to import

    return evaluate_on_ray(dataset.examples, setup, job.device, log)


def log_measures(report: dict[str, Any], log: Log) -> None:
    """Log every measure of every method."""
    table = glance(report)
    for line in table.lines:
        cells = zip(table.header, line.cells, strict=True)
        figures = {name: cell for name, cell in cells if cell.text != "–"}
        shown = ", ".join(
            f"{name} {cell.text}{VERDICT_WORDS.get(cell.verdict, '')}"
            for name, cell in figures.items()
        )
        values = {name: cell.text for name, cell in figures.items()}
        text = f"{line.full_name:<22} {shown}" + (f" ({line.below})" if line.below else "")
        log.say("measure", text, measure=line.full_name, values=values)


def log_failures(rows: Sequence[Row], log: Log) -> None:
    """Log why photos could not be judged, commonest reason first, each with its first photo."""
    for status, count, told in not_judged(rows):
        log.say("not_judged", f"not judged: {told}", status=status, photos=count)
