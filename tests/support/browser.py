"""A headless Chromium that tests drive over the DevTools protocol; without one they are skipped."""

import asyncio
import base64
import io
import json
import os
import shutil
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Awaitable, Callable, Coroutine
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
    """Run `work` with a tab in a fresh browser, and close the browser afterwards."""
    if BROWSER is None:
        pytest.skip("no Chromium on this machine")
    return asyncio.run(_with_tab(work))


async def _with_tab(work: Callable[[Tab], Awaitable[T]]) -> T:
    assert BROWSER is not None
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [BROWSER, *QUIET, f"--user-data-dir={profile}", "about:blank"]
        quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        quiet["env"] = {**os.environ, "TMPDIR": profile}  # its leftovers are removed with that
        with subprocess.Popen(command, **quiet) as browser:
            try:
                address = _debugger(Path(profile))
                async with (
                    aiohttp.ClientSession() as session,
                    session.ws_connect(address, max_msg_size=0) as socket,
                ):
                    tab = Tab(socket)
                    for domain in ("Page", "Runtime", "Log"):
                        await tab.send(f"{domain}.enable")
                    return await work(tab)
            finally:
                browser.terminate()


def _debugger(profile: Path) -> str:
    """Return the address of the first tab's debugger."""
    end = time.monotonic() + STARTS_IN_S
    port = profile / "DevToolsActivePort"
    while not (port.is_file() and port.read_text().strip()):
        assert time.monotonic() < end, "the browser does not start"
        time.sleep(0.05)
    number = port.read_text().split()[0]
    with urllib.request.urlopen(f"http://127.0.0.1:{number}/json", timeout=10) as answer:
        tabs = json.load(answer)
    return str(next(tab["webSocketDebuggerUrl"] for tab in tabs if tab["type"] == "page"))
