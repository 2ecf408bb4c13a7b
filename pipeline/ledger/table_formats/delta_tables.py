"""Open, create and extend a Delta table of the output store."""

from typing import Any

from pipeline.errors import LedgerError
from pipeline.ledger.table_formats.delta_changes import Change
from pipeline.storage.addresses import scheme_of
from pipeline.storage.store import Store

CONFIGURATION = {"delta.deletedFileRetentionDuration": "interval 36500 days"}
TRANSACTION_VERSION = 1


def root_of(store: Store, name: str) -> tuple[str, dict[str, Any]]:
    """Return the address of a table and the options to open it with."""
    root = f"{store.uri.rstrip('/')}/_data/{name}"
    return root, {"storage_options": {"allow_http": "true"}} if scheme_of(root) == "s3" else {}


def open_table(deltalake: Any, store: Store, name: str) -> Any:
    """Open a table; None where there is none. Raises LedgerError where it cannot be read."""
    root, options = root_of(store, name)
    try:
        if not deltalake.DeltaTable.is_deltatable(root, **options):
            return None
        return deltalake.DeltaTable(root, **options)
    except (deltalake.exceptions.DeltaError, OSError) as error:
        raise LedgerError(f"{root} cannot be read: {error}; try again later") from error


def create_table(
    deltalake: Any, store: Store, name: str, schema: Any, change: Change, run_id: str
) -> None:
    """Create a table with its first run.

    deltalake's own retries are off: a second attempt would add the run again to the table that the
    first one created.
    """
    root, options = root_of(store, name)
    deltalake.transaction.create_table_with_add_actions(
        root, schema, change.actions(deltalake), mode="error", name=name,
        configuration=CONFIGURATION, commit_properties=properties_of(deltalake, run_id), **options,
    )  # fmt: skip


def add_columns(deltalake: Any, table: Any, schema: Any) -> None:
    """Give a table the columns that it lacks."""
    there = {one.name for one in table.schema().fields}
    missing = [
        deltalake.Field(one.name, one.type) for one in schema.fields if one.name not in there
    ]
    if missing:
        table.alter.add_columns(missing)
        table.update_incremental()


def properties_of(deltalake: Any, run_id: str) -> Any:
    """Return the properties of a commit that adds a run."""
    return deltalake.CommitProperties(
        app_transactions=[deltalake.Transaction(run_id, TRANSACTION_VERSION)],
        custom_metadata={"run_id": run_id},
        max_commit_retries=0,
    )
