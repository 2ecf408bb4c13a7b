"""Apply a job to the live table: take photos out of it and make runs live in it."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Literal

from pipeline.gate import DEFAULT_GATE, Gate, Term, parse_gate
from pipeline.inputs.listing import Listing, image_id
from pipeline.inputs.overrides import Overrides
from pipeline.ledger.author import whoami
from pipeline.ledger.channels.channel import channel_name
from pipeline.ledger.channels.live import standing
from pipeline.ledger.coverage.incremental import Todo
from pipeline.ledger.forgetting import forget, prune, read_forgotten, take_back
from pipeline.ledger.promotion.promotion import Outcome, Request, promote_waiting
from pipeline.ledger.promotion.published_index import index_key, public_prefix
from pipeline.ledger.promotion.publishing import publish_files
from pipeline.ledger.pruning import gone_photos, live_photos
from pipeline.ledger.records import Manifest
from pipeline.ledger.tables import one_array
from pipeline.report.progress import Log
from pipeline.settings import RunningSettings, Settings
from pipeline.storage.spool import pieces
from pipeline.storage.store import Store
from pipeline.words import counted, runs_command

Ending = Literal["done", "over_error_rate", "not_promoted"]


@dataclass(frozen=True)
class Removal:
    """What to take out of the live table.

    forgotten: addresses that the table of overrides says to forget, also by `live_and_forgotten`
    listed:    the whole input, for pruning; None does not prune
    """

    forgotten: tuple[str, ...] = ()
    listed: Listing | None = None


def channel_for(settings: Settings) -> str:
    """Return the channel that a job's runs are candidates for."""
    return settings.running.channel or channel_name(settings.identity())


def is_trial_job(settings: Settings) -> bool:
    """Return whether a job is a trial: it says so, or it covers only a part of its input."""
    limited = settings.input.limit is not None and not settings.input.retry
    return settings.running.trial or limited


def job_entry(settings: Settings) -> dict[str, object]:
    """Return a manifest's entry about the job: all settings, the channel, whether it is a trial."""
    resolved = {"channel": channel_for(settings), "trial": is_trial_job(settings)}
    return {**settings.flat(), **resolved}


def apply_removals(
    settings: Settings, store: Store, todo: Todo, removal: Removal, log: Log
) -> None:
    """Forget photos as the overrides say, restore those listed again and prune those gone."""
    dry = settings.running.dry_run or settings.estimating.estimate
    _forget(store, removal.forgotten, dry, log)
    if todo.returned and not dry:
        # Somebody may have forgotten one of them since the job was planned: that stays.
        count = take_back(store, todo.returned, whoami(), "listed again", of=["pruned"])
        again = counted(count, "pruned photo is", "pruned photos are")
        log.say("returned", f"{again} listed again")
    if removal.listed is not None:
        _prune(settings, store, removal.listed, dry, log)


def _forget(store: Store, addresses: tuple[str, ...], dry: bool, log: Log) -> None:
    ids = {image_id(uri) for uri in addresses}
    if not ids:
        return
    if dry:
        if count := len(ids.difference(read_forgotten(store).ids("forgotten"))):
            log.say("forget", f"{counted(count, 'photo')} would be forgotten")
        return
    if count := forget(store, ids, whoami(), "table of overrides"):
        are = counted(count, "photo is", "photos are")
        erases = runs_command("gc", store.uri, "--delete")
        log.say("forget", f"{are} forgotten; {erases} removes the bytes")


def live_and_forgotten(overrides: Overrides, store: Store) -> Iterator[str]:
    """Yield live photos that a forget pattern matches; the input may no longer have them."""
    if overrides.has_forget_patterns:
        for piece in pieces(live_photos(store)):
            yield from overrides.forgotten_among(one_array(piece["uri"]))


def _prune(settings: Settings, store: Store, listed: Listing, dry: bool, log: Log) -> None:
    if listed.why_no_pruning:
        log.say("prune_refused", f"WARNING: {listed.why_no_pruning}: nothing is pruned")
        return
    gone = gone_photos(store, listed.table, listed.within)
    count, most = gone.photos.num_rows, settings.running.prune_most
    live = counted(gone.live, "live photo is", "live photos are")
    share = f"{count:,} of {live} gone from the input"
    facts = {"gone": count, "live": gone.live}
    if not count:
        log.say("prune", "no live photo is gone from the input", **facts)
    elif gone.share > most:
        log.say(
            "prune_refused",
            f"WARNING: {share}, more than --prune-most {most:g} allows: nothing is pruned",
            **facts,
        )
    elif dry:
        first = gone.photos["uri"][0].as_py()
        log.say("prune", f"{share} and would be pruned, the first is {first!r}", **facts)
    else:
        prune(store, gone.photos["image_id"].to_pylist(), whoami(), "gone from the input")
        log.say("prune", f"{share} and are pruned", **facts)


