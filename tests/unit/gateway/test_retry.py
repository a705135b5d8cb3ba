"""When a deferred delivery is tried again."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.retry import ATTEMPT_LIMIT, LONGEST_DELAY, LONGEST_WISH, Again, Final, after_deferral

NO_WISH = timedelta()


def delay(attempt: int, wish: timedelta = NO_WISH, jitter: float = 0.0) -> timedelta:
    """The delay after an attempt that may be retried."""
    step = after_deferral(attempt, wish, unclaimed_expired=False, jitter=jitter)
    assert isinstance(step, Again)
    return step.delay


@pytest.mark.parametrize(("attempt", "seconds"), [(1, 5), (2, 10), (3, 20), (10, 2560), (11, 3600)])
def test_delays_double_up_to_an_hour(attempt: int, seconds: int) -> None:
    """From five seconds on."""
    assert delay(attempt) == timedelta(seconds=seconds)


def test_the_other_side_may_ask_for_more_but_not_for_less() -> None:
    """`Retry-After` is the least delay, up to a day."""
    assert delay(1, timedelta(minutes=2)) == timedelta(minutes=2)
    assert delay(11, timedelta(seconds=1)) == LONGEST_DELAY
    assert delay(1, timedelta(days=9)) == LONGEST_WISH


def test_the_last_attempt_is_final_and_a_retry_grants_as_many_again() -> None:
    """An operator's retry raises the attempt past the limit and starts the delays anew."""
    last = after_deferral(ATTEMPT_LIMIT, NO_WISH, unclaimed_expired=False, jitter=0)
    assert last == Final("RETRIES_EXHAUSTED")
    assert delay(ATTEMPT_LIMIT + 1) == timedelta(seconds=5)


def test_an_expired_share_that_was_not_claimed_is_final() -> None:
    """No later claim can work."""
    assert after_deferral(1, NO_WISH, unclaimed_expired=True, jitter=0) == Final("SHARE_EXPIRED")


@given(st.integers(1, 10_000), st.floats(0, 0.999))
def test_every_delay_is_within_its_bounds(attempt: int, jitter: float) -> None:
    """At least five seconds, at most an hour and a tenth."""
    step = after_deferral(attempt, NO_WISH, unclaimed_expired=False, jitter=jitter)
    if isinstance(step, Again):
        assert timedelta(seconds=5) <= step.delay <= LONGEST_DELAY * 1.1
