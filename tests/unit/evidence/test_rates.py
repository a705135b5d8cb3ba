"""Limits against floods: a fair share per name, bounded memory, true waiting times."""

from __future__ import annotations

from contextlib import ExitStack

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
    room = Room(80)
    with ExitStack() as held:
        for number in range(8):
            held.enter_context(room.reserved(f"name-{number}", 10))
        with pytest.raises(Overloaded), room.reserved("another", 1):
            pass
    with pytest.raises(ZeroDivisionError), room.reserved("name", 10):
        raise ZeroDivisionError
    with room.reserved("name", 10):
        pass
    assert (room._free, room._held) == (80, {})


def test_one_name_cannot_take_all_the_room() -> None:
    """Who opens many uploads and sends them slowly holds up itself, and nobody else."""
    room = Room(80)
    with room.reserved("slow", 10):
        with pytest.raises(Overloaded), room.reserved("slow", 1):
            pass
        with room.reserved("another", 10):
            pass
