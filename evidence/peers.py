"""Where a request comes from, behind proxies that are trusted or without any."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

_Network = IPv4Network | IPv6Network
_Address = IPv4Address | IPv6Address


class Peers:
    """Tells the client's address; `X-Forwarded-For` counts only from trusted proxies.

    A proxy appends the address that it was called from. So the list is read from its
    end, and the first address that is no trusted proxy is the client: what stands before
    it was sent by the client itself, and may be anything.
    """

    def __init__(self, trusted: Sequence[_Network] = ()) -> None:
        self._trusted = tuple(trusted)

    def client(self, peer: str, forwarded: Sequence[str] = ()) -> str:
        """The client's address.

        `peer` is the connection's other end, `forwarded` the X-Forwarded-For headers in
        their order. Without an address that can be read it is `peer`, or empty.
        """
        here = _address(peer)
        hops = [hop.strip() for header in forwarded for hop in header.split(",")]
        while hops and here is not None and self._is_proxy(here):
            before = _address(hops.pop())
            if before is None:
                break
            here = before
        return str(here) if here is not None else ""

    def _is_proxy(self, address: _Address) -> bool:
        return any(address in network for network in self._trusted)


def networks(text: str) -> tuple[_Network, ...]:
    """Reads `10.0.0.0/8, ::1`; raises ValueError for what is no network."""
    return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())


def neighbourhood(address: str) -> str:
    """What one rate limit is for: an IPv4 address, or the /64 that an IPv6 client has whole."""
    found = _address(address)
    if isinstance(found, IPv6Address):
        return str(IPv6Network((found, 64), strict=False))
    return address


def _address(text: str) -> _Address | None:
    try:
        found = ip_address(text.strip("[]"))
    except ValueError:
        return None
    # An IPv4 client of a socket that listens for both is the same client.
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return mapped or found
