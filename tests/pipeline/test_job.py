"""Which images a job takes on: the remaining ones, the rest of a run, or a run's failures."""

import io
from pathlib import Path

import pytest
from PIL import Image

from pipeline.errors import LedgerError, NothingToDoError, UsageError
from pipeline.job import commit, plan, task_photos
from pipeline.job.planned import PlannedRun
from pipeline.ledger.channels.channel import read_channel, read_channels
from pipeline.ledger.figures import Figures
from pipeline.ledger.promotion.promotion import rollback
from pipeline.ledger.reader import open_run
from pipeline.live_table import channel_for
from pipeline.report.progress import Log
from pipeline.settings import Settings
from pipeline.storage.store import open_store
from tests.support.tasks import done, run_all


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    add_photos(tmp_path / "in", range(4))
    return tmp_path / "in"


def add_photos(folder: Path, numbers: range) -> None:
    """Files of different sizes: those of one size might be one photo, which stays in one task."""
    for number in numbers:
        photo = folder / f"{number}.png"
        Image.new("RGB", (32, 24), (number, 0, 0)).save(photo)
        photo.write_bytes(photo.read_bytes() + bytes(100 * number))


def settings(photos: Path, **options: object) -> Settings:
    given = {"weights": "untrained", "task_images": 2, "ratios": "1:1", **options}
    return Settings.of(input=str(photos), output=str(photos.parent / "out"), **given)


@pytest.fixture
def log() -> Log:
    return Log(stream=io.StringIO())


def test_a_run_that_was_stopped_is_gone_on_with(photos: Path, log: Log) -> None:
    job, ledger = plan(settings(photos), log).begin()
    ledger.commit_task(0, done(ledger.task_inputs(0)))
    Image.new("RGB", (8, 8)).save(photos / "another.png")
    again = plan(settings(photos, resume=job.run_id, task_images=9), log)
    assert "4 resumed" in again.message
    assert again.begin()[1].pending() == [1]
    assert plan(settings(photos), log).begin()[0].run_id != job.run_id
    with pytest.raises(LedgerError, match="the setting top_k was 1 and is now 2"):
        plan(settings(photos, resume=job.run_id, top_k=2), log)


@pytest.mark.parametrize(("detector", "reasons"), [("embedded", {}), ("boxes", {"row changed": 2})])
def test_a_list_is_compared_with_what_was_done_whatever_its_order(
    photos: Path, log: Log, detector: str, reasons: dict[str, int]
) -> None:
    listed = photos.parent / "list.csv"

    asked = {**settings(photos, detector=detector).flat(), "input": str(listed)}

    def planned(*rows: str) -> PlannedRun:
        listed.write_text("\n".join(["uri,boxes,owner", *(f"{photos}/{row}" for row in rows)]))
        return plan(Settings.of(**asked), log)

    rows = ['0.png,"[[1,2,9,9]]",ada', '1.png,"[[1,2,9,9]]",ada', "2.png,,ada", "3.png,[],ada"]
    run_all(planned(*rows).begin()[1])
    same = ['0.png,"[[1, 2.0, 9, 9.0]]",bob', *reversed(rows[1:])]
    assert planned(*same).todo.reasons == {}
    left = planned('0.png,"[[1,2,9,9.5]]",ada', "2.png,[],ada", rows[1], rows[3]).todo
    assert left.reasons == reasons
    done_again = ["0.png", "2.png"] if reasons else []
    assert [uri[-5:] for uri in left.inputs["uri"].to_pylist()] == done_again


def test_boxes_that_no_photo_can_have_are_told_before_the_work(photos: Path, log: Log) -> None:
    with pytest.raises(UsageError, match="list's column `boxes`, and there is none"):
        plan(settings(photos, detector="boxes"), log)


