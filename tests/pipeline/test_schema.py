"""Types of the tables' columns, which every engine can read."""

from pathlib import Path

import polars
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline import schema


@pytest.mark.parametrize("table", [schema.IMAGES, schema.CROPS], ids=["images", "crops"])
def test_no_column_is_a_list_of_fixed_length(table: pa.Schema) -> None:
    """A null in one cannot be read by Arrow before 26, so the whole table could not."""
    fixed = [field.name for field in table if pa.types.is_fixed_size_list(field.type)]
    assert fixed == []


def test_a_box_or_null_is_read_by_another_engine(tmp_path: Path) -> None:
    content = pa.array([[0, 1, 2, 3], None, [4, 5, 6, 7]], schema.IMAGES.field("content").type)
    pq.write_table(pa.table({"content": content}), tmp_path / "images.parquet")
    found = polars.read_parquet(tmp_path / "images.parquet")["content"].to_list()
    assert found == [[0, 1, 2, 3], None, [4, 5, 6, 7]]


def test_runs_of_before_and_after_have_one_type_together() -> None:
    from pipeline.ledger.unify import common_type

    assert common_type([schema.BOX, schema.BOX_OR_NULL]) == schema.BOX_OR_NULL
