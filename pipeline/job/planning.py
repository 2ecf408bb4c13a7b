"""Plan a job before its work: what there is to do, and what is covered already."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
from msgspec.structs import replace

from pipeline.code_version import code_version
from pipeline.cropping.build import source_identity
from pipeline.cropping.weights import Weights
from pipeline.errors import SettingError
from pipeline.inputs.listing import Listing, list_all
from pipeline.inputs.overrides import Overridden, Overrides
from pipeline.inputs.within import refuse_overlap
from pipeline.job.cutting import cut_for
from pipeline.job.encoding import with_chosen_format
from pipeline.job.ending import ending_of, verdict_of
from pipeline.job.networks import pin_weights, with_chosen_backbone
from pipeline.ledger.identity import RunSpec
from pipeline.ledger.incremental import REPEATS, Todo, resumed, uncovered
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.plan import TaskCuts, same_bytes_together
from pipeline.ledger.reader import stored_runs
from pipeline.ledger.retry import failed_inputs
from pipeline.live_table import (
    Ending,
    Removal,
    channel_for,
    go_live,
    live_and_forgotten,
    take_out,
    tell_standing,
)
from pipeline.report.progress import Log
from pipeline.report.words import counted
from pipeline.schema import INPUT_SEEN
from pipeline.settings import Settings, Verdict
from pipeline.settings.crop_name_checks import check_distinct, check_photos
from pipeline.stages.worker import Job
from pipeline.storage.addresses import scheme_of
from pipeline.storage.spool import pieces
from pipeline.storage.store import Store, check_reachable, open_store

CHECKED_ROWS = 10_000  # of a list that are Python objects at a time


@dataclass(frozen=True)
class PlannedRun:
    """A run that is planned and not yet written to the store.

    overridden: photos of the input to which a row of the table of overrides applies.
    removal: what is to be taken out of the live table.
    """

    settings: Settings
    weights: Weights
    store: Store
    todo: Todo
    tasks: TaskCuts
    overridden: int = 0
    removal: Removal = field(default_factory=Removal)

    @property
    def message(self) -> str:
        """What there is to do, why, and what committed runs cover; for a person."""
        left, reasons = self.todo.inputs.num_rows, self.todo.reasons.items()
        why = ", ".join(f"{count:,} {reason}" for reason, count in reasons)
        covered = (
            f"{counted(self.todo.covered, 'photo is', 'photos are')} covered by committed runs"
        )
        if self.overridden:
            covered += f"; overrides apply to {counted(self.overridden, 'photo')} of the input"
        if self.todo.postponed:
            covered += (
                f"; {self.todo.postponed:,} of these failed by circumstances and wait for a later "
                "night: `runs.py retry RUN --kind circumstances` does them now"
            )
        if self.todo.given_up:
            covered += (
                f"; {self.todo.given_up:,} of these failed for good under another version of the "
                "code: `runs.py retry RUN --kind permanent` does them again"
            )
        if self.removal.forgotten:
            forgotten = counted(len(self.removal.forgotten), "address is", "addresses are")
            covered += f"; {forgotten} to be forgotten"
        if not left:
            return f"nothing to do: {covered}"
        size = f"{counted(left, 'photo')} in {counted(self.tasks.task_count, 'task')} ({why})"
        if self.seen:
            size += f", {self.seen:,} of which look like bytes that are done"
        return f"run {self.todo.spec.run_id}: {size}; {covered}"

    @property
    def seen(self) -> int:
        """Photos that look like the same bytes as one that an earlier run has done."""
        if INPUT_SEEN.name not in self.todo.inputs.column_names:
            return 0
        return int(self.todo.inputs.num_rows - self.todo.inputs[INPUT_SEEN.name].null_count)

    def begin(self) -> tuple[Job, Ledger]:
        """Pin the plan in the output store, or go on with the run that was begun there.

        Raises LedgerError where the store refuses.
        """
        ledger = Ledger.open(self.store, self.todo.spec, self.todo.inputs, self.tasks)
        decisions_of = self.todo.spec.render_of
        job = Job(
            self.settings, self.weights, ledger.run_id,
            decisions_of=decisions_of, repeats=self.todo.reasons.keys() <= REPEATS,
        )  # fmt: skip
        return job, ledger

    def take_out(self, log: Log) -> None:
        """Take out of the live table what is forgotten or gone; a dry run only says it."""
        take_out(self.settings, self.store, self.todo, self.removal, log)

    def end_without_work(self, log: Log) -> Ending:
        """How a job with nothing left to do ends: an earlier failure still counts.

        What an earlier job committed and could not make live any more, as it was killed, goes live
        now if the gate holds.
        """
        settings = self.settings.identity()
        verdict: Verdict = "done"
        for manifest in stored_runs(self.store).committed:
            if manifest.settings == settings:
                verdict = verdict_of(self.settings, manifest.metrics)
                break
        if self.settings.running.dry_run or self.settings.estimating.estimate:
            return verdict
        return ending_of(verdict, go_live(self.settings, self.store, log))


def plan(settings: Settings, log: Log, cores: Callable[[], int] | None = None) -> PlannedRun:
    """List the input, leave out what is covered, cut the rest into tasks.

    cores: tells how many there are, see `task_photos`; None cuts by the settings alone.

    Raises UsageError for a job that makes no sense.
    """
    refuse_overlap(settings.input.input, settings.running.output)
    if settings.running.prune and (settings.input.include or settings.input.exclude):
        raise SettingError(
            "prune", "would take what --include and --exclude leave out for gone; give it alone"
        )
    for address in (settings.input.input, settings.running.output):
        check_reachable(address)
    store = open_store(settings.running.output)
    settings, of_format = with_chosen_format(settings, store)
    overrides = Overrides.read(settings.input.overrides)
    weights = pin_weights(settings.input)
    if weights.kind == "untrained":
        log.say(
            "untrained",
            f"WARNING: no weights are given, so the network is UNTRAINED (drawn from seed "
            f"{weights.seed}). The crops have the right shapes but mean nothing.",
            **weights.as_dict(),
        )
    settings = with_chosen_backbone(settings, weights)
    shared = settings.cropping.backbone == "shared"
    spec = RunSpec(
        settings=settings.identity(),
        weights_sha256=weights.sha256,
        detector=source_identity(settings.input.detector, shared),
        code_version=code_version(),
        input_sha256="",  # of what is left to do, and therefore filled in below
    )
    todo, obeyed, listed = _todo(settings, overrides, store, spec, log)
    for run_id, error in todo.damaged.items():
        log.say("damaged_run", f"WARNING: run {run_id} covers nothing: {error}", run_id=run_id)
    tell_standing(todo, log)
    if of_format and todo.inputs.num_rows:
        log.say("format", of_format, format=settings.thumbnails.format)
    check_crop_names(settings, todo.inputs if listed is None else listed.table)
    todo = dataclasses.replace(todo, inputs=same_bytes_together(todo.inputs))
    tasks = cut_for(todo.inputs, settings.running, cores)
    forgotten = {*obeyed.forgotten, *live_and_forgotten(overrides, store)}
    removal = Removal(tuple(sorted(forgotten)), listed if settings.running.prune else None)
    return PlannedRun(settings, weights, store, todo, tasks, obeyed.count, removal)


def check_crop_names(settings: Settings, inputs: pa.Table) -> None:
    """Raise SettingError where `crop_files` is a template whose names can't stand together."""
    names = settings.thumbnails.crop_names
    if names is not None:
        ratios = [shape.name for shape in settings.cropping.shapes]
        check_distinct(names, ratios, settings.cropping.top_k)
        as_files = scheme_of(settings.running.output) == "file"
        check_photos(
            names, _Photos(inputs), ratios, *settings.thumbnails.formats,
            top_k=settings.cropping.top_k, as_files=as_files,
        )  # fmt: skip


