"""Find the TCP sockets that processes listen on, and whether other machines can reach them."""

import ipaddress

import psutil


def is_loopback(address: str) -> bool:
    """Return whether an address is loopback, also for an IPv4 address written as IPv6."""
    ip = ipaddress.ip_address(address)
    inner = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return (inner or ip).is_loopback


def listening(parent: psutil.Process, itself: bool = False) -> dict[tuple[str, int], str]:
    """Map the address and port of each listening socket of a process's children to its owner.

    itself: include the process. Read from Linux's /proc/PID/net/tcp and tcp6.
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
