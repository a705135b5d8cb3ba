"""Which share URLs are trusted."""

from __future__ import annotations

from contextlib import suppress
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadgate.share_url import (
    EvidenceHost,
    ShareUrlError,
    UnknownHostError,
    by_authority,
    trusted,
)

HOSTS = by_authority(
    [
        EvidenceHost.parse("evidence.example.com"),
        EvidenceHost.parse("127.0.0.1:8080;networks=127.0.0.0/8 10.0.0.0/8;insecure=true"),
    ]
)


@pytest.mark.parametrize(
    ("url", "claim_url"),
    [
        ("https://evidence.example.com/v1/shares/abcdefgh", None),
        ("https://EVIDENCE.example.com:443/v1/shares/abcdefgh", "https://evidence.example.com"),
        ("https://evidence.example.com/api/x/v1/shares/abcdefgh", None),
        ("http://127.0.0.1:8080/v1/shares/abcdefgh", None),
    ],
)
def test_a_share_on_a_listed_host_is_trusted(url: str, claim_url: str | None) -> None:
    """The claim goes to the same place, in its normal form."""
    expected = url if claim_url is None else f"{claim_url}/v1/shares/abcdefgh"
    assert trusted(url, HOSTS).claim_url == expected


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://evidence.example.com/v1/shares/abcdefgh",
        "https://user@evidence.example.com/v1/shares/abcdefgh",
        "https://evidence.example.com/v1/shares/abcdefgh?x=1",
        "https://evidence.example.com/v1/shares/abcdefgh#x",
        "https://evidence.example.com/../v1/shares/abcdefgh",
        "https://evidence.example.com/v1/shares/short",
        "https://evidence.example.com\\@elsewhere.example.com/v1/shares/abcdefgh",
        " https://evidence.example.com/v1/shares/abcdefgh",
        "https://evidence.example.com/v1/shares/abcdefgh\n",
        "https://evidence.example.com:99999/v1/shares/abcdefgh",
        "https://ev\u0131dence.example.com/v1/shares/abcdefgh",
    ],
)
def test_what_is_no_plain_share_is_refused_without_being_quoted(url: str) -> None:
    """No user, query, fragment, dot segment or trick; the error never shows the URL."""
    with pytest.raises(ShareUrlError) as caught:
        trusted(url, HOSTS)
    assert "abcdefgh" not in str(caught.value)


@pytest.mark.parametrize(
    "host", ["elsewhere.example.com", "evidence.example.com:8443", "127.0.0.1"]
)
def test_a_host_off_the_list_is_told_apart(host: str) -> None:
    """The consumer reports it with its own reason."""
    with pytest.raises(UnknownHostError):
        trusted(f"https://{host}/v1/shares/abcdefgh", HOSTS)


@given(st.text(max_size=200))
def test_no_text_breaks_the_parser(text: str) -> None:
    """Hostile input is refused or trusted, and nothing else."""
    with suppress(ShareUrlError):
        assert trusted(text, HOSTS).host in HOSTS.values()


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("93.184.215.14", True),
        ("2606:2800:21f:cb07::1", True),
        ("127.0.0.1", False),
        ("10.0.0.1", False),
        ("100.64.0.1", False),
        ("169.254.169.254", False),
        ("224.0.0.1", False),
        ("0.0.0.0", False),  # noqa: S104 -- an address to refuse
        ("::1", False),
        ("fe80::1%eth0", False),
        ("::ffff:10.0.0.1", False),
        ("2002:0a00:0001::1", False),
        ("64:ff9b::a00:1", False),
        ("64:ff9b::5db8:d70e", True),
        ("192.0.0.8", False),
        ("192.88.99.1", False),
        ("::10.0.0.1", False),
        ("::ffff:0:10.0.0.1", False),
        ("64:ff9b:1::1", False),
        ("3fff::1", False),
        ("5f00::1", False),
        ("fec0::1", False),
    ],
)
def test_only_public_addresses_are_allowed_without_networks(address: str, allowed: bool) -> None:
    """Private ones in every disguise: mapped, 6to4, NAT64."""
    assert EvidenceHost.parse("evidence.example.com").allows(ip_address(address)) is allowed


def test_networks_allow_what_they_name_and_no_more() -> None:
    """The entry of one private host opens nothing else."""
    host = HOSTS["127.0.0.1:8080"]
    assert host.allows(ip_address("10.1.2.3"))
    assert not host.allows(ip_address("192.168.0.1"))


@pytest.mark.parametrize("entry", ["", "a b", "host:0", "host;x=1", "host;networks=nothing", "u@h"])
def test_a_malformed_entry_is_refused(entry: str) -> None:
    """A typing mistake in a host list is found at start."""
    with pytest.raises(ShareUrlError):
        EvidenceHost.parse(entry)


def test_an_entry_prints_as_it_is_read() -> None:
    """`str` and `parse` are inverse."""
    for host in HOSTS.values():
        assert EvidenceHost.parse(str(host)) == host


@pytest.mark.parametrize("cdr_id", ["../admin", "a/b", "a?b", "a#b", "a%2Fb"])
def test_no_cdr_id_leads_to_another_path(cdr_id: str) -> None:
    """An id comes from a record, and must not choose where the key goes."""
    share = trusted("https://evidence.example.com/v1/shares/abcdefgh", HOSTS)
    rest = share.cdr_url(cdr_id).removeprefix("https://evidence.example.com/v1/cdrs/")
    assert not set(rest) & set("/?#")
