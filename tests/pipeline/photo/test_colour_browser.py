"""Every way to define a file's colours, against a real Chromium: within 3 levels.

Chromium shows WebP as stored whatever its EXIF orientation, ignores grey profiles of colour
pictures as the product does, and reads `cmyk profile.jpg` differently, so that is not compared.
"""

import asyncio
import base64
from pathlib import Path

import numpy as np
import pytest

from pipeline.photo.decode import decode
from tests.support.browser import Tab, browse
from tests.support.colour_photos import colour_cases, levels

LEVELS = 3.0
OWN_WAY = ("cmyk profile.jpg",)
KINDS = {"png": "png", "jpg": "jpeg", "webp": "webp", "avif": "avif", "gif": "gif"}
IN_A_ROW, WIDE, HIGH = 10, 100, 70  # px of the page for each picture


@pytest.mark.slow
def test_every_case_is_shown_as_chromium_shows_it(tmp_path: Path) -> None:
    cases = {name: data for name, data in colour_cases().items() if name not in OWN_WAY}
    page = tmp_path / "page.html"
    page.write_text(_page(cases))

    async def show(tab: Tab) -> np.ndarray:
        await tab.window(IN_A_ROW * WIDE, (len(cases) // IN_A_ROW + 1) * HIGH)
        await tab.open(page.as_uri(), "[...document.images].every(one => one.complete)")
        await tab.run("Promise.all([...document.images].map(one => one.decode()))")
        await asyncio.sleep(0.5)  # until it is painted
        return await tab.pixels()

    pixels = browse(show)
    apart = {}
    for place, (name, data) in enumerate(cases.items()):
        x, y = place % IN_A_ROW * WIDE, place // IN_A_ROW * HIGH
        theirs, ours = levels(pixels[y : y + 64, x : x + 96]), levels(decode(data).pixels)
        apart[name] = float(np.abs(theirs - ours).max())
    assert max(apart.values()) > 0  # it is no empty page
    assert len(apart) > 80
    assert {name: most for name, most in apart.items() if most > LEVELS} == {}


def _page(cases: dict[str, bytes]) -> str:
    """A page with all pictures at their own size, each at its place."""
    images = []
    for place, (name, data) in enumerate(cases.items()):
        left, top = place % IN_A_ROW * WIDE, place // IN_A_ROW * HIGH
        kind, text = KINDS[name.rsplit(".", 1)[1]], base64.b64encode(data).decode()
        images.append(
            f'<img style="position:absolute;left:{left}px;top:{top}px" '
            f'src="data:image/{kind};base64,{text}">'
        )
    return "<!doctype html><body style='margin:0;background:white'>" + "".join(images)
