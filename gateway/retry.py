"""When a deferred delivery is tried again, or that it has failed. Pure.

Delays double from 5 seconds to an hour, with up to a tenth on top so that deliveries
deferred together do not come back together. The other side's own wish
(`Retry-After`) is the least delay, up to 24 hours.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

FIRST_DELAY = timedelta(seconds=5)
LONGEST_DELAY = timedelta(hours=1)
LONGEST_WISH = timedelta(hours=24)
DEFERRAL_LIMIT = 50
"""Deferrals before a delivery fails, about 40 hours; an operator's retry grants as many."""


@dataclass(frozen=True, slots=True)
class Again:
    """Try again after `delay`."""

    delay: timedelta


@dataclass(frozen=True, slots=True)
class Final:
    """No further try; `reason` is the delivery's."""

    reason: str


def after_deferral(
    deferrals: int, wish: timedelta, *, unclaimed_expired: bool, jitter: float
) -> Again | Final:
    """Decides what follows the deferral of an attempt.

    Args:
        deferrals: how often the delivery was deferred, this time included, since it was
            accepted or an operator retried it.
        wish: the least delay that was asked for; zero for none.
        unclaimed_expired: whether a share without a receipt had expired before the
            attempt was sent. It limits the retries of a claim, but an attempt after the
            end finds out whether a claim got through; once all is claimed, a sink is
            retried to the end.
        jitter: from 0 up to 1, drawn at random.
    """
    if unclaimed_expired:
        return Final("SHARE_EXPIRED")
    if deferrals >= DEFERRAL_LIMIT:
        return Final("RETRIES_EXHAUSTED")
    delay = min(FIRST_DELAY * 2 ** min(deferrals - 1, 20), LONGEST_DELAY)
    return Again(max(delay * (1 + jitter / 10), min(wish, LONGEST_WISH)))
