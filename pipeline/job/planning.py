"""Plan a job: what there is to do, and what is already covered."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from msgspec.structs import replace

from pipeline.code_version import code_version
from pipeline.cropping.build import source_identity
from pipeline.cropping.weights import Weights
from pipeline.errors import SettingError, naming
from pipeline.inputs.left_out import LeftOut
from pipeline.inputs.listing import Listing, list_all
from pipeline.inputs.overrides import Overridden, Overrides
from pipeline.inputs.selection import EXCLUDED, NOT_INCLUDED
from pipeline.inputs.within import refuse_overlap
from pipeline.job.cutting import cut_for
from pipeline.job.encoding import with_chosen_format
from pipeline.job.networks import pin_weights, with_chosen_backbone
from pipeline.job.plan_warnings import (
    report_misleading_names,
    report_plan_conditions,
    report_unused_overrides,
    report_unused_settings,
)
from pipeline.job.planned import PlannedRun
from pipeline.ledger.coverage.incremental import Todo, resumed, uncovered
from pipeline.ledger.identity import RunSpec
from pipeline.ledger.plan import same_bytes_together
from pipeline.ledger.retry import failed_inputs
from pipeline.live_table import Removal, channel_for, live_and_forgotten
from pipeline.report.progress import Log
from pipeline.schema import INPUT_BOXES
from pipeline.settings import Settings
from pipeline.settings.crop_name_checks import check_distinct, check_photos
from pipeline.shapes import refuse_too_many
from pipeline.storage.addresses import scheme_of
from pipeline.storage.spool import pieces
from pipeline.storage.store import Store, check_reachable, open_store

CHECKED_ROWS = 10_000  # rows of a list that are converted to Python objects at a time


def plan(settings: Settings, log: Log, cores: Callable[[], int] | None = None) -> PlannedRun:
    """List the input, leave out covered photos, and cut the rest into tasks.

    cores: returns the number of cores, see `task_photos`; None cuts only by the settings.

    Raises UsageError for a job that makes no sense.
    """
    _refuse_too_many_shapes(settings)
    store = _output_store(settings)
    settings, of_format = with_chosen_format(settings, store)
    overrides = Overrides.read(settings.input.overrides)
    weights = pin_weights(settings.input)
    report_unused_settings(settings, weights, log)
    if weights.kind == "untrained":
        log.say(
            "untrained",
            f"WARNING: the network is UNTRAINED (drawn from seed {weights.seed}). The crops have "
            "the right shapes but mean nothing.",
            **weights.as_dict(),
        )
    settings = with_chosen_backbone(settings, weights)
    todo, applied, listed = _todo(
        settings, overrides, store, _spec_without_list(settings, weights), log
    )
    for run_id, error in todo.damaged.items():
        log.say("damaged_run", f"WARNING: run {run_id} covers nothing: {error}", run_id=run_id)
    report_plan_conditions(todo, store.uri, log)
    if of_format and todo.inputs.num_rows and not settings.thumbnails.boxes_only:
        log.say("format", of_format, format=settings.thumbnails.format)
    check_crop_names(settings, todo.inputs if listed is None else listed.table)
    report_misleading_names(settings, log)
    todo = dataclasses.replace(todo, inputs=same_bytes_together(todo.inputs))
    tasks = cut_for(todo.inputs, settings.running, cores)
    forgotten = {*applied.forgotten, *live_and_forgotten(overrides, store)}
    removal = Removal(tuple(sorted(forgotten)), listed if settings.running.prune else None)
    return PlannedRun(settings, weights, store, todo, tasks, applied.count, removal)


def _refuse_too_many_shapes(settings: Settings) -> None:
    """Raise SettingError for a new job; one that continues a run has the shapes of that run."""
    if not (settings.input.resume or settings.input.retry):
        with naming("ratios"):
            refuse_too_many(len(settings.cropping.shapes))


def _output_store(settings: Settings) -> Store:
    """Open the output, once input and output make sense together and their stores answer."""
    given = {"input": settings.input.input, "output": settings.running.output}
    for name, address in given.items():
        if not address:
            raise SettingError(name, "is empty: name a folder or an address")
    with naming("output"):
        refuse_overlap(*given.values())
    refuse_partial_prune(settings)
    for name, address in given.items():
        with naming(name):
            check_reachable(address)
    with naming("output"):
        return open_store(settings.running.output)


def _spec_without_list(settings: Settings, weights: Weights) -> RunSpec:
    """Build the run's spec, but for the hash of the photos left to do, which `_todo` fills in."""
    with naming("detector"):
        is_shared = settings.cropping.backbone == "shared"
        detector = source_identity(settings.input.detector, is_shared)
    return RunSpec(
        settings=settings.identity(),
        weights_sha256=weights.sha256,
        detector=detector,
        code_version=code_version(),
        input_sha256="",
    )


def refuse_partial_prune(settings: Settings) -> None:
    """Raise SettingError if a trial is to prune photos, or a job that lists only some of them."""
    about = settings.input
    if not settings.running.prune:
        return
    if settings.running.trial:
        raise SettingError(
            "prune", "changes what is live, which a trial does not: give it without --trial"
        )
    if about.include or about.exclude:
        raise SettingError(
            "prune", "would take what --include and --exclude leave out for gone; give it alone"
        )
    if about.limit is not None or about.resume or about.retry:
        raise SettingError(
            "prune", "needs the whole input; leave out --limit, --resume and --retry"
        )


def check_crop_names(settings: Settings, inputs: pa.Table) -> None:
    """Raise SettingError if `crop_files` is a template whose names conflict."""
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
    """The rows of a list as mappings; they can be iterated more than once."""

    inputs: pa.Table

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        for piece in pieces(self.inputs, CHECKED_ROWS):
            yield from piece.to_pylist()


def _todo(
    settings: Settings, overrides: Overrides, store: Store, spec: RunSpec, log: Log
) -> tuple[Todo, Overridden, Listing | None]:
    """Return the photos to do: of the run to resume, of the run to repair, or of the input.

    Also return the applied overrides, and the whole input if all of it was listed.
    """
    about, channel = settings.input, channel_for(settings)
    if about.resume:
        with naming("resume"):
            todo = resumed(store, spec, about.resume)
        return todo, Overridden(todo.inputs), None
    if about.retry:
        with naming("retry"):
            failed = failed_inputs(store, about.retry, about.retry_kind)
        applied = overrides.apply(failed)
        spec = replace(spec, parent=about.retry)
        return uncovered(store, spec, applied.inputs, "full", channel), applied, None
    with naming("input"):
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
    if about.detector == "boxes" and INPUT_BOXES.name not in listed.column_names:
        problem = "it takes them from the input list's column `boxes`, and there is none: add it, "
        raise SettingError("detector", f"boxes: {problem}or name a folder of them, boxes:FOLDER")
    if not listed.num_rows:
        log.say("empty", f"WARNING: {about.input} holds no photos{_empty_because(found.left_out)}")
    applied = overrides.apply(listed)
    report_unused_overrides(overrides, applied, settings, listed, log)
    whole = found if about.limit is None else None
    return uncovered(store, spec, applied.inputs, about.mode, channel), applied, whole


def _empty_because(left_out: LeftOut) -> str:
    """Return what to check where an input has no photo that is taken, as the end of a message."""
    if left_out.rows.keys() & {NOT_INCLUDED, EXCLUDED}:
        return " that --include and --exclude let through; check their patterns"
    return "; check the address"
