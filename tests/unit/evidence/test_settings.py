"""Settings of the evidence service: every mistake at once, no secret shown."""

from __future__ import annotations

import pytest

from evidence.settings import Address, EvidenceSettings
from leadgate.settings import SettingsError, load, shown


def test_defaults_listen_on_loopback() -> None:
    """Nothing set is a service for this machine."""
    settings = load(EvidenceSettings)
    assert settings.address == Address("127.0.0.1", 8080)
    assert settings.operator is None


def test_every_mistake_is_in_one_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three wrong variables, three lines, and no value in them."""
    monkeypatch.setenv("LEADGATE_EVIDENCE_LISTEN", "nowhere")
    monkeypatch.setenv("LEADGATE_EVIDENCE_PUBLIC_URL", "ftp://evidence.example.com")
    monkeypatch.setenv("LEADGATE_EVIDENCE_OPERATOR_KEY", "topsecret")
    with pytest.raises(SettingsError) as caught:
        load(EvidenceSettings)
    names = {problem.partition(":")[0] for problem in caught.value.problems}
    assert names == {
        "LEADGATE_EVIDENCE_LISTEN",
        "LEADGATE_EVIDENCE_PUBLIC_URL",
        "LEADGATE_EVIDENCE_OPERATOR_KEY",
    }
    assert "topsecret" not in str(caught.value)


@pytest.mark.parametrize("listen", ["127.0.0.1:65536", "127.0.0.1", ":8080", "::1:8080"])
def test_an_address_that_cannot_be_listened_on_is_refused(listen: str) -> None:
    """A host and a port in range, an IPv6 address in brackets."""
    with pytest.raises(SettingsError, match="LEADGATE_EVIDENCE_LISTEN"):
        load(EvidenceSettings, listen=listen)


def test_an_ipv6_address_is_read_and_written() -> None:
    """Brackets around the host, both ways."""
    address = load(EvidenceSettings, listen="[::1]:0").address
    assert address == ("::1", 0)
    assert str(address) == "[::1]:0"


@pytest.mark.parametrize(
    "url",
    [
        "https://evidence.example.com/?x=1",
        "https://user@evidence.example.com",
        "https://evidence.example.com/../x",
        "evidence.example.com",
        "https://",
    ],
)
def test_a_public_url_whose_share_urls_nobody_would_trust_is_refused(url: str) -> None:
    """The rule is the one the gateway and the buyers hold share URLs against."""
    with pytest.raises(SettingsError, match="LEADGATE_EVIDENCE_PUBLIC_URL"):
        load(EvidenceSettings, public_url=url)


def test_a_public_url_loses_its_last_slash() -> None:
    """A base with a path and a slash makes no double slash."""
    settings = load(EvidenceSettings, public_url="https://example.com/evidence/")
    assert settings.public_url == "https://example.com/evidence"


def test_listening_everywhere_needs_a_public_url() -> None:
    """A share URL on 0.0.0.0 would lead nowhere."""
    with pytest.raises(SettingsError, match="LEADGATE_EVIDENCE_PUBLIC_URL: required"):
        load(EvidenceSettings, listen="0.0.0.0:8080")
    load(EvidenceSettings, listen="0.0.0.0:8080", public_url="https://evidence.example.com")


def test_the_operator_key_is_not_shown() -> None:
    """What the start-up log prints has asterisks."""
    settings = load(EvidenceSettings, operator_key="operator.0123456789abcdef0123")
    assert "0123456789abcdef" not in str(shown(settings))
    assert "0123456789abcdef" not in repr(settings)
