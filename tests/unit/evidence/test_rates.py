"""Limits against floods: a fair share per name, bounded memory, true waiting times."""

from __future__ import annotations

import pytest

from evidence.errors import Overloaded
from evidence.rates import Rate, Room
from tests.builders_evidence import ATime


def test_a_name_has_its_rate_and_half_of_it_at_once() -> None:
    """Six a minute: three at once, then one each ten seconds; the wait it names is enough."""
    clock = ATime()
    rate = Rate(6, clock)
    for _ in range(3):
        rate.admit("a")
    with pytest.raises(Overloaded) as refused:
        rate.admit("a")
    assert refused.value.retry_after_seconds == 10
    clock.now_ms += 10_000
    rate.admit("a")
    with pytest.raises(Overloaded):
        rate.admit("a")
    rate.admit("b")


def test_a_quiet_hour_saves_up_no_flood() -> None:
    """The bucket does not grow past its size; a clock set back takes nothing away."""
    clock = ATime()
    rate = Rate(6, clock)
    rate.admit("a")
    clock.now_ms += 3_600_000
    for _ in range(3):
        rate.admit("a")
    clock.now_ms -= 1_000
    with pytest.raises(Overloaded):
        rate.admit("a")


def test_names_are_remembered_in_bounded_memory() -> None:
    """The one seen longest ago is forgotten first; who floods is not."""
    rate = Rate(2, ATime(), remembered=3)
    rate.admit("flood")
    for number in range(100):
        rate.admit(f"other-{number}")
        with pytest.raises(Overloaded):
            rate.admit("flood")
    assert len(rate._buckets) == 3


def test_room_is_given_back_whatever_happens() -> None:
    """Full is refused, without taking any."""
    room = Room(10)
    with room.reserved(8), pytest.raises(Overloaded), room.reserved(3):
        pass
    with pytest.raises(ZeroDivisionError), room.reserved(8):
        raise ZeroDivisionError
    with room.reserved(10):
        pass
