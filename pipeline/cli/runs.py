"""Looks after the runs in an output store: lists, checks, compares, repairs, cleans, publishes.

    python jobs/runs.py list s3://thumbs/
    python jobs/runs.py verify s3://thumbs/ RUN
    python jobs/runs.py retry s3://thumbs/ RUN --kind transient
    python jobs/runs.py gc s3://thumbs/ --older-than 7d            (shows; --delete removes)

Exit codes: 0 done; 1 failed, or `verify` found a problem; 2 wrong usage; `retry` as crop_bucket.
"""

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, fields
from datetime import UTC, datetime
from typing import Any

from pipeline.errors import LedgerError, UsageError
from pipeline.ledger.audit import compare_runs, describe_run, list_runs, verify_run
from pipeline.ledger.delta import publish_delta
from pipeline.ledger.garbage import find_garbage, remove_garbage
from pipeline.ledger.ledger import Ledger
from pipeline.settings import Settings, flag
from pipeline.storage.store import open_store

FAILED, USAGE = 1, 2
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def parser() -> argparse.ArgumentParser:
    """The commands and their options."""
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = made.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, run: Callable[[argparse.Namespace], int], help: str, *ids: str) -> Any:
        one = commands.add_parser(name, help=help, description=help)
        one.add_argument("output", help="folder or s3:// prefix that holds the runs")
        for run_id in ids:
            one.add_argument(run_id, help="run id, see `list`")
        one.add_argument("--json", action="store_true", help="one JSON object a line (default: no)")
        one.set_defaults(run=run)
        return one

    command("list", list_command, "every run, one a line, the latest last")
    command("show", show_command, "all figures and settings of one run", "run_id")
    command("verify", verify_command, "hash every file of a run again and count its rows", "run_id")
    command("diff", diff_command, "what differs between two committed runs", "old_id", "new_id")
    retry = command("retry", retry_command, "do a run's failed images again, as a run", "run_id")
    retry.add_argument(
        "--kind", choices=("transient", "permanent", "all"), default="transient",
        help="which failures (default: transient)",
    )  # fmt: skip
    clean = command("gc", gc_command, "what no committed run needs: shows it, or removes it")
    clean.add_argument(
        "--older-than", default="7d", metavar="AGE", type=age_s,
        help="only what was written longer ago: 90m, 12h, 7d (default: 7d)",
    )  # fmt: skip
    clean.add_argument("--delete", action="store_true", help="remove it (default: no, only show)")
    publish = command("publish", publish_command, "add a run to the Delta tables", "run_id")
    publish.add_argument(
        "--delta", action="store_true", required=True,
        help="as Delta Lake tables in _data/; needs the package deltalake",
    )  # fmt: skip
    return made


def main(arguments: list[str] | None = None) -> int:
    """Parses, runs, and turns the outcome into an exit code."""
    options = parser()
    chosen = options.parse_args(arguments)
    try:
        return int(chosen.run(chosen))
    except UsageError as error:
        print(f"{options.prog}: {error}", file=sys.stderr)
        return USAGE
    except LedgerError as error:
        print(f"{options.prog}: {error}", file=sys.stderr)
        return FAILED


def list_command(chosen: argparse.Namespace) -> int:
    lines = list_runs(open_store(chosen.output))
    tell(chosen, sorted(lines, key=lambda line: line.get("committed_at", 0)), _run_line)
    return 0


def show_command(chosen: argparse.Namespace) -> int:
    store = open_store(chosen.output)
    ledger = Ledger(store, chosen.run_id)
    about = {name: value for name, value in ledger.spec.items() if name != "plan"}
    figures = {} if ledger.manifest is None else {"metrics": ledger.manifest["metrics"]}
    tell(chosen, [{**about, **describe_run(store, chosen.run_id), **figures}], _block)
    return 0


def verify_command(chosen: argparse.Namespace) -> int:
    found = verify_run(open_store(chosen.output), chosen.run_id)
    tell(chosen, [asdict(found)], _block)
    return FAILED if found.problems else 0


def diff_command(chosen: argparse.Namespace) -> int:
    store = open_store(chosen.output)
    tell(chosen, [compare_runs(store, chosen.old_id, chosen.new_id)], _block)
    return 0


def retry_command(chosen: argparse.Namespace) -> int:
    from pipeline.cli import crop  # loads the network, which takes seconds

    manifest = Ledger(open_store(chosen.output), chosen.run_id).manifest
    if manifest is None:
        raise LedgerError(f"run {chosen.run_id} is not committed; submit its job again instead")
    again = {"output": chosen.output, "retry": chosen.run_id, "retry_kind": chosen.kind}
    return crop.main(_arguments({**manifest["job"], **again}))


def gc_command(chosen: argparse.Namespace) -> int:
    store = open_store(chosen.output)
    garbage = find_garbage(store, chosen.older_than)
    lines = [{"why": g.why, "run_id": g.run_id, **asdict(g.info)} for g in garbage]
    tell(chosen, lines, _garbage_line)
    size = sum(g.info.bytes for g in garbage)
    freed = remove_garbage(store, garbage) if chosen.delete else 0
    summary = {"objects": len(garbage), "bytes": size, "bytes_freed": freed}
    tell(chosen, [summary], lambda s: f"{s['objects']} objects, {s['bytes']:,} bytes" + (
        f"; {freed:,} bytes freed" if chosen.delete else "; nothing removed, add --delete"
    ))  # fmt: skip
    return 0


def publish_command(chosen: argparse.Namespace) -> int:
    versions = publish_delta(open_store(chosen.output), chosen.run_id)
    tell(chosen, [{"run_id": chosen.run_id, "versions": versions}], _block)
    return 0


def age_s(text: str) -> float:
    """Seconds of an age like 90m, 12h or 7d."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text)
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is not an age; write 90m, 12h or 7d")
    return float(found[1]) * SECONDS[found[2]]


def _arguments(job: Mapping[str, Any]) -> list[str]:
    """The command line of the job whose settings a manifest holds; defaults are left out."""
    words: list[str] = []
    for item in fields(Settings):
        value = job.get(item.name, item.default)
        if value is True:
            words.append(flag(item.name))
        elif value != item.default and value is not False:
            words += [f"{flag(item.name)}={value}"]
    return words


def tell(
    chosen: argparse.Namespace,
    records: Iterable[Mapping[str, Any]],
    in_words: Callable[[Mapping[str, Any]], str],
) -> None:
    """Print records, as JSON or in words."""
    for record in records:
        print(json.dumps(record, ensure_ascii=False) if chosen.json else in_words(record))


def _run_line(run: Mapping[str, Any]) -> str:
    if run["state"] == "open":
        state = f"open, {run['tasks_done']} of {run['tasks']} tasks done"
    elif run["state"] == "committed":
        when = datetime.fromtimestamp(run["committed_at"], UTC).strftime("%Y-%m-%d %H:%M:%SZ")
        statuses = ", ".join(f"{n} {status}" for status, n in run["statuses"].items())
        state = f"{when}  {run['verdict']}  {run['images']} images: {statuses}"
    else:
        state = run["state"]
    parent = f"  (retry of {run['parent']})" if run.get("parent") else ""
    return f"{run['run_id']}  {state}{parent}"


def _garbage_line(one: Mapping[str, Any]) -> str:
    return f"{one['why']:<14}  {one['bytes']:>12,}  {one['key']}"


def _block(record: Mapping[str, Any]) -> str:
    return json.dumps(record, indent=2, ensure_ascii=False)


if __name__ == "__main__":
    sys.exit(main())
