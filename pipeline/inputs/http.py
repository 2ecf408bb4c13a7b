"""Read photos by HTTP(S): off unless hosts are listed, and then only from public addresses.

An untrusted list could otherwise make the cluster fetch its own metadata service or an internal
page (server-side request forgery). A host name is resolved once, all its addresses must be public,
and the connection goes to an address that was checked, so that a name server that answers
differently the second time has no effect. Redirects are not followed.
"""

import http.client
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import quote, urlsplit

from pipeline.errors import ReadError
from pipeline.inputs.deadline import call_with_timeout
from pipeline.storage.codes import Reason, reason_of

# Statuses of photos by what an answer means; for any other meaning it is `forbidden`.
_STATUSES: dict[Reason, str] = {
    "throttled": "throttled",
    "conflict": "network",
    "server": "network",
    "exists": "changed",
    "absent": "not_found",
    "requester_pays": "requester_pays",
    "locked": "locked",
    "legal": "legal",
}

Resolve = Callable[[str, int], list[str]]


def resolve(host: str, port: int) -> list[str]:
    """Look up the numeric addresses of a host. Raises OSError."""
    answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(answer[4][0]) for answer in answers]


def is_public(address: str) -> bool:
    """Return whether an address is on the public internet.

    Private, loopback, link-local, shared, multicast and reserved ranges are not, nor are IPv6
    addresses that embed an IPv4 address of one of these.
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if inner is not None:
            return inner.is_global and not inner.is_multicast
        if ip in ipaddress.ip_network("64:ff9b::/96"):  # NAT64 of an IPv4 address
            return is_public(str(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)))
        if ip.is_site_local:  # fec0::/10, formerly for private networks
            return False
    # All of IPv6 except 2000::/3 is reserved, which `is_global` does not check: ::10.0.0.1 and
    # ::ffff:0:10.0.0.1 are IPv4 addresses by old rules, 64:ff9b:1::/48 is a network's own NAT64.
    return ip.is_global and not ip.is_multicast and not ip.is_reserved


@dataclass(frozen=True)
class HttpPolicy:
    """Which hosts photos may come from, and how long an answer may take.

    hosts:     exact names, or ".example.com" for every name below it
    timeout_s: longest silence on the connection
    total_s:   longest time for the name look-up and the whole answer together, since a trickling
               body is never silent for long
    """

    hosts: frozenset[str]
    timeout_s: float = 15.0
    total_s: float = 60.0
    resolve: Resolve = field(default=resolve, repr=False)
    public: Callable[[str], bool] = field(default=is_public, repr=False)

    def allows(self, host: str) -> bool:
        parents = {host[at:] for at, letter in enumerate(host) if letter == "."}
        return host in self.hosts or bool(parents & self.hosts)


class CheckedConnection(http.client.HTTPConnection):
    """A connection to `address` that asks for `host` and verifies the certificate of `host`."""

    def __init__(self, host: str, port: int, address: str, is_tls: bool, timeout_s: float) -> None:
        super().__init__(host, port, timeout=timeout_s)
        self._address = address
        self._is_tls = is_tls
        # `sock` becomes None after the response's headers if the server closes the connection.
        self._socket: socket.socket | None = None
        self._is_cut = False

    def connect(self) -> None:
        """Connect to the checked address. Raises OSError."""
        raw = socket.create_connection((self._address, self.port), self.timeout)
        self._socket = raw
        if self._is_tls:
            context = ssl.create_default_context()
            self._socket = context.wrap_socket(raw, server_hostname=self.host)
        self.sock = self._socket
        if self._is_cut:  # while there was no socket to shut down
            raise ConnectionAbortedError("it was cut off while it was being made")

    def cut_off(self) -> None:
        """Shut the connection down while another thread waits for it, which then gets an error."""
        self._is_cut = True
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)


def read_http(uri: str, policy: HttpPolicy | None, max_bytes: int | None) -> bytes:
    """Return the body of a 200 answer. Raises ReadError, see `reading.read_image`."""
    if policy is None:
        raise ReadError("forbidden", "HTTP(S) inputs are off; allow hosts with --http-hosts")
    parts = urlsplit(uri)
    host = (parts.hostname or "").rstrip(".").lower()
    if "@" in parts.netloc or not host:
        raise ReadError("bad_uri", "an HTTP address needs a host and no user name")
    if not policy.allows(host):
        raise ReadError("forbidden", f"{host!r} is not among the allowed hosts")
    port = parts.port or (443 if parts.scheme.lower() == "https" else 80)
    started = time.monotonic()
    address = _checked_address(host, port, policy)
    is_tls = parts.scheme.lower() == "https"
    connection = CheckedConnection(host, port, address, is_tls, policy.timeout_s)
    target = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._")
    query = "?" + quote(parts.query, safe="/%:@!$&'()*+,;=~-._?") if parts.query else ""
    left_s = max(0.0, policy.total_s - (time.monotonic() - started))
    watch = threading.Timer(left_s, connection.cut_off)
    watch.daemon = True
    watch.start()  # cuts off total_s after `started` or later, never before
    try:
        connection.request("GET", target + query, headers={"Host": _host_header(parts.netloc)})
        with connection.getresponse() as answer:
            return _body(answer, max_bytes)
    except TimeoutError as error:
        raise ReadError("timeout", f"{host!r} was silent for {policy.timeout_s:g} s") from error
    except (OSError, http.client.HTTPException) as error:
        if time.monotonic() - started >= policy.total_s:
            raise ReadError("timeout", f"{host!r} took over {policy.total_s:g} s") from error
        raise ReadError("network", f"{host!r}: {type(error).__name__}: {error}") from error
    finally:
        watch.cancel()
        connection.close()


def _host_header(netloc: str) -> str:
    """Return host and port as a request names them: in ASCII, as the look-up asks for them.

    Raises UnicodeError for what cannot be the name of a host.
    """
    if netloc.isascii():
        return netloc
    host, colon, port = netloc.partition(":")
    return host.encode("idna").decode() + colon + port


def _checked_address(host: str, port: int, policy: HttpPolicy) -> str:
    try:
        addresses = _resolved(host, port, policy)
    except OSError as error:
        raise ReadError("network", f"{host!r} has no address: {error}") from error
    except UnicodeError as error:  # an empty label, or one of over 63 characters
        raise ReadError("bad_uri", f"{host!r} cannot be the name of a host: {error}") from error
    private = [address for address in addresses if not policy.public(address)]
    if private or not addresses:
        raise ReadError("forbidden", f"{host!r} leads to a non-public address")
    return addresses[0]


def _resolved(host: str, port: int, policy: HttpPolicy) -> list[str]:
    """Look up a name within `policy.total_s`.

    Raises OSError, UnicodeError for what cannot be a name, or ReadError if it takes longer.

    The system's look-up cannot be interrupted, so an abandoned one ends in a thread of its own.
    """
    late = f"the address of {host!r} was not known after {policy.total_s:g} s"
    return call_with_timeout(lambda: policy.resolve(host, port), policy.total_s, late)


def _status_text(answer: http.client.HTTPResponse) -> str:
    moved = "; redirects are not followed" if 300 <= answer.status < 400 else ""
    return f"HTTP {answer.status}{moved}"


def _body(answer: http.client.HTTPResponse, max_bytes: int | None) -> bytes:
    if answer.status != 200:
        status = _STATUSES.get(reason_of("", answer.status), "forbidden")
        raise ReadError(status, _status_text(answer))
    data = answer.read() if max_bytes is None else answer.read(max_bytes + 1)
    if max_bytes is not None and len(data) > max_bytes:
        raise ReadError("too_large", f"more than {max_bytes} bytes")
    expected = answer.getheader("Content-Length")
    if expected is not None and expected.isdigit() and len(data) < int(expected):
        raise ReadError("network", f"{len(data)} of {expected} bytes arrived")
    return data
