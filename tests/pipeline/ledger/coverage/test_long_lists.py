"""A list too long for memory gives the same plan as a short one: run, tasks and messages."""

import json
import random
from io import StringIO
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.crop_names import parse_crop_names
from pipeline.errors import SettingError
from pipeline.inputs.listing import image_id, list_all
from pipeline.inputs.override_rows import OverrideRow
from pipeline.inputs.overrides import Overrides
from pipeline.inputs.selection import Selection
from pipeline.job import plan
from pipeline.ledger import contents, manifest_copies, stored_runs
from pipeline.ledger.contents import ListedRows
from pipeline.ledger.coverage import compaction, compare, covered
from pipeline.ledger.coverage.compaction import write_indexes
from pipeline.ledger.coverage.incremental import Todo, resumed, uncovered
from pipeline.ledger.coverage.key_ranges import KeyRanges, buckets
from pipeline.ledger.forgetting import forget, prune, take_back
from pipeline.ledger.identity import input_sha256
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.plan import cut_tasks, same_bytes_together
from pipeline.report.progress import Log
from pipeline.schema import INPUTS
from pipeline.settings import Settings
from pipeline.settings.crop_name_checks import check_photos
from pipeline.storage import spool
from pipeline.storage.spool import Spool
from pipeline.storage.store import Store, open_store
from tests.support.small_pieces import in_small_pieces
from tests.support.tasks import SPEC, make_inputs, run_all

HASH = "0123456789abcdef"


def drawn_list(draw: random.Random, rows: int) -> pa.Table:
    """Photos of few hashes and sizes, local ones among them, some of unknown size."""
    uris = sorted(
        f"{draw.choice(['s3://b/', '/p/', 'file:///q/', 'https://h/'])}{n:04}" for n in range(rows)
    )
    etags = [draw.choice([None, "v", HASH * 2, HASH[::-1] * 2, f"{HASH * 2}-3"]) for _ in uris]
    sizes = [draw.choice([None, 5, 5, 7, draw.randrange(90)]) for _ in uris]
    return pa.table([[image_id(u) for u in uris], uris, etags, sizes], schema=INPUTS)


def looks(row: dict[str, object]) -> tuple[object, ...]:
    """What tells which rows may be the same bytes, by the rules of `plan` in other words."""
    uri, etag, size = str(row["uri"]), row["etag"], row["bytes"]
    if size is not None and isinstance(etag, str) and etag.startswith((HASH, HASH[::-1])):
        return etag, size
    if size is not None and not uri.startswith(("s3:", "https:")):
        return (size,)
    return (uri,)


def by_hand(table: pa.Table, images: int, limit: int) -> tuple[list[object], tuple[int, ...]]:
    """The order of the list, and where tasks begin, worked out row by row."""
    groups: dict[tuple[object, ...], list[dict[str, object]]] = {}
    for row in table.to_pylist():
        groups.setdefault(looks(row), []).append(row)
    rows = [row for group in groups.values() for row in group]
    starts = [0]
    while starts[-1] < len(rows):
        start = starts[-1]
        stop, held = start + 1, int(str(rows[start]["bytes"] or 0))
        while stop < len(rows) and stop - start < images:
            held += int(str(rows[stop]["bytes"] or 0))
            if held > limit:
                break
            stop += 1
        if stop < len(rows):
            begin = stop
            while begin > 0 and looks(rows[begin - 1]) == looks(rows[stop]):
                begin -= 1
            stop = begin if begin > start else stop
        starts.append(stop)
    return rows, tuple(starts)


