"""The decoding child: its answers, byte by byte, and the restrictions of its process."""

import io
import json
import os
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import AvifImagePlugin, Image

from pipeline.errors import DecodeError
from pipeline.photo.allocator import glibc
from pipeline.photo.animations.animation import decode_frames
from pipeline.photo.decode import decode
from pipeline.photo.limits import DecodeLimits
from pipeline.photo.sandbox import child
from pipeline.photo.sandbox.child import (
    answer,
    child_argument,
    frames_answer,
    photo_answer,
    use_one_thread,
    write_answer,
)
from pipeline.photo.sandbox.decoder import Decoder, _environment
from tests.support.drawn_pictures import moving, moving_file
from tests.support.icc_profiles import SRGB_CURVE, rgb_profile
from tests.support.odd_photos import exif, good_photos, odd_photos, saved, scene, turned

LIMITS = DecodeLimits()
GOOD = good_photos()


def test_a_photo_is_told_with_all_its_facts() -> None:
    data = saved(turned(scene(640, 480), 6), "PNG", exif=exif(6))
    header, pixels = answer(data, LIMITS, 100)
    assert header == {
        "status": "ok", "view_wh": (107, 80), "width_px": 640, "height_px": 480, "format": "png",
        "orientation": 6, "frames": 1, "alpha": False, "wide_space": None, "complete": 1.0,
        "there_px": None,
    }  # fmt: skip
    assert pixels == decode(data, view_side=100).pixels.tobytes()


def test_planes_follow_one_another() -> None:
    rgba = Image.fromarray(scene(32, 24)).convert("RGBA")
    rgba.putalpha(Image.linear_gradient("L").resize((32, 24)))
    data = saved(rgba, "PNG", icc_profile=rgb_profile("p3", SRGB_CURVE))
    header, pixels = photo_answer(data, LIMITS, 1024, "keep")
    whole = decode(data, colour="keep")
    assert (header["alpha"], header["wide_space"]) == (True, "p3")
    assert whole.alpha is not None
    assert whole.wide is not None
    assert pixels == whole.pixels.tobytes() + whole.alpha.tobytes() + whole.wide.tobytes()
    header, pixels = answer(data, LIMITS, 1024)
    assert (header["wide_space"], len(pixels)) == (None, 32 * 24 * 4)
    header, pixels = answer(data, LIMITS, 1024, False, "keep")
    assert (header["wide_space"], len(pixels)) == ("p3", 32 * 24 * 7)


def test_every_frame_is_told_where_it_is_asked_for() -> None:
    data = moving_file("PNG", moving(3), [40, 120, 200], 5)
    header, pixels = answer(data, LIMITS, 1024, True)
    assert header == {
        "status": "ok", "view_wh": (60, 40), "durations_ms": [40, 120, 200], "plays": 5,
        "alpha": False,
    }  # fmt: skip
    assert pixels == decode_frames(data, LIMITS, 1024).views.tobytes()
    header, pixels = answer(data, LIMITS, 1024)
    assert (header["frames"], len(pixels)) == (3, 60 * 40 * 3)
    header, _ = answer(data, LIMITS, 20, True)
    assert header["view_wh"] == (20, 14)
    header, _ = answer(data, DecodeLimits(max_frames=2), 1024, True)
    assert header["status"] == "too_many_frames"


def test_opacities_of_frames_follow_their_colours() -> None:
    clear, half = (Image.new("RGBA", (6, 4), (0, 0, 255, alpha)) for alpha in (0, 128))
    header, pixels = frames_answer(moving_file("WEBP", [clear, half], [50, 50]), LIMITS, 1024)
    assert header["alpha"] is True
    assert len(pixels) == 2 * 6 * 4 * 4
    assert pixels[2 * 6 * 4 * 3 :] == bytes(24) + bytes([128]) * 24


