"""Comparisons of two small runs, without the command line."""

from typing import Any

from pipeline.ledger.reader import Run
from pipeline.report.diff.compare import ComparedRuns, compared_parts
from pipeline.report.diff.figures import DiffFigures


def joined(old: Run, new: Run) -> ComparedRuns:
    """Join two runs that are small enough to be one part."""
    (compared,) = compared_parts(old, new)
    return compared


def diff_figures(*parts: ComparedRuns) -> dict[str, Any]:
    """Return the figures of a comparison's parts."""
    counted = DiffFigures()
    for part in parts:
        counted.add(part)
    return counted.as_dict()
