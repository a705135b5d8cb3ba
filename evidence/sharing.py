"""Shares: their tokens, how long they last, and the id of the event a claim makes."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from datetime import timedelta

DEFAULT_EXPIRY_MS = int(timedelta(days=30).total_seconds() * 1000)
MAX_EXPIRY_MS = int(timedelta(days=2 * 365).total_seconds() * 1000)

_PACKAGE = "pkg_"
_PACKAGE_LENGTH = len(_PACKAGE) + 32  # another share's token is 32 characters long
_TOKEN = re.compile(r"[A-Za-z0-9_-]{16,128}", re.ASCII)


def mint_token() -> str:
    """Makes a share token: 192 bits from the system's generator, safe in a path."""
    return secrets.token_urlsafe(24)


def derived_token(key: bytes, org: int, capture_id: str) -> str:
    """The token of the share that is made with a capture: 192 bits, the same at a repeat.

    Only its digest is stored, so a repeated upload could not be answered otherwise.
    """
    text = b"share:%d:" % org + capture_id.encode()
    return base64.urlsafe_b64encode(hmac.digest(key, text, "sha256")[:24]).decode()


def mint_package_token() -> str:
    """Makes the token of a package share; by its form it is no other share's."""
    return _PACKAGE + mint_token()


def is_package_token(text: str) -> bool:
    """Whether this has the form of a package share's token."""
    return text.startswith(_PACKAGE) and len(text) == _PACKAGE_LENGTH and is_token(text)


def is_token(text: str) -> bool:
    """Whether this has the form of a token."""
    return _TOKEN.fullmatch(text) is not None


def digest(token: str) -> bytes:
    """SHA-256 of a token: all that is stored of it."""
    return hashlib.sha256(token.encode()).digest()


def share_ref(token_digest: bytes) -> str:
    """What a share is called where its token must not stand: half of its digest."""
    return token_digest[:16].hex()


def share_url(public_url: str, token: str) -> str:
    """The address a buyer claims at. It is a credential: never log it."""
    return f"{public_url}/v1/shares/{token}"


def event_id(token_digest: bytes, org: int, cdr: int | None = None) -> str:
    """The id of the share event that this org's claim of this share makes.

    It is derived, so a claim that is judged twice (a batch run again, an own share
    that leaves no trace) has the same id both times. It tells nothing of the token.
    With `cdr`, the event of that CDR in the claim of a package.
    """
    origin = b"share-event:%d:" % org + token_digest
    if cdr is not None:
        origin += b":%d" % cdr
    return f"se_{hashlib.sha256(origin).hexdigest()[:24]}"