@pytest.mark.parametrize("is_input", [True, False])
def test_a_bucket_that_is_not_there_is_told_before_a_cluster_is_joined(
    photos: Path, log: Log, s3: str, is_input: bool
) -> None:
    def join() -> int:
        raise AssertionError("a cluster is asked for its cores")

    absent = f"{s3}-absent/x"
    asked = {"input": absent} if is_input else {"output": absent}
    with pytest.raises(UsageError, match=r"there is no bucket test-\w+-absent"):
        plan(Settings.of(**{**settings(photos).flat(), **asked}), log, join)


@pytest.mark.parametrize(
    ("photos", "most", "cores", "expected"),
    [
        (10, 64, 2, 3),  # 4 tasks: each core has one, and one more soon
        (43, 64, 2, 11),
        (43, 64, 1, 22),
        (3, 64, 8, 2),  # not smaller than that
        (640, 64, 96, 4),
        (1000, 64, 2, 64),  # enough for all anyway
        (1000, 5, 2, 5),
    ],
)
def test_small_inputs_are_cut_by_the_cores(
    photos: int, most: int, cores: int, expected: int
) -> None:
    assert task_photos(photos, most, cores) == expected


def test_cores_cut_a_run_but_are_no_part_of_it(photos: Path, log: Log) -> None:
    """Begun where there are few cores, a run keeps its tasks where there are many."""
    add_photos(photos, range(4, 12))
    given = settings(photos, task_images=64)
    few, many = (plan(given, log, cores=lambda n=n: n) for n in (1, 3))
    assert (few.tasks.task_count, many.tasks.task_count) == (2, 6)
    assert few.todo.spec.run_id == many.todo.spec.run_id
    assert few.begin()[1].pending() == [0, 1]
    assert many.begin()[1].pending() == [0, 1]
    assert "12 photos in 6 tasks" in many.message
    assert "12 photos in 2 tasks" in plan(given, log, cores=lambda: 3).message
    assert plan(settings(photos, task_images=3), log, cores=lambda: 1).tasks.task_count == 4


def test_failures_are_repaired_by_a_run_of_their_own(photos: Path, log: Log) -> None:
    job, ledger = plan(settings(photos), log).begin()
    run_all(ledger, failed={0: "transient", 1: "permanent"})
    retry = plan(settings(photos, retry=job.run_id), log)
    assert [Path(u).name for u in retry.todo.inputs["uri"].to_pylist()] == ["0.png", "2.png"]
    assert retry.todo.spec.parent == job.run_id
    assert retry.begin()[0].run_id != job.run_id
    both = plan(settings(photos, retry=job.run_id, retry_kind="all"), log)
    assert both.todo.inputs.num_rows == 4
    with pytest.raises(UsageError, match="choose one"):
        settings(photos, retry=job.run_id, resume=job.run_id)


def test_a_damaged_run_is_named_and_its_photos_are_done_again(photos: Path, log: Log) -> None:
    job, ledger = plan(settings(photos), log).begin()
    run_all(ledger)
    assert plan(settings(photos), log).message.startswith(
        "nothing to do: earlier runs have done 4 photos"
    )
    manifest = photos.parent / "out" / "runs" / job.run_id / "_MANIFEST.json"
    manifest.write_bytes(manifest.read_bytes()[:99])
    told = io.StringIO()
    again = plan(settings(photos), Log(stream=told))
    assert again.todo.inputs.num_rows == 4
    (warning,) = (line for line in told.getvalue().splitlines() if job.run_id in line)
    assert warning.startswith(f"WARNING: run {job.run_id} covers nothing: runs/{job.run_id}/_MANI")
    assert again.begin()[0].run_id != job.run_id


def carry_out(given: Settings, log: Log, failed: dict[int, str] | None = None) -> str:
    """Plan and commit as `pipeline.run` does, the work itself apart; how it ended."""
    planned = plan(given, log)
    planned.apply_removals(log)
    if planned.todo.inputs.num_rows == 0:
        return planned.end_without_work(log)
    if given.running.dry_run:
        return "done"
    job, ledger = planned.begin()
    wrong = len(failed or {})
    metrics = Figures(statuses={"ok": ledger.rows - wrong, "corrupt": wrong})
    for n in ledger.pending():
        ledger.commit_task(n, done(ledger.task_inputs(n), failed), metrics)
    return commit(job, ledger, log, metrics, {})


