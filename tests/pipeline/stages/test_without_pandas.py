"""Workers do without pandas, which pyarrow would import, and without pyarrow's own allocator."""

import subprocess
import sys

from tests.support.fresh import ROOT

PROGRAM = """
import sys
import pyarrow as pa
from pipeline.stages.wire import keep_pandas_out

if {told}:
    keep_pandas_out()
assert "pandas" not in sys.modules
table = pa.Table.from_pylist([{{"a": [1.5], "b": "x"}}])
print("pandas" in sys.modules, len(sys.meta_path))
import pandas
print(pandas.DataFrame({{"a": [1]}}).shape, table.num_rows)
keep_pandas_out()  # where it is there already, nothing is changed
"""


def run(told: bool) -> list[str]:
    """What a fresh process says that has, or has not, been told to do without."""
    program = PROGRAM.format(told=told)
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()


def test_tables_are_made_without_it() -> None:
    (told, used), (untold, _) = run(told=True), run(told=False)
    without, finders = told.split()
    with_it, usual = untold.split()
    assert without == "False"
    assert with_it == "True", "pyarrow no longer imports it: `keep_pandas_out` has nothing to do"
    assert finders == usual
    assert used == "(1, 1) 1", "it can still be imported"


def test_tables_come_from_the_heap_that_gives_back() -> None:
    source = (
        "import pyarrow as pa\nfrom pipeline.stages.wire import use_system_allocator\n"
        "print(pa.default_memory_pool().backend_name)\nuse_system_allocator()\n"
        "print(pa.default_memory_pool().backend_name)\n"
    )
    command = [sys.executable, "-c", source]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    before, after = done.stdout.split()
    assert before != after == "system", f"pyarrow takes {before} by itself: nothing is to be done"
