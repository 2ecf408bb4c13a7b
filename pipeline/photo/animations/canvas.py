"""Draw the frames of a moving picture one after another on its canvas, as browsers do."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from PIL import Image

Disposal = Literal["stay", "clear", "restore"]
CLEAR = (0, 0, 0, 0)


@dataclass(frozen=True)
class FrameLayer:
    """One frame's contribution to the canvas.

    image: RGBA. at: position of its top left corner. duration_ms: how long it is shown.
    disposal: what happens to its part of the canvas before the next frame: it stays, is cleared, or
              is restored to what it was before.
    over:     whether it is blended over the canvas; else it replaces its part.
    """

    image: Image.Image
    at: tuple[int, int]
    duration_ms: int
    disposal: Disposal = "stay"
    over: bool = True

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Its part of the canvas, xyxy; it may extend beyond the canvas."""
        x, y = self.at
        return x, y, x + self.image.width, y + self.image.height


def composed(
    layers: Iterable[FrameLayer], size_wh: tuple[int, int]
) -> Iterator[tuple[Image.Image, int]]:
    """Yield the RGBA canvas after each frame, and how long it is shown. The canvas is reused."""
    canvas = Image.new("RGBA", size_wh, CLEAR)
    for layer in layers:
        under = canvas.crop(layer.box)
        shown = Image.alpha_composite(under, layer.image) if layer.over else layer.image
        canvas.paste(shown, layer.box)
        yield canvas, layer.duration_ms
        if layer.disposal == "clear":
            canvas.paste(CLEAR, layer.box)
        elif layer.disposal == "restore":
            canvas.paste(under, layer.box)
