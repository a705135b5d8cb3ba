"""What an HTTP answer of an evidence service means: one table for claims, one for reads.

    claim (POST share URL)                          means
    200, ok:true, the record's cdrId                GRANTED
    200, ok:true, another cdrId                     FAILED   CDR_MISMATCH
    other 2xx, or 200 without a valid envelope      RETRY    CLAIM_INVALID_ANSWER
    401, 403                                        PAUSE
    410 CDR_INVALID                                 FAILED   CDR_INVALID
    410 GONE, or 410 without a code                 ABSENT   SHARE_GONE
    404                                             FAILED   CLAIM_NOT_FOUND
    429                                             RETRY    CLAIM_RATE_LIMITED
    408, 5xx                                        RETRY    CLAIM_HTTP_<status>
    3xx                                             FAILED   CLAIM_REDIRECTED
    other 4xx                                       FAILED   CLAIM_HTTP_<status>

    read (GET /v1/cdrs/:id)                         means
    200, ok:true, the record's cdrId                GRANTED
    404                                             ABSENT   EVIDENCE_NOT_FOUND
    the rest as above, with EVIDENCE_ in front

Pure: it sees a status, headers and a body, and never asks anybody anything.
"""

from __future__ import annotations

import email.utils
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum, auto
from typing import Any

_LONGEST_ID = 128


class Meaning(Enum):
    """What an answer calls for."""

    GRANTED = auto()
    """Done: `data` is the envelope's."""
    ABSENT = auto()
    """The share has expired, or the CDR is not the caller's: what follows depends on the call."""
    RETRY = auto()
    """Try again a little later, then defer."""
    PAUSE = auto()
    """The key is refused: no record's fault, so nothing is decided about any."""
    FAILED = auto()
    """Final."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """An answer's meaning, with its reason in UPPER_SNAKE unless granted."""

    meaning: Meaning
    reason: str = ""
    retry_after: timedelta | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class _Envelope:
    ok: bool
    data: Mapping[str, Any]
    request_id: str
    code: str


_NOT_AN_ENVELOPE = _Envelope(ok=False, data={}, request_id="", code="")


def of_claim(status: int, headers: Mapping[str, str], body: bytes, cdr_id: str) -> Verdict:
    """What the answer to a claim of this CDR means."""
    if status == 410:
        if _envelope(body).code == "CDR_INVALID":
            return Verdict(Meaning.FAILED, "CDR_INVALID")
        return Verdict(Meaning.ABSENT, "SHARE_GONE")
    if status == 404:
        return Verdict(Meaning.FAILED, "CLAIM_NOT_FOUND")
    return _of(status, headers, body, cdr_id, "CLAIM")


def of_read(status: int, headers: Mapping[str, str], body: bytes, cdr_id: str) -> Verdict:
    """What the answer to a read of this CDR means."""
    if status == 410 and _envelope(body).code == "CDR_INVALID":
        return Verdict(Meaning.FAILED, "CDR_INVALID")
    if status == 404:
        return Verdict(Meaning.ABSENT, "EVIDENCE_NOT_FOUND")
    return _of(status, headers, body, cdr_id, "EVIDENCE")


def retry_after(headers: Mapping[str, str], now: datetime | None = None) -> timedelta | None:
    """The wait that `Retry-After` asks for, in seconds or as a date; None without one."""
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return timedelta(seconds=min(int(value[:9]), 86_400))
    try:
        due = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    due = due if due.tzinfo else due.replace(tzinfo=UTC)
    return min(max(due - (now or datetime.now(UTC)), timedelta()), timedelta(days=1))


def _of(status: int, headers: Mapping[str, str], body: bytes, cdr_id: str, call: str) -> Verdict:
    if 200 <= status < 300:
        return _of_success(status, body, cdr_id, call)
    if status in (401, 403):
        return Verdict(Meaning.PAUSE, f"{call}_HTTP_{status}")
    if status == 429:
        return Verdict(Meaning.RETRY, f"{call}_RATE_LIMITED", retry_after(headers))
    if status == 408 or status >= 500:
        return Verdict(Meaning.RETRY, f"{call}_HTTP_{status}", retry_after(headers))
    if 300 <= status < 400:
        return Verdict(Meaning.FAILED, f"{call}_REDIRECTED")
    return Verdict(Meaning.FAILED, f"{call}_HTTP_{status}")


def _of_success(status: int, body: bytes, cdr_id: str, call: str) -> Verdict:
    envelope = _envelope(body)
    answered_id = envelope.data.get("cdrId")
    if status != 200 or not envelope.ok or not isinstance(answered_id, str) or not answered_id:
        return Verdict(Meaning.RETRY, f"{call}_INVALID_ANSWER")
    if answered_id != cdr_id:
        return Verdict(Meaning.FAILED, "CDR_MISMATCH")
    return Verdict(Meaning.GRANTED, data=envelope.data, request_id=envelope.request_id)


def _envelope(body: bytes) -> _Envelope:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return _NOT_AN_ENVELOPE
    if not isinstance(content, dict):
        return _NOT_AN_ENVELOPE
    data, error = content.get("data"), content.get("error")
    return _Envelope(
        ok=content.get("ok") is True and isinstance(data, dict),
        data=data if isinstance(data, dict) else {},
        request_id=_text(content.get("requestId")),
        code=_text(error.get("code")) if isinstance(error, dict) else "",
    )


def _text(value: object) -> str:
    return value[:_LONGEST_ID] if isinstance(value, str) else ""
