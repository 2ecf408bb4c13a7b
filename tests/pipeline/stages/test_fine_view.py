"""Crops that are small parts of large photos: they are as sharp as the photo's own pixels allow."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from pipeline import open_run
from pipeline.cropping.overrides import Override
from pipeline.job import plan
from pipeline.photo.decode import Photo, decode
from pipeline.photo.sandbox.decoder import Decoder
from pipeline.rendering import RenderRequest, plan_rendering
from pipeline.report.progress import Log
from pipeline.settings import Settings
from pipeline.shapes import parse_shapes
from pipeline.stages.crop import DetectScore
from pipeline.stages.fine_view import locked_boxes, view_within_borders
from pipeline.stages.read import read_decode, set_decoded
from pipeline.stages.task import PhotoRow
from pipeline.stages.wire import unpack
from tests.pipeline.stages.test_recall import do
from tests.support.block_transfer import run_with_transfers
from tests.support.drawn_pictures import framed, lens, moving, moving_file
from tests.support.odd_photos import exif, saved, turned

pytestmark = pytest.mark.usefixtures("_workers_end_with_the_test")

SIDE = 96  # of the thumbnails
WIDE, HIGH = 1600, 1200  # of the photos; their usual view has a sixth of the sides
BOX = (700, 500, 844, 644)  # 24 pixels of the usual view


def tiles(width: int = WIDE, height: int = HIGH) -> np.ndarray:
    """Draw tiles of 6 pixels in random colours: in the usual view, each is one pixel."""
    colours = np.random.default_rng(3).integers(0, 256, (height // 6, width // 6 + 1, 3))
    return np.kron(colours, np.ones((6, 6, 1)))[:height, :width].astype(np.uint8)


def settings(folder: Path, **more: Any) -> Settings:
    asked: dict[str, Any] = {
        "input": str(folder / "in"), "output": str(folder / "out"), "ratios": "1:1,16:9,circle",
        "thumbnail_size": SIDE, "view_side": 256, "format": "png",
    }  # fmt: skip
    return Settings.of(**{**asked, **more})


def locked(folder: Path, photos: dict[str, bytes], box: tuple[int, ...] = BOX) -> str:
    """Write photos, and overrides that lock one box of each, as a square and a circle."""
    (folder / "in").mkdir()
    rows = []
    for name, data in photos.items():
        (folder / "in" / name).write_bytes(data)
        edges = ",".join(map(str, box))
        rows += [f"{folder}/in/{name},{shape},{edges}" for shape in ("1:1", "circle")]
    (folder / "people.csv").write_text("\n".join(["uri,ratio,x0,y0,x1,y1", *rows]))
    return str(folder / "people.csv")


def crop(output: str, name: str, shape: str = "1:1", run: str | None = None) -> Image.Image:
    rows = open_run(output, run).crops().to_pylist()
    (row,) = [r for r in rows if Path(r["uri"]).name == name and r["ratio"] == shape]
    assert [row[e] for e in ("x0", "y0", "x1", "y1")] == list(BOX)
    return Image.open(io.BytesIO(row["image"]))


def from_all_pixels(upright: np.ndarray) -> np.ndarray:
    """Cut the box by Pillow from the photo itself."""
    whole = Image.fromarray(upright)
    return np.asarray(whole.resize((SIDE, SIDE), Image.Resampling.BICUBIC, BOX), float)


def error(found: Image.Image, expected: np.ndarray) -> float:
    """Mean absolute difference, of 255. From the usual view it is above 25."""
    return float(np.abs(np.asarray(found.convert("RGB"), float) - expected).mean())


def test_a_small_locked_box_is_cut_from_all_pixels_of_the_photo(tmp_path: Path) -> None:
    upright = tiles()
    clear = np.dstack([upright, np.full((HIGH, WIDE), 128, np.uint8)])
    whole = saved(upright, "JPEG", quality=95, subsampling=0)
    photos = {
        "plain.png": saved(upright, "PNG"),
        "plain.jpg": whole,
        "turned.png": saved(turned(upright, 6), "PNG", exif=exif(6)),
        "clear.png": saved(clear, "PNG"),
        "cut short.jpg": whole[: len(whole) * 8 // 10],
    }
    table = locked(tmp_path, photos)
    run_with_transfers(settings(tmp_path, overrides=table))
    expected = from_all_pixels(upright)
    for name in photos:
        assert error(crop(str(tmp_path / "out"), name), expected) < 3, name
    round_one = crop(str(tmp_path / "out"), "plain.png", "circle")
    assert round_one.mode == "RGBA"
    middle = slice(SIDE // 4, SIDE * 3 // 4)
    inside = np.abs(np.asarray(round_one, float)[middle, middle, :3] - expected[middle, middle])
    assert inside.mean() < 3
    glass = np.asarray(crop(str(tmp_path / "out"), "clear.png"))
    assert glass.shape == (SIDE, SIDE, 4)
    assert glass[..., 3].mean() == pytest.approx(128, abs=1)


def test_the_other_shapes_of_the_photo_are_decided_as_without_the_box(tmp_path: Path) -> None:
    """They are scored on the usual view, and cut from it."""
    table = locked(tmp_path, {"plain.png": saved(tiles(), "PNG")})
    run_with_transfers(settings(tmp_path, output=str(tmp_path / "without")))
    run_with_transfers(settings(tmp_path, overrides=table))
    one, other = (
        [r for r in open_run(str(tmp_path / out)).crops().to_pylist() if r["ratio"] == "16:9"]
        for out in ("without", "out")
    )
    same = ("x0", "y0", "x1", "y1", "score", "sha256")
    assert [one[0][name] for name in same] == [other[0][name] for name in same]


def test_fine_cuts_do_not_travel_with_decisions_alone(tmp_path: Path) -> None:
    table = locked(tmp_path, {"plain.png": saved(tiles(), "PNG")})
    job, ledger = plan(settings(tmp_path, overrides=table), Log("json", io.StringIO())).begin()
    (number,) = ledger.pending()
    block = read_decode(pa.table({"task": [number]}), job)
    decoded = unpack(block)
    decided = unpack(DetectScore(job, "cpu").decisions(block))
    assert decided.rows[0].fine_cuts == {}
    ((place, pixels),) = decoded.rows[0].fine_cuts.items()  # the circle has the same box
    assert place == (*BOX, SIDE, SIDE)
    again = decided.with_pixels_of(decoded).rows[0].fine_cuts
    np.testing.assert_array_equal(again[place], pixels)
    decoded.rows[0].fail("score", "no_boxes", "permanent", "")
    assert decoded.rows[0].fine_cuts == {}


def test_a_photo_that_cannot_be_decoded_finer_is_cut_from_its_view(tmp_path: Path) -> None:
    """As where the finer view takes more time or memory than a photo may."""
    table = locked(tmp_path, {"plain.png": saved(tiles(), "PNG")})
    found: list[int] = []
    usual = Decoder.decode

    def only_small(self: Decoder, data: bytes, view_side: int | None = None) -> Photo:
        found.append(view_side or 0)
        return usual(self, data if view_side == 256 else b"no photo", view_side)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Decoder, "decode", only_small)
        run_with_transfers(settings(tmp_path, overrides=table))
    assert found == [256, 1123]  # 2/3 of the photo's pixels, for which .95 of this side is enough
    assert error(crop(str(tmp_path / "out"), "plain.png"), from_all_pixels(tiles())) > 25


def test_no_photo_is_decoded_twice_without_need(tmp_path: Path) -> None:
    """A box of which the usual view has enough, no pictures asked for, a moving picture."""
    large = (0, 0, 1152, 1152)  # 192 pixels of the view
    still = {"plain.png": saved(tiles(), "PNG")}
    turning = {"moving.gif": moving_file("GIF", moving(3, 900, 600), [100] * 3)}
    for number, (photos, box, more) in enumerate(
        [
            (still, large, {}),
            (still, BOX, {"boxes_only": True}),
            (turning, (10, 10, 110, 110), {"animated": "all", "format": "auto"}),
        ]
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        asked = settings(folder, overrides=locked(folder, photos, box), **more)
        job, ledger = plan(asked, Log("json", io.StringIO())).begin()
        with pytest.MonkeyPatch.context() as patch:
            sides: list[int | None] = []
            usual = Decoder.decode
            patch.setattr(
                Decoder,
                "decode",
                lambda one, data, side=None, into=sides, do=usual: (
                    into.append(side) or do(one, data, side)
                ),
            )
            read_decode(pa.table({"task": ledger.pending()}), job)
        assert sides == [256], number


def test_a_render_is_as_sharp(tmp_path: Path) -> None:
    upright = tiles()
    table = locked(tmp_path, {"plain.png": saved(upright, "PNG")})
    output = str(tmp_path / "out")
    run_with_transfers(settings(tmp_path, overrides=table, boxes_only=True, format="webp"))
    first = open_run(output).manifest["run_id"]
    made = do(plan_rendering(RenderRequest(output, first, {"format": "png"})))
    assert error(crop(output, "plain.png", run=made.run_id), from_all_pixels(upright)) < 3


@pytest.mark.parametrize("orientation", [1, 3])
def test_locked_boxes_of_a_damaged_photo_stay_in_the_part_that_exists(orientation: int) -> None:
    """Upside down, the rows at the top are missing."""
    whole = saved(lens(320, 240), "JPEG", exif=exif(orientation))
    data = whole[: len(whole) * 17 // 20]
    row = PhotoRow("a", "b")
    set_decoded(row, data, decode(data), Settings().decoding)
    assert row.decoded.there_px is not None
    top, end = row.decoded.there_px[1::2]
    assert (top == 0, end == 240) == (orientation == 1, orientation == 3)
    assert 160 < end - top < 230
    lost = (0, 231, 16, 240) if orientation == 1 else (0, 0, 16, 9)
    inside = (10, top + 20, 40, top + 50)
    row.override = Override("b", boxes_px={"1:1": inside, "16:9": lost})
    found = locked_boxes(row, parse_shapes("1:1,16:9,3:4"))
    assert {shape.name: box for shape, box in found.items()} == {"1:1": inside}


@pytest.mark.parametrize(
    ("left", "top", "view_side"),
    [
        (0, 0, 160),  # no borders: a sixth, as .95 of a view_side of 168 is 159.6
        (0, 60, 160),  # 960 x 840 between them: a sixth is enough, as without borders
        (20, 20, 160),  # 920 have 153.3 pixels in the view: within the 5 % of slack
        (40, 40, 192),  # 880 have 146.7; 159.6 of them need .181, so a fifth
        (0, 240, 320),  # 480 high, 1:2, has .794 of 168 on its short side: .278, so a third
        (0, 330, 320),  # 300 high would have .445, so a half; a third is 4 times the pixels
    ],
)
def test_a_photo_within_borders_is_as_fine_as_its_content(
    left: int, top: int, view_side: int
) -> None:
    content = lens(960 - 2 * left, 960 - 2 * top)
    data = saved(framed(content, left, top, left, top, 0), "PNG")
    asked = Settings.of(view_side=168, thumbnail_size=64)
    with Decoder(view_side=168) as decoder:
        photo = decoder.decode(data)
        assert (photo.content_px is not None) == (top > 0)
        fine = view_within_borders(photo, data, decoder, asked)
    assert fine.pixels.shape == (view_side, view_side, 3)
    assert (fine is photo) == (view_side == 160)
    if top:
        assert fine.content_px is not None
        assert max(abs(fine.content_px[0] - left), abs(fine.content_px[1] - top)) <= 6