def shown(photos: Path) -> list[str]:
    rows = open_run(str(photos.parent / "out")).images(["uri"])
    return sorted(Path(uri).name for uri in rows["uri"].to_pylist())


def told(log: Log) -> str:
    assert isinstance(log.stream, io.StringIO)
    return log.stream.getvalue()


def test_a_job_makes_its_run_live_and_says_where(photos: Path, log: Log) -> None:
    given = settings(photos)
    assert carry_out(given, log) == "done"
    store = open_store(given.running.output)
    channel = read_channel(store, channel_for(given))
    assert channel.name.startswith("1x1-auto-512-")
    assert channel.version is not None
    assert channel.version.gate == ""  # the first run of an output need not meet the default one
    assert f"is live in channel {channel.name}" in told(log)
    manifest = open_run(given.running.output).manifest
    assert (manifest["job"]["channel"], manifest["job"]["trial"]) == (channel.name, False)
    assert carry_out(given, log) == "done"
    assert len(read_channels(store)[0]) == 1


@pytest.mark.parametrize("how", [{"limit": 2}, {"trial": True}])
def test_a_trial_is_not_live_and_the_real_run_does_its_photos(
    photos: Path, log: Log, how: dict[str, object]
) -> None:
    assert carry_out(settings(photos, **how), log) == "done"
    assert "this is a trial" in told(log)
    with pytest.raises(LedgerError, match="no run is live"):
        shown(photos)
    assert carry_out(settings(photos), log) == "done"
    assert shown(photos) == ["0.png", "1.png", "2.png", "3.png"]


def test_a_job_whose_gate_does_not_hold_ends_with_a_word_of_its_own(photos: Path, log: Log) -> None:
    assert carry_out(settings(photos, promote="manual"), log) == "done"
    assert f"not live yet: `runs.py promote {photos.parent}/out " in told(log)
    for number in range(4, 8):
        Image.new("RGB", (32, 24), (number, 0, 0)).save(photos / f"{number}.png")
    failed = {0: "transient", 1: "transient"}
    gate = {"gate": "error_rate<=0.1"}
    assert carry_out(settings(photos, **gate), log, failed) == "not_promoted"
    assert "the gate does not hold: error_rate<=0.1: 1, which does not hold" in told(log)
    with pytest.raises(LedgerError, match="no run is live"):
        shown(photos)
    assert carry_out(settings(photos, **gate), log) == "done"  # repaired
    assert shown(photos) == ["4.png", "5.png", "6.png", "7.png"]
    assert "4 photos are covered by run" in told(log)  # those that wait for a person
    assert f"not live: `runs.py promote {photos.parent}/out " in told(log)


def test_more_failures_than_allowed_are_not_made_live_over_good_crops(
    photos: Path, log: Log
) -> None:
    carry_out(settings(photos), log)
    Image.new("RGB", (32, 24), (9, 0, 0)).save(photos / "9.png")
    one_failed = {0: "permanent"}
    assert carry_out(settings(photos, max_error_rate=0.5), log, one_failed) == "over_error_rate"
    assert "1 of 1 photo failed, more than --max-error-rate 0.5 allows: " in told(log)
    assert "error_rate<=0.5: 1, which does not hold" in told(log)
    assert shown(photos) == ["0.png", "1.png", "2.png", "3.png"]


