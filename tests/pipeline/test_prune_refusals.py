"""Jobs that may not prune, since they do not see the whole input or change nothing that is live."""

import io
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import SettingError
from pipeline.job import plan
from pipeline.report.progress import Log
from pipeline.settings import Settings


@pytest.mark.parametrize(
    ("option", "problem"),
    [
        ({"limit": 1}, "needs the whole input; leave out"),
        ({"resume": "0" * 16}, "needs the whole input; leave out"),
        ({"retry": "0" * 16}, "needs the whole input; leave out"),
        ({"include": "0.*"}, "leave out for gone"),
        ({"exclude": "0.*"}, "leave out for gone"),
        ({"trial": True}, "give it without --trial"),
    ],
)
def test_a_job_that_may_not_prune_is_refused(
    option: dict[str, Any], problem: str, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    where = {"input": str(tmp_path / "in"), "output": str(tmp_path / "out"), "weights": "untrained"}
    with pytest.raises(SettingError, match=problem) as refused:
        plan(Settings.of(**where, prune=True, **option), Log(stream=io.StringIO()))
    assert refused.value.field == "prune"
    plan(Settings.of(**where, prune=True), Log(stream=io.StringIO()))
