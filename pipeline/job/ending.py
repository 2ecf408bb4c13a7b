"""Commit a job's run, report its results and make it live."""

import os
import shlex
from collections import Counter
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec.structs import asdict

from pipeline.errors import LedgerError, UsageError
from pipeline.ledger.card import write_card
from pipeline.ledger.coverage.compaction import write_indexes
from pipeline.ledger.figures import Figures
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.manifest import failed_photos
from pipeline.ledger.records import Manifest
from pipeline.live_table import Ending, go_live, job_entry
from pipeline.report.progress import Log, opening, summary_lines
from pipeline.settings import Settings, Verdict
from pipeline.stages.worker import Job
from pipeline.storage.addresses import local_path, scheme_of
from pipeline.storage.store import Store
from pipeline.storage.traffic import requests_so_far
from pipeline.words import counted, runs_command

# When failed photos are done again, by kind of failure.
AGAIN = {
    "transient": "done again in the next night",
    "circumstances": "done again in nights 1, 2, 4, 8, …, or now by {retry}",
    "permanent": "done again only if the file changes",
    # Circumstances too, but a retry reads what was listed, which is gone.
    "changed": "replaced since they were listed; the next night does the new ones",
}


def commit(
    job: Job, ledger: Ledger, log: Log, metrics: Figures, session: Mapping[str, Any]
) -> Ending:
    """Commit the run, log its summary, make it live if the gate holds; return how the job ended.

    metrics: the sum of all tasks' figures. session: facts about this session for the manifest.
    """
    verdict = verdict_of(job.settings, metrics)
    if job.repeats:
        session = {**session, "repeats": True}
    about = {
        "verdict": verdict,
        "weights": job.weights.as_dict(),
        "job": job_entry(job.settings),
        "session": {**session, "driver_requests": dict(requests_so_far())},
    }
    manifest = ledger.finish(about)
    figures = {**asdict(manifest.metrics), **manifest.session}
    figures |= {"images": manifest.rows, "costs": msgspec.to_builtins(manifest.metrics.costs)}
    for line in [] if log.json else summary_lines(figures):
        log.say("summary", line)
    _log_failures(ledger.store, manifest, log)
    for name, one in (manifest.unified or {}).items():
        was = ", ".join(f"{kind} in run {who['latest']}" for kind, who in one.was.items())
        log.say("column", f"column {name} is {one.type} in the current table: {was}")
    if verdict == "over_error_rate":
        _log_error_rate(job.settings, metrics, log)
    log.say("committed", f"run {ledger.run_id} is committed: {verdict}", **figures)
    is_live = go_live(job.settings, ledger.store, log, manifest)
    _write_extras(ledger.store, manifest, log)
    log_result(job.settings.running.output, ledger.run_id, log)
    return ending_of(verdict, is_live)


def _log_failures(store: Store, manifest: Manifest, log: Log) -> None:
    """Log how many photos failed by kind of reason, when each is retried, where to read why."""
    if manifest.failures is None or not manifest.failures.rows:
        return
    kinds = Counter(failed_photos(store, manifest.failures)["kind"].to_pylist())
    changed = min(manifest.metrics.failures.get("changed", 0), kinds["circumstances"])
    told = kinds + Counter(changed=changed) - Counter(circumstances=changed)
    retry = runs_command("retry", store.uri, manifest.run_id, "--kind", "circumstances")
    parts = [
        f"{count:,} {kind} ({AGAIN[kind].format(retry=retry)})"
        for kind, count in told.items()
        if kind in AGAIN
    ]
    why = "the gallery and the column error_message of `images` say why"
    log.say("failures", f"failed   {', '.join(sorted(parts))}; {why}", **kinds)


def _write_extras(store: Store, manifest: Manifest, log: Log) -> None:
    """Write the indexes that make the next plan cheap, and the run's card for `datasets`.

    Nothing depends on them, so a store that fails is only reported.
    """
    try:
        write_card(store, manifest)
        if write_indexes(store, manifest):
            log.say("index", "the index of covered photos is brought up to date")
    except (LedgerError, UsageError, OSError) as error:
        log.say("index", f"WARNING: the run's card or the index of photos is not written: {error}")


def log_result(output: str, run_id: str, log: Log) -> None:
    """Log where the result is, how to look at it and how to open it."""
    if scheme_of(output) == "file":
        output = os.path.abspath(local_path(output))
    where, code = f"the result lies in {output}, run {run_id}", opening(output, run_id)
    if not log.json:
        where += f"; to look at it: `runs.py gallery {shlex.quote(output)} {run_id}`; in Python:\n"
        where += "\n".join(f"  {line}" for line in code)
    log.say("result", where, output=output, run_id=run_id, python=list(code))


def ending_of(verdict: Verdict, is_live: bool) -> Ending:
    """Return how a job ended. Too many failures take precedence over a gate that does not hold."""
    return "not_promoted" if verdict == "done" and not is_live else verdict


def verdict_of(settings: Settings, metrics: Figures) -> Verdict:
    """Return the verdict: whether more photos failed than `max_error_rate` allows."""
    failed = metrics.failed
    allowed = settings.running.max_error_rate * metrics.photos
    return "over_error_rate" if failed > allowed else "done"


def earlier_verdict(settings: Settings, manifest: Manifest, log: Log) -> Verdict:
    """Return the verdict on an earlier run, and log why if too many of its photos failed."""
    verdict = verdict_of(settings, manifest.metrics)
    if verdict == "over_error_rate":
        _log_error_rate(settings, manifest.metrics, log, of=f"in run {manifest.run_id} ")
    return verdict


def _log_error_rate(settings: Settings, metrics: Figures, log: Log, of: str = "") -> None:
    """Log that more photos failed than `max_error_rate` allows. of: an earlier run, in words."""
    failed = failures(metrics)
    log.say(
        "over_error_rate",
        f"{of}{sum(failed.values()):,} of {counted(metrics.photos, 'photo')} failed, more than "
        f"--max-error-rate {settings.running.max_error_rate:g} allows: "
        + ", ".join(f"{count:,} {status}" for status, count in list(failed.items())[:5]),
        failed=failed,
    )


def failures(metrics: Figures) -> dict[str, int]:
    """Return how many photos failed for each reason, the most common first."""
    return dict(sorted(metrics.failures.items(), key=lambda item: (-item[1], item[0])))
