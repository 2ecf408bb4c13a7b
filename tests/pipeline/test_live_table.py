"""What a job reports about the live table."""

import io
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli.runs import main
from pipeline.job.plan_warnings import report_plan_conditions
from pipeline.ledger.coverage.incremental import uncovered
from pipeline.ledger.forgetting import forget, prune, read_forgotten
from pipeline.ledger.promotion.promotion import Request, promote
from pipeline.ledger.reader import open_run
from pipeline.live_table import Removal, apply_removals, go_live
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


def test_the_commands_that_a_job_names_keep_the_newer_crops_in_front(store: Store) -> None:
    """Two nights fail the gate, the second with a photo of the first that has changed."""
    auto: dict[str, Any] = {"promote": "auto", "trial": False, "channel": "web"}
    older = run_all(open_ledger(store, make_inputs(3)), **auto).run_id
    newer = run_all(open_ledger(store, make_inputs(1, etag="v2")), **auto).run_id
    given = settings(store, gate="mean_confidence>=1")
    lines = said(lambda log: go_live(given, store, log))
    assert [line.split()[2] for line in lines] == [newer, older]
    for line in lines:
        (command,) = re.findall(r"`runs\.py (promote [^`]*)` makes it live", line)
        assert main(shlex.split(command)) == 0
    runs = open_run(store.uri, channel="web").images(["uri", "run_id"]).sort_by("uri")["run_id"]
    assert runs.to_pylist() == [newer, older, older]


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
    assert re.search(r"`runs\.py promote out [0-9a-f]+ --behind-newer` makes it live", line)
    removal = Removal(tuple(inputs["uri"].to_pylist()[:photos]))

    def taken_out(**more: object) -> list[str]:
        return said(lambda log: apply_removals(settings(store, **more), store, plan, removal, log))

    assert taken_out(dry_run=True) == [f"{would} be forgotten"]
    erases = f"`runs.py gc {store.uri} --delete`"
    assert taken_out() == [f"{are} forgotten; {erases} removes the bytes"]
    assert taken_out() == []
    plan = uncovered(store, SPEC, inputs, channel="web")
    assert left_out in said(lambda log: report_plan_conditions(plan, "out", log))


def test_a_photo_that_is_forgotten_while_a_job_plans_stays_forgotten(store: Store) -> None:
    """Two pruned photos are listed again, and somebody forgets the first after the job's plan."""
    inputs = make_inputs(3)
    run_all(open_ledger(store, inputs), **MANUAL)
    asked, other, _ = inputs["image_id"].to_pylist()
    prune(store, [asked, other])
    plan = uncovered(store, SPEC, inputs, channel="web")
    assert sorted(plan.returned) == sorted([asked, other])

    forget(store, [asked], why="its owner asked for it")
    lines = said(lambda log: apply_removals(settings(store), store, plan, Removal(), log))
    assert lines == ["1 pruned photo is listed again"]
    kinds = {image_id: entry.kind for image_id, entry in read_forgotten(store).entries.items()}
    assert kinds == {asked: "forgotten", other: "back"}
