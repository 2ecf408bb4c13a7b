"""Edge cases of HTTP: ports, codes, lengths, timeouts, and invalid answers."""

import socket
import threading
from dataclasses import replace

import pytest

from pipeline.errors import ReadError
from pipeline.inputs import http as http_module
from pipeline.inputs.http import HttpPolicy, read_http, resolve


def recorded(hosts: set[str], answer: list[str] | OSError) -> tuple[HttpPolicy, list[object]]:
    """A policy whose look-up notes what it was asked."""
    asked: list[object] = []

    def look_up(host: str, port: int) -> list[str]:
        asked.append((host, port))
        if isinstance(answer, OSError):
            raise answer
        return answer

    return HttpPolicy(frozenset(hosts), timeout_s=2, resolve=look_up), asked


@pytest.mark.parametrize(
    ("uri", "asked"),
    [
        ("http://img.example/x", ("img.example", 80)),
        ("HTTPS://IMG.example./x", ("img.example", 443)),
        ("https://img.example:8443/x", ("img.example", 8443)),
    ],
)
def test_a_host_is_looked_up_with_the_port_of_its_scheme(uri: str, asked: object) -> None:
    policy, found = recorded({"img.example"}, OSError("no such name"))
    with pytest.raises(ReadError, match="has no address: no such name") as failed:
        read_http(uri, policy, None)
    assert failed.value.status == "network"
    assert found == [asked]


def test_a_host_without_an_address_is_refused() -> None:
    policy, _ = recorded({"img.example"}, [])
    with pytest.raises(ReadError, match="non-public") as failed:
        read_http("http://img.example/", policy, None)
    assert failed.value.status == "forbidden"


def test_the_system_s_look_up_gives_numbers() -> None:
    assert resolve("127.0.0.1", 80) == ["127.0.0.1"]


@pytest.mark.parametrize(
    ("hosts", "host", "allowed"),
    [
        ({".cdn.example"}, "a.cdn.example", True),
        ({".cdn.example"}, "cdn.example", False),
        ({"cdn.example"}, "a.cdn.example", False),
        ({"cdn.example"}, "cdn.example", True),
        ({".example"}, "a.b.example", True),
    ],
)
def test_which_hosts_a_policy_allows(hosts: set[str], host: str, allowed: bool) -> None:
    assert HttpPolicy(frozenset(hosts)).allows(host) is allowed


def serve_once(answer: bytes) -> tuple[int, list[bytes], threading.Thread]:
    """A server that gives one answer, whatever it is asked, and keeps the connection open."""
    listening = socket.create_server(("127.0.0.1", 0))
    heard: list[bytes] = []

    def run() -> None:
        with listening, listening.accept()[0] as connection:
            heard.append(connection.recv(65_536))
            connection.sendall(answer)
            connection.settimeout(20)
            if not answer.endswith(b"#"):
                return
            connection.recv(1)  # until the other side closes

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return listening.getsockname()[1], heard, thread


def ask(
    answer: bytes, max_bytes: int | None = None, path: str = "/", host: str = "h", **policy: float
) -> tuple[bytes, bytes]:
    port, heard, thread = serve_once(answer)
    given = HttpPolicy(frozenset({"h"}), timeout_s=5, resolve=lambda h, p: ["127.0.0.1"],
                       public=lambda address: True)  # fmt: skip
    try:
        return read_http(f"http://{host}:{port}{path}", replace(given, **policy), max_bytes), heard[
            0
        ]
    finally:
        thread.join(20)


def http_answer(status: int, body: bytes = b"", *headers: str) -> bytes:
    head = "\r\n".join([f"HTTP/1.1 {status} X", *headers, "", ""])
    return head.encode() + body


@pytest.mark.parametrize(
    ("code", "status"),
    [(404, "not_found"), (410, "not_found"), (429, "throttled"), (503, "throttled"),
     (500, "network"), (502, "network"), (499, "forbidden"), (204, "forbidden"),
     (201, "forbidden"), (301, "forbidden"), (401, "forbidden")],
)  # fmt: skip
def test_each_code_has_its_status(code: int, status: str) -> None:
    with pytest.raises(ReadError, match=f"HTTP {code}") as failed:
        ask(http_answer(code, b"", "Content-Length: 0"))
    assert failed.value.status == status


def test_a_body_may_have_as_many_bytes_as_are_allowed() -> None:
    body, heard = ask(http_answer(200, b"12345", "Content-Length: 5"), max_bytes=5, path="/a b?c d")
    assert body == b"12345"
    assert heard.startswith(b"GET /a%20b?c%20d HTTP/1.1\r\n")
    assert heard.count(b"Host: h:") == 1
    for given in (b"12345", b"123456789"):
        with pytest.raises(ReadError, match="more than 4 bytes") as failed:
            ask(http_answer(200, given, f"Content-Length: {len(given)}"), max_bytes=4)
        assert failed.value.status == "too_large"


def test_a_host_is_named_as_it_is_written_and_no_path_is_the_root() -> None:
    _, heard = ask(http_answer(200, b"x"), host="H", path="")
    assert heard.startswith(b"GET / HTTP/1.1\r\n")
    assert b"\r\nHost: H:" in heard


@pytest.mark.parametrize(
    ("host", "told"),
    [
        ("bücher.example", b"xn--bcher-kva.example"),
        ("日本.jp", b"xn--wgv71a.jp"),
        ("img.日本", b"img.xn--wgv71a"),  # the port is no part of the last label
    ],
)
def test_a_host_of_any_script_is_named_in_ascii(host: str, told: bytes) -> None:
    port, heard, thread = serve_once(http_answer(200, b"x"))
    policy = HttpPolicy(frozenset({host}), resolve=lambda h, p: ["127.0.0.1"],
                        public=lambda address: True)  # fmt: skip
    assert read_http(f"http://{host}:{port}/", policy, None) == b"x"
    thread.join(20)
    assert b"\r\nHost: %b:%d\r\n" % (told, port) in heard[0]


def test_a_length_that_is_missing_or_nonsense_is_not_compared() -> None:
    assert ask(http_answer(200, b"123"), max_bytes=9)[0] == b"123"
    with pytest.raises(ReadError, match="3 of 5 bytes arrived"):
        ask(http_answer(200, b"123", "Content-Length: 5"), max_bytes=9)


def test_an_answer_that_falls_silent_is_told_from_one_that_takes_too_long() -> None:
    begun = http_answer(200, b"12#", "Content-Length: 99")
    with pytest.raises(ReadError, match=r"'h' was silent for 0\.3 s") as failed:
        ask(begun, timeout_s=0.3)
    assert failed.value.status == "timeout"
    with pytest.raises(ReadError, match=r"'h' took over 0\.3 s") as failed:
        ask(begun, timeout_s=20, total_s=0.3)
    assert failed.value.status == "timeout"


def test_nothing_that_is_no_http_passes() -> None:
    with pytest.raises(ReadError, match="BadStatusLine") as failed:
        ask(b"SSH-2.0-OpenSSH\r\n")
    assert failed.value.status == "network"


def test_a_connection_that_is_closed_before_it_opened_can_be_cut_off() -> None:
    http_module.CheckedConnection("h", 80, "127.0.0.1", False, 1).cut_off()


def test_the_time_that_an_answer_may_take_by_default() -> None:
    policy = HttpPolicy(frozenset({"h"}))
    assert (policy.timeout_s, policy.total_s) == (15, 60)
    assert repr(policy) == "HttpPolicy(hosts=frozenset({'h'}), timeout_s=15.0, total_s=60.0)"