def test_circumstances_are_told_and_a_try_in_vain_is_no_bad_night(photos: Path, log: Log) -> None:
    forbidden = {0: "circumstances"}
    assert carry_out(settings(photos, task_images=9), log, forbidden) == "done"
    assert f"4, 8, …, or now by `runs.py retry {photos.parent}/out " in told(log)
    assert (
        "(1 circumstances); earlier runs have done 3 photos" in plan(settings(photos), log).message
    )
    assert "every photo failed again" not in told(log)
    for _ in range(2):
        assert carry_out(settings(photos, task_images=9), log, forbidden) == "done"  # in vain
    said = "is not made live: every photo failed again, so nothing changes in what is live"
    assert told(log).count(said) == 2
    message = plan(settings(photos), log).message
    assert message.startswith("nothing to do: earlier runs have done 4 photos; 1 of these")
    assert "--kind circumstances` does them now" in message
    assert carry_out(settings(photos), log) == "done"
    assert "is not live" not in told(log)
    newest = max(open_run(str(photos.parent / "out")).manifests, key=lambda m: m["committed_at"])
    retry = plan(settings(photos, retry=newest["run_id"], retry_kind="circumstances"), log)
    assert [Path(u).name for u in retry.todo.inputs["uri"].to_pylist()] == ["0.png"]


@pytest.mark.parametrize("kind", ["transient", "circumstances", "permanent"])
def test_a_retry_in_vain_changes_nothing_and_is_not_waited_for(
    photos: Path, log: Log, kind: str
) -> None:
    again = {"retry_kind": kind, "task_images": 9}
    assert carry_out(settings(photos, task_images=9), log, {0: kind}) == "done"
    live = open_run(str(photos.parent / "out")).manifest["run_id"]
    assert carry_out(settings(photos, retry=live, **again), log, {0: kind}) == "done"
    assert "is not made live: every photo failed again" in told(log)
    assert [m["run_id"] for m in open_run(str(photos.parent / "out")).manifests] == [live]
    plan(settings(photos), log)
    assert "is not live" not in told(log)
    second = plan(settings(photos, retry=live, **again), log)
    resumed = settings(photos, resume=second.begin()[0].run_id, task_images=9)
    assert carry_out(resumed, log, {0: kind}) == "done"  # it was killed, and continued in vain
    assert [m["run_id"] for m in open_run(str(photos.parent / "out")).manifests] == [live]
    assert carry_out(settings(photos, retry=live, **again), log) == "done"
    assert len(open_run(str(photos.parent / "out")).manifests) == 2


def test_a_retry_leaves_out_what_a_later_night_has_repaired(photos: Path, log: Log) -> None:
    """Else a retry that fails would hide the crops of that night."""
    first = {0: "transient", 1: "transient"}
    assert carry_out(settings(photos, task_images=9), log, first) == "done"
    run_id = open_run(str(photos.parent / "out")).manifest["run_id"]
    assert carry_out(settings(photos, task_images=9), log, {0: "transient"}) == "done"
    retry = settings(photos, retry=run_id)
    left = plan(retry, log).todo.inputs["uri"].to_pylist()
    assert [Path(uri).name for uri in left] == ["0.png"]
    assert carry_out(settings(photos), log) == "done"
    with pytest.raises(NothingToDoError, match="no transient failures, since later live runs have"):
        plan(retry, log)
    rollback(open_store(retry.running.output), channel_for(retry))
    assert len(plan(retry, log).todo.inputs) == 1


