"""API keys: minted, parsed, kept as hashes, and never shown."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadgate import keys


def test_a_minted_key_is_read_back_and_is_its_own() -> None:
    """Text and back; no two are alike; the secret has 256 bits."""
    minted = {keys.mint() for _ in range(100)}
    assert len({key.key_id for key in minted}) == len({key.secret for key in minted}) == 100
    for key in minted:
        assert keys.parse(str(key)) == key
        assert len(key.secret) == 43


def test_a_key_is_kept_as_the_hash_of_its_secret() -> None:
    """32 bytes of SHA-256, by which only this secret is known again."""
    key = keys.Key("id", "s" * 16)
    assert key.digest == hashlib.sha256(b"s" * 16).digest()
    assert keys.matches(key, key.digest)
    assert not keys.matches(keys.Key("id", "t" * 16), key.digest)
    assert not keys.matches(key, bytes(32))


def test_a_secret_is_not_in_the_repr() -> None:
    """Nor in that of what holds the key."""
    key = keys.Key("shown", "canary-0123456789")
    assert "canary" not in repr([key])
    assert "shown" in repr(key)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "id",
        "id.",
        ".secret-0123456789",
        "id.short",
        "id.secret-0123456789.more",
        " id.secret-0123456789",
        "id.secret-0123456789\n",
        "id.sécret-0123456789",
        "í.secret-0123456789",
        "x" * 65 + ".secret-0123456789",
        "id." + "x" * 257,
    ],
)
def test_what_is_no_key_is_refused(text: str) -> None:
    """Each part has its characters and lengths."""
    assert keys.parse(text) is None


@given(st.text())
def test_no_text_breaks_the_parser(text: str) -> None:
    """It is a key that reads the same again, or none."""
    key = keys.parse(text)
    assert key is None or str(key) == text
