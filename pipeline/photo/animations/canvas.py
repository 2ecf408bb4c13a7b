"""Show the frames of a moving picture one after another on its canvas, as browsers do."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from PIL import Image

After = Literal["stay", "clear", "restore"]
CLEAR = (0, 0, 0, 0)


@dataclass(frozen=True)
class FrameLayer:
    """What one frame adds to the canvas.

    image: RGBA. at: where its left upper corner lies. duration_ms: how long it is shown.
    after: what becomes of its part of the canvas before the next one: it stays, it is cleared, or
           it is again what it was before.
    over:  whether it is laid over the canvas; else it replaces its part.
    """

    image: Image.Image
    at: tuple[int, int]
    duration_ms: int
    after: After = "stay"
    over: bool = True

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Its part of the canvas, xyxy; it may reach beyond."""
        x, y = self.at
        return x, y, x + self.image.width, y + self.image.height


def composed(
    layers: Iterable[FrameLayer], size_wh: tuple[int, int]
) -> Iterator[tuple[Image.Image, int]]:
    """The canvas with each frame, RGBA, and how long it is shown. It is drawn on further."""
    canvas = Image.new("RGBA", size_wh, CLEAR)
    for layer in layers:
        under = canvas.crop(layer.box)
        shown = Image.alpha_composite(under, layer.image) if layer.over else layer.image
        canvas.paste(shown, layer.box)
        yield canvas, layer.duration_ms
        if layer.after == "clear":
            canvas.paste(CLEAR, layer.box)
        elif layer.after == "restore":
            canvas.paste(under, layer.box)
