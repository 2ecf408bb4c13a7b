"""Keep Iceberg tables in the output store itself, without a server: a file-based catalogue.

_iceberg/<table>/metadata/v<n>.metadata.json   version n of the table, created once
_iceberg/<table>/metadata/version-hint.text    the number of the latest, for other engines
_iceberg/<table>/metadata/*.avro               manifests, which name the data files
_iceberg/<table>/data/from=<run>/*.parquet     what is left of files that are replaced in part

This is the layout of Iceberg's own file-based catalogue (Hadoop's), so that engines can open a
table's folder or a version's file. A commit creates the next version's file; if two race, one fails
and starts again from the other's result. Needs the optional package `pyiceberg`.
"""

import os
import re
from pathlib import Path
from typing import Any

from pyiceberg.catalog import Catalog, load_catalog
from pyiceberg.catalog.noop import NoopCatalog
from pyiceberg.exceptions import CommitFailedException, NoSuchTableError
from pyiceberg.io import load_file_io
from pyiceberg.partitioning import UNPARTITIONED_PARTITION_SPEC
from pyiceberg.schema import Schema
from pyiceberg.table import CommitTableResponse, Table
from pyiceberg.table.metadata import TableMetadata, TableMetadataUtil, new_table_metadata
from pyiceberg.table.sorting import UNSORTED_SORT_ORDER
from pyiceberg.table.update import TableRequirement, TableUpdate, update_table_metadata
from pyiceberg.typedef import EMPTY_DICT, Identifier, Properties
from pyiceberg.utils.config import Config

from pipeline.errors import SettingError, without_secrets
from pipeline.storage.addresses import local_path, scheme_of
from pipeline.storage.store import Store

ROOT = "_iceberg"
HINT = "version-hint.text"
VERSION = re.compile(r"v(\d+)\.metadata\.json")
PASSWORD = re.compile(r"//[^/@]*:([^/@]+)@")  # of an address


def location_of(store: Store, key: str) -> str:
    """Return the address of an object of the store as Iceberg's files name it."""
    root = store.uri.rstrip("/")
    if scheme_of(root) == "file":
        root = f"file://{Path(local_path(root)).absolute()}"
    return f"{root}/{key}"


def open_catalog(store: Store, name: str | None) -> Catalog:
    """Open the catalogue of this name in pyiceberg's configuration; None: the store's own.

    Raises SettingError where there is none of that name.
    """
    if name is None:
        return StoreCatalog(store)
    try:
        return load_catalog(name)
    except (ValueError, KeyError) as error:
        raise SettingError(
            "catalog",
            f"{name!r} is none that pyiceberg opens: {without_secrets(str(error), _given(name))}. "
            f"Write it into .pyiceberg.yaml or PYICEBERG_CATALOG__{name.upper()}__URI",
        ) from error


def _given(name: str) -> list[str]:
    """Return what may be secret in the configuration of a catalogue: all but its type."""
    found = Config().get_catalog_config(name) or {}
    values = [str(value) for key, value in found.items() if key != "type"]
    return values + [word for value in values for word in PASSWORD.findall(value)]


class StoreCatalog(NoopCatalog):
    """Loads, creates and commits tables below `_iceberg/`; the namespace is only a name."""

    def __init__(self, store: Store) -> None:
        super().__init__("store")
        self.store = store

    def supports_server_side_planning(self) -> bool:
        return False

    def create_namespace_if_not_exists(
        self, namespace: str | Identifier, properties: Properties = EMPTY_DICT
    ) -> None:
        return

    def load_table(self, identifier: str | Identifier) -> Table:
        """Load the latest version of a table. Raises NoSuchTableError.

        Fixes the hint if the writer of that version died before writing it.
        """
        folder = _folder(identifier)
        numbers = self._numbers(folder)
        if not numbers:
            raise NoSuchTableError(f"there is no table {folder} in {self.store.uri}")
        if self._hinted(folder) != str(max(numbers)):
            self._hint(folder)
        key = f"{folder}{_file(max(numbers))}"
        metadata = TableMetadataUtil.parse_raw(self.store.read(key).decode())
        return self._table(identifier, metadata, location_of(self.store, key))

    def create_table(
        self,
        identifier: str | Identifier,
        schema: Any,
        location: str | None = None,
        partition_spec: Any = UNPARTITIONED_PARTITION_SPEC,
        sort_order: Any = UNSORTED_SORT_ORDER,
        properties: Properties = EMPTY_DICT,
    ) -> Table:
        """Create a table, or load it if another process was faster."""
        folder = _folder(identifier)
        if not isinstance(schema, Schema):
            schema = self._convert_schema_if_needed(schema)
        place = location or location_of(self.store, folder.rsplit("/", 2)[0])
        metadata = new_table_metadata(schema, partition_spec, sort_order, place, dict(properties))
        self.store.create_once(f"{folder}{_file(1)}", _bytes(metadata))
        self._hint(folder)
        return self.load_table(identifier)

    def commit_table(
        self,
        table: Table,
        requirements: tuple[TableRequirement, ...],
        updates: tuple[TableUpdate, ...],
    ) -> CommitTableResponse:
        """Create the next version. Raises CommitFailedException if another was faster."""
        folder = _folder(table.name())
        current = self.load_table(table.name())
        for requirement in requirements:
            requirement.validate(current.metadata)
        metadata = update_table_metadata(
            current.metadata, updates, metadata_location=current.metadata_location
        )
        number = int(VERSION.fullmatch(current.metadata_location.rpartition("/")[2])[1]) + 1  # type: ignore[index]
        key = f"{folder}{_file(number)}"
        if not self.store.create_once(key, _bytes(metadata)):
            raise CommitFailedException(f"version {number} of {folder} is another's")
        self._hint(folder)
        return CommitTableResponse.model_validate(
            {"metadata": metadata, "metadata-location": location_of(self.store, key)}
        )

    def _table(self, identifier: str | Identifier, metadata: TableMetadata, place: str) -> Table:
        io = load_file_io(io_properties(), place)
        return Table(Catalog.identifier_to_tuple(identifier), metadata, place, io, self)

    def _numbers(self, folder: str) -> list[int]:
        names = (info.key.removeprefix(folder) for info in self.store.list(f"{folder}v"))
        return [int(found[1]) for name in names if (found := VERSION.fullmatch(name))]

    def _hinted(self, folder: str) -> str | None:
        try:
            return self.store.read(f"{folder}{HINT}").decode()
        except FileNotFoundError:
            return None

    def _hint(self, folder: str) -> None:
        """Write the latest version's number, looked up just before, so the last writer is right."""
        self.store.write(f"{folder}{HINT}", str(max(self._numbers(folder))).encode())


def io_properties() -> dict[str, str]:
    """Return how to reach the files of the store's own catalogue: for S3, by the environment."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    found = {"s3.endpoint": endpoint, "s3.region": region or "us-east-1"}
    return {name: value for name, value in found.items() if value}


def _folder(identifier: str | Identifier) -> str:
    return f"{ROOT}/{Catalog.table_name_from(identifier)}/metadata/"


def _file(number: int) -> str:
    return f"v{number}.metadata.json"


def _bytes(metadata: TableMetadata) -> bytes:
    return metadata.model_dump_json(exclude_none=True).encode()