@pytest.mark.parametrize("every_frame", [False, True])
@pytest.mark.parametrize(
    ("raised", "told"),
    [
        (DecodeError("corrupt", "no photo"), ("corrupt", "no photo")),
        (MemoryError(), ("too_much_memory", "the picture outgrew its limit")),
        (KeyError("x" * 300), ("corrupt", "KeyError: '" + "x" * 189)),
    ],
)
def test_whatever_goes_wrong_is_the_answer(
    raised: Exception, told: tuple[str, str], every_frame: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise raised

    monkeypatch.setattr(child, "frames_answer" if every_frame else "photo_answer", fail)
    header, pixels = answer(b"", LIMITS, 9, every_frame)
    assert header == {"status": told[0], "message": told[1]}
    assert pixels == b""


def test_an_answer_is_packed_as_it_is_said() -> None:
    sink = io.BytesIO()
    write_answer(sink, 3, {"status": "ok"}, b"abcde")
    assert sink.getvalue() == struct.pack("<QIQ", 3, 16, 5) + b'{"status": "ok"}' + b"abcde"


def test_what_a_child_is_told() -> None:
    limits = DecodeLimits(max_bytes=5, timeout_s=2.5)
    told = json.loads(child_argument(limits, "keep"))
    assert DecodeLimits(**told["limits"]) == limits
    assert told["colour"] == "keep"
    assert json.loads(child_argument(limits))["colour"] == "srgb"


def test_decoders_have_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    from pillow_heif import options

    monkeypatch.setattr(AvifImagePlugin, "DEFAULT_MAX_THREADS", 8)
    monkeypatch.setattr(options, "DECODE_THREADS", 8)
    use_one_thread()
    assert (AvifImagePlugin.DEFAULT_MAX_THREADS, options.DECODE_THREADS) == (1, 1)


def test_a_child_decodes_every_format_without_opening_a_file() -> None:
    """Shut in, it can import nothing any more: what decoding needs was imported before."""
    formats = ["good.jpg", "good.png", "good.webp", "good.gif", "good.avif", "grey alpha.png",
               "palette transparent.png", "one bit.png", "16 bit grey.png", "profile.jpg",
               "cmyk adobe.jpg", "rotated 6.jpg", "profile grey.png"]  # fmt: skip
    files = {name: GOOD[name] for name in formats}
    files["heic"] = odd_photos()["phone.heic"][0]
    with Decoder(colour="keep") as decoder:
        for name, data in files.items():
            found = decoder.decode(data)
            np.testing.assert_array_equal(found.pixels, decode(data, colour="keep").pixels, name)
        for format in ("GIF", "WEBP", "PNG", "AVIF"):
            data = moving_file(format, moving(3), [40, 120, 200])
            found_frames = decoder.decode_frames(data)
            np.testing.assert_array_equal(
                found_frames.views, decode_frames(data, LIMITS, 1024).views
            )
        wide = saved(scene(), "PNG", icc_profile=rgb_profile("p3", SRGB_CURVE))
        assert decoder.decode(wide).wide_space == "p3"
        cut = GOOD["good.jpg"][: len(GOOD["good.jpg"]) * 9 // 10]
        assert decoder.decode(cut).complete < 1


def start(limits: DecodeLimits) -> subprocess.Popen[bytes]:
    made = subprocess.Popen(
        [sys.executable, "-P", "-m", "pipeline.photo.sandbox.child", child_argument(limits)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=_environment(),
    )  # fmt: skip
    assert made.stdout is not None
    mark, size = struct.unpack("<cH", made.stdout.read(3))
    assert mark == b"r"
    made.stdout.read(size)
    return made


def test_a_child_outlives_ctrl_c_and_ends_with_its_input() -> None:
    made = start(LIMITS)
    made.send_signal(signal.SIGINT)
    assert made.stdin is not None
    assert made.stdout is not None
    data = GOOD["good.png"]
    made.stdin.write(struct.pack("<QQI?", 8, len(data), 64, False) + data)
    made.stdin.flush()
    number, header_bytes, pixel_bytes = struct.unpack("<QIQ", made.stdout.read(20))
    assert number == 8
    header = json.loads(made.stdout.read(header_bytes))
    assert (header["status"], header["view_wh"]) == ("ok", [64, 48])
    assert pixel_bytes == 64 * 48 * 3
    assert len(made.stdout.read(pixel_bytes)) == pixel_bytes
    assert made.poll() is None
    made.stdin.close()
    assert made.wait(20) == 0
    made.stdout.close()


def test_the_kernel_ends_a_late_child_whose_parent_is_gone() -> None:
    program = (
        "import time; from pipeline.photo.sandbox import child\n"
        "child.answer = lambda *_: time.sleep(60)\n"
        "child.main()"
    )
    made = subprocess.Popen(
        [sys.executable, "-c", program, child_argument(DecodeLimits(timeout_s=0.2))],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=_environment(),
    )  # fmt: skip
    assert made.stdin is not None
    assert made.stdout is not None
    made.stdout.read(3)
    began = time.monotonic()
    made.stdin.write(struct.pack("<QQI?", 1, 1, 64, False) + b"x")
    made.stdin.flush()
    assert made.wait(30) == -signal.SIGALRM
    assert 1 < time.monotonic() - began < 20  # a second more than the parent gives it
    made.stdin.close()
    made.stdout.close()


def test_limits_are_set_before_a_byte_is_read() -> None:
    made = start(DecodeLimits(memory_bytes=1 << 30, timeout_s=30))
    try:
        lines = Path(f"/proc/{made.pid}/limits").read_text().splitlines()[1:]
    finally:
        made.kill()
        made.communicate()
    found = {line[:26].strip(): line[26:].split()[:2] for line in lines}
    assert found["Max address space"] == [str(1 << 30)] * 2
    assert found["Max file size"] == found["Max core file size"] == ["0", "0"]
    assert found["Max open files"] == ["32", "32"]


@pytest.mark.parametrize(
    ("limits", "status"),
    [
        (DecodeLimits(max_frames=1), "ok"),  # a still photo has one
        (DecodeLimits(max_animation_pixels=1), "ok"),
        (DecodeLimits(max_side=15), "too_many_pixels"),
        (DecodeLimits(max_jpeg_pixels=127), "too_many_pixels"),
        (DecodeLimits(max_bytes=99), "too_large"),
        (DecodeLimits(least_complete=1), "ok"),
    ],
)
def test_limits_below_the_pictures_of_its_start_refuse_a_photo_and_not_the_start(
    limits: DecodeLimits, status: str
) -> None:
    """The child starts with pictures of 16 x 8 pixels, two frames and over 100 bytes."""
    with Decoder(limits) as decoder:
        if status == "ok":
            assert decoder.decode(GOOD["good.jpg"]).width_px == 320
            return
        with pytest.raises(DecodeError) as caught:
            decoder.decode(GOOD["good.jpg"])
        assert caught.value.status == status


@pytest.mark.skipif(glibc() is None, reason="only glibc is told so")
def test_large_buffers_come_from_what_the_last_photo_freed() -> None:
    """By glibc's own bounds some 4,600 pages of these three are new each time."""
    files = [saved(scene(*size), "JPEG") for size in ((1600, 1200), (1200, 1600), (800, 800))]
    with Decoder(view_side=1600) as decoder:
        faults = []
        for _ in range(4):
            for data in files:
                decoder.decode(data)
            assert decoder._child is not None
            told = Path(f"/proc/{decoder._child.pid}/stat").read_text().rpartition(")")[2].split()
            faults.append(int(told[7]))  # minflt of proc_pid_stat(5), the tenth of all
    assert faults[3] - faults[2] < 1_000


@pytest.mark.skipif(glibc() is None, reason="only glibc is told so")
def test_a_child_that_waits_keeps_nothing_of_a_large_photo() -> None:
    """Its answer is 72 MB, and the child keeps 32 MiB of free memory."""
    large = saved(np.full((4000, 6000, 3), 90, np.uint8), "JPEG")
    with Decoder(view_side=6000) as decoder:
        decoder.decode(GOOD["good.jpg"])
        assert decoder._child is not None
        status = Path(f"/proc/{decoder._child.pid}/statm")
        before = int(status.read_text().split()[1])
        assert decoder.decode(large).pixels.nbytes == 72_000_000
        most, end = before + (child.KEPT_BYTES + (8 << 20)) // 4096, time.monotonic() + 10
        while int(status.read_text().split()[1]) > most and time.monotonic() < end:
            time.sleep(0.02)  # it answers first
        assert int(status.read_text().split()[1]) <= most


def test_a_child_gets_three_names_of_the_environment_and_our_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("PATH", "LD_LIBRARY_PATH", "SYSTEMROOT", "HOME", "AWS_PROFILE"):
        monkeypatch.setenv(name, name.lower())
    given = _environment()
    assert given["PYTHONPATH"].split(os.pathsep)[0] == str(Path(child.__file__).parents[3])
    assert set(given["PYTHONPATH"].split(os.pathsep)) >= set(filter(None, sys.path))
    assert {name: value for name, value in given.items() if name != "PYTHONPATH"} == {
        "PATH": "path", "LD_LIBRARY_PATH": "ld_library_path", "SYSTEMROOT": "systemroot",
        "PYTHONDONTWRITEBYTECODE": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1",
    }  # fmt: skip
