"""A photo is done again if the list's values that decide its crops have changed, and only then."""

import json
import struct
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from msgspec.structs import replace

from pipeline.crop_names import parse_crop_names
from pipeline.cropping.build import source_identity
from pipeline.ledger import manifest_copies, stored_runs
from pipeline.ledger.channels.channel import channel_of
from pipeline.ledger.coverage import compaction, compare, covered, listed
from pipeline.ledger.coverage.compaction import write_indexes
from pipeline.ledger.coverage.covered import file_key, kind_of, read_index
from pipeline.ledger.coverage.incremental import Todo, uncovered
from pipeline.ledger.identity import RunSpec
from pipeline.ledger.indexes import write_numbered
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.plan import cut_tasks
from pipeline.ledger.records import Manifest, to_bytes
from pipeline.ledger.tables import decode_table, parquet_bytes
from pipeline.schema import INPUT_BOXES
from pipeline.storage.store import Store
from tests.support.small_pieces import in_small_pieces
from tests.support.tasks import SPEC, make_inputs, run_all

BOXED = replace(SPEC, detector="column")
ONE, OTHER = [[0.0, 0.0, 9.0, 9.0]], [[5.0, 5.5, 9.0, 9.0]]
NAMED = {**SPEC.settings, "crop_files": "{column:sku}/{column:part}-{ratio}"}


