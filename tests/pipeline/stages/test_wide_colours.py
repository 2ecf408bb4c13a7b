"""Crops with colours outside sRGB: profile and pixels are read back from the written files."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

from pipeline import open_run
from pipeline.cli.runs.render import Render
from pipeline.cropping.results import ScoredCrop
from pipeline.errors import UsageError
from pipeline.photo.decode import decode
from pipeline.rendering import RenderRequest, plan_rendering
from pipeline.settings import Settings, ThumbnailSettings
from pipeline.stages.encode import encode_crop
from pipeline.stages.task import PhotoRow
from tests.pipeline.stages.test_recall import do as rendered
from tests.support.block_transfer import run_with_transfers
from tests.support.colour_photos import chrm, cicp, with_chunks
from tests.support.drawn_pictures import lens
from tests.support.icc_profiles import SRGB_CURVE, rgb_profile
from tests.support.odd_photos import saved

pytestmark = pytest.mark.usefixtures("_workers_end_with_the_test")

torch.set_num_threads(1)
GREEN = np.full((64, 64, 3), (40, 220, 60), np.uint8)  # of P3: outside sRGB
P3 = saved(GREEN, "PNG", icc_profile=rgb_profile("p3", SRGB_CURVE, "of a stranger"))


def thumbnail(data: bytes, fit: str = "crop", **settings: object) -> Image.Image:
    photo = decode(data, colour=settings.get("colour", "srgb"))  # type: ignore[arg-type]
    row = PhotoRow("a", "b", photo=photo)
    box = (0.0, 0.0, 64.0, 64.0 if fit == "crop" else 32.0)
    chosen = ScoredCrop("1:1", 0, box, 0.0, None, None, [], 0, fit=fit)  # type: ignore[arg-type]
    crop = encode_crop(row, chosen, ThumbnailSettings(**settings))  # type: ignore[arg-type]
    assert crop.image is not None
    return Image.open(io.BytesIO(crop.image))


def lab(image: Image.Image, at: tuple[int, int] = (20, 20)) -> np.ndarray:
    """What a viewer that honours profiles shows: CIE L*a*b* of one pixel."""
    source = ImageCms.createProfile("sRGB")
    if profile := image.info.get("icc_profile"):
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    target = ImageCms.createProfile("LAB")
    found = ImageCms.profileToProfile(image.convert("RGB"), source, target, outputMode="LAB")
    assert found is not None
    return np.asarray(found).astype(np.int8).astype(int)[at] + np.array([0, 0, 0])


@pytest.mark.parametrize("format", ["webp", "jpeg", "png", "avif"])
def test_a_wide_photo_keeps_its_colours_and_a_profile(format: str) -> None:
    kept = thumbnail(P3, format=format, colour="keep", quality=95)
    profile = kept.info["icc_profile"]
    assert b"stranger" not in profile
    assert len(profile) < 1000
    np.testing.assert_allclose(np.asarray(kept.convert("RGB"))[32, 32], GREEN[0, 0], atol=4)
    truth = Image.open(io.BytesIO(P3))
    assert np.abs(lab(kept) - lab(truth)).max() <= 2
    plain = thumbnail(P3, format=format, quality=95)
    assert "icc_profile" not in plain.info
    assert np.abs(lab(plain) - lab(truth)).max() > 8  # sRGB has no such green


def test_a_photo_of_srgb_gets_no_profile() -> None:
    assert "icc_profile" not in thumbnail(saved(GREEN, "PNG"), colour="keep").info
    narrow = with_chunks(saved(GREEN, "PNG"), chrm(0.3127, 0.329, 0.6, 0.33, 0.3, 0.55, 0.2, 0.1))
    assert "icc_profile" not in thumbnail(narrow, colour="keep").info


def test_the_ground_around_a_wide_photo_has_the_colour_that_was_asked_for() -> None:
    kept = thumbnail(P3, "pad", format="png", colour="keep", background="c83232")
    corner = kept.crop((0, 0, 1, 1))
    page = Image.new("RGB", (1, 1), (200, 50, 50))
    assert np.abs(lab(corner, (0, 0)) - lab(page, (0, 0))).max() <= 1
    assert np.asarray(kept)[0, 0].tolist() != [200, 50, 50]


def test_a_job_keeps_wide_colours_and_chooses_the_same_crops(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    photo = lens(160, 120)
    (folder / "wide.png").write_bytes(with_chunks(saved(photo, "PNG"), cicp(12, 13)))
    (folder / "plain.png").write_bytes(saved(photo, "PNG"))
    found, runs = {}, {}
    for colour in ("srgb", "keep"):
        out = tmp_path / colour
        asked = {"input": str(folder), "ratios": "1:1", "thumbnail_size": 64, "format": "png"}
        runs[colour] = run_with_transfers(
            Settings.of(output=str(out), colour=colour, **asked)
        ).run_id
        for row in open_run(str(out)).crops().to_pylist():
            found[colour, Path(row["uri"]).name] = row
    for name in ("wide.png", "plain.png"):
        for edge in ("x0", "y0", "x1", "y1", "score"):
            assert found["srgb", name][edge] == found["keep", name][edge]
    kept = {key: Image.open(io.BytesIO(row["image"])) for key, row in found.items()}
    tagged = {key for key, image in kept.items() if "icc_profile" in image.info}
    assert tagged == {("keep", "wide.png")}
    wide = np.asarray(kept["keep", "wide.png"]).astype(int)
    assert np.abs(wide - np.asarray(kept["srgb", "wide.png"])).max() > 5
    # A render of the run of sRGB gives the same as the job that kept them.
    out = str(tmp_path / "srgb")
    rendering = plan_rendering(RenderRequest(out, runs["srgb"], {"colour": "keep"}))
    made = open_run(out, rendered(rendering).run_id)
    assert made.crops().num_rows == 2
    for row in made.crops().to_pylist():
        assert row["image"] == found["keep", Path(row["uri"]).name]["image"]


def test_the_command_asks_for_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def plan(request: RenderRequest, cores: object) -> None:
        asked.append(request.changes)
        raise UsageError("enough")

    monkeypatch.setattr("pipeline.rendering.plan_rendering", plan)
    for colour in ("same", "keep"):
        with pytest.raises(UsageError):
            Render(output="o", run_id="r", colour=colour).run()  # type: ignore[arg-type]
    assert asked == [{}, {"colour": "keep"}]
