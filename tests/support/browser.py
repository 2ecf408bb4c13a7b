"""A headless Chromium that tests drive over the DevTools protocol; without one they are skipped."""

import asyncio
import atexit
import base64
import io
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import numpy as np
import pytest
from PIL import Image

T = TypeVar("T")
BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))),
    None,
)
QUIET = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
    "--disable-component-update", "--no-first-run", "--remote-debugging-port=0",
)  # fmt: skip
# The place of an element on another one, as shares of its sides: [left, top, right, bottom].
ON = """(part, whole) => {
  const [a, b] = [part, whole].map((one) => one.getBoundingClientRect());
  return [(a.left - b.left) / b.width, (a.top - b.top) / b.height,
          (a.right - b.left) / b.width, (a.bottom - b.top) / b.height];
}"""
STARTS_IN_S = 60.0
WAITS_S = 30.0


class Tab:
    """One page in the browser. `problems` collects errors from its console and its scripts."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._sent = 0
        self.problems: list[str] = []

    async def send(self, method: str, **params: Any) -> Any:
        self._sent += 1
        own = self._sent
        await self._socket.send_json({"id": own, "method": method, "params": params})
        while True:
            message = await self._socket.receive_json()
            if message.get("id") == own:
                assert "error" not in message, message["error"]
                return message["result"]
            self._note(message)

    def _note(self, message: dict[str, Any]) -> None:
        method, params = message.get("method"), message.get("params", {})
        if method == "Runtime.exceptionThrown" or method == "Log.entryAdded":
            self.problems.append(json.dumps(params)[:500])

    async def run(self, source: str) -> Any:
        """Return the value of a JavaScript expression, awaited."""
        answer = await self.send(
            "Runtime.evaluate", expression=source, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in answer, f"{source}: {answer['exceptionDetails']}"
        return answer["result"].get("value")

    async def until(self, condition: str) -> None:
        """Wait until a JavaScript expression is true."""
        end = time.monotonic() + WAITS_S
        while not await self.run(f"document.readyState === 'complete' && Boolean({condition})"):
            assert time.monotonic() < end, f"never true: {condition}; {self.problems}"
            await asyncio.sleep(0.03)

    async def open(self, address: str, ready: str) -> None:
        await self.send("Page.navigate", url="about:blank")
        await self.send("Page.navigate", url=address)
        await self.until(ready)

    async def window(self, width: int, height: int, dark: bool = False) -> None:
        await self.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=height,
            deviceScaleFactor=1, mobile=width < 600,
        )  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.send("Emulation.setEmulatedMedia", features=[scheme])

    async def press(self, key: str) -> None:
        text = {"text": key} if len(key) == 1 else {}
        text = {"text": "\r"} if key == "Enter" else text
        code = {"Enter": 13, "Escape": 27, "ArrowLeft": 37, "ArrowRight": 39}.get(key, 0)
        for kind in ("keyDown", "keyUp"):
            more = text if kind == "keyDown" else {}
            await self.send(
                "Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, **more
            )

    async def press_on(self, selector: str) -> None:
        """Focus what a selector finds and press Enter there."""
        await self.run(f"document.querySelector({json.dumps(selector)}).focus()")
        await self.press("Enter")

    async def click(self, selector: str, x_share: float = 0.5, y_share: float = 0.5) -> None:
        """Click on an element, at a place given as shares of its sides."""
        target = f"document.querySelector({json.dumps(selector)})"
        await self.run(f"{target}.scrollIntoView({{block: 'center'}})")
        x, y, width, height = await self.run(
            f"(() => {{ const r = {target}.getBoundingClientRect();"
            " return [r.x, r.y, r.width, r.height]; })()"
        )
        place = {"x": x + x_share * width, "y": y + y_share * height}
        for kind in ("mousePressed", "mouseReleased"):
            await self.send(
                "Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **place
            )

    async def pixels(self) -> np.ndarray:
        """Return a screenshot of the window: uint8 [h, w, 3]."""
        shot = await self.send("Page.captureScreenshot", format="png")
        picture = Image.open(io.BytesIO(base64.b64decode(shot["data"])))
        return np.asarray(picture.convert("RGB"))

    async def brightness(self, selector: str, x_share: float, y_share: float) -> int:
        """Return the mean of red, green and blue, 0 to 255, at a place of an element."""
        x, y = await self.run(
            f"(() => {{ const r = document.querySelector({selector!r}).getBoundingClientRect();"
            f" return [r.x + {x_share} * r.width, r.y + {y_share} * r.height]; }})()"
        )
        return int((await self.pixels())[int(y), int(x)].mean())


def browse(work: Callable[[Tab], Coroutine[Any, Any, T]]) -> T:
    """Run `work` with a tab that knows nothing of earlier ones: no storage, cookies or zoom."""
    if BROWSER is None:
        pytest.skip("no Chromium on this machine")
    return asyncio.run(_with_tab(_running().address, work))


@dataclass
class Browser:
    """A running Chromium: starting one takes as long as most tests with it."""

    process: subprocess.Popen[bytes]
    profile: tempfile.TemporaryDirectory[str]
    address: str  # of its debugger, ws://127.0.0.1:…
    owner: int = field(default_factory=os.getpid)

    @property
    def is_usable(self) -> bool:
        return self.owner == os.getpid() and self.process.poll() is None

    def close(self) -> None:
        if self.owner == os.getpid():  # a forked process leaves it alone
            self.process.terminate()
            self.process.wait()
            self.profile.cleanup()


_kept: list[Browser] = []


def _running() -> Browser:
    """Return this process's browser; start it if there is none, or if it has crashed."""
    if not (_kept and _kept[0].is_usable):
        close_browser()
        _kept.append(_start())
    return _kept[0]


@atexit.register
def close_browser() -> None:
    """Close this process's browser, if it has one."""
    while _kept:
        _kept.pop().close()


def _start() -> Browser:
    assert BROWSER is not None
    profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
    command = [BROWSER, *QUIET, f"--user-data-dir={profile.name}", "about:blank"]
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    quiet["env"] = {**os.environ, "TMPDIR": profile.name}  # its leftovers are removed with that
    process = subprocess.Popen(command, **quiet)
    return Browser(process, profile, _debugger(Path(profile.name)))


async def _with_tab(address: str, work: Callable[[Tab], Awaitable[T]]) -> T:
    async with aiohttp.ClientSession() as session, _connect(session, address) as socket:
        browser = Tab(socket)
        context = await browser.send("Target.createBrowserContext")
        try:
            target = await browser.send("Target.createTarget", url="about:blank", **context)
            page = f"{address.partition('/devtools/')[0]}/devtools/page/{target['targetId']}"
            async with _connect(session, page) as own:
                tab = Tab(own)
                for domain in ("Page", "Runtime", "Log"):
                    await tab.send(f"{domain}.enable")
                return await work(tab)
        finally:
            await browser.send("Target.disposeBrowserContext", **context)


def _connect(session: aiohttp.ClientSession, address: str) -> Any:
    return session.ws_connect(address, max_msg_size=0)


def _debugger(profile: Path) -> str:
    """Return the address of the browser's debugger."""
    end = time.monotonic() + STARTS_IN_S
    port = profile / "DevToolsActivePort"
    while len(lines := port.read_text().split() if port.is_file() else []) < 2:
        assert time.monotonic() < end, "the browser does not start"
        time.sleep(0.05)
    return f"ws://127.0.0.1:{lines[0]}{lines[1]}"
