"""The table of what an evidence service's answers mean."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.claim import Meaning, of_claim, of_read, retry_after

GOOD = json.dumps({"ok": True, "data": {"claimed": True, "cdrId": "c"}, "requestId": "r"}).encode()
OTHER = json.dumps({"ok": True, "data": {"cdrId": "d"}, "requestId": "r"}).encode()


def error(code: str) -> bytes:
    """The envelope of an error."""
    return json.dumps({"ok": False, "error": {"code": code}}).encode()


@pytest.mark.parametrize(
    ("status", "body", "meaning", "reason"),
    [
        (200, GOOD, Meaning.GRANTED, ""),
        (200, OTHER, Meaning.FAILED, "CDR_MISMATCH"),
        (200, b"", Meaning.RETRY, "CLAIM_INVALID_ANSWER"),
        (200, b"<html>", Meaning.RETRY, "CLAIM_INVALID_ANSWER"),
        (200, b"[" * 100_000, Meaning.RETRY, "CLAIM_INVALID_ANSWER"),
        (200, b'{"ok":false}', Meaning.RETRY, "CLAIM_INVALID_ANSWER"),
        (200, b'{"ok":"true","data":{"cdrId":"c"}}', Meaning.RETRY, "CLAIM_INVALID_ANSWER"),
        (200, b'{"ok":true,"data":{"cdrId":7}}', Meaning.RETRY, "CLAIM_INVALID_ANSWER"),
        (202, GOOD, Meaning.RETRY, "CLAIM_INVALID_ANSWER"),
        (408, b"", Meaning.RETRY, "CLAIM_HTTP_408"),
        (429, b"", Meaning.RETRY, "CLAIM_RATE_LIMITED"),
        (500, b"", Meaning.RETRY, "CLAIM_HTTP_500"),
        (503, b"", Meaning.RETRY, "CLAIM_HTTP_503"),
        (410, error("GONE"), Meaning.ABSENT, "SHARE_GONE"),
        (410, b"", Meaning.ABSENT, "SHARE_GONE"),
        (410, error("CDR_INVALID"), Meaning.FAILED, "CDR_INVALID"),
        (404, error("NOT_FOUND"), Meaning.FAILED, "CLAIM_NOT_FOUND"),
        (301, b"", Meaning.FAILED, "CLAIM_REDIRECTED"),
        (307, GOOD, Meaning.FAILED, "CLAIM_REDIRECTED"),
        (400, b"", Meaning.FAILED, "CLAIM_HTTP_400"),
        (405, b"", Meaning.FAILED, "CLAIM_HTTP_405"),
        (409, b"", Meaning.FAILED, "CLAIM_HTTP_409"),
        (412, b"", Meaning.FAILED, "CLAIM_HTTP_412"),
        (418, b"", Meaning.FAILED, "CLAIM_HTTP_418"),
        (401, b"", Meaning.PAUSE, "CLAIM_HTTP_401"),
        (403, error("FORBIDDEN"), Meaning.PAUSE, "CLAIM_HTTP_403"),
    ],
)
def test_each_answer_to_a_claim_has_one_meaning(
    status: int, body: bytes, meaning: Meaning, reason: str
) -> None:
    """The table in the module, line by line."""
    verdict = of_claim(status, {}, body, "c")
    assert (verdict.meaning, verdict.reason) == (meaning, reason)


@pytest.mark.parametrize(
    ("status", "body", "meaning", "reason"),
    [
        (200, GOOD, Meaning.GRANTED, ""),
        (404, b"", Meaning.ABSENT, "EVIDENCE_NOT_FOUND"),
        (410, error("CDR_INVALID"), Meaning.FAILED, "CDR_INVALID"),
        (503, b"", Meaning.RETRY, "EVIDENCE_HTTP_503"),
        (403, b"", Meaning.PAUSE, "EVIDENCE_HTTP_403"),
        (302, b"", Meaning.FAILED, "EVIDENCE_REDIRECTED"),
    ],
)
def test_each_answer_to_a_read_has_one_meaning(
    status: int, body: bytes, meaning: Meaning, reason: str
) -> None:
    """Reads differ from claims in 404 and 410 alone."""
    verdict = of_read(status, {}, body, "c")
    assert (verdict.meaning, verdict.reason) == (meaning, reason)


@given(st.integers(100, 599), st.binary(max_size=200))
def test_no_answer_breaks_the_table(status: int, body: bytes) -> None:
    """A hostile server gets a meaning too, and never GRANTED without an envelope."""
    verdict = of_claim(status, {}, body, "c")
    assert verdict.meaning is not Meaning.GRANTED


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("7", timedelta(seconds=7)),
        ("999999999999999999999", timedelta(days=1)),
        ("Sat, 21 Nov 2026 10:00:30 GMT", timedelta(seconds=30)),
        ("Sat, 21 Nov 2026 09:00:00 GMT", timedelta()),
        ("soon", None),
        ("-5", None),
        ("", None),
    ],
)
def test_retry_after_is_read_in_both_forms(value: str, expected: timedelta | None) -> None:
    """Seconds or a date, at most a day."""
    now = datetime(2026, 11, 21, 10, 0, 0, tzinfo=UTC)
    assert retry_after({"retry-after": value}, now) == expected
