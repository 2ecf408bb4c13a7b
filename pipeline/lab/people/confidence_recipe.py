"""The step `confidence`: fit the confidence on held-out photos, test it, write both."""

from __future__ import annotations

from pipeline.lab.evaluation.calibration import MEASURED
from pipeline.lab.evaluation.reliability import CalibrationFigures
from pipeline.lab.fold_weights import FoldWeights
from pipeline.lab.folds import check_folds
from pipeline.lab.json_text import json_text
from pipeline.lab.people.confidence_fit import (
    as_confidence_json,
    check_answers,
    out_of_fold_figures,
    review_table,
)
from pipeline.lab.people.confidence_rows import judged_crops
from pipeline.lab.people.held_out import held_out_photos, labelled_photos
from pipeline.lab.people.settings import ConfidenceJob
from pipeline.output_files import make_parent_folder, write_text_atomic
from pipeline.report.progress import Log
from pipeline.words import counted

LEVELS = (0.2, 0.3, 0.4, 0.5)  # of confidence below which a crop could be reviewed


def fit_confidence(job: ConfidenceJob, log: Log) -> None:
    """Fit on all photos, test out of fold; write the model and, if asked for, the figures.

    Raises UsageError where no folder of labels is given, a fold's weights are missing, or too
    little is left to learn from without a fold.
    """
    photos = labelled_photos(job, log)
    check_folds(one.fold for one in photos)
    for name, path in (("output", job.output), ("figures", job.figures)):
        if path is not None:
            make_parent_folder(path, name)
    weights = FoldWeights(job.detectors, job.networks, job.features)
    seen = held_out_photos(photos, weights, job.cache, log)
    crops = [crop for photo in seen for crop in judged_crops(photo)]
    log.say("crops", counted(len(crops), "crop is judged", "crops are judged"))
    check_answers(crops)
    figures = out_of_fold_figures(crops)
    for name, part in figures.items():
        log.say("figures", line_of(name, part))
    model = as_confidence_json(crops, figures)
    write_text_atomic(job.output, json_text(model, 2) + "\n")
    if job.figures is not None:
        report = {"parts": figures, "review": review_table(crops, LEVELS)}
        write_text_atomic(job.figures, json_text(report, 1) + "\n")


def line_of(name: str, part: CalibrationFigures) -> str:
    """Format one line of figures."""
    measured = ", ".join(
        f"{measure} {part[measure]['mean']:.3f} ({part[measure]['low']:.3f} to "
        f"{part[measure]['high']:.3f})"
        for measure in MEASURED
    )
    means = f"accepted {part['accepted']:.3f}, confidence {part['confidence']:.3f}"
    return f"{name:<26} {part['crops']:>5} crops, {means}, {measured}"
