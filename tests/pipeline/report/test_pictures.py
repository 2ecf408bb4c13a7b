"""Which previews of a run are stored for its pages."""

from pathlib import Path

import pytest

from pipeline.report.canvases import Canvases, PhotoCanvases
from pipeline.report.pictures import Pictures, collect_pictures
from tests.support.row_runs import commit_rows, crop_row, image_row, preview_row

NAMES = ("u/kept.jpg", "u/other.jpg", "u/composed.jpg")


@pytest.mark.parametrize("wanted", [None, {"u/kept.jpg", "u/composed.jpg"}, set[str]()])
def test_only_the_wanted_previews_are_stored(tmp_path: Path, wanted: set[str] | None) -> None:
    """One photo has no preview: it is composed of its crop if it is among the photos with sizes."""
    images = [image_row(name) for name in NAMES]
    ids = {row["uri"]: row["image_id"] for row in images}
    crops = [crop_row(name, "1:1", (0, 0, 200, 200)) for name in NAMES]
    previews = [preview_row(name, (40, 160, 60)) for name in NAMES[:2]]
    run = commit_rows(tmp_path, images, crops, previews)
    shown = {*NAMES} if wanted is None else wanted
    sizes = {ids[name]: (400, 300) for name in shown}
    canvases = PhotoCanvases([Canvases.of(run)])
    with Pictures() as pictures:
        asked = None if wanted is None else [ids[name] for name in wanted]
        collect_pictures(run, sizes, pictures, canvases, asked)
        found = {name for name in NAMES if ids[name] in pictures}
        assert found == shown
        made = {name: picture.composed for name in found if (picture := pictures.get(ids[name]))}
        assert made == {name: name == "u/composed.jpg" for name in shown}
