"""HTTP inputs: off by default; only listed hosts, only public addresses, no second DNS look-up."""

import http.server
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from pipeline.errors import ReadError
from pipeline.inputs.http import HttpPolicy, is_public, read_http
from tests.support.serving import serving


class Pictures(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path in ("/trickle", "/head"):
            self.trickle()
            return
        status = int(self.path[1:4]) if self.path[1:4].isdigit() else 200
        body = f"{self.headers['Host']} {self.path}".encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) + (9 if "short" in self.path else 0)))
        if status in (301, 302):
            self.send_header("Location", "http://169.254.169.254/")
        self.end_headers()
        self.wfile.write(body)

    def trickle(self) -> None:
        """A byte every 50 ms, in the body or already in the head, for a minute."""
        with suppress(OSError):
            self.wfile.write(b"HTTP/1.0 200 OK\r\nContent-Length: 9999\r\n")
            self.wfile.write(b"\r\n" if self.path == "/trickle" else b"X: ")
            for _ in range(1200):
                self.wfile.write(b"x")
                time.sleep(0.05)

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def port() -> Iterator[int]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pictures)
    with serving(server):
        yield server.server_address[1]


def here(hosts: set[str], addresses: list[str] | None = None) -> HttpPolicy:
    """A policy whose names all lead to this machine, which it takes for public."""
    found = addresses or ["127.0.0.1"]
    return HttpPolicy(
        frozenset(hosts), timeout_s=5, resolve=lambda host, port: found, public=lambda address: True
    )


def status(uri: str, policy: HttpPolicy | None, max_bytes: int | None = None) -> str:
    with pytest.raises(ReadError) as failed:
        read_http(uri, policy, max_bytes)
    return failed.value.status


def test_a_listed_host_is_asked_by_its_name_at_the_checked_address(port: int) -> None:
    policy = here({"img.example", ".cdn.example"})
    uri = f"http://img.example:{port}/a%20b/ü?w=1&h=é"
    assert read_http(uri, policy, 999) == (
        f"img.example:{port} /a%20b/%C3%BC?w=1&h=%C3%A9".encode()
    )
    assert b"x.y.cdn.example" in read_http(f"http://x.y.cdn.example:{port}/", policy, None)


def test_the_connection_goes_to_the_first_of_the_addresses_that_were_checked(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[tuple[str, int]] = []
    connect = socket.create_connection

    def note(address: tuple[str, int], timeout_s: float) -> socket.socket:
        opened.append(address)
        return connect(("127.0.0.1", port), timeout_s)

    monkeypatch.setattr(socket, "create_connection", note)
    policy = here({"img.example"}, ["93.184.215.14", "2606:2800:21f::1"])
    assert read_http("http://img.example/", policy, None) == b"img.example /"
    assert opened == [("93.184.215.14", 80)]


def test_hosts_that_are_not_listed(port: int) -> None:
    policy = here({"img.example", ".cdn.example"})
    names = ("evil.example", "cdn.example", "img.example.evil", "xcdn.example", "a.img.example")
    for host in (*names, "127.0.0.1"):
        assert status(f"http://{host}:{port}/", policy) == "forbidden"
    assert status(f"http://img.example:{port}/", None) == "forbidden"
    assert status("http:///x", policy) == "bad_uri"
    assert status(f"http://img.example@evil.example:{port}/", policy) == "bad_uri"


def test_a_listed_host_at_a_private_address() -> None:
    for address in ("127.0.0.1", "10.1.2.3", "169.254.169.254", "::1", "fd00::1"):
        policy = HttpPolicy(
            frozenset({"img.example"}), resolve=lambda h, p, at=address: ["93.184.215.14", at]
        )
        assert status("http://img.example/", policy) == "forbidden"


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0", "10.0.0.1", "100.64.0.1", "127.0.0.1", "169.254.169.254", "172.16.0.1",
        "192.168.1.1", "192.0.2.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255",
        "::", "::1", "fe80::1%eth0", "fc00::1", "ff02::1", "2001:db8::1", "::ffff:127.0.0.1",
        "::ffff:10.0.0.1", "2002:7f00:1::", "64:ff9b::a9fe:a9fe", "::127.0.0.1", "::8.8.8.8",
        "::ffff:0:10.0.0.1", "64:ff9b:1::a00:1", "fec0::1", "feff::1", "5f00::1", "4000::1",
        "1fff::1",
    ],
)  # fmt: skip
def test_addresses_that_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", "93.184.215.14", "2606:2800:21f::1", "::ffff:8.8.8.8", "64:ff9b::808:808",
     "2606:4700::1111", "2a00:1450:4001::200e", "2400:cb00::1", "2c0f:f248::1", "2002:808:808::1"],
)  # fmt: skip
def test_public_addresses(address: str) -> None:
    assert is_public(address)


