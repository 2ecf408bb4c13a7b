"""What a job reports about the live table."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.ledger.coverage.incremental import uncovered
from pipeline.ledger.promotion.promotion import Request, promote
from pipeline.live_table import Removal, apply_removals, go_live, report_plan_conditions
from pipeline.report.progress import Log
from pipeline.settings import Settings
from pipeline.storage.store import Store, open_store
from tests.support.named_crops import run_with_named_crops
from tests.support.tasks import SPEC, make_inputs, open_ledger, run_all

MANUAL = {"promote": "manual", "trial": False, "channel": "web"}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "out"))


def settings(store: Store, **more: object) -> Settings:
    return Settings.of(input="in/", output=store.uri, ratios="1:1", channel="web", **more)


def said(about: Callable[[Log], object]) -> list[str]:
    """The lines that a call says."""
    stream = io.StringIO()
    about(Log(stream=stream))
    return stream.getvalue().splitlines()


def test_published_files_are_counted_apart(store: Store) -> None:
    first = run_with_named_crops(store, make_inputs(3), "A")
    promote(store, first, Request())
    given = settings(store, crop_files="{stem}")

    for counts in ("3 copied, 0 the same, 0 removed", "0 copied, 3 the same, 0 removed"):
        lines = said(lambda log: go_live(given, store, log))
        assert lines == [f"crop files in public/web/: {counts}"]


@pytest.mark.parametrize(
    ("photos", "covered", "would", "are", "left_out"),
    [
        (1, "1 photo is covered", "1 photo would", "1 photo is",
         "1 photo of the input is forgotten, and left out"),
        (2, "2 photos are covered", "2 photos would", "2 photos are",
         "2 photos of the input are forgotten, and left out"),
    ],
)  # fmt: skip
def test_one_photo_is_no_photos(
    store: Store, photos: int, covered: str, would: str, are: str, left_out: str
) -> None:
    inputs = make_inputs(4)
    run_all(open_ledger(store, inputs), **MANUAL)
    plan = uncovered(store, SPEC, make_inputs(photos), channel="web")
    (line,) = said(lambda log: report_plan_conditions(plan, "out", log))
    assert line.startswith(f"WARNING: {covered} by run ")
    removal = Removal(tuple(inputs["uri"].to_pylist()[:photos]))

    def taken_out(**more: object) -> list[str]:
        return said(lambda log: apply_removals(settings(store, **more), store, plan, removal, log))

    assert taken_out(dry_run=True) == [f"{would} be forgotten"]
    erases = f"`runs.py gc {store.uri} --delete`"
    assert taken_out() == [f"{are} forgotten; {erases} removes the bytes"]
    assert taken_out() == []
    plan = uncovered(store, SPEC, inputs, channel="web")
    assert left_out in said(lambda log: report_plan_conditions(plan, "out", log))
