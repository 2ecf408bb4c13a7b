"""Tasks are converted to tables and back; packing keeps no pixels alive."""

import pickle
import weakref
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from pipeline import schema
from pipeline.cropping.overrides import Override
from pipeline.cropping.results import ScoredCandidates, ScoredCrop, SkippedShape
from pipeline.detectors import Attention, Detections
from pipeline.inputs.overrides import Overrides
from pipeline.ledger.figures import Figures
from pipeline.photo.decode import Photo
from pipeline.stages import wire
from pipeline.stages.task import EncodedCrop, PhotoRow, Task, TaskSummary

STAGES = Path(wire.__file__).parent
BOXES = np.array([[0, 1, 2, 3], [0.1, 0.2, 5.3, 7.9]], np.float32)


def row_of(pixels: np.ndarray | None) -> PhotoRow:
    row = PhotoRow("a", "b", "c", 1, pass_through={"album": "x"})
    if pixels is None:
        row.fail("decode", "corrupt", "permanent", "no picture")
        return row
    row.height_px, row.width_px = (2 * side for side in pixels.shape[:2])
    row.format, row.orientation = "jpeg", 1
    row.photo = Photo(pixels, row.width_px, row.height_px, "jpeg", 1)
    return row


def task_of(*photos: np.ndarray | None) -> Task:
    return Task(3, [row_of(pixels) for pixels in photos], column_types={"album": pa.string()})


@pytest.mark.parametrize(
    "shapes",
    [[], [None], [(4, 6)], [(4, 6), None, (100, 60), (1, 1), (70, 30)], [None, (2, 2)]],
)
def test_pixels_come_back(shapes: list[tuple[int, int] | None]) -> None:
    draw = np.random.default_rng(0)
    sent = [shape and draw.integers(0, 256, (*shape, 3), np.uint8) for shape in shapes]
    table = wire.pack(task_of(*sent))
    table.validate(full=True)
    task = wire.unpack(table)
    assert task.number == 3
    for row, pixels in zip(task.rows, sent, strict=True):
        assert row.pass_through == {"album": "x"}
        if pixels is None:
            assert row.photo is None
            assert row.status == "corrupt"
        else:
            assert np.array_equal(row.decoded.pixels, pixels)
            assert row.decoded.width_px == 2 * pixels.shape[1]


def test_a_block_has_one_row() -> None:
    """A task is never cut: whoever counts rows counts one."""
    assert wire.pack(task_of(np.zeros((90, 90, 3), np.uint8), None)).num_rows == 1


def test_a_block_is_one_task() -> None:
    """Two blocks that Ray would join are refused; half of what is in them would be lost."""
    blocks = pa.concat_tables([wire.pack(Task(n, [row_of(None)])) for n in (3, 4)])
    with pytest.raises(ValueError, match=r"not the tasks \[3, 4\]"):
        wire.unpack(blocks)


def test_pixels_that_do_not_lie_in_a_row() -> None:
    wide = np.random.default_rng(0).integers(0, 256, (50, 80, 3), np.uint8)
    (row,) = wire.unpack(wire.pack(task_of(wide[:, 2:60]))).rows
    assert np.array_equal(row.decoded.pixels, wide[:, 2:60])


def test_unpacking_copies_no_pixels() -> None:
    sent = [np.zeros((40, 60, 3), np.uint8), np.zeros((50, 60, 3), np.uint8)]
    for row, pixels in zip(wire.unpack(wire.pack(task_of(*sent))).rows, sent, strict=True):
        start = row.decoded.pixels.__array_interface__["data"][0]
        assert start == pixels.__array_interface__["data"][0]  # of packing neither
        assert not row.decoded.pixels.flags.writeable


def test_pixels_travel_beside_the_pickle() -> None:
    """As Ray moves a table: what it copies is the buffers, not a pickle that holds them."""
    sent = [np.full((40, 60, 3), 7, np.uint8), None, np.full((50, 60, 3), 9, np.uint8)]
    beside: list[pickle.PickleBuffer] = []
    document = pickle.dumps(wire.pack(task_of(*sent)), protocol=5, buffer_callback=beside.append)
    assert len(document) < 4000
    copies = [bytes(buffer.raw()) for buffer in beside]
    assert sum(size == 40 * 60 * 3 for size in map(len, copies)) == 1
    found = wire.unpack(pickle.loads(document, buffers=copies)).rows
    assert [None if row.photo is None else int(row.photo.pixels.max()) for row in found] == [
        7, None, 9,
    ]  # fmt: skip


