"""The decoder's child process: the same photos as in this process, and enforced limits."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import DecodeError
from pipeline.photo.decode import decode
from pipeline.photo.limits import DecodeLimits
from pipeline.photo.sandbox import child, pipes
from pipeline.photo.sandbox import decoder as module
from pipeline.photo.sandbox.child import READY
from pipeline.photo.sandbox.decoder import Decoder
from tests.support.odd_photos import odd_photos, raw_png, saved, scene

PHOTOS = odd_photos()
GOOD = PHOTOS["good.jpg"][0]


def pid(decoder: Decoder) -> int:
    assert decoder._child is not None
    return decoder._child.pid


def is_running(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def wait_until_gone(process: int, within_s: float = 20) -> bool:
    deadline = time.monotonic() + within_s
    while is_running(process) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not is_running(process)


def test_same_answers_as_in_process_with_one_child() -> None:
    children = set()
    with Decoder() as decoder:
        for name, (data, status) in PHOTOS.items():
            if status == "ok":
                photo, expected = decoder.decode(data), decode(data)
                np.testing.assert_array_equal(photo.pixels, expected.pixels, err_msg=name)
                assert photo.format == expected.format
                assert photo.orientation == expected.orientation
                assert photo.scale_xy == expected.scale_xy
                for fact in ("frames", "kind", "by_screen", "content_px", "complete", "there_px"):
                    assert getattr(photo, fact) == getattr(expected, fact), (name, fact)
                np.testing.assert_array_equal(photo.alpha, expected.alpha, err_msg=name)
            else:
                with pytest.raises(DecodeError) as caught:
                    decoder.decode(data)
                assert caught.value.status == status, name
            if decoder._child is not None:
                children.add(pid(decoder))
    assert len(children) == 1  # not one of them cost a restart


def test_view_side_and_limits_reach_the_child() -> None:
    with Decoder(DecodeLimits(max_side=1500), view_side=300) as decoder:
        photo = saved(scene(1200, 900), "JPEG")
        for side, shape in ((None, (225, 300, 3)), (600, (450, 600, 3)), (None, (225, 300, 3))):
            assert decoder.decode(photo, side).pixels.shape == shape
        with pytest.raises(DecodeError, match="longer than 1500"):
            decoder.decode(saved(scene(1501, 10), "PNG"))


def test_pixels_can_be_written_to() -> None:
    with Decoder() as decoder:
        pixels = decoder.decode(GOOD).pixels
    pixels[0, 0] = 1
    assert pixels.flags.c_contiguous


def test_a_killed_child_costs_nothing() -> None:
    with Decoder() as decoder:
        decoder.decode(GOOD)
        first = pid(decoder)
        os.kill(first, signal.SIGKILL)
        wait_until_gone(first)
        assert decoder.decode(GOOD).width_px == 320
        assert pid(decoder) != first


def test_a_child_killed_before_it_is_ready_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    start, children = subprocess.Popen, []

    def first_dies(*words: object, **options: object) -> subprocess.Popen[bytes]:
        children.append(start(*words, **options))  # type: ignore[call-overload]
        if len(children) == 1:
            children[0].kill()
        return children[-1]

    monkeypatch.setattr(module.subprocess, "Popen", first_dies)
    with Decoder() as decoder:
        assert decoder.decode(GOOD).pixels.any()
    assert len(children) == 2


def stand_in(monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    """Starts a script in place of the child; `reply(header, pixels)` writes one answer."""
    script = f"""
import json, os, signal, struct, sys, time
number = 0
def read():
    global number
    number, size, _, _ = struct.unpack("<QQI?", sys.stdin.buffer.read(21))
    return sys.stdin.buffer.read(size)
def raw(data):
    sys.stdout.buffer.write(data); sys.stdout.buffer.flush()
