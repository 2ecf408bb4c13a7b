"""Every frame of animations against a real Chromium: colour and opacity within 3 levels.

An AVIF's frames are compared with the pixels that they were made from: Chromium 156 shows them 16
levels off, and the same picture as a still within 2. Their number and times are compared with
Chromium's.
"""

import base64
import itertools
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pipeline.photo.animations.animation import decode_frames
from pipeline.photo.limits import DecodeLimits
from tests.pipeline.photo.animations.test_layers import apng, gif
from tests.support.browser import Tab, browse
from tests.support.odd_photos import saved, scene
from tests.support.serving import serving

LEVELS = 3
KINDS = {"gif": "image/gif", "png": "image/png", "webp": "image/webp", "avif": "image/avif"}
# Pages that are not served from a secure origin have no ImageDecoder.
FRAMES = """(async (text, type) => {
  const data = Uint8Array.from(atob(text), c => c.charCodeAt(0));
  const decoder = new ImageDecoder({data, type});
  await decoder.tracks.ready; await decoder.completed;
  const found = [];
  for (let i = 0; i < decoder.tracks.selectedTrack.frameCount; i++) {
    const {image} = await decoder.decode({frameIndex: i});
    const canvas = new OffscreenCanvas(image.displayWidth, image.displayHeight);
    const context = canvas.getContext('2d');
    context.drawImage(image, 0, 0);
    const pixels = context.getImageData(0, 0, canvas.width, canvas.height).data;
    found.push([canvas.width, canvas.height, image.duration,
                btoa(Array.from(pixels, one => String.fromCharCode(one)).join(''))]);
    image.close();
  }
  return found;
})"""


class _Empty(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<!doctype html>")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def page() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Empty)
    with serving(server):
        yield f"http://127.0.0.1:{server.server_address[1]}/"


def avif_frames() -> list[NDArray[np.uint8]]:
    return [scene(32, 24), scene(32, 24)[::-1].copy()]


def moving_cases() -> dict[str, bytes]:
    """Every way to go on from each of the first two frames, in each format that has them."""
    whole, part, dot = ["rrg", "bgr"], ["g-", "bb"], ["b-"]
    cases = {}
    for one, two in itertools.product((0, 1, 2, 3), repeat=2):
        for name, first in (("whole", whole), ("part", part)):
            frames = (((0, 0), first, one), ((1, 0), part, two), ((0, 1), dot, 1))
            cases[f"{name} {one} {two}.gif"] = gif(*frames)
    cases["outside.gif"] = gif(((0, 0), whole, 1), ((2, 1), part, 2), ((9, 9), dot, 1))
    shades = [bytes([200, 40, 90, 255] * 2), bytes([20, 240, 90, 120]), bytes([9, 40, 250, 60])]
    for one, two, blend in itertools.product((0, 1, 2), (0, 1, 2), (0, 1)):
        cases[f"{one} {two} {blend}.png"] = apng(
            ((2, 1, 0, 0, 5, 100, 0, 0), shades[0]), ((1, 1, 1, 0, 6, 100, one, blend), shades[1]),
            ((1, 1, 1, 0, 7, 100, two, blend), shades[2]), ((1, 1, 0, 0, 8, 100, 0, blend),
            shades[1]),
        )  # fmt: skip
    planes = [np.dstack([scene(32, 24), np.full((24, 32), 40 * n, np.uint8)]) for n in (6, 3, 1)]
    images = [Image.fromarray(plane) for plane in planes]
    more = {"save_all": True, "append_images": images[1:], "duration": [50, 60, 70]}
    cases["clear.webp"] = saved(images[0], "WEBP", lossless=True, **more)
    first, second = avif_frames()
    cases["plain.avif"] = saved(
        first, "AVIF", save_all=True, quality=100, subsampling="4:4:4",
        append_images=[Image.fromarray(second)], duration=[50, 60],
    )  # fmt: skip
    return cases


@pytest.mark.slow
def test_every_frame_is_shown_as_chromium_shows_it(page: str) -> None:
    cases = moving_cases()

    async def show(tab: Tab) -> dict[str, Any]:
        await tab.open(page, "true")
        found = {}
        for name, data in cases.items():
            text = base64.b64encode(data).decode()
            kind = KINDS[name.rsplit(".", 1)[1]]
            found[name] = await tab.run(f"{FRAMES}({json.dumps(text)}, {json.dumps(kind)})")
        return found

    apart, shown = {}, browse(show)
    for name, data in cases.items():
        ours, theirs = decode_frames(data, DecodeLimits(), 1024), shown[name]
        assert len(ours.views) == len(theirs), name
        assert [round(one[2] / 1000) for one in theirs] == list(ours.durations_ms), name
        if name.endswith(".avif"):
            for number, (view, made) in enumerate(zip(ours.views, avif_frames(), strict=True)):
                away = float(np.abs(view.astype(int) - made).max())
                apart[f"{name}, frame {number}"] = away
            continue
        for number, (width, height, _, text) in enumerate(theirs):
            pixels = np.frombuffer(base64.b64decode(text), np.uint8).reshape(height, width, 4)
            alpha = pixels[..., 3].astype(float)
            blended = 255 + (pixels[..., :3].astype(float) - 255) * alpha[..., None] / 255
            own = 255 if ours.alphas is None else ours.alphas[number].astype(float)
            away = max(np.abs(blended - ours.views[number]).max(), np.abs(alpha - own).max())
            apart[f"{name}, frame {number}"] = float(away)
    assert len(apart) > 150
    assert {name: away for name, away in apart.items() if away > LEVELS} == {}