@pytest.fixture(params=["lists", "index", "index in pieces"])
def indexed(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether a run is indexed as soon as it is committed, which says the same as its list."""
    if request.param == "lists":
        return False
    for module in (compaction, covered, compare, manifest_copies, stored_runs):
        monkeypatch.setattr(module, "TAIL", 0)
    if "pieces" in request.param:
        in_small_pieces(monkeypatch)
    return True


def night(store: Store, spec: RunSpec, inputs: pa.Table, failed: Any = None) -> Todo:
    """Plan and do what is left; return the plan."""
    todo = uncovered(store, replace(spec), inputs)
    if todo.inputs.num_rows:
        ledger = Ledger.open(store, todo.spec, todo.inputs, cut_tasks(todo.inputs, 3))
        write_indexes(store, run_all(ledger, failed))
    return todo


def boxed(*boxes: Any, **columns: Any) -> pa.Table:
    """A list with these boxes and other columns, as it is read from a file."""
    inputs = make_inputs(len(boxes)).append_column(INPUT_BOXES, pa.array(boxes, INPUT_BOXES.type))
    for name, values in columns.items():
        inputs = inputs.append_column(name, pa.array(values))
    return inputs


def numbers(todo: Todo) -> list[int]:
    return [int(uri[-10:-4]) for uri in todo.inputs["uri"].to_pylist()]


@pytest.mark.parametrize("detector", ["boxes", "boxes:FOLDER"])
def test_a_photo_is_done_again_where_its_boxes_changed(
    store: Store, indexed: bool, detector: str, tmp_path: Path
) -> None:
    (tmp_path / "another.txt").write_text("1 2 3 4\n")
    spec = replace(SPEC, detector=source_identity(detector.replace("FOLDER", str(tmp_path))))
    before = boxed(ONE, ONE, None, [], ONE * 2, None, [])
    assert night(store, spec, before).reasons == {"new": 7}
    assert night(store, spec, before).reasons == {}
    now = boxed(ONE, OTHER, [], None, ONE, None, [])
    left = night(store, spec, now)
    assert (left.reasons, numbers(left)) == ({"row changed": 4}, [1, 2, 3, 4])
    assert night(store, spec, now).reasons == {}
    left = night(store, spec, make_inputs(7))  # a list without boxes
    assert (left.reasons, numbers(left)) == ({"row changed": 5}, [0, 1, 2, 4, 6])
    assert night(store, spec, boxed(*[None] * 7)).reasons == {}, "no column, no value"
    assert bool([*store.list("runs/_index/covered-")]) == indexed


def test_the_order_of_boxes_matters_which_says_the_best(store: Store, indexed: bool) -> None:
    night(store, BOXED, boxed(ONE + OTHER, ONE + OTHER))
    assert numbers(night(store, BOXED, boxed(ONE + OTHER, OTHER + ONE))) == [1]


def test_a_photo_that_failed_for_its_boxes_is_done_again_with_others(
    store: Store, indexed: bool
) -> None:
    night(store, BOXED, boxed(None, None, ONE), failed={0: "permanent", 1: "permanent"})
    left = night(store, BOXED, boxed(None, ONE, ONE))
    assert (left.reasons, numbers(left)) == ({"row changed": 1}, [1])


def test_other_reasons_are_told_first(store: Store) -> None:
    night(store, BOXED, boxed(ONE, ONE), failed={0: "transient"})
    now = boxed(OTHER, OTHER)
    assert uncovered(store, BOXED, now).reasons == {"row changed": 2}
    assert uncovered(store, replace(BOXED, settings={}), now).reasons == {"settings": 2}
    assert uncovered(store, replace(BOXED, detector="files:1"), now).reasons == {"weights": 2}
    replaced = now.set_column(2, "etag", pa.array(["v1", "v2"]))
    assert uncovered(store, BOXED, replaced).reasons == {"row changed": 1, "changed": 1}


def test_columns_that_decide_nothing_make_no_work(store: Store, indexed: bool) -> None:
    """Boxes neither, for a detector that does not look at them; nor does a column named as ours."""
    for spec, boxes in ((BOXED, (ONE, ONE)), (SPEC, (OTHER, None))):
        first = boxed(ONE, ONE, owner=["ada", "bob"], listed=["x", "y"])
        assert night(store, spec, first).inputs.num_rows == 2
        now = boxed(*boxes, listed=["z", None], price=[1.5, 2.5])
        assert night(store, spec, now).reasons == {}


def test_columns_of_the_template_decide_the_names_of_crops(store: Store, indexed: bool) -> None:
    spec = replace(SPEC, settings=NAMED)
    some = {"part": ["x", "x", "x", "x"], "owner": ["ada"] * 4}
    night(store, spec, boxed(*[None] * 4, sku=["7", "8", "9", "10"], **some))
    now = boxed(*[ONE] * 4, sku=[7, 8, 99, 10], part=["x", "x", "x", "y"])
    left = night(store, spec, now)  # a number has the name that its text has
    assert (left.reasons, numbers(left)) == ({"row changed": 2}, [2, 3])


@pytest.mark.parametrize(
    "template", [False, True, "{id}", "{column:b}-{column:a}/{column:b}", "x{column:a b:c}-{stem}"]
)
def test_the_columns_are_those_of_the_parsed_template(template: str | bool) -> None:
    expected = parse_crop_names(template).columns if isinstance(template, str) else []
    spec = replace(SPEC, settings={"crop_files": template})
    assert list(spec.list_columns) == expected
    assert replace(spec, detector=source_identity("boxes")).list_columns == ("boxes", *expected)


def test_what_is_compared_anyway_is_not_compared_twice() -> None:
    names = "{column:uri}{column:etag}{column:bytes}{column:override}{column:boxes}{column:x}"
    spec = replace(SPEC, settings={"crop_files": names})
    assert spec.list_columns == ("x",)


def hashes(rows: pa.Table, spec: RunSpec) -> list[str | None]:
    found: list[str | None] = listed.with_listed(rows, spec)[listed.LISTED.name].to_pylist()
    return found


def test_values_of_one_column_are_not_those_of_another() -> None:
    spec = replace(SPEC, settings=NAMED, detector="column")
    rows = boxed(None, None, None, [], sku=["x", "", "", "x"], part=["", "x", "", "y"])
    texts = (b"sku 1:x", b"part 1:x", None, b"boxes 0:part 1:ysku 1:x")
    expected = [text and sha256(text).hexdigest()[:32] for text in texts]
    assert hashes(rows, spec) == expected


def test_a_row_has_the_same_hash_wherever_it_is() -> None:
    """Boxes that are not numbers make their photo fail, and do not change those beside them."""
    wrong = [[None], [*ONE, None], [[0.0, None, 1.0, 1.0]], [[0.0, float("nan"), 1.0, 1.0]]]
    values = [None, ONE, [], OTHER + ONE, *wrong, None, ONE + OTHER, []]
    rows = boxed(*values)
    whole = hashes(rows, BOXED)
    numbers = struct.pack("<4f", *ONE[0])
    assert whole[1] == sha256(b"boxes 16:" + numbers).hexdigest()[:32]
    for start in range(len(values)):
        for stop in range(start, len(values) + 1):
            assert hashes(rows.slice(start, stop - start), BOXED) == whole[start:stop]
            part = boxed(*values[start:stop])  # in memory of its own
            assert hashes(part, BOXED) == whole[start:stop]
    assert len(set(whole)) == 8, "a missing number and NaN are the same mistake"


@pytest.fixture
def old_index(store: Store, monkeypatch: pytest.MonkeyPatch) -> Manifest:
    """A run of three photos in an index as earlier releases wrote it, without the column."""
    for module in (compaction, covered, compare, manifest_copies, stored_runs):
        monkeypatch.setattr(module, "TAIL", 0)
    inputs = boxed(ONE, ONE, ONE)
    todo = uncovered(store, SPEC, inputs)
    manifest = run_all(Ledger.open(store, todo.spec, inputs, cut_tasks(inputs, 3)))
    write_indexes(store, manifest)
    index = read_index(store, kind_of(manifest))
    files = []
    for file in index.segments[0].files:
        rows = decode_table(store.read(file_key(kind_of(manifest), file.sha256)))
        data = parquet_bytes(rows.drop_columns(listed.LISTED.name))
        files.append(replace(file, sha256=sha256(data).hexdigest()))
        store.create_once(file_key(kind_of(manifest), files[-1].sha256), data)
    old = replace(index, segments=(replace(index.segments[0], files=tuple(files)),))
    prefix = covered.index_prefix(kind_of(manifest))
    write_numbered(store, prefix, 9, to_bytes(old), "json")
    return manifest


def test_an_index_of_an_earlier_release_counts(store: Store, old_index: Manifest) -> None:
    for key in [info.key for info in store.list(f"runs/{old_index.run_id}/input/")]:
        store.delete(key)  # so that the run's own list cannot answer
    left = night(store, SPEC, boxed(OTHER, None, ONE, ONE))
    assert (left.reasons, left.damaged, left.covered) == ({"new": 1}, {}, 3)
    assert night(store, SPEC, make_inputs(5)).reasons == {"new": 1}, "and is merged with new ones"


def test_kinds_that_compare_more_have_indexes_of_their_own(
    store: Store, old_index: Manifest
) -> None:
    """Without the column, each photo would seem to have had no boxes."""
    for one, is_old in ((old_index, True), (replace(old_index, detector="column"), False)):
        what = [one.weights_sha256, one.detector, one.settings, channel_of(one)]
        named = sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:32]
        assert (kind_of(one) == named) == is_old
