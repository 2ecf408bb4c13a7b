"""Figures that cannot be written while a run works."""

import io
import json
from pathlib import Path

from pipeline.ledger.figures import Figures
from pipeline.report.exported_totals import exported_totals
from pipeline.report.progress import Log
from pipeline.settings import RunningSettings
from pipeline.storage.store import open_store
from tests.support.tasks import make_inputs, open_ledger


def test_a_folder_of_figures_that_goes_stops_no_run(tmp_path: Path) -> None:
    ledger = open_ledger(open_store(str(tmp_path / "out")), make_inputs(2))
    (tmp_path / "told").mkdir()
    path, said = tmp_path / "told" / "x.prom", io.StringIO()
    settings = RunningSettings(metrics_file=str(path))
    with exported_totals(settings, ledger, Log("json", said)) as (totals, export):
        totals.task_done(0, Figures())
        export()
        assert "s2cnet_" in path.read_text()
        path.unlink()
        path.parent.rmdir()
        export()
        export()
    (line,) = map(json.loads, said.getvalue().splitlines())
    assert line["message"].startswith(f"WARNING: the figures cannot be written into {path}: No ")