@dataclass(frozen=True)
class _Photos:
    """The rows of a list as mappings, each time that they are gone through."""

    inputs: pa.Table

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        for piece in pieces(self.inputs, CHECKED_ROWS):
            yield from piece.to_pylist()


def _todo(
    settings: Settings, overrides: Overrides, store: Store, spec: RunSpec, log: Log
) -> tuple[Todo, Overridden, Listing | None]:
    """The photos to do: of the run to resume, of the run to repair, or of the input.

    Also what the overrides say, and the whole input where it was listed.
    """
    about, channel = settings.input, channel_for(settings)
    if about.resume:
        todo = resumed(store, spec, about.resume)
        return todo, Overridden(todo.inputs), None
    if about.retry:
        failed = failed_inputs(store, about.retry, about.retry_kind)
        obeyed = overrides.obeyed(failed)
        spec = replace(spec, parent=about.retry)
        return uncovered(store, spec, obeyed.inputs, "full", channel), obeyed, None
    found = list_all(
        about.input,
        about.limit,
        about.focus,
        about.uri_column,
        about.selection,
        about.requester_pays,
    )
    if found.left_out:
        log.say("left_out", found.left_out.message, rows=sum(found.left_out.rows.values()))
    listed = found.table
    if not listed.num_rows:
        log.say("empty", f"WARNING: {about.input} holds no photos")
    obeyed = overrides.obeyed(listed)
    if overrides.rows and not obeyed.count and not obeyed.forgotten:
        said = f"the overrides name no photo of {about.input}"
        log.say("overrides", said, overrides=about.overrides)
    whole = found if about.limit is None else None
    return uncovered(store, spec, obeyed.inputs, about.mode, channel), obeyed, whole