def reply(header, pixels=b"", claimed=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    claimed = len(pixels) if claimed is None else claimed
    raw(struct.pack("<QIQ", number, len(text), claimed) + text + pixels)
raw({READY.pack(b"r", 0)!r})
while True:
    data = read()
{body}
"""
    popen = subprocess.Popen

    def start(_: list[str], **options: object) -> subprocess.Popen[bytes]:
        return popen([sys.executable, "-c", script], **options)  # type: ignore[call-overload]

    monkeypatch.setattr(module.subprocess, "Popen", start)


def test_a_photo_that_ends_the_child_fails_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    ok = {"status": "ok", "view_wh": [1, 1], "width_px": 1, "height_px": 1, "format": "png"}
    ok["orientation"] = 1
    stand_in(
        monkeypatch,
        f"""
    if data == b"poison": os._exit(1)
    reply({ok}, b"abc")
""",
    )
    with Decoder() as decoder:
        for _ in range(2):
            assert decoder.decode(b"fine").pixels.tobytes() == b"abc"
            with pytest.raises(DecodeError) as caught:
                decoder.decode(b"poison")
            assert caught.value.status == "decoder_died"


# A picture as wide as its file is long, of that many pixels that are the file's first byte.
OF_ITS_FILE = """
    wide = len(data)
    its = {"view_wh": [wide, 1], "width_px": wide, "height_px": 1, "format": "png"}
    reply({"status": "ok", "orientation": 1, **its}, data[:1] * 3 * wide)
"""


class TooLate(BaseException):
    """What a program raises of its own where a signal comes."""


@pytest.fixture
def interrupted() -> Iterator[None]:
    def interrupt(*_: object) -> None:
        raise TooLate

    handled = signal.signal(signal.SIGUSR1, interrupt)
    yield
    signal.signal(signal.SIGUSR1, handled)


@pytest.mark.usefixtures("interrupted")
@pytest.mark.parametrize("first", ["", "raw(struct.pack('<QIQ', number, 9, 9))"])
def test_an_interrupted_photo_is_not_given_for_another(
    monkeypatch: pytest.MonkeyPatch, first: str
) -> None:
    """The child has its parent interrupted within an exchange, then answers as ever."""
    stand_in(
        monkeypatch,
        f"""
    if data == b"late":
        {first}
        os.kill(os.getppid(), signal.SIGUSR1)
{OF_ITS_FILE}
""",
    )
    with Decoder() as decoder:
        assert decoder.decode(b"a").width_px == 1
        process = pid(decoder)
        with pytest.raises(TooLate):
            decoder.decode(b"late")
        assert not is_running(process)
        for data in (b"bb", b"ccc"):
            photo = decoder.decode(data)
            assert (photo.width_px, photo.pixels[0, 0, 0]) == (len(data), data[0])


def test_an_answer_is_only_taken_for_its_own_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """A child that says everything twice: what is left of one photo is not the next one."""
    stand_in(monkeypatch, OF_ITS_FILE + OF_ITS_FILE)
    with Decoder() as decoder:
        for data in (b"a", b"bb", b"ccc"):
            photo = decoder.decode(data)
            assert (photo.width_px, photo.pixels[0, 0, 0]) == (len(data), data[0])


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """The children that a Decoder starts; each interrupts its parent once it is told something."""
    popen, children = subprocess.Popen, list[subprocess.Popen[bytes]]()
    read, end = "sys.stdin.buffer.read(1)", "os.kill(os.getppid(), signal.SIGUSR1); time.sleep(60)"
    script = f"import os, signal, sys, time; {read}; {end}"

    def start(_: list[str], **options: object) -> subprocess.Popen[bytes]:
        children.append(popen([sys.executable, "-c", script], **options))  # type: ignore[call-overload]
        return children[-1]

    monkeypatch.setattr(module.subprocess, "Popen", start)
    return children


def receive_interrupted(child: subprocess.Popen[bytes], size: int, deadline: float) -> bytes:
    assert child.stdin is not None
    child.stdin.write(b"g")  # only now: an interrupt within Popen is another matter
    return pipes.receive(child, size, deadline)


@pytest.mark.usefixtures("interrupted")
def test_a_start_that_is_interrupted_leaves_no_child(
    monkeypatch: pytest.MonkeyPatch, started: list[subprocess.Popen[bytes]]
) -> None:
    monkeypatch.setattr(module, "receive", receive_interrupted)
    with pytest.raises(TooLate):
        Decoder().start()
    assert not is_running(started[0].pid)


def test_an_interrupt_before_the_wait_leaves_no_child(
    monkeypatch: pytest.MonkeyPatch, started: list[subprocess.Popen[bytes]]
) -> None:
    def interrupt() -> float:
        raise TooLate

    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=interrupt))
    with pytest.raises(TooLate):
        Decoder().start()
    assert not is_running(started[0].pid)


OK = (
    '{"status": "ok", "view_wh": [2, 1], "width_px": 2, "height_px": 1, '
    '"format": "png", "orientation": 1}'
)


@pytest.mark.parametrize(
    "body",
    [
        "    raw(b'nonsense' * 10)",
        "    reply(b'{not json')",
        "    reply(b'[1, 2]')",
        "    reply(b'x' * 5000)",
        f"    reply({OK}, b'abc')",
        f"    reply({{**{OK}, 'view_wh': [0, 1]}})",
        f"    reply({{**{OK}, 'view_wh': [-2, -1]}}, b'abcdef')",
        f"    reply({{**{OK}, 'orientation': 9}}, b'abcdef')",
        f"    reply({{**{OK}, 'width_px': '2'}}, b'abcdef')",
        f"    reply({OK}, b'abcdef', claimed=1 << 40)",
        f"    reply({OK}, b'abcdef', claimed=500 << 20)",  # more than any view has
        "    reply(b'[' * 60_000)",  # deeper than a reader of JSON goes
        "    reply(b'{\"status\": ' + b'9' * 5000 + b'}')",
        f"    reply({{**{OK}, 'width_px': 10 ** 30}}, b'abcdef')",
        f"    reply({{**{OK}, 'format': chr(27) + '[2J'}}, b'abcdef')",
        "    os._exit(0)",
    ],
)
def test_a_child_taken_over_cannot_fool_its_parent(
    monkeypatch: pytest.MonkeyPatch, body: str
) -> None:
    stand_in(monkeypatch, body)
    with Decoder() as decoder, pytest.raises(DecodeError) as caught:
        decoder.decode(GOOD)
    assert caught.value.status == "decoder_died"


def test_as_many_frames_as_are_counted_fit_into_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """100,000 of the longest: as JSON 700,000 bytes."""
    told = {"status": "ok", "view_wh": [1, 1], "plays": 0, "alpha": False}
    durations = "'durations_ms': [65_535] * 100_000"
    stand_in(monkeypatch, f"    reply({{**{told}, {durations}}}, bytes(300_000))")
    with Decoder(DecodeLimits(max_frames=100_000)) as decoder:
        assert decoder.decode_frames(GOOD).durations_ms == (65_535,) * 100_000


def test_a_late_child_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, "    time.sleep(60)")
    with Decoder(DecodeLimits(timeout_s=0.2)) as decoder:
        with pytest.raises(DecodeError) as caught:
            decoder.decode(GOOD)
        assert caught.value.status == "timeout"
        assert caught.value.kind == "transient"
        assert decoder._child is None


def test_a_child_that_does_not_read_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, "    time.sleep(60)")
    with Decoder(DecodeLimits(timeout_s=0.2)) as decoder, pytest.raises(DecodeError) as caught:
        decoder.decode(bytes(8 << 20))
    assert caught.value.status == "timeout"


def test_memory_is_limited() -> None:
    photo = raw_png(7000, 7000, 8, 2, bytes(21_001) * 7000)  # 196 MB of pixels, 140 kB of file
    with Decoder(DecodeLimits(memory_bytes=300 << 20)) as decoder:
        with pytest.raises(DecodeError) as caught:
            decoder.decode(photo)
        assert caught.value.status == "too_much_memory"
        assert decoder.decode(GOOD).width_px == 320
    with Decoder() as decoder:
        assert decoder.decode(photo).width_px == 7000


def test_the_child_is_confined(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary-41")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "canary-42")
    limits = DecodeLimits(memory_bytes=1 << 30, timeout_s=7)
    with Decoder(limits) as decoder:
        decoder.decode(GOOD)
        process = Path(f"/proc/{pid(decoder)}")
        assert b"canary" not in (process / "cmdline").read_bytes()
        if os.geteuid() == 0:  # no other user may look into a process that is shut in
            assert b"canary" not in (process / "environ").read_bytes()
            open_files = {os.readlink(link) for link in (process / "fd").iterdir()}
            assert all(name.startswith("pipe:") or name == "/dev/null" for name in open_files)
        lines = (process / "limits").read_text().splitlines()
    limits_of = {line[:26].strip(): line[26:].split()[:2] for line in lines[1:]}
    assert limits_of["Max address space"] == [str(1 << 30)] * 2
    assert limits_of["Max file size"] == limits_of["Max core file size"] == ["0", "0"]
    assert limits_of["Max open files"] == ["32", "32"]
    assert 7 < int(limits_of["Max cpu time"][0]) < 30


def test_the_child_loads_no_heavy_library() -> None:
    code = "import pipeline.photo.sandbox.child, sys; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"torch", "ray", "pyarrow", "pandas", "fsspec", "cv2"} & set(loaded)


def test_the_child_ends_with_its_parent() -> None:
    code = """
import sys, time
from pipeline.photo.sandbox.decoder import Decoder
from tests.support.odd_photos import saved, scene
decoder = Decoder(); decoder.decode(saved(scene(), "JPEG"))
print(decoder._child.pid, flush=True); time.sleep(60)
"""
    root = Path(__file__).parents[4]
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=root, text=True
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert is_running(child)
        parent.kill()
    assert wait_until_gone(child)


def test_close_ends_the_child_and_decode_starts_another() -> None:
    decoder = Decoder()
    decoder.decode(GOOD)
    first = pid(decoder)
    decoder.close()
    assert not is_running(first)
    decoder.close()
    assert decoder.decode(GOOD).format == "jpeg"
    decoder.close()


def test_a_decoder_that_cannot_start_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_environment", lambda: {"PYTHONHOME": "/nonexistent"})
    with Decoder() as decoder, pytest.raises(DecodeError, match="does not start"):
        decoder.decode(GOOD)


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("size_wh", [(1, 1), (7, 5), (700, 500), (1, 70_000), (70_000, 1)])
def test_the_childs_pixels_are_all_of_a_plane(mode: str, size_wh: tuple[int, int]) -> None:
    """Those of Pillow's `tobytes`, which makes them in blocks, up to the last one."""
    plane = Image.effect_noise(size_wh, 90).convert(mode)
    assert child.bytes_of(plane) == plane.tobytes()
