"""Draw pictures of each kind: pages, screens, framed and letterboxed photos, animations."""

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

WORDS = ("every", "word", "of", "this", "page", "has", "to", "be", "read", "and", "none", "says")


def text(seed: int, count: int) -> str:
    draw = np.random.default_rng(seed)
    return " ".join(draw.choice(WORDS) for _ in range(count))


def page(width: int = 800, height: int = 1000, size: int = 24, dark: bool = False) -> Image.Image:
    """Draw lines of text on a uniform ground."""
    ground, ink = ((18, 18, 24), (230, 230, 230)) if dark else ((255, 255, 255), (0, 0, 0))
    image = Image.new("RGB", (width, height), ground)
    drawing, font = ImageDraw.Draw(image), ImageFont.load_default(size=size)
    for number, y in enumerate(range(height // 12, height * 11 // 12, size * 3 // 2)):
        line = text(number, 40)[: int(1.7 * width / size)]
        drawing.text((width // 12, y), line, font=font, fill=ink)
    return image


def screen(width: int = 1080, height: int = 1920) -> Image.Image:
    """Draw a chat on a phone: bars, bubbles, lines of text."""
    image = Image.new("RGB", (width, height), (245, 245, 247))
    drawing, font = ImageDraw.Draw(image), ImageFont.load_default(size=width // 30)
    drawing.rectangle((0, 0, width, height // 12), fill=(30, 90, 200))
    for number, y in enumerate(range(height // 10, height * 9 // 10, width // 5)):
        x, colour = (width // 20, (220, 220, 225)) if number % 2 else (width // 3, (60, 140, 255))
        drawing.rounded_rectangle((x, y, x + width * 3 // 5, y + width // 6), 20, fill=colour)
        for line in range(3):
            drawing.text((x + 20, y + 10 + line * width // 22), text(number, 5), "black", font=font)
    return image


def lens(width: int = 640, height: int = 480, seed: int = 0) -> np.ndarray:
    """Draw a photo-like picture, uint8 [h, w, 3]: soft shapes with grain, nowhere near black."""
    draw = np.random.default_rng(seed)
    coarse = draw.integers(60, 200, (6, 8, 3)).astype(np.uint8)
    soft = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    grainy = np.asarray(soft).astype(np.int16) + draw.integers(-4, 5, (height, width, 3))
    return np.clip(grainy, 0, 255).astype(np.uint8)


def thing_on_white(width: int = 640, height: int = 480) -> np.ndarray:
    """Draw a round thing with grain on a white ground, as in shops: uint8 [h, w, 3]."""
    y, x = np.mgrid[0:height, 0:width]
    inside = ((x - width / 2) / (0.3 * width)) ** 2 + ((y - height / 2) / (0.4 * height)) ** 2 < 1
    return np.where(inside[..., None], lens(width, height), 255).astype(np.uint8)


def night_sky(width: int = 640, height: int = 480) -> np.ndarray:
    """Draw a skyline, black above and below a town's lights but without bars: uint8 [h, w, 3]."""
    draw = np.random.default_rng(1)
    picture = draw.integers(0, 4, (height, width, 3)).astype(np.uint8)
    for left in range(0, width, 20):
        top, bottom = draw.integers(height // 5, height // 2), draw.integers(5, 9) * height // 10
        picture[top:bottom, left : left + 12] = lens(12, int(bottom - top), left)
    return picture


def framed(
    inner: np.ndarray, left: int, top: int, right: int, bottom: int, level: int
) -> np.ndarray:
    """Add uniform bars of these widths around a picture, uint8 [h, w, 3]."""
    bars = ((top, bottom), (left, right), (0, 0))
    return np.pad(inner, bars, constant_values=level)


def moving(count: int = 3, width: int = 60, height: int = 40) -> list[Image.Image]:
    """Draw frames of one colour each: red, green, blue and so on."""
    colours = [(220, 30, 30), (30, 200, 30), (30, 30, 220), (200, 200, 40), (40, 200, 200)]
    return [Image.new("RGB", (width, height), colours[n % len(colours)]) for n in range(count)]


def moving_file(
    format: str, frames: Sequence[Image.Image], durations_ms: Sequence[int], loop: int = 0
) -> bytes:
    """Encode frames as one animated file."""
    stream = io.BytesIO()
    frames[0].save(
        stream, format, save_all=True, append_images=list(frames[1:]),
        duration=list(durations_ms), loop=loop,
    )  # fmt: skip
    return stream.getvalue()
