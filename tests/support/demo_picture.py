"""Draw docs/demo.jpg: the page of `make demo` in Chromium, down to its fourth photo.

make demo-picture
"""

import asyncio
import sys
from pathlib import Path

from PIL import Image

from tests.support.browser import Tab, browse

WIDTH_PX, PHOTOS, MARGIN_PX = 1100, 4, 6
ROW = f"document.querySelectorAll('article.row')[{PHOTOS - 1}]"
SHOWN = (
    f"{ROW} && [...{ROW}.closest('.rows').querySelectorAll('img')].slice(0, 40)"
    ".every(one => one.complete && one.naturalWidth)"
)


def draw(page: Path, into: Path) -> None:
    """Save a screenshot of the page as JPEG."""

    async def screenshot(tab: Tab) -> Image.Image:
        await tab.send("Emulation.setScrollbarsHidden", hidden=True)
        await tab.window(WIDTH_PX, 3 * WIDTH_PX)  # high enough to lay out everything
        await tab.open(f"{page.resolve().as_uri()}#/photos", SHOWN)
        end = await tab.run(f"{ROW}.getBoundingClientRect().bottom")
        await tab.window(WIDTH_PX, round(end) + MARGIN_PX)
        await asyncio.sleep(0.5)  # until the window is redrawn in its new size
        await tab.until(SHOWN)
        return Image.fromarray(await tab.pixels())

    browse(screenshot).save(into, quality=88, optimize=True)


if __name__ == "__main__":
    draw(Path(sys.argv[1]), Path(sys.argv[2]))
