"""List the runs of a store, and verify a run byte by byte."""

from collections.abc import Callable, Iterator, Sized
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import msgspec
import pyarrow.compute as pc

from pipeline.errors import RecordError
from pipeline.ledger.bounded_map import bounded_map
from pipeline.ledger.channels.channel import channel_of
from pipeline.ledger.channels.live import Standing, standing
from pipeline.ledger.checked_files import (
    CROP_READERS,
    CheckedFile,
    check_crop_files,
    check_file,
)
from pipeline.ledger.forgetting import read_forgotten, without
from pipeline.ledger.known_runs import committed_run
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.manifest import (
    failed_photos,
    file_list,
    files_in,
    of_table,
    read_manifest,
    unsettled_ids,
)
from pipeline.ledger.pinned import read_spec
from pipeline.ledger.records import ABANDONED, Abandoned, Manifest, StoredList
from pipeline.ledger.row_balance import RowBalance
from pipeline.ledger.stored_runs import run_ids
from pipeline.ledger.wrong_crops import WrongCrops
from pipeline.storage.store import Store
from pipeline.words import counted

READERS = 8  # data files fetched and hashed at a time


def list_runs(store: Store, known: Standing | None = None) -> Iterator[dict[str, Any]]:
    """Describe every run of a store: committed, open, abandoned or damaged.

    known: what is live, if it was looked up before
    """
    known = standing(store) if known is None else known
    for run_id in run_ids(store):
        try:
            yield describe_run(store, run_id, known)
        except RecordError as error:
            yield {"run_id": run_id, "state": "damaged", "problem": str(error)}


def describe_run(store: Store, run_id: str, known: Standing) -> dict[str, Any]:
    """Describe one run without reading its data. Raises RecordError."""
    manifest = read_manifest(store, run_id)
    if isinstance(manifest, Abandoned):
        return {"run_id": run_id, "state": ABANDONED, "since": manifest.committed_at}
    ledger = Ledger(store, run_id)
    line = {
        "run_id": run_id,
        "images": ledger.rows,
        "tasks": ledger.task_count,
        "parent": ledger.spec.parent,
    }
    if manifest is None:
        return {**line, "state": "open", "tasks_done": ledger.task_count - len(ledger.pending())}
    return {
        **line,
        "state": "committed",
        "standing": known.state(manifest),
        "channel": channel_of(manifest),
        "live": known.places(run_id),
        "verdict": manifest.verdict,
        "committed_at": manifest.committed_at,
        "tables": msgspec.to_builtins(manifest.tables),
        "statuses": manifest.metrics.statuses,
        "unsettled": manifest.unsettled.rows,
        **_column_entries(manifest),
        "input": manifest.job.get("input"),
        "settings": dict(manifest.settings),
        "wall_s": manifest.session.get("wall_s"),
    }


def _column_entries(manifest: Manifest) -> dict[str, Any]:
    """Return the manifest's entries on the columns of the list; none in old runs."""
    names = ("columns", "unified")
    return {name: manifest.document[name] for name in names if manifest.document.get(name)}


@dataclass
class Verification:
    """The result of `verify_run`. If there are no problems, every byte is as committed.

    files, bytes, rows: of the data files that are as committed or rewritten
    crop_files: crops stored as objects that are as committed; one that several tasks share counts
        in each
    collected: missing crop objects that `gc` may have removed, since no live run needs them
    erased: photos whose rows were removed because they are forgotten
    """

    run_id: str
    files: int = 0
    bytes: int = 0
    rows: dict[str, int] = field(default_factory=dict)
    crop_files: int = 0
    collected: int = 0
    erased: int = 0
    problems: list[str] = field(default_factory=list)


@dataclass
class _Seen:
    """What `verify_run` keeps of the data files.

    balance: photos of the list against their rows
    erased: photos whose rows were removed from any table; images_erased: from `images`
    """

    balance: RowBalance
    erased: set[str] = field(default_factory=set)
    images_erased: set[str] = field(default_factory=set)


def verify_run(store: Store, run_id: str) -> Verification:
    """Hash every file of a committed run again, and check that rows out are rows in.

    Its files are data files, lists, and crops that are objects below `crops/`; published copies are
    not read (see `publishing.deviation`). Replacement records account for rows removed with
    forgotten photos. Raises what `committed_run` raises, and RecordError where the run's records
    cannot be read.
    """
    manifest = committed_run(store, run_id)
    found, seen = Verification(run_id), _Seen(RowBalance(store, read_spec(store, run_id)))
    wrong = WrongCrops(store, manifest)
    listed, hidden = file_list(store, manifest), read_forgotten(store).hidden
    with ThreadPoolExecutor(READERS) as pool, ThreadPoolExecutor(CROP_READERS) as crop_pool:
        for checked in bounded_map(pool, partial(check_file, store), files_in(listed)):
            _add_file(found, seen, checked)
            if checked.crops is not None:
                shown = without(checked.crops, hidden)
                for key, problem in check_crop_files(store, shown, crop_pool):
                    found.crop_files += problem is None
                    if problem is not None:
                        wrong.add(key, problem)
    found.erased = len(seen.erased)
    for table, totals in manifest.tables.items():
        rows = pc.sum(of_table(listed, table)["rows"]).as_py() or 0
        if rows != totals.rows:
            found.problems.append(
                f"{table}: {counted(rows, 'row')}, not {totals.rows} as committed"
            )
    found.problems += seen.balance.problems()
    found.problems += _check_lists(store, manifest, seen.erased)
    found.problems += wrong.problems()
    found.collected = wrong.collected
    return found


def _add_file(found: Verification, seen: _Seen, checked: CheckedFile) -> None:
    """Count a data file, or note what is wrong with it."""
    if checked.problem is not None:
        found.problems.append(checked.problem)
        return
    table = checked.file.table
    found.files += 1
    found.bytes += checked.file.bytes
    found.rows[table] = found.rows.get(table, 0) + checked.file.rows
    seen.erased |= checked.erased
    if table == "images":
        ids = [] if checked.ids is None else checked.ids.to_pylist()
        seen.balance.take_off(checked.file.key, [*ids, *(checked.erased - seen.images_erased)])
        seen.images_erased |= checked.erased


def _check_lists(store: Store, manifest: Manifest, erased: set[str]) -> list[str]:
    """Verify the lists of failed photos; report how many photos were erased unasked."""
    problems = []
    lists: list[tuple[StoredList, Callable[[], Sized]]] = [
        (manifest.unsettled, partial(unsettled_ids, store, manifest))
    ]
    if manifest.failures is not None:
        lists.append((manifest.failures, partial(failed_photos, store, manifest.failures)))
    for entry, read in lists:
        try:
            found = len(read())
        except RecordError as error:
            problems.append(str(error))
            continue
        if found != entry.rows:
            problems.append(
                f"{entry.key} has {counted(found, 'photo')}, not {entry.rows} as committed"
            )
    unasked = erased - read_forgotten(store).entries.keys()
    if unasked:
        photos = counted(len(unasked), "photo")
        problems.append(f"rows of {photos} were removed that nobody forgot")
    return problems
