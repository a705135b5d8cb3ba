"""Outcomes, and reasons that come from outside."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.outcome import Outcome, code


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("DUPLICATE", "DUPLICATE"),
        ("duplicate-customer", "DUPLICATE_CUSTOMER"),
        ("over.cap:daily", "OVER_CAP_DAILY"),
        ("Duplicate of Ada Example", "REJECTED"),
        ("42_is_wrong", "REJECTED"),
        ("", "REJECTED"),
        ("…", "REJECTED"),
        ("person42@example.com is known", "REJECTED"),
        ("known_2015550123", "REJECTED"),
        ("a" * 100, "A" * 64),
    ],
)
def test_a_reason_becomes_a_code_without_personal_data(text: str, expected: str) -> None:
    """A receiver may write anything; the generator sees a code."""
    assert code(text, "REJECTED") == expected


@given(st.text())
def test_every_text_becomes_a_valid_reason(text: str) -> None:
    """1 to 64 characters of UPPER_SNAKE, always."""
    assert re.fullmatch(r"[A-Z][A-Z0-9_]{0,63}", code(text, "REJECTED"))


def test_a_wait_is_kept_within_what_a_report_may_carry() -> None:
    """At most 24 hours, never negative."""
    assert Outcome.deferred("X", timedelta(days=9)).retry_delay == timedelta(hours=24)
    assert Outcome.deferred("X", timedelta(seconds=-1)).retry_delay == timedelta()