def test_packing_keeps_no_pixels() -> None:
    """A table shows a photo's pixels; once it is gone, they are."""
    pixels = np.zeros((40, 60, 3), np.uint8)
    gone = weakref.ref(pixels)
    table = wire.pack(task_of(pixels))
    task = wire.unpack(table)
    del pixels, table
    assert gone() is not None
    del task
    assert gone() is None


def test_decisions_travel_without_photos_and_meet_them_again() -> None:
    decoded = task_of(np.full((40, 60, 3), 7, np.uint8), None, np.full((50, 60, 3), 9, np.uint8))
    decoded.rows[2].moving = np.arange(9_000, dtype=np.uint8)
    decided = wire.unpack(wire.pack(decoded))
    decided.rows[0].kind = "long"
    decided.rows[2].fail("score", "not_finite", "permanent", "no number")
    lean = wire.pack(decided.without_pixels())
    assert lean.nbytes < 5_000
    first, second, third = wire.unpack(lean).with_pixels_of(decoded).rows
    assert (first.kind, int(first.decoded.pixels.max())) == ("long", 7)
    assert (second.photo, third.photo, third.moving) == (None, None, None), "both have ended"
    third.failure = None
    (again,) = Task(3, [third]).with_pixels_of(Task(3, [decoded.rows[2]])).rows
    assert again.moving is decoded.rows[2].moving
    assert again.photo is decoded.rows[2].photo


def full_row() -> PhotoRow:
    """A row as it leaves the stage that scores, every field filled."""
    row = row_of(np.zeros((4, 6, 3), np.uint8))
    row.given_boxes = [[1.0, 2.0, 3.0, 4.0]]
    row.content_sha256 = "ff"
    gaze = np.array([[0.0, 0.0], [1.0, 0.0]])  # its peak is the lower left cell
    attention = Attention(gaze, gaze, np.zeros((0, 4)), np.zeros(0))
    row.objects = Detections(BOXES, np.array([0.9, 0.25], np.float32), ["face", ""], attention)
    row.crops = [
        ScoredCrop("1:1", 0, (0.0, 0.0, 8.0, 8.0), 1.5, 0.75, 0.25, [1.0, 0.5], 1),
        ScoredCrop(
            "16:9",
            0,
            (0.0, 1.0, 12.0, 8.0),
            0.5,
            0.25,
            None,
            [],
            0,
            1,
            2,
            3,
            0.5,
            "review",
            "head_cut",
            "pad",
            0.75,
            "portraits/*",
        ),
    ]
    row.kind, row.frames, row.content_px = "long", 1, (0.0, 1.0, 12.0, 7.0)
    row.skipped = [SkippedShape("9:16", "head_cut")]
    row.override = Override("portraits/*", (0.5, 0.25), {"1:1": (0.0, 0.0, 2.0, 2.0)}, True)
    scores = np.array([0.5, 1.5], np.float32)
    row.candidates = [ScoredCandidates(ratio, BOXES, scores) for ratio in ("1:1", "16:9")]
    row.seconds = {"read": 0.5, "decode": 0.25, "detect": 1.0, "score": 2.0}
    return row


def test_every_field_comes_back() -> None:
    sent = Task(5, [full_row(), row_of(None)], {"get": 2}, {"album": pa.string()})
    found = wire.unpack(wire.pack(sent))
    assert (found.number, found.requests, found.column_types) == (5, {"get": 2}, sent.column_types)
    for before, after in zip(sent.rows, found.rows, strict=True):
        for name in PhotoRow.__slots__:
            if name not in {"photo", "objects", "candidates"}:
                assert getattr(after, name) == getattr(before, name), name
    row = found.rows[0]
    assert row.objects is not None
    assert {one.scores.dtype for one in (row.objects, *row.candidates)} == {np.dtype(np.float32)}
    np.testing.assert_array_equal(row.objects.boxes, BOXES)
    assert row.objects.labels == ["face", ""]
    assert [shape.ratio for shape in row.candidates] == ["1:1", "16:9"]
    for shape in row.candidates:
        np.testing.assert_array_equal(shape.boxes_px, BOXES)
        assert shape.scores.tolist() == [0.5, 1.5]


