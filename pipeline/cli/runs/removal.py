"""Take photos out of the current table: on request, or because they are gone from the input."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.cli.runs.command import Command
from pipeline.command_line import FAILED
from pipeline.errors import RecordError, UsageError
from pipeline.inputs.listing import image_id, list_all
from pipeline.inputs.lists import URI
from pipeline.inputs.local_files import local_uri
from pipeline.ledger.forgetting import forget, prune, read_forgotten, take_back, without
from pipeline.ledger.pinned import input_rows, read_spec
from pipeline.ledger.pruning import gone_photos
from pipeline.ledger.records import Manifest
from pipeline.ledger.sampling import locate_photos
from pipeline.ledger.stored_runs import stored_runs
from pipeline.options import check, option
from pipeline.storage.addresses import s3_spelling
from pipeline.storage.store import Store
from pipeline.words import counted


@dataclass(frozen=True, kw_only=True)
class Forget(Command):
    """Take photos out of the current table and of later runs; `gc --delete` erases them."""

    uris: tuple[str, ...] = option(
        help="addresses of the photos, as in the tables", placeholder="URI", positional=True
    )
    why: str = option("", "a note to keep with it", placeholder="TEXT")
    take_back: bool = option(False, "show them again instead, and let the next run crop them")

    def run(self) -> int:
        if not all(uri.strip() for uri in self.uris):  # perhaps a variable that is not set
            raise UsageError("an empty address names no photo: give addresses as in `images.uri`")
        store = self.store
        ids = {image_id(uri): uri for uri in map(_as_in_tables, self.uris)}
        listed = read_forgotten(store)
        if self.take_back:
            hidden = set(listed.ids("forgotten", "pruned"))
            take_back(store, ids, why=self.why)
        else:
            hidden = set(listed.ids("forgotten"))
            forget(store, ids, why=self.why)
        stored = stored_runs(store)
        rows = [{"image_id": i, "uri": uri} for i, uri in ids.items()]
        damaged = {run_id: str(error) for run_id, error in stored.damaged.items()}
        known = {*locate_photos(store, stored.committed, pa.Table.from_pylist(rows), damaged)}
        if self.take_back:
            known |= hidden  # a photo that is in no run may still be on the list
        for run_id, problem in damaged.items():
            print(f"WARNING: run {run_id} is not searched: {problem}", file=sys.stderr)
        found = ids.keys() & known
        missing = sorted(uri for i, uri in ids.items() if i not in found)
        result = {
            "photos": len(ids),
            "changed": len(found & hidden if self.take_back else found - hidden),
            "already": len(found - hidden if self.take_back else found & hidden),
            "in_no_run": missing,
            "for_instance": _address_like(store, stored.committed, missing[0]) if missing else None,
            "taken_back": self.take_back,
        }
        self.print_records([result], _forget_text)
        return FAILED if missing else 0


@dataclass(frozen=True, kw_only=True)
class Prune(Command):
    """Show which photos of the current table are gone from an input, or take them out."""

    input: str = option(
        help="the input of the job: folder, glob, s3:// prefix or list",
        placeholder="INPUT",
        positional=True,
    )
    uri_column: str = option(
        URI, "column of a list that holds the addresses, as in the job", placeholder="COLUMN"
    )
    requester_pays: bool = option(False, "pay for listing it if its bucket is requester-pays")
    delete: bool = option(False, "take them out instead of showing them")
    most: float = option(
        0.1, "take none out if a larger share is gone", placeholder="SHARE", least=0, most=1
    )
    why: str = option("", "a note to keep with it", placeholder="TEXT")

    def __post_init__(self) -> None:
        check(self)

    def run(self) -> int:
        store = self.store
        listed = list_all(
            self.input, uri_column=self.uri_column, requester_pays=self.requester_pays
        )
        if listed.why_no_pruning:
            raise UsageError(f"{listed.why_no_pruning}; correct the list")
        gone = gone_photos(store, listed.table, listed.within)
        refused = self.delete and gone.share > self.most
        if self.delete and not refused:
            prune(store, gone.photos["image_id"].to_pylist(), why=self.why or "gone from the input")
        self.print_records(
            ({"uri": uri} for uri in gone.photos["uri"].to_pylist()), lambda one: one["uri"]
        )
        result = {
            "gone": gone.photos.num_rows,
            "live": gone.live,
            "share": round(gone.share, 6),
            "pruned": 0 if refused or not self.delete else gone.photos.num_rows,
            "most": self.most,
            "asked": self.delete,
        }
        self.print_records([result], _prune_text)
        return FAILED if refused else 0


def _as_in_tables(uri: str) -> str:
    """Return an address of the command line as a listing writes it."""
    try:
        uri.encode()
    except UnicodeEncodeError:  # the name of a file that is not UTF-8
        return local_uri(Path(uri))
    return s3_spelling(uri)


def _address_like(store: Store, committed: list[Manifest], uri: str) -> str | None:
    """Return an address from the latest readable run, with the same file name if there is one.

    Only the first file of the run's list that has visible photos is searched.
    """
    hidden, name = read_forgotten(store).hidden, "/" + uri.rpartition("/")[2]
    for manifest in committed:
        try:
            for rows in input_rows(store, read_spec(store, manifest.run_id), ["image_id", "uri"]):
                uris: list[str] = without(rows, hidden)["uri"].to_pylist()
                if uris:
                    return next((one for one in uris if one.endswith(name)), uris[0])
        except RecordError:
            continue
    return None


def _forget_text(result: Mapping[str, Any]) -> str:
    """Describe the result for a person, first the addresses that belong to no photo."""
    lines = [f"no committed run has {uri}" for uri in result["in_no_run"]]
    if lines and not result["taken_back"]:
        which = "that address is" if len(lines) == 1 else "these addresses are"
        lines.append(f"{which} on the list of forgotten photos all the same, for later runs")
    if result["for_instance"]:
        lines.append(f"addresses are as in `images.uri`, for instance {result['for_instance']}")
    changed = counted(result["changed"], "photo is", "photos are")
    already = counted(result["already"], "photo was", "photos were")
    if result["changed"]:
        what = "shown again" if result["taken_back"] else "forgotten; gc --delete erases the bytes"
        lines.append(f"{changed} {what}")
    if result["already"]:
        what = "not forgotten" if result["taken_back"] else "forgotten already"
        lines.append(f"{already} {what}")
    return "\n".join(lines)


def _prune_text(result: Mapping[str, Any]) -> str:
    if not result["live"]:
        return "no live photo lies below that input: nothing could be gone from it"
    live = counted(result["live"], "live photo is", "live photos are")
    text = f"{result['gone']} of {live} gone from the input"
    if not result["asked"]:
        return f"{text}; nothing removed, add --delete"
    if result["gone"] > result["pruned"]:
        return f"{text}, more than --most {result['most']:g} allows; nothing removed"
    return f"{text} and are taken out"
