"""Watching events: cursors, heartbeats, chunks and the stop, over a ledger in memory."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.bell import EVENTS, Bell
from gateway.delivery import EventKind, State
from gateway.errors import InvalidRequestError, StoppingError
from gateway.timeline import EventView, Filter, Ledger, Place, Timeline, parse_cursor

ALL = Filter()


class FakeLedger:
    """Events in a list, one for each row, read in chunks of three."""

    def __init__(self, *buyers: str) -> None:
        self.events: list[EventView] = []
        for buyer_id in buyers:
            self.add(buyer_id)

    def add(self, buyer_id: str = "buyer-one") -> None:
        """Adds an event behind all others."""
        place = Place(len(self.events) + 1, 0)
        self.events.append(
            EventView(place, bytes(16), buyer_id, EventKind.ACCEPTED, State.PENDING, 1, 0)
        )

    async def last_event(self) -> Place:
        """The place behind the newest event."""
        return Place(len(self.events), 1 << 30)

    async def events_after(
        self, place: Place, matching: Filter, count: int
    ) -> tuple[list[EventView], Place]:
        """Matching events among the next three."""
        read = [event for event in self.events if event.place > place][:3]
        found = [event for event in read if matching.buyer_id in ("", event.buyer_id)]
        whole = len(read) < 3
        return found, await self.last_event() if whole else Place(read[-1].place.row, 1 << 30)


@pytest.fixture
def stop() -> asyncio.Event:
    """The gateway's stop."""
    return asyncio.Event()


def a_timeline(
    ledger: FakeLedger, stop: asyncio.Event, heartbeat: timedelta = timedelta(hours=1)
) -> Timeline:
    """A timeline over the ledger, whose heartbeat does not come unless it is wanted."""
    return Timeline(cast(Ledger, ledger), Bell(), stop, heartbeat)


async def test_the_first_message_is_a_cursor_without_an_event(stop: asyncio.Event) -> None:
    """Whoever hangs up right away can continue from there."""
    watch = a_timeline(FakeLedger("buyer-one"), stop).watch("", ALL)
    first = await anext(watch)
    assert first.event is None
    assert parse_cursor(first.cursor) == Place(1, 1 << 30)


async def test_every_event_behind_the_cursor_comes_in_order(stop: asyncio.Event) -> None:
    """From `0` all of them, over several chunks; from a cursor those behind it."""
    ledger = FakeLedger(*["buyer-one"] * 8)
    timeline = a_timeline(ledger, stop)
    watch = timeline.watch("0", ALL)
    moments = [await anext(watch) for _ in range(9)]
    assert [moment.event for moment in moments[1:]] == ledger.events
    again = timeline.watch(moments[4].cursor, ALL)
    assert [(await anext(again)).event for _ in range(5)] == [None, *ledger.events[4:]]


async def test_chunks_without_a_match_do_not_wait_for_a_heartbeat(stop: asyncio.Event) -> None:
    """The one event that matches lies behind seven that do not."""
    ledger = FakeLedger(*["buyer-one"] * 7, "buyer-two")
    watch = a_timeline(ledger, stop).watch("0", Filter(buyer_id="buyer-two"))
    await anext(watch)
    async with asyncio.timeout(5):
        assert (await anext(watch)).event is ledger.events[-1]


async def test_an_event_that_is_committed_later_comes_when_the_bell_rings(
    stop: asyncio.Event,
) -> None:
    """Not before, and not a heartbeat later."""
    ledger = FakeLedger()
    timeline = a_timeline(ledger, stop)
    watch = timeline.watch("", ALL)
    await anext(watch)
    coming = asyncio.ensure_future(anext(watch))
    await asyncio.sleep(0)
    ledger.add()
    while not coming.done():
        timeline.bell.ring((EVENTS,))
        await asyncio.sleep(0)
    assert coming.result().event is ledger.events[0]


async def test_a_heartbeat_carries_a_cursor_behind_what_did_not_match(
    stop: asyncio.Event,
) -> None:
    """A watch that starts there again need not read all that once more."""
    ledger = FakeLedger(*["buyer-one"] * 4)
    timeline = a_timeline(ledger, stop, timedelta(milliseconds=1))
    watch = timeline.watch("0", Filter(buyer_id="buyer-two"))
    assert (await anext(watch)).cursor
    heartbeat = await anext(watch)
    assert heartbeat.event is None
    assert parse_cursor(heartbeat.cursor) == Place(4, 1 << 30)


async def test_a_watch_ends_with_the_gateway(stop: asyncio.Event) -> None:
    """It is told to start again from its newest cursor."""
    watch = a_timeline(FakeLedger(), stop).watch("", ALL)
    await anext(watch)
    coming = asyncio.ensure_future(anext(watch))
    await asyncio.sleep(0)
    stop.set()
    with pytest.raises(StoppingError):
        await coming


@pytest.mark.parametrize("cursor", ["1", "nonsense", "é", "LTEuMA", str(Place(2, 0)), "=" * 9])
async def test_a_cursor_that_the_ledger_did_not_give_is_refused(
    stop: asyncio.Event, cursor: str
) -> None:
    """Malformed, or beyond the end: from there a watch would be silent for long."""
    with pytest.raises(InvalidRequestError):
        await anext(a_timeline(FakeLedger("buyer-one"), stop).watch(cursor, ALL))


@given(st.integers(0, (1 << 63) - 1), st.integers(0, (1 << 31) - 1))
def test_a_cursor_says_its_place(row: int, part: int) -> None:
    """Whatever the place, it is read back as it was."""
    assert parse_cursor(str(Place(row, part))) == Place(row, part)


@given(st.text())
def test_no_text_breaks_the_reading_of_cursors(text: str) -> None:
    """It is a place, or a violation."""
    try:
        place = parse_cursor(text)
    except InvalidRequestError as error:
        assert [violation.field for violation in error.violations] == ["cursor"]  # noqa: PT017
    else:
        assert place.row >= 0