def test_a_job_that_died_before_it_went_live_is_made_live_by_the_next(
    photos: Path, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("pipeline.job.ending.go_live", lambda *_: True)
        carry_out(settings(photos), log)
    with pytest.raises(LedgerError, match="no run is live"):
        shown(photos)
    carry_out(settings(photos, dry_run=True), log)
    with pytest.raises(LedgerError, match="no run is live"):
        shown(photos)
    assert carry_out(settings(photos), log) == "done"
    assert len(shown(photos)) == 4


def test_after_a_rollback_the_same_is_not_made_live_by_a_job(photos: Path, log: Log) -> None:
    given = settings(photos)
    carry_out(given, log)
    (photos / "4.png").write_bytes((photos / "3.png").read_bytes())
    carry_out(given, log)
    rollback(open_store(given.running.output), channel_for(given))
    assert carry_out(given, log) == "not_promoted"
    assert "was rolled back" in told(log)
    assert shown(photos) == ["0.png", "1.png", "2.png", "3.png"]


def test_shapes_are_channels_of_their_own(photos: Path, log: Log) -> None:
    carry_out(settings(photos), log)
    carry_out(settings(photos, ratios="16:9"), log)
    output = str(photos.parent / "out")
    names = sorted(read_channels(open_store(output))[0])
    assert [name.partition("-")[0] for name in names] == ["16x9", "1x1"]
    assert open_run(output).images().num_rows == 4
    assert open_run(output, channel=names[1]).images().num_rows == 4
    carry_out(settings(photos, ratios="3:4", channel="web"), log)
    assert "web" in read_channels(open_store(output))[0]


def test_pruning_says_first_and_refuses_much(photos: Path, log: Log) -> None:
    carry_out(settings(photos), log)
    (photos / "1.png").unlink()
    carry_out(settings(photos, prune=True), log)
    assert "more than --prune-most 0.1 allows: nothing is pruned" in told(log)
    carry_out(settings(photos, prune=True, prune_most=0.5, dry_run=True), log)
    assert "1 of 4 live photos are gone from the input and would be pruned" in told(log)
    assert len(shown(photos)) == 4
    carry_out(settings(photos, prune=True, prune_most=0.5), log)
    assert shown(photos) == ["0.png", "2.png", "3.png"]
    Image.new("RGB", (32, 24), (1, 0, 0)).save(photos / "1.png")
    carry_out(settings(photos), log)
    assert shown(photos) == ["0.png", "1.png", "2.png", "3.png"]


def test_a_table_of_overrides_forgets_photos_that_no_list_has_any_more(
    photos: Path, log: Log
) -> None:
    carry_out(settings(photos), log)
    (photos / "0.png").unlink()
    table = photos.parent / "overrides.csv"
    table.write_text(f"uri,forget\n{photos}/0.*,true\n{photos}/2.png,true\n")
    carry_out(settings(photos, overrides=str(table), dry_run=True), log)
    assert "2 photos would be forgotten" in told(log)
    assert len(shown(photos)) == 4
    carry_out(settings(photos, overrides=str(table)), log)
    assert shown(photos) == ["1.png", "3.png"]
    said = told(log).count("would be forgotten")
    carry_out(settings(photos, overrides=str(table), dry_run=True), log)
    assert told(log).count("would be forgotten") == said, "both are forgotten already"


def test_a_list_that_cannot_be_read_in_full_prunes_nothing(photos: Path, log: Log) -> None:
    """A bad row is no reason to take its photo out, nor one that may be any photo's."""
    path = photos.parent / "list.csv"
    lines = [f"{photos}/{number}.png,9" for number in range(4)]
    path.write_text("\n".join(["uri,bytes", *lines]))
    asked = {"input": str(path), "prune": True, "prune_most": 0.5}
    carry_out(Settings.of(**{**settings(photos).flat(), **asked}), log)
    for row, text in ((f"{photos}/3.png,-1", "no live photo is gone"), (",5", "nothing is pruned")):
        path.write_text("\n".join(["uri,bytes", *lines[:3], row]))
        carry_out(Settings.of(**{**settings(photos).flat(), **asked}), log)
        assert text in told(log)
        assert len(shown(photos)) == 4
    path.write_text("\n".join(["uri,bytes", *lines[:3]]))
    carry_out(Settings.of(**{**settings(photos).flat(), **asked}), log)
    assert shown(photos) == ["0.png", "1.png", "2.png"]


@pytest.mark.parametrize("option", ["include", "exclude"])
def test_what_is_left_out_by_name_is_not_planned(option: str, photos: Path, log: Log) -> None:
    assert plan(settings(photos, **{option: "0.*"}), log).todo.inputs.num_rows in (1, 3)
