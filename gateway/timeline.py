"""Following leads: what a generator, a buyer or an operator may see of what happened."""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

from gateway.bell import EVENTS, Bell
from gateway.delivery import EventKind, State
from gateway.errors import InvalidRequestError, StoppingError, Violation

HEARTBEAT = timedelta(seconds=15)
WATCH_CHUNK = 500


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A place in the order of events: the key of a row and the event within it."""

    row: int
    part: int

    def __str__(self) -> str:
        """The opaque cursor of this place."""
        text = f"{self.row}.{self.part}".encode()
        return base64.urlsafe_b64encode(text).decode().rstrip("=")


@dataclass(frozen=True, slots=True)
class EventView:
    """One event of one delivery; times in microseconds.

    `place` is where it stands in the order of commits; `receipts` is an encoded
    `leadgate.v1.DeliveryEvent`.
    """

    place: Place
    lead_id: bytes
    buyer_id: str
    kind: EventKind
    state: State
    attempt: int
    time: int
    reason: str = ""
    partition: int | None = None
    offset: int | None = None
    due_time: int | None = None
    receipts: bytes = b""


@dataclass(frozen=True, slots=True)
class DeliveryView:
    """One delivery. Times in microseconds; `receipts` are encoded `leadgate.v1.Receipt`."""

    lead_id: bytes
    buyer_id: str
    generator_id: str
    state: State
    reason: str
    attempt: int
    accept_time: int
    due_time: int | None
    update_time: int
    receipts: Sequence[bytes]
    position: tuple[int, int]
    """Place in a listing: the keys of lead and buyer."""
    events: Sequence[EventView] = ()


@dataclass(frozen=True, slots=True)
class LeadView:
    """One lead and its deliveries, in the order of the submission."""

    lead_id: bytes
    request_id: str
    generator_id: str
    accept_time: int
    position: int
    deliveries: Sequence[DeliveryView]


@dataclass(frozen=True, slots=True)
class Filter:
    """What to see; what is empty does not limit. Times in microseconds."""

    generator_id: str = ""
    buyer_id: str = ""
    request_id: str = ""
    state: State | None = None
    accepted_from: int | None = None
    accepted_until: int | None = None


@dataclass(frozen=True, slots=True)
class Moment:
    """A step of a watch: an event, or none for a heartbeat, and the cursor behind it."""

    cursor: str
    event: EventView | None = None


class Ledger(Protocol):
    """What following needs of the ledger."""

    async def find_lead(self, lead_id: bytes, generator_id: str) -> LeadView | None:
        """A lead with its events; None where it is absent or another generator's."""
        ...

    async def find_delivery(self, lead_id: bytes, buyer_id: str) -> DeliveryView | None:
        """A delivery with its events, or None."""
        ...

    async def list_leads(self, matching: Filter, before: int, count: int) -> list[LeadView]:
        """Leads, newest first, in front of the position `before`."""
        ...

    async def list_deliveries(
        self, matching: Filter, before: tuple[int, int], count: int
    ) -> list[DeliveryView]:
        """Deliveries, newest lead first, in front of the position `before`."""
        ...

    async def events_after(
        self, place: Place, matching: Filter, count: int
    ) -> tuple[list[EventView], Place]:
        """Events behind a place, oldest first, and how far the ledger was read."""
        ...

    async def last_event(self) -> Place:
        """The place behind the newest event."""
        ...


@dataclass
class Timeline:
    """Watches events as they are committed."""

    ledger: Ledger
    bell: Bell
    stop: asyncio.Event
    heartbeat: timedelta = field(default=HEARTBEAT)

    async def watch(self, cursor: str, matching: Filter) -> AsyncIterator[Moment]:
        """Yields every matching event behind the cursor, and those to come, for ever.

        An empty cursor starts with the next event, `0` with the first. A first heartbeat
        gives the cursor to start again from, and others follow while nothing happens.
        Raises `InvalidRequestError` for a cursor that this ledger did not give and
        `StoppingError` when the gateway stops.
        """
        place = await self._start(cursor)
        yield Moment(str(place))
        with self.bell.listen(EVENTS) as rung:
            while not self.stop.is_set():
                rung.clear()
                before = place
                events, place = await self.ledger.events_after(place, matching, WATCH_CHUNK)
                for event in events:
                    yield Moment(str(event.place), event)
                # A chunk without a match is not the end: more may lie behind it.
                if place == before and not await self._rings(rung):
                    yield Moment(str(place))
        raise StoppingError("the gateway is stopping; watch again from the newest cursor")

    async def _start(self, cursor: str) -> Place:
        newest = await self.ledger.last_event()
        place = parse_cursor(cursor) if cursor else newest
        # To watch from there would be to miss all that happens until the ledger is as long.
        if place.row > newest.row:
            raise _no_cursor()
        return place

    async def _rings(self, rung: asyncio.Event) -> bool:
        """Waits for the bell, the stop or the next heartbeat; False for the heartbeat."""
        waits = [asyncio.ensure_future(rung.wait()), asyncio.ensure_future(self.stop.wait())]
        try:
            done, _ = await asyncio.wait(
                waits,
                timeout=self.heartbeat.total_seconds(),
                return_when=asyncio.FIRST_COMPLETED,
            )
            return bool(done)
        finally:
            for wait in waits:
                wait.cancel()


def parse_cursor(cursor: str) -> Place:
    """The place behind which to continue, or `InvalidRequestError`."""
    if cursor == "0":
        return Place(0, 0)
    try:
        text = base64.b64decode(
            cursor.encode("ascii") + b"=" * (-len(cursor) % 4), altchars=b"-_", validate=True
        )
        row, part = (int(number) for number in text.decode("ascii").split("."))
    except (ValueError, binascii.Error):
        row, part = -1, -1
    if not (0 <= row < 1 << 63 and 0 <= part < 1 << 31):
        raise _no_cursor()
    return Place(row, part)


def _no_cursor() -> InvalidRequestError:
    problem = "must be a cursor of an earlier watch, empty, or 0"
    return InvalidRequestError([Violation("cursor", problem)])
