"""Where a request comes from: only trusted proxies are believed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evidence.peers import Peers, neighbourhood, networks

PROXIES = Peers(networks("10.0.0.0/8, ::1"))


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("203.0.113.1", [], "203.0.113.1"),
        ("203.0.113.1", ["198.51.100.9"], "203.0.113.1"),
        ("10.0.0.1", ["198.51.100.9"], "198.51.100.9"),
        ("10.0.0.1", ["1.1.1.1, 198.51.100.9"], "198.51.100.9"),
        ("10.0.0.1", ["1.1.1.1, 198.51.100.9", "10.0.0.2"], "198.51.100.9"),
        ("10.0.0.1", ["198.51.100.9, 10.0.0.3, 10.0.0.2"], "198.51.100.9"),
        ("10.0.0.1", ["10.0.0.3"], "10.0.0.3"),
        ("10.0.0.1", ["198.51.100.9, not an address"], "10.0.0.1"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("::1", ["[2001:db8::1]"], "2001:db8::1"),
        ("::ffff:10.0.0.1", ["198.51.100.9"], "198.51.100.9"),
        ("", [], ""),
    ],
)
def test_the_client_is_the_last_hop_that_is_no_proxy(
    peer: str, forwarded: list[str], client: str
) -> None:
    """What stands before it was sent by the client, and may be anything."""
    assert PROXIES.client(peer, forwarded) == client


def test_without_proxies_the_connection_tells() -> None:
    """A forged header moves nobody."""
    assert Peers().client("203.0.113.1", ["10.0.0.1"]) == "203.0.113.1"


@given(st.text(max_size=40), st.lists(st.text(max_size=40), max_size=3))
def test_no_header_breaks_it(peer: str, forwarded: list[str]) -> None:
    """Any text at all."""
    assert isinstance(PROXIES.client(peer, forwarded), str)


def test_an_ipv6_client_is_its_64() -> None:
    """It has 2^64 addresses, and one limit."""
    assert neighbourhood("2001:db8::1:2:3:4") == neighbourhood("2001:db8::") == "2001:db8::/64"
    assert neighbourhood("203.0.113.1") == "203.0.113.1"
    assert neighbourhood("") == ""
