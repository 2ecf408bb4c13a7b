"""Plan a run that encodes a committed run's decisions again, in other sizes, formats or ratios.

Its photos, settings, weights and detector are those of that run, except for the requested changes.
So a later job with these settings finds its photos covered, unless a ratio was derived from
another: such a run has a setting `derived` that no job asks for, and covers nothing.
"""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields, replace
from typing import Any

from pipeline.code_version import code_version
from pipeline.cropping.derive import NEAR, nearest_shape
from pipeline.cropping.weights import Weights
from pipeline.errors import NothingToDoError, SettingError, UsageError, naming
from pipeline.job import PlannedRun, check_crop_names, cut_for
from pipeline.ledger.channels.channel import channel_name, channel_of
from pipeline.ledger.coverage.incremental import Todo, begun_tasks
from pipeline.ledger.forgetting import read_forgotten, without
from pipeline.ledger.identity import RunSpec, input_sha256
from pipeline.ledger.known_runs import repair_chain
from pipeline.ledger.manifest import first_not_abandoned
from pipeline.ledger.pinned import read_spec, whole_list
from pipeline.ledger.records import Manifest
from pipeline.settings import Settings
from pipeline.settings.decoding import with_enough_memory
from pipeline.settings.formats import chosen_format
from pipeline.settings.job import CALL_ONLY
from pipeline.settings.safe_areas import ANY_SHAPE, area_name
from pipeline.shapes import parse_shapes
from pipeline.storage.store import check_reachable, open_store

RENDERED = "rendered anew"  # the reason why a photo is done
# Settings that describe what one job was for, not how it worked.
_JOB_ONLY = {
    "limit", "resume", "retry", "overrides", "focus_columns", "mode", "dry_run", "estimate",
    "prune", "promote", "channel", "trial", "include", "exclude", "local", *CALL_ONLY,
}  # fmt: skip


@dataclass(frozen=True)
class RenderRequest:
    """A request to render a committed run.

    changes: the settings to change, by name: those of ThumbnailSettings, and `ratios`.
    local: whether local processes do it.
    channel: the new run's; None: the old run's where it has a name of its own, else one named
        after the new settings.
    """

    output: str
    run_id: str
    changes: Mapping[str, Any]
    channel: str | None = None
    local: bool = False


def plan_rendering(asked: RenderRequest, cores: Callable[[], int] | None = None) -> PlannedRun:
    """Plan the run. Nothing is listed: its photos are the old run's, except forgotten ones.

    cores: as for `pipeline.job.plan`.

    Raises LedgerError if the old run is not committed, SettingError for a ratio that is not near
    any of its shapes, UsageError if there is no such run or nothing would change, NothingToDoError
    if all its photos are forgotten.
    """
    check_reachable(asked.output)
    store = open_store(asked.output)
    runs = repair_chain(store, asked.run_id)
    old = runs[0]
    settings, derived = _settings(old, asked)
    settings = _with_format(settings, asked)
    identity = {**settings.identity(), **derived}
    if identity == dict(old.settings):
        raise UsageError(f"run {old.run_id} is rendered so already: ask for another size or format")
    rows = whole_list(store, read_spec(store, runs[-1].run_id))
    rows = without(rows, read_forgotten(store).hidden)
    if not rows.num_rows:
        raise NothingToDoError(f"run {old.run_id} has no photos to render: all are forgotten")
    spec = RunSpec(
        settings=identity,
        weights_sha256=old.weights_sha256,
        detector=old.detector,
        code_version=code_version(),
        input_sha256=input_sha256(rows),
        render_of=old.run_id,
    )
    check_crop_names(settings, rows)
    channel = settings.running.channel or channel_name(identity)
    spec = first_not_abandoned(store, spec)
    begun = begun_tasks(store, spec.run_id)
    reasons = {RENDERED: rows.num_rows}
    todo = Todo(rows, spec, reasons, covered=0, channel=channel, begun_tasks=begun)
    tasks = cut_for(rows, settings.running, cores)
    weights = {"kind": "untrained", "sha256": old.weights_sha256, **old.weights}
    return PlannedRun(settings, Weights(**weights), store, todo, tasks)


def _settings(old: Manifest, asked: RenderRequest) -> tuple[Settings, dict[str, str]]:
    """Return the new run's settings, and its identity's entry about derived ratios."""
    values = _effective_settings(old)
    before = Settings.of(**values)
    changes = dict(asked.changes)
    derived = {}
    if "ratios" in changes:
        with naming("ratios"):
            shapes = parse_shapes(changes["ratios"])
        stored = [shape.name for shape in before.cropping.shapes]
        sources = {shape.name: nearest_shape(shape, stored) for shape in shapes}
        if far := [name for name, source in sources.items() if source is None]:
            raise SettingError(
                "ratios",
                f"{', '.join(far)}: no shape of run {old.run_id} ({', '.join(stored)}) is within "
                f"{1 - NEAR:.0%} of it; crop the photos for it with crop_bucket --ratios",
            )
        changed = [f"{name} from {source}" for name, source in sources.items() if name != source]
        derived = {"derived": ", ".join(changed)} if changed else {}
        values["safe_areas"] = _areas_of(str(values["safe_areas"]), set(sources))
    job = {
        "output": asked.output,
        "promote": "manual",
        "trial": bool(old.job.get("trial")),
        "local": asked.local,
    }
    channel = asked.channel
    if channel is None:
        own = channel_of(old)
        channel = "" if own == channel_name(old.settings) else own
    new = {**values, **job, "channel": channel, "boxes_only": False, **changes}
    return Settings.of(**new), derived


def _with_format(settings: Settings, asked: RenderRequest) -> Settings:
    """Resolve the format `auto`: the old run's choice, or a new one where `auto` is asked for."""
    thumbnails = settings.thumbnails
    if not thumbnails.is_automatic:
        thumbnails.check_packages()
        return settings
    recorded = None if "format" in asked.changes else thumbnails.format
    format, _ = chosen_format(thumbnails, recorded)
    return replace(settings, thumbnails=replace(thumbnails, format=format))


def _effective_settings(old: Manifest) -> dict[str, Any]:
    """Return every setting as it applied to a run, at its `before` where the run has no value."""
    known = Settings().flat()
    values = {n: v for n, v in old.job.items() if n in known and n not in _JOB_ONLY}
    for part in (Settings().decoding, Settings().cropping, Settings().thumbnails):
        for item in fields(part):
            before = item.metadata["before"]
            meant = known[item.name] if before is MISSING else before
            values[item.name] = old.settings.get(item.name, meant)
    if old.settings.get("boxes_only"):  # its encoding settings are those of its job
        names = [item.name for item in fields(Settings().thumbnails)]
        values |= {name: old.job[name] for name in names if name in old.job}
    return with_enough_memory(values)


def _areas_of(text: str, shapes: set[str]) -> str:
    """Keep the safe areas of the given shapes and those for any shape."""
    kept = [
        entry.strip()
        for entry in text.split(";")
        if "=" in entry and area_name(entry) in {ANY_SHAPE, *shapes}
    ]
    return ";".join(kept)
