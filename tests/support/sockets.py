"""Which TCP sockets processes listen on, and whether anybody else can reach them."""

import ipaddress

import psutil


def is_loopback(address: str) -> bool:
    """Whether only this machine reaches an address; also one of IPv4 that is written as IPv6."""
    ip = ipaddress.ip_address(address)
    inner = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return (inner or ip).is_loopback


def listening(parent: psutil.Process, itself: bool = False) -> dict[tuple[str, int], str]:
    """Address and port of every listening socket of a process's children: whose it is.

    itself: of the process too. What Linux says in /proc/PID/net/tcp and tcp6.
    """
    found = {}
    for process in [*([parent] if itself else []), *parent.children(recursive=True)]:
        try:
            for one in process.net_connections("tcp"):
                if one.status == psutil.CONN_LISTEN:
                    found[one.laddr.ip, one.laddr.port] = process.name()
        except psutil.NoSuchProcess:
            continue
    return found