@pytest.mark.parametrize("small", [False, True])
def test_the_order_and_the_tasks_are_those_worked_out_by_hand(
    small: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if small:
        in_small_pieces(monkeypatch)
    draw = random.Random(11)
    for rows in [*range(12), 40, 90]:
        for _ in range(4):
            table = drawn_list(draw, rows)
            images, limit = draw.randrange(1, 9), draw.randrange(1, 60)
            order, starts = by_hand(table, images, limit)
            moved = same_bytes_together(table)
            assert moved.to_pylist() == order
            assert cut_tasks(moved, images, limit).starts == starts
            assert moved.schema == INPUTS


def test_a_hash_that_two_texts_share_moves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    table = drawn_list(random.Random(2), 60)
    expected = same_bytes_together(table).to_pylist()
    monkeypatch.setattr("pipeline.ledger.plan.hash", lambda text: 7, raising=False)
    assert same_bytes_together(table).to_pylist() == expected


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store whose index begins at three runs, in 16 or 256 files."""
    for module in (compaction, covered, compare, manifest_copies, stored_runs):
        monkeypatch.setattr(module, "TAIL", 2)
    monkeypatch.setattr(compaction, "FILE_ROWS", 1)
    return open_store(str(tmp_path))


def figures(todo: Todo) -> tuple[object, ...]:
    return (
        todo.inputs.to_pylist(), todo.spec.run_id, todo.reasons, todo.covered, todo.waiting,
        todo.postponed, todo.given_up, todo.forgotten, todo.returned, cut_tasks(todo.inputs, 3),
    )  # fmt: skip


def test_histories_are_told_alike_in_pieces(store: Store) -> None:
    draw = random.Random(4)
    segments = 0
    for night in range(12):
        numbers = [n for n in range(40) if draw.random() < 0.6]
        parts = [make_inputs(1, draw.choice(["v1", "v1", "v2"]), n) for n in numbers]
        inputs = pa.concat_tables(parts).combine_chunks()
        todo = uncovered(store, SPEC, inputs)
        with pytest.MonkeyPatch.context() as patch:
            in_small_pieces(patch)
            assert figures(uncovered(store, SPEC, inputs)) == figures(todo)
            pieced = uncovered(store, SPEC, inputs)
            ledger = Ledger.open(store, pieced.spec, pieced.inputs, cut_tasks(pieced.inputs, 3))
            assert resumed(store, SPEC, ledger.run_id).inputs.equals(todo.inputs)
            failed = {n: draw.choice(["transient", "circumstances", "permanent"]) for n in (0, 2)}
            manifest = run_all(ledger, failed, promote="auto")
            write_indexes(store, manifest)
        ids = todo.inputs["image_id"].to_pylist()
        if night % 4 == 1:
            forget(store, ids[:1])
        if night % 4 == 2:
            prune(store, ids[:3])
            take_back(store, ids[:1])
        kinds = [name for name in store.folders("runs/_index/") if name.startswith("covered-")]
        for name in kinds:
            index = covered.read_index(store, name.removeprefix("covered-"))
            segments = max(segments, len(index.segments))
    assert segments >= 1


@pytest.mark.parametrize("rows", [0, 1, 2, 3, 33, 600])
def test_key_ranges_hold_each_row_once_however_fine_files_are(
    rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_small_pieces(monkeypatch)
    inputs = make_inputs(rows)
    ids = pa.array(inputs["image_id"].to_pylist(), pa.string())
    for digits in (0, 1, 2):
        ranges, seen = KeyRanges(inputs), []
        for file, places in enumerate(buckets(ids, digits)):
            parts = list(ranges.of_file(file, digits))
            found = [int(row) for numbers, _ in parts for row in numbers]
            assert sorted(found) == list(places)
            assert ranges.has(file, digits) == bool(len(places))
            for numbers, part in parts:
                assert part["image_id"].to_pylist() == [ids[int(row)].as_py() for row in numbers]
            seen += found
        assert sorted(seen) == list(range(rows))


def test_a_hash_and_a_listing_do_not_depend_on_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(20):
        path = tmp_path / f"{number * 7 % 3}" / f"{number}.jpg"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(bytes(number))
    whole, some = list_all(str(tmp_path)).table, list_all(str(tmp_path), 13).table
    told = input_sha256(whole)
    in_small_pieces(monkeypatch)
    monkeypatch.setattr("pipeline.inputs.listing.BATCH_ROWS", 2)
    assert list_all(str(tmp_path)).table.equals(whole)
    assert list_all(str(tmp_path), 13).table.equals(some)
    assert input_sha256(list_all(str(tmp_path)).table) == told


def test_overrides_are_obeyed_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = make_inputs(30)
    rows = [
        OverrideRow("s3://ugc/00000[3-7].jpg", True, focus_rel=(0.5, 0.5)),
        OverrideRow("**/*5.jpg", True, never_crop=True),
        OverrideRow("s3://ugc/000029.jpg", False, forget=True),
        OverrideRow("s3://ugc/000000.jpg", False, forget=True),
        OverrideRow("s3://ugc/000099.jpg", False, forget=True),
        OverrideRow("s3://ugc/000004.jpg", False, ratio="1:1", box_px=(0, 0, 9, 9)),
        OverrideRow("t", False, never_crop=True),
        OverrideRow("a*", True, never_crop=True),
    ]
    some, none = Overrides(rows), Overrides(rows[6:])
    expected = some.apply(inputs)
    assert expected.count == 7
    in_small_pieces(monkeypatch)
    found = some.apply(inputs)
    assert found.inputs.equals(expected.inputs)
    assert (found.count, found.forgotten) == (expected.count, expected.forgotten)
    again = some.apply(found.inputs)
    assert again.inputs.equals(expected.inputs)
    assert none.apply(inputs).inputs is inputs


def test_the_first_photo_in_the_list_that_is_wrong_is_named() -> None:
    def refusal(*uris: str) -> str:
        rows = [{"uri": uri, "image_id": image_id(uri)} for uri in uris]
        with pytest.raises(SettingError) as refused:
            check_photos(parse_crop_names("{stem}"), rows, ["1:1"], "webp")
        return str(refused.value)

    long = f"s3://b/{'x' * 300}.jpg"
    assert "s3://b/1/a.jpg and s3://b/2/a.jpg" in refusal(
        "s3://b/0.jpg", "s3://b/1/a.jpg", "s3://b/2/a.jpg", long, "s3://b/3/a.jpg"
    )
    assert "makes no name" in refusal("s3://b/1/a.jpg", long, "s3://b/2/a.jpg")


def test_a_job_pins_the_same_run_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(23):
        (folder / f"{number}.jpg").write_bytes(bytes(number * 5 % 7 + 1))
    (tmp_path / "o.csv").write_text(f"pattern,never_crop\n{folder}/1*.jpg,yes\n")

    def pinned(output: str) -> tuple[str, tuple[int, ...], list[str]]:
        settings = Settings.of(
            input=str(folder), output=str(tmp_path / output), task_images=3,
            crop_files="{stem}", ratios="1:1", overrides=str(tmp_path / "o.csv"),
        )  # fmt: skip
        planned = plan(settings, Log(stream=StringIO()))
        job, ledger = planned.begin()
        lists = tmp_path / output / "runs" / job.run_id / "input"
        assert ledger.rows == 23
        return job.run_id, planned.tasks.starts, sorted(path.name for path in lists.iterdir())

    whole = pinned("whole")
    in_small_pieces(monkeypatch)
    assert pinned("pieces") == whole


def test_a_list_file_is_read_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "7.jpg").write_bytes(b"seven")
    uris = [f"s3://b/{n * 7 % 31:02}.jpg" for n in range(31)]
    uris[3:3] = ["", "s3a://b/00.jpg", "s3://k:s@b/1.jpg", str(tmp_path / "7.jpg")]
    uris += ["s3://b/07.jpg", "s3://b/old/1.jpg", "x" * 5000, "s3://b/00.jpg", uris[6]]
    rows = [
        {"uri": uri, "etag": f'W/"{n % 5}"', "boxes": ["[[0, 0, 1, 1]]", "", "{"][n % 3], "user": n}
        for n, uri in enumerate(uris)
    ]
    path = tmp_path / "list.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows))

    def listed() -> tuple[object, ...]:
        found = list_all(str(path), 19, selection=Selection(exclude=("old/*",)))
        return found.table.schema, found.table.to_pylist(), found.left_out

    whole = listed()
    assert len(whole[1]) == 19  # type: ignore[arg-type]
    assert {"repeat a uri", "have no uri", "match --exclude"} <= whole[2].rows.keys()  # type: ignore[attr-defined]
    in_small_pieces(monkeypatch)
    assert listed() == whole


def test_the_files_of_a_run_lie_on_the_disk_before_a_list_of_photos_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Their rows are long, and a commit looks at several such lists at once."""
    made: list[int | None] = []

    class Noted(Spool):
        def __init__(self, schema: pa.Schema, held_rows: int | None = None) -> None:
            super().__init__(schema, held_rows)
            made.append(held_rows)

    monkeypatch.setattr(contents, "Spool", Noted)
    rows = ListedRows(contents.STORED)
    rows.add(("key", 5))
    assert rows.table().to_pylist() == [{"key": "key", "bytes": 5}]
    (held,) = made
    assert held is not None
    assert held < spool.HELD_ROWS
