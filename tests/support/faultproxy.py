"""An HTTP/1.1 proxy that misbehaves on purpose, between the product and an S3 server.

For every request a function chooses one fault or none:
    throttle   503 SlowDown; the server never sees the request
    forbid     403 AccessDenied; the server never sees it
    conflict   409 ConditionalRequestConflict; the server never sees it
    reset      the connection is reset; the server never sees it
    lost       the server handles it, and the connection is reset instead of its answer
    truncate   half of the answer's body is sent, then the connection is closed
    mute       the server handles it; no answer until `release()`, and then a reset
    slow       the answer comes after `delay_s`
    hold       the request waits until `release()`; a test kills or stops the client meanwhile
    deaf       If-None-Match is dropped, as by a server that does not support it

Requests go to the server one at a time: moto checks and writes in two steps, which two threads can
interleave, and tests of races need a server that does both atomically.

By itself:  python tests/support/faultproxy.py PORT UPSTREAM_PORT 'throttle=.1,lost=.05' SEED
"""

import asyncio
import random
import re
import sys
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from urllib.parse import urlsplit

ERROR = (
    "<?xml version='1.0'?><Error><Code>{code}</Code><Message>made by the fault proxy</Message>"
    "</Error>"
)
ANSWERS = {
    "forbid": ("403 Forbidden", "AccessDenied"),
    "throttle": ("503 Slow Down", "SlowDown"),
    "conflict": ("409 Conflict", "ConditionalRequestConflict"),
}


@dataclass(frozen=True)
class Request:
    """The request that a fault is chosen for. path: as sent, with the query."""

    method: str
    path: str
    head: bytes


Choose = Callable[[Request], str | None]


def never(request: Request) -> None:
    return None


def at_random(shares: dict[str, float], seed: int) -> Choose:
    """Choose each fault at random for its share of all requests."""
    draw = random.Random(seed)

    def choose(request: Request) -> str | None:
        x = draw.random()
        for fault, share in shares.items():
            x -= share
            if x < 0:
                return fault
        return None

    return choose


def once(fault: str, method: str, pattern: str) -> Choose:
    """Choose one fault, for the first request whose method and path match."""
    left = [True]

    def choose(request: Request) -> str | None:
        if left and request.method == method and re.search(pattern, request.path):
            left.clear()
            return fault
        return None

    return choose


class FaultProxy:
    """Runs in its own thread until the `with` block ends. `address` is the proxy's."""

    def __init__(
        self, upstream: str, choose: Choose = never, delay_s: float = 0.2, port: int = 0
    ) -> None:
        parts = urlsplit(upstream)
        self._upstream = (parts.hostname or "127.0.0.1", parts.port or 80)
        self.choose = choose
        self.delay_s = delay_s
        self.port = port
        self.counts: Counter[str] = Counter()
        self.held = threading.Event()  # set while a request or an answer is held
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> "FaultProxy":
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(10)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def release(self) -> None:
        """Let the requests that are held now continue."""
        self._loop.call_soon_threadsafe(self._open_gate)

    def _open_gate(self) -> None:
        self._gate.set()
        self._gate = asyncio.Event()  # for later requests

    async def _start(self) -> None:
        self._gate = asyncio.Event()
        self._one_at_a_time = asyncio.Lock()
        self._clients: set[asyncio.Task[None]] = set()
        self._server = await asyncio.start_server(
            self._client, "127.0.0.1", self.port, limit=1 << 20
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def _stop(self) -> None:
        self._server.close()
        for task in list(self._clients):
            task.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._clients.add(task)
        try:
            while await self._serve(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._clients.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Handle one request; returns whether the connection stays usable."""
        head = await reader.readuntil(b"\r\n\r\n")
        if re.search(rb"(?i)\r\nexpect: *100-continue", head):
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            head = re.sub(rb"(?i)\r\nexpect: *100-continue", b"", head)
        body = await _body(reader, head)
        method, path = head.split(b" ", 2)[:2]
        request = Request(method.decode(), path.decode("latin-1"), head)
        fault = self.choose(request)
        self.counts[fault or "none"] += 1
        self.counts["requests"] += 1
        if fault in ANSWERS:
            writer.write(_refusal(*ANSWERS[fault], request.method))
            return True
        if fault == "reset":
            writer.transport.abort()
            return False
        if fault == "hold":
            await self._wait()
        if fault == "deaf":
            head = re.sub(rb"(?i)\r\nif-none-match:[^\r]*", b"", head)
        answer_head, answer = await self._forward(request, head, body)
        return await self._answer(writer, fault, answer_head, answer)

    async def _forward(self, request: Request, head: bytes, body: bytes) -> tuple[bytes, bytes]:
        async with self._one_at_a_time:
            reader, writer = await asyncio.open_connection(*self._upstream)
            try:
                writer.write(re.sub(rb"(?i)\r\nconnection:[^\r]*", b"", head) + body)
                answer_head = await reader.readuntil(b"\r\n\r\n")
                while answer_head.split()[1] == b"100":
                    answer_head = await reader.readuntil(b"\r\n\r\n")
                bare = request.method == "HEAD" or answer_head.split()[1] in (b"204", b"304")
                return answer_head, b"" if bare else await _body(reader, answer_head)
            finally:
                writer.close()

    async def _wait(self) -> None:
        self.held.set()
        await self._gate.wait()
        self.held.clear()

    async def _answer(
        self, writer: asyncio.StreamWriter, fault: str | None, head: bytes, body: bytes
    ) -> bool:
        if fault == "slow":
            await asyncio.sleep(self.delay_s)
        if fault == "mute":
            await self._wait()
        if fault in ("lost", "mute"):
            writer.transport.abort()
            return False
        if fault == "truncate" and len(body) > 1:
            writer.write(head + body[: len(body) // 2])
            await writer.drain()
            return False
        writer.write(head + body)
        await writer.drain()
        return b"connection: close" not in head.lower()


async def _body(reader: asyncio.StreamReader, head: bytes) -> bytes:
    """Read a message's body as sent, chunk headers included."""
    if b"transfer-encoding: chunked" in head.lower():
        out = b""
        while True:
            line = await reader.readuntil(b"\r\n")
            size = int(line.split(b";")[0], 16)
            out += line + await reader.readexactly(size + 2)
            if size == 0:
                return out
    length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    return await reader.readexactly(int(length.group(1))) if length else b""


def _refusal(status: str, code: str, method: str) -> bytes:
    body = ERROR.format(code=code).encode()
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + (b"" if method == "HEAD" else body)


def main(port: str, upstream_port: str, shares: str, seed: str) -> None:
    wanted = {name: float(share) for name, share in (s.split("=") for s in shares.split(",") if s)}
    choose = at_random(wanted, int(seed))
    with FaultProxy(f"http://127.0.0.1:{upstream_port}", choose, port=int(port)) as proxy:
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            print(dict(proxy.counts))


if __name__ == "__main__":
    main(*sys.argv[1:])
