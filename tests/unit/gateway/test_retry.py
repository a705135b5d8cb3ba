"""When a deferred delivery is tried again."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.retry import DEFERRAL_LIMIT, LONGEST_DELAY, LONGEST_WISH, Again, Final, after_deferral

NO_WISH = timedelta()


def delay(deferrals: int, wish: timedelta = NO_WISH, jitter: float = 0.0) -> timedelta:
    """The delay after a deferral that is not the last."""
    step = after_deferral(deferrals, wish, unclaimed_expired=False, jitter=jitter)
    assert isinstance(step, Again)
    return step.delay


@pytest.mark.parametrize(
    ("deferrals", "seconds"), [(1, 5), (2, 10), (3, 20), (10, 2560), (11, 3600), (49, 3600)]
)
def test_delays_double_up_to_an_hour(deferrals: int, seconds: int) -> None:
    """From five seconds on."""
    assert delay(deferrals) == timedelta(seconds=seconds)


def test_the_other_side_may_ask_for_more_but_not_for_less() -> None:
    """`Retry-After` is the least delay, up to a day."""
    assert delay(1, timedelta(minutes=2)) == timedelta(minutes=2)
    assert delay(11, timedelta(seconds=1)) == LONGEST_DELAY
    assert delay(1, timedelta(days=9)) == LONGEST_WISH


def test_the_last_deferral_is_final() -> None:
    """A delivery that nobody can take ends where an operator sees it."""
    last = after_deferral(DEFERRAL_LIMIT, NO_WISH, unclaimed_expired=False, jitter=0)
    assert last == Final("RETRIES_EXHAUSTED")


def test_an_expired_share_that_was_not_claimed_is_final() -> None:
    """No later claim can work."""
    assert after_deferral(1, NO_WISH, unclaimed_expired=True, jitter=0) == Final("SHARE_EXPIRED")


@given(st.integers(1, 10_000), st.floats(0, 0.999))
def test_every_delay_is_within_its_bounds(deferrals: int, jitter: float) -> None:
    """At least five seconds, at most an hour and a tenth."""
    step = after_deferral(deferrals, NO_WISH, unclaimed_expired=False, jitter=jitter)
    if isinstance(step, Again):
        assert timedelta(seconds=5) <= step.delay <= LONGEST_DELAY * 1.1
