"""Publish runs as tables for other systems: Delta Lake, Apache Iceberg, Hugging Face."""

from dataclasses import dataclass
from typing import Literal

from pipeline.cli.runs.command import Command, block
from pipeline.errors import SettingError, naming
from pipeline.export.hugging_face import write_dataset
from pipeline.ledger.channels.live import live_layers
from pipeline.ledger.reader import open_run
from pipeline.ledger.table_formats.delta import publish_delta
from pipeline.ledger.table_formats.iceberg import publish_iceberg, publish_live_as_iceberg
from pipeline.ledger.table_formats.iceberg_tables import NAMESPACE
from pipeline.options import check, option
from pipeline.storage.store import open_store


@dataclass(frozen=True, kw_only=True)
class Publish(Command):
    """Add a run, or the live runs, to tables that other systems read."""

    run_id: str = option(
        "", "run id, see `list`; default: the live runs", placeholder="RUN_ID", positional=True
    )
    as_: Literal["delta", "iceberg", "huggingface"] = option(
        "delta",
        "Delta Lake tables in _data/ (package deltalake) or Iceberg tables in _iceberg/ (package "
        "pyiceberg), both over the existing data files; or a data set in Parquet, a copy",
    )
    delta: bool = option(False, "the same as --as delta, for calls of earlier releases")
    channel: str = option("", "channel of the live runs", placeholder="NAME")
    catalog: str = option(
        "",
        "Iceberg catalogue in pyiceberg's configuration; default: files in the output",
        placeholder="NAME",
    )
    namespace: str = option(NAMESPACE, "of the tables in that catalogue", placeholder="NAME")
    into: str = option(
        "", "folder or s3:// prefix for the Hugging Face data set", placeholder="ADDRESS"
    )

    def __post_init__(self) -> None:
        check(self)
        if self.run_id and self.channel:
            raise SettingError("channel", "is of what is live; leave out the run id")
        if self.delta and self.as_ != "delta":
            raise SettingError("delta", f"and --as {self.as_} are two things; choose one")
        if self.catalog and self.as_ != "iceberg":
            raise SettingError("catalog", "is of Iceberg tables: --as iceberg")
        if bool(self.into) != (self.as_ == "huggingface"):
            raise SettingError("into", "is where a data set goes: --as huggingface needs it")

    def run(self) -> int:
        about = {"run_id": self.run_id or "live"}
        if self.as_ == "huggingface":
            run = open_run(self.output, self.run_id or None, self.channel or None)
            with naming("into"):
                into = open_store(self.into)
            written = write_dataset(run, into)
            self.print_records([{**about, "into": self.into, **written}], block)
            return 0
        versions = self._iceberg() if self.as_ == "iceberg" else self._delta()
        self.print_records([{**about, "versions": versions}], block)
        return 0

    def _delta(self) -> dict[str, int | None]:
        store = self.store
        if self.run_id:
            return publish_delta(store, self.run_id)
        live = [m for layer in live_layers(store, self.channel or None) for m in layer]
        versions: dict[str, int | None] = {}
        for manifest in sorted(live, key=lambda m: (m.committed_at, m.run_id)):
            for name, version in publish_delta(store, manifest.run_id).items():
                versions[name] = versions.get(name) if version is None else version
        return versions

    def _iceberg(self) -> dict[str, int | None]:
        catalog, store = self.catalog or None, self.store
        if self.run_id:
            return publish_iceberg(store, self.run_id, catalog, self.namespace)
        return publish_live_as_iceberg(store, self.channel or None, catalog, self.namespace)
