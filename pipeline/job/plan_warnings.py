"""Report what a plan found that a person may want to act on, before the work begins."""

from dataclasses import asdict

import pyarrow as pa

from pipeline.cropping.weights import Weights
from pipeline.inputs.overrides import Overridden, Overrides
from pipeline.ledger.coverage.incremental import Todo
from pipeline.ledger.coverage.unfinished import UnfinishedRun
from pipeline.live_table import promote_command
from pipeline.report.progress import Log
from pipeline.settings import Settings
from pipeline.settings.formats import in_words
from pipeline.settings.unused import unused_settings
from pipeline.words import counted, runs_command

LEAST_CLOCK_SKEW_S = 60.0  # smaller differences between clocks are not reported


def report_plan_conditions(todo: Todo, output: str, log: Log) -> None:
    """Report what affects a plan: waiting and unfinished runs, forgotten photos, clock skew."""
    for run_id, photos in todo.waiting.items():
        covered = counted(photos, "photo is", "photos are")
        log.say(
            "waiting",
            f"WARNING: {covered} covered by run {run_id}, which is not live: "
            f"{promote_command(output, run_id)} makes it live, "
            "`--mode full` does them again",
            run_id=run_id, photos=photos,
        )  # fmt: skip
    for run in todo.unfinished:
        _report_unfinished(run, todo.spec.code_version, output, log)
    if todo.forgotten:
        left = counted(todo.forgotten, "photo of the input is", "photos of the input are")
        log.say("forgotten", f"{left} forgotten, and left out")
    if todo.ahead_s > LEAST_CLOCK_SKEW_S:
        log.say(
            "clock",
            f"WARNING: the latest run was committed {todo.ahead_s:,.0f} s ahead of this machine's "
            "clock; this one will count as later all the same. Check the clocks.",
            ahead_s=todo.ahead_s,
        )


def _report_unfinished(run: UnfinishedRun, code_version: str, output: str, log: Log) -> None:
    """Report that an unfinished run is not resumed, why, and what can be done."""
    state = f"run {run.run_id} is not finished, {run.done:,} of {counted(run.tasks, 'task')} done"
    if run.code_version != code_version:
        reason = (
            f"code version {run.code_version} started it, and this job, version {code_version}, "
            f"does its photos again. {runs_command('gc', output)} lists its files once they are "
            "old enough; with `--delete` it removes them"
        )
    else:
        reason = (
            "its list of photos differs, and photos in both lists are done again. "
            f"`--resume {run.run_id}` continues it"
        )
    log.say("unfinished", f"WARNING: {state}: {reason}", **asdict(run))


def report_unused_settings(settings: Settings, weights: Weights, log: Log) -> None:
    """Warn of what was asked for and has no effect. A retry has its settings of another run."""
    unused = {} if settings.input.retry else unused_settings(settings, weights.kind)
    for name, why in unused.items():
        option = f"--{name.replace('_', '-')}"
        log.say("unused_setting", f"WARNING: {option} has no effect {why}", setting=name)


def report_misleading_names(settings: Settings, log: Log) -> None:
    """Warn if the ending of the crops' names tells another format than theirs."""
    names, made = settings.thumbnails.crop_names, settings.thumbnails.format
    if names is not None and names.told_format not in (None, made):
        log.say(
            "crop_names",
            f"WARNING: the names {names.text!r} do not end as the crops' format, {in_words(made)}: "
            f"write .{{format}} at their end, or choose --format {names.told_format}",
        )


def report_unused_overrides(
    overrides: Overrides, applied: Overridden, settings: Settings, listed: pa.Table, log: Log
) -> None:
    """Report overrides of shapes that the job does not make, or that none matches a photo."""
    said = []
    made = {shape.name for shape in settings.cropping.shapes}
    if unmade := sorted({row.ratio for row in overrides.rows if row.ratio} - made):
        said.append(
            f"the overrides lock boxes of {', '.join(unmade)}, which this job does not make"
        )
    if overrides.rows and not applied.count and not applied.forgotten:
        so = f": addresses are whole, for instance {listed['uri'][0]}" if len(listed) else ""
        said.append(f"the overrides name no photo of {settings.input.input}{so}")
    for one in said:
        log.say("overrides", one, overrides=settings.input.overrides)
