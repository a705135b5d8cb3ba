"""Pages of a listing (AIP-158): how many, from where, and the token for the next one.

    page = paging.page(request.page_size, request.page_token, ("leads", scope), 0, violations)
    rows = ...  # page.size + 1 rows behind page.start
    token = paging.encode(("leads", scope), last_position) if len(rows) > page.size else ""

Positions are plain: a number, an id, or a tuple of them.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from gateway.errors import InvalidRequestError, Violation

Position = TypeVar("Position", bound="int | str | tuple[int | str, ...]")
Filters = tuple[Any, ...]

_DEFAULT_SIZE = 50
_LARGEST_SIZE = 1_000
_CHECK_BYTES = 12
_TOKEN_CHARACTERS_MAX = 1_024


@dataclass(frozen=True)
class Page(Generic[Position]):
    """What to return: at most `size` rows (1 to 1,000) behind the position `start`."""

    size: int
    start: Position


def page(
    page_size: int,
    page_token: str,
    filters: Filters,
    start: Position,
    violations: list[Violation],
) -> Page[Position]:
    """Reads the paging fields of a request; what is wrong with them joins `violations`.

    A size of 0 means 50, more than 1,000 means 1,000. For `filters` and `start` see
    `decode`.
    """
    if page_size < 0:
        violations.append(Violation("page_size", "must not be negative"))
    size = min(page_size, _LARGEST_SIZE) or _DEFAULT_SIZE
    try:
        return Page(size, decode(page_token, filters, start))
    except InvalidRequestError as error:
        violations += error.violations
        return Page(size, start)


def encode(filters: Filters, position: int | str | tuple[int | str, ...]) -> str:
    """The token of the page behind `position`, the place of the last row returned.

    It works after a restart, and only with the same filters: a tuple of plain values,
    which begins with the listing's name and holds whose rows the caller may see.
    """
    body = json.dumps(position, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(_check(filters, body) + body).decode().rstrip("=")


def decode(token: str, filters: Filters, start: Position) -> Position:
    """The position in a token, or `start` where the token is empty.

    `start` is the place in front of the first row; a position has the same types. Raises
    `InvalidRequestError` for a token that `encode` did not make for these filters. A
    token is no secret and grants nothing: the caller's scope is checked with each page.
    """
    if not token:
        return start
    try:
        raw = base64.b64decode(_padded(token), altchars=b"-_", validate=True)
        position = _like(start, json.loads(raw[_CHECK_BYTES:]))
        if encode(filters, position) == token:
            return position
    except (ValueError, binascii.Error, RecursionError):
        pass
    problem = "must be the next_page_token of an answer to a request with the same filters"
    raise InvalidRequestError([Violation("page_token", problem)])


def _padded(token: str) -> bytes:
    if len(token) > _TOKEN_CHARACTERS_MAX:
        raise ValueError
    return token.encode("ascii") + b"=" * (-len(token) % 4)


def _check(filters: Filters, body: bytes) -> bytes:
    said = json.dumps(filters, default=str).encode()
    return hashlib.sha256(b"%d:%b%b" % (len(said), said, body)).digest()[:_CHECK_BYTES]


def _like(start: Position, value: Any) -> Position:
    """The value in the shape of `start`, or ValueError: a token can be made up."""
    if isinstance(start, tuple):
        if not isinstance(value, list) or len(value) != len(start):
            raise ValueError
        return tuple(map(_like, start, value))  # type: ignore[return-value]
    if type(value) is not type(start) or (isinstance(value, int) and abs(value) >= 1 << 63):
        raise ValueError
    return value