def test_rows_of_the_tables() -> None:
    row = full_row()
    row.pass_through = {"taken": date(2026, 11, 21), "album": None}
    types = {"taken": pa.date32(), "album": pa.string()}
    crops = [EncodedCrop("a", "b", chosen, 2, 1, "webp", b"x", "ee") for chosen in row.crops]
    tables = wire.task_tables(Task(5, [row], {}, types), crops, candidates=True)
    (image,) = tables["images"].to_pylist()
    assert tables["images"].schema.names == [*schema.IMAGES.names, "taken", "album"]
    assert (image["taken"], image["album"]) == (date(2026, 11, 21), None)
    assert (image["status"], image["error_stage"], image["score_s"]) == ("ok", None, 2.0)
    focus = ["focus_x", "focus_y", "focus_source", "override"]
    assert [image[name] for name in focus] == [0.5, 0.25, "override", "portraits/*"]
    assert (image["kind"], image["frames"], image["content"]) == ("long", 1, [0, 1, 12, 7])
    assert image["skipped"] == [{"ratio": "9:16", "reason": "head_cut"}]
    assert image["objects"][0] == {
        "x0": 0.0, "y0": 1.0, "x1": 2.0, "y1": 3.0, "score": pytest.approx(0.9), "label": "face",
    }  # fmt: skip
    assert tables["crops"].schema == pa.schema(
        [*schema.CROPS, pa.field("taken", pa.date32()), pa.field("album", pa.string())]
    )
    assert tables["crops"].to_pylist()[1] == {
        "image_id": "a", "uri": "b", "ratio": "16:9", "rank": 0, "x0": 0.0, "y0": 1.0, "x1": 12.0,
        "y1": 8.0, "score": 0.5, "choice": 0.25, "margin": None, "object_shares": [],
        "objects_cut": 0, "confidence": 0.75, "faces_cut": 1, "heads_cut": 2, "text_cut": 3,
        "subject_share": 0.5, "verdict": "review", "reason": "head_cut", "fit": "pad",
        "override": "portraits/*", "width": 2, "height": 1, "format": "webp", "frames": 1,
        "image": b"x", "sha256": "ee", "file": None,
        "run_id": None, "processed_at": None, "weights": None,
        "taken": date(2026, 11, 21), "album": None,
    }  # fmt: skip
    assert tables["candidates"]["ratio"].to_pylist() == ["1:1", "1:1", "16:9", "16:9"]
    assert "candidates" not in wire.task_tables(Task(5, [row], {}, types), crops, candidates=False)


def image_of(row: PhotoRow) -> dict[str, object]:
    (image,) = wire.task_tables(Task(5, [row]), [], candidates=False)["images"].to_pylist()
    return {name: image[name] for name in ("focus_x", "focus_y", "focus_source", "override")}


def test_the_focus_is_a_persons_or_the_lists_or_the_most_looked_at() -> None:
    row = full_row()
    row.override = Override("", (0.5, 0.25))
    told = {"focus_x": 0.5, "focus_y": 0.25, "focus_source": "list", "override": None}
    assert image_of(row) == told
    row.override = Override("a", (0.5, 0.25), is_listed_focus=True)
    assert image_of(row) == told | {"override": "a"}
    row.override = Override("a", never_crop=True)
    told = {"focus_x": 0.25, "focus_y": 0.75, "focus_source": "gaze", "override": "a"}
    assert image_of(row) == told
    row.override, row.objects = None, None
    assert set(image_of(row).values()) == {None}


def test_a_pinned_override_is_read_with_its_row(tmp_path: Path) -> None:
    """What `pipeline.inputs.overrides` pins is what the stages obey."""
    table = tmp_path / "overrides.csv"
    table.write_text(
        "uri,ratio,x0,y0,x1,y1,focus_x,focus_y,never_crop\na,1:1,1,2,9,10,.5,.25,\nb,,,,,,,,true\n"
    )
    uris = pa.array(["a", "b", "c"])
    listed = pa.table({"image_id": uris, "uri": uris, "etag": uris, "bytes": [1, 2, 3]})
    task = wire.new_task(0, Overrides.read(str(table)).apply(listed).inputs)
    assert [row.override for row in task.rows] == [
        Override("a", (0.5, 0.25), {"1:1": (1.0, 2.0, 9.0, 10.0)}),
        Override("b", never_crop=True),
        None,
    ]
    assert task.column_types == {}


def test_a_summary_comes_back() -> None:
    sent = [
        TaskSummary(n, Figures(statuses={"ok": 2}, bytes=7, seconds={"read": 0.5})) for n in (4, 5)
    ]
    blocks = pa.concat_tables([wire.pack_summary(summary) for summary in sent])
    assert list(wire.unpack_summaries(blocks)) == sent


@pytest.mark.parametrize("path", sorted(STAGES.glob("*.py")), ids=lambda path: path.name)
def test_no_other_stage_file_knows_arrow(path: Path) -> None:
    assert ("pyarrow" in path.read_text()) == (path.name == "wire.py")
