"""Sign-ins of people with a browser: a random token in a cookie, its SHA-256 in the ledger.

Revoking the API key that a sign-in was made with ends it.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass, field

from evidence.callers import Org
from evidence.commands import Command, Query

LASTS_MS = 8 * 60 * 60 * 1000
"""A working day: who comes back tomorrow signs in again."""

_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)


@dataclass(frozen=True, slots=True)
class AddSignIn(Command[None]):
    """Adds a sign-in made with an API key; those that have ended are forgotten."""

    token_digest: bytes = field(repr=False)
    org: int
    key_id: str


@dataclass(frozen=True, slots=True)
class EndSignIn(Command[None]):
    """Ends a sign-in; none of that token is no error."""

    token_digest: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class GetSignIn(Query[Org | None]):
    """The org that is signed in with a token, or None."""

    token_digest: bytes = field(repr=False)


def mint() -> str:
    """A new token of 256 random bits."""
    return secrets.token_urlsafe(32)


def digest(token: str) -> bytes | None:
    """What the ledger knows a token by; None for what cannot be one."""
    return hashlib.sha256(token.encode()).digest() if _TOKEN.fullmatch(token) else None
