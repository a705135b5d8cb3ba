"""API keys `<key_id>.<secret>`: mint, parse, hash, compare.

The secret has 256 bits from the system's generator, so a plain SHA-256 keeps it:
there is nothing to guess that a slow hash would make dearer.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from typing import NamedTuple

_KEY = re.compile(r"([A-Za-z0-9_-]{1,64})\.([A-Za-z0-9_-]{16,256})", re.ASCII)


class Key(NamedTuple):
    """A key in its two parts. `repr` shows the public part only."""

    key_id: str
    secret: str

    def __str__(self) -> str:
        """The whole key, as it is sent."""
        return f"{self.key_id}.{self.secret}"

    def __repr__(self) -> str:
        return f"Key({self.key_id}.********)"

    @property
    def digest(self) -> bytes:
        """SHA-256 of the secret, 32 bytes: all that is stored of it."""
        return hashlib.sha256(self.secret.encode()).digest()


def mint() -> Key:
    """Makes a new key: an id of 12 hexadecimal digits and a secret of 256 bits."""
    return Key(secrets.token_hex(6), secrets.token_urlsafe(32))


def parse(text: str) -> Key | None:
    """Splits `<key_id>.<secret>`, or returns None where the text is no key.

    An id has 1 to 64 characters, a secret 16 to 256, both from `[A-Za-z0-9_-]`.
    """
    match = _KEY.fullmatch(text)
    return Key(match[1], match[2]) if match else None


def matches(key: Key, digest: bytes) -> bool:
    """Whether the key's secret is the one behind `digest`, in constant time."""
    return hmac.compare_digest(key.digest, digest)