def test_answers_that_are_no_picture(port: int) -> None:
    policy, at = here({"h"}), f"http://h:{port}"
    assert status(f"{at}/404", policy) == "not_found"
    assert status(f"{at}/403", policy) == "forbidden"
    assert status(f"{at}/302", policy) == "forbidden"
    assert status(f"{at}/429", policy) == "throttled"
    assert status(f"{at}/500", policy) == "network"
    assert status(f"{at}/short", policy) == "network"
    assert status(f"{at}/short", policy, max_bytes=999) == "network"
    assert status(f"{at}/", policy, max_bytes=3) == "too_large"
    assert status("http://h:9/", policy) == "network"


def test_an_answer_that_trickles_is_cut_off(port: int) -> None:
    policy = replace(here({"h"}), timeout_s=5, total_s=0.5)
    for path in ("trickle", "head"):
        started = time.monotonic()
        assert status(f"http://h:{port}/{path}", policy) == "timeout"
        assert time.monotonic() - started < 10  # the answer itself takes a minute


def test_the_whole_time_bounds_the_look_up_of_the_name_too() -> None:
    looked_up = threading.Event()

    def slow(host: str, port: int) -> list[str]:
        looked_up.wait(60)
        return ["127.0.0.1"]

    policy = replace(here({"h"}), total_s=0.3, resolve=slow)
    started = time.monotonic()
    assert status("http://h:9/", policy) == "timeout"
    assert time.monotonic() - started < 10
    looked_up.set()


def test_what_the_look_up_took_is_left_for_the_answer_no_more(port: int) -> None:
    def slow(host: str, port: int) -> list[str]:
        time.sleep(2.4)
        return ["127.0.0.1"]

    policy = replace(here({"h"}), timeout_s=5, total_s=2.5, resolve=slow)
    started = time.monotonic()
    assert status(f"http://h:{port}/trickle", policy) == "timeout"
    assert 2.5 <= time.monotonic() - started < 4.5  # and not 4.9


def test_the_whole_time_may_end_while_the_connection_is_made(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is nothing to shut down yet, so the connection notices it itself."""
    real = socket.create_connection

    def slow(*arguments: object) -> socket.socket:
        time.sleep(0.6)
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "create_connection", slow)
    policy = replace(here({"h"}), timeout_s=5, total_s=0.3)
    started = time.monotonic()
    assert status(f"http://h:{port}/trickle", policy) == "timeout"
    assert time.monotonic() - started < 4  # the answer itself takes a minute


@pytest.mark.parametrize("label", ["a.", "x" * 64 + "."])
def test_what_cannot_be_the_name_of_a_host_is_told_at_once(label: str) -> None:
    policy = HttpPolicy(frozenset({".example.com"}), total_s=30)
    started = time.monotonic()
    assert status(f"http://{label}.example.com/x.jpg", policy) == "bad_uri"
    assert time.monotonic() - started < 10


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate of img.example that signs itself, and its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "img.example")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("img.example")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path = tmp_path / "certificate.pem"
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return path


def test_https_asks_for_a_certificate_of_that_host(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pictures)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    with serving(server):
        policy, at = here({"img.example", "other.example"}), server.server_address[1]
        # Nobody vouches for it: the machine's own list of authorities does not know it.
        assert status(f"https://img.example:{at}/", policy) == "network"
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert b"img.example" in read_http(f"https://img.example:{at}/", policy, None)
        assert status(f"https://other.example:{at}/", policy) == "network"
