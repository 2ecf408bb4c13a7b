"""docs/TABLES.md names every column with its type, and its examples run."""

import re
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from pipeline import schema
from pipeline.ledger.tables import TABLES
from pipeline.storage.store import open_store
from tests.support.tasks import make_inputs, open_ledger, run_all

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "TABLES.md").read_text()
PYTHON = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
OF_TYPE = {
    schema.BOX: "box",
    pa.float32(): "float32",
    pa.list_(pa.float32()): "list of float32",
    pa.list_(schema.OBJECT): "list of object",
    pa.list_(schema.SKIPPED): "list of skipped",
}


def rows_of(table: str) -> list[tuple[str, str]]:
    """Column and type of each row of a table's section."""
    section = PAGE.split(f"\n## `{table}`")[1].split("\n## ")[0]
    return re.findall(r"^\| `(\w+)` \| ([^|]+?) \|", section, re.MULTILINE)


@pytest.mark.parametrize("table", TABLES)
def test_every_column_is_there_in_order_with_its_type(table: str) -> None:
    declared = [
        (f.name, OF_TYPE.get(f.type, str(f.type)) + ("" if f.nullable else ", not null"))
        for f in TABLES[table]
    ]
    assert rows_of(table) == declared


@pytest.mark.parametrize("block", PYTHON, ids=lambda block: block.splitlines()[0])
def test_python_example_runs(
    block: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip(block.split()[1])
    exec(compile(_local(block, tmp_path), "TABLES.md", "exec"), {})
    assert capsys.readouterr().out


def test_sql_example_runs(tmp_path: Path) -> None:
    sql = next(one for one in re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL) if "files-" in one)
    set_files, select = _local(sql, tmp_path).split(";\n")[:2]
    connection = duckdb.connect()
    connection.execute(set_files)
    assert connection.execute(select).fetchall() == [("1:1", 7)]


def test_sql_finds_photos_that_look_alike() -> None:
    sql = next(one for one in re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL) if "phash" in one)
    images = pa.table({"uri": ["a", "b", "c"], "phash": pa.array([-1, -8, 0], pa.int64())})
    with duckdb.connect() as connection:
        connection.register("images", images)
        assert connection.execute(sql).fetchall() == [("a", "b")]  # -8 ends in three noughts


def _local(text: str, folder: Path) -> str:
    """The example with a small committed run in place of the bucket's."""
    manifest = run_all(open_ledger(open_store(str(folder)), make_inputs(7)))
    return text.replace("s3://thumbs/", f"{folder}/").replace("RUN", manifest.run_id)
