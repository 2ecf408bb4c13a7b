"""Strangers' photos are decoded in a child process, also outside jobs."""

import re
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import DecodeError
from pipeline.photo.decode import decode
from pipeline.photo.given import photo_of
from pipeline.photo.sandbox import standalone
from pipeline.photo.sandbox.standalone import decode_sandboxed
from pipeline.report.inline import preview
from tests.support.odd_photos import saved, scene

ROOT = Path(__file__).resolve().parents[4]
# Each says why its files are no strangers'.
DECODE_IN_PROCESS = {
    "pipeline/__init__.py": "for programs that call it",
    "pipeline/cropping/cropper.py": "with trusted=True, and lossless files of its own",
    "pipeline/lab/datasets/layout.py": "data sets are the choice of who runs it",
}


def test_the_child_gives_what_this_process_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    data = saved(scene(), "JPEG")
    here, small = decode(data), decode(data, view_side=100)

    def broken(*_: object) -> None:
        raise AssertionError("decoded in this process")

    monkeypatch.setattr("pipeline.photo.decode.render", broken)
    assert np.array_equal(decode_sandboxed(data).pixels, here.pixels)
    assert np.array_equal(decode_sandboxed(data, 100).pixels, small.pixels)
    assert np.array_equal(photo_of(data).pixels, here.pixels)
    assert preview(data, 50) is not None
    with pytest.raises(AssertionError, match="in this process"):
        photo_of(data, decode)


def test_one_child_is_kept_for_each_size_and_ends_with_its_process() -> None:
    data = saved(scene(), "PNG")
    decode_sandboxed(data)
    before = dict(standalone._DECODERS)
    with pytest.raises(DecodeError, match="unsupported_format"):
        decode_sandboxed(b"no photo")
    decode_sandboxed(data)
    assert before == standalone._DECODERS
    standalone._end()
    assert all(decoder._child is None for decoder in standalone._DECODERS.values())
    decode_sandboxed(data)  # starts anew
    standalone._end()


def test_nothing_else_decodes_files_in_its_own_process() -> None:
    found = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "pipeline").rglob("*.py")
        if path.parent.name != "photo"
        and re.search(r"from pipeline\.photo\.decode import [^\n]*\bdecode\b", path.read_text())
    }
    assert found == DECODE_IN_PROCESS.keys()