def go_live(settings: Settings, store: Store, log: Log, committed: Manifest | None = None) -> bool:
    """Make the channel's waiting runs live where their gate holds; return whether all are live.

    A trial, and a job with manual promotion, makes none live and returns True.

    committed: the run that the job has just committed, if any
    """
    if is_trial_job(settings):
        log.say("trial", "this is a trial: it does not go live, and covers no photo")
        return True
    channel = channel_for(settings)
    if settings.running.promote == "manual":
        waiting = standing(store).waiting(channel) if committed is None else [committed]
        if waiting:
            how = promote_command(store.uri, waiting[0].run_id)
            log.say("manual", f"not live yet: {how} makes it live in channel {channel}")
        return True
    outcomes = promote_waiting(store, channel, _request(settings.running))
    for outcome in outcomes:
        _report(outcome, store.uri, log)
    if committed is not None and committed.only_failed_again:
        text = f"run {committed.run_id} is not made live: every photo failed again"
        log.say("failed_again", f"{text}, so nothing changes in what is live")
    if settings.thumbnails.crop_names is not None:
        done = publish_files(store, channel)
        counts = f"{done.copied:,} copied, {done.same:,} the same, {done.removed:,} removed"
        log.say("files", f"crop files in {public_prefix(channel)}: {counts}", **asdict(done))
    elif any(outcome.is_live for outcome in outcomes):
        _warn_of_earlier_names(store, channel, log)
    return all(outcome.is_live for outcome in outcomes)


def _request(running: RunningSettings) -> Request:
    """Ask for a promotion by the job's gate; the default one holds `max_error_rate` too."""
    strict = running.gate != DEFAULT_GATE
    gate = parse_gate(running.gate)
    if not strict and running.max_error_rate < 1:
        gate = Gate((*gate.terms, Term("error_rate", "<=", running.max_error_rate)))
    return Request(gate=gate, strict=strict, behind=True, who=whoami(), why="its commit")


def _warn_of_earlier_names(store: Store, channel: str, log: Log) -> None:
    """Warn if crops of earlier runs are published under names; a job without any leaves them."""
    if any(store.list(index_key(channel))):  # only listed: such a job may not read them
        removes = runs_command("publish-files", store.uri, "--channel", channel)
        log.say(
            "files_left",
            f"WARNING: {public_prefix(channel)} still shows the crops of earlier runs, since this "
            "job names none: `--crop-files TEMPLATE --mode full` names those of its photos, "
            f"{removes} removes the names that are no longer live",
            channel=channel,
        )


def _report(outcome: Outcome, output: str, log: Log) -> None:
    run, facts = outcome.run_id, {"run_id": outcome.run_id, "channel": outcome.channel}
    figures = dict(outcome.measured.values)
    for live, problem in outcome.measured.damaged.items():
        log.say("damaged_run", f"WARNING: run {live} is not compared with: {problem}", run_id=live)
    if outcome.is_live:
        text = f"run {run} is live in channel {outcome.channel} ({outcome.judged})"
        log.say("promoted", text, **facts, figures=figures)
        return
    why = {
        "gate": f"the gate does not hold: {outcome.judged}",
        "rolled back": "a run of the same settings, weights and code was rolled back",
    }.get(outcome.decision, outcome.problem)
    text = (
        f"WARNING: run {run} is committed and not live: {why}. Look at it: "
        f"{runs_command('gallery', output, run)}; {promote_command(output, run)} "
        "makes it live"
    )
    log.say("not_promoted", text, **facts, figures=figures)


def promote_command(output: str, run_id: str) -> str:
    """Return the command that makes a run live where a job would have put it.

    A person may type it nights later, or for several runs, the latest first: no run may hide the
    newer crops of another.
    """
    return runs_command("promote", output, run_id, "--behind-newer")
