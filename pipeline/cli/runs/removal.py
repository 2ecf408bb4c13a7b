"""Take photos out of the current table: by a person's word, or as they are gone from the input."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from pipeline.cli.runs.command import Command
from pipeline.command_line import FAILED
from pipeline.inputs.listing import image_id, list_all
from pipeline.ledger.forgetting import forget, prune, take_back
from pipeline.ledger.live import stored_runs
from pipeline.ledger.pruning import gone_photos
from pipeline.ledger.sampling import places_of
from pipeline.options import check, option
from pipeline.storage.addresses import s3_spelling


@dataclass(frozen=True, kw_only=True)
class Forget(Command):
    """Take photos out of the current table at once and of later runs; `gc --delete` erases them."""

    uris: tuple[str, ...] = option(
        help="addresses of the photos, as in the tables", placeholder="URI", positional=True
    )
    why: str = option("", "a note that is kept", placeholder="TEXT")
    take_back: bool = option(False, "show them again instead, and let the next run do them")

    def run(self) -> int:
        store = self.store
        ids = {image_id(uri): uri for uri in map(s3_spelling, self.uris)}
        if self.take_back:
            changed = take_back(store, ids, why=self.why)
        else:
            changed = forget(store, ids, why=self.why)
        rows = [{"image_id": i, "uri": uri} for i, uri in sorted(ids.items(), key=lambda x: x[1])]
        known = places_of(store, stored_runs(store).committed, pa.Table.from_pylist(rows), {})
        said = {
            "photos": len(ids),
            "changed": changed,
            "in_no_run": [uri for i, uri in sorted(ids.items()) if i not in known],
            "taken_back": self.take_back,
        }
        self.tell([said], _said)
        return 0


@dataclass(frozen=True, kw_only=True)
class Prune(Command):
    """Show which photos of the current table are gone from an input, or take them out."""

    input: str = option(
        help="the input as the job has it: folder, glob, s3:// prefix or list",
        placeholder="INPUT",
        positional=True,
    )
    requester_pays: bool = option(False, "pay for listing it, where its bucket in S3 asks that")
    delete: bool = option(False, "take them out instead of showing them")
    most: float = option(
        0.1, "take none out where more are gone", placeholder="SHARE", least=0, most=1
    )
    why: str = option("", "a note that is kept", placeholder="TEXT")

    def __post_init__(self) -> None:
        check(self)

    def run(self) -> int:
        store = self.store
        listed = list_all(self.input, requester_pays=self.requester_pays)
        gone = gone_photos(store, listed.table, listed.within)
        refused = self.delete and gone.share > self.most
        if self.delete and not refused:
            prune(store, gone.photos["image_id"].to_pylist(), why=self.why or "gone from the input")
        self.tell(({"uri": uri} for uri in gone.photos["uri"].to_pylist()), lambda one: one["uri"])
        said = {
            "gone": gone.photos.num_rows,
            "live": gone.live,
            "share": round(gone.share, 6),
            "pruned": 0 if refused or not self.delete else gone.photos.num_rows,
            "most": self.most,
            "asked": self.delete,
        }
        self.tell([said], _pruned)
        return FAILED if refused else 0


def _said(said: Mapping[str, Any]) -> str:
    what = "are shown again" if said["taken_back"] else "are forgotten; gc --delete erases them"
    lines = [f"{said['changed']} of {said['photos']} photos {what}"]
    lines += [f"WARNING: no committed run has {uri}" for uri in said["in_no_run"]]
    return "\n".join(lines)


def _pruned(said: Mapping[str, Any]) -> str:
    text = f"{said['gone']} of {said['live']} live photos are gone from the input"
    if not said["asked"]:
        return f"{text}; nothing removed, add --delete"
    if said["gone"] > said["pruned"]:
        return f"{text}, more than --most {said['most']:g} allows; nothing removed"
    return f"{text} and are taken out"
