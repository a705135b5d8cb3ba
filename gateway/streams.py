"""The stream outlet: hands due deliveries to the streams of pull buyers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from datetime import timedelta
from typing import Final, Protocol

import structlog

from gateway.bell import MARKET, Bell
from gateway.delivery import delivery_id
from gateway.due import Due, Waiting
from gateway.errors import PreconditionError, StoppingError
from gateway.market import Buyer, Market, Transport
from gateway.record import UNPUBLISHABLE, lead_record
from leadgate.v1.delivery_pb2 import LeadRecord
from leadgate.waits import happens

RENEWAL: Final = timedelta(seconds=20)
"""How often a stream says that it lives: three times within the length of a lease."""

_SLICE = 64
_LONGEST_WAIT_SECONDS = 3600.0

log = structlog.get_logger("gateway.streams")


class Leases(Protocol):
    """What streams need of the ledger."""

    @property
    def market(self) -> Market:
        """The market as last committed."""
        ...

    def now(self) -> int:
        """Now, in microseconds."""
        ...

    async def release_all(self) -> None:
        """Lets go of every lease."""
        ...

    async def take(self, buyer_key: int, stream: int, count: int, max_unsettled: int) -> Waiting:
        """Leases due deliveries to a stream, never more than `max_unsettled` in all."""
        ...

    async def renew(self, stream: int) -> None:
        """Gives a living stream's leases their full length again."""
        ...

    async def fail(self, buyer_key: int, due: Due, reason: str) -> None:
        """Gives a delivery up that cannot be handed out."""
        ...

    def release(self, stream: int, buyer_key: int) -> None:
        """Lets go, without waiting, of what a stream held."""
        ...


class Streams:
    """Serves any number of streams; those of one buyer share its deliveries."""

    def __init__(self, leases: Leases, bell: Bell, renewal: timedelta = RENEWAL) -> None:
        self._leases = leases
        self._bell = bell
        self._renewal_seconds = renewal.total_seconds()
        self._stop = asyncio.Event()
        self._last_number = 0

    async def start(self) -> None:
        """Lets go of what streams of an earlier process held."""
        await self._leases.release_all()

    def stop(self) -> None:
        """Ends every stream, and those to come, with `StoppingError`."""
        self._stop.set()
        self._bell.ring((MARKET,))

    @asynccontextmanager
    async def opened(
        self, buyer: Buyer, max_unsettled: int
    ) -> AsyncIterator[AsyncIterator[LeadRecord]]:
        """Opens a stream; the iterator gives records as they fall due, and never ends.

        A record is leased to this stream, on disk, before it is given; at most
        `max_unsettled` of them are unreported at a time. Few are read ahead, so a slow
        reader costs no memory. Leaving the block hands back what was not reported.
        Raises `PreconditionError` for a buyer of another transport and `StoppingError`
        when the gateway stops.
        """
        stream = self._next_number()
        with self._bell.listen(buyer.key, MARKET) as wake:
            renewing = asyncio.create_task(self._renew(stream))
            try:
                async with aclosing(
                    self._records(buyer.key, stream, max_unsettled, wake)
                ) as records:
                    yield records
            finally:
                renewing.cancel()
                self._leases.release(stream, buyer.key)

    def _next_number(self) -> int:
        """A number that no stream had before, in this process or an earlier one."""
        self._last_number = max(self._last_number + 1, self._leases.now())
        return self._last_number

    async def _records(
        self, buyer_key: int, stream: int, max_unsettled: int, wake: asyncio.Event
    ) -> AsyncGenerator[LeadRecord, None]:
        while True:
            wake.clear()
            buyer = self._served(buyer_key)
            if buyer.paused:
                waiting = Waiting((), more=False, next_time=None)
            else:
                waiting = await self._leases.take(buyer_key, stream, _SLICE, max_unsettled)
            for record in await self._made(buyer, waiting.rows):
                yield record
            if not waiting.rows:
                await self._until(waiting.next_time, wake)

    def _served(self, buyer_key: int) -> Buyer:
        if self._stop.is_set():
            raise StoppingError("the gateway is stopping; open the stream again")
        buyer = self._leases.market.buyer_of(buyer_key)
        if buyer.transport is not Transport.PULL:
            raise PreconditionError("WRONG_TRANSPORT", "this buyer reads Kafka, not streams")
        return buyer

    async def _made(self, buyer: Buyer, rows: Sequence[Due]) -> list[LeadRecord]:
        market = self._leases.market
        records: list[LeadRecord] = []
        for due in rows:
            generator = market.generator_of(due.generator_key)
            try:
                records.append(lead_record(due, buyer.buyer_id, generator.generator_id))
            except Exception as error:
                # Stored bytes that make no record never will, and must not hold up the rest.
                name = delivery_id(due.lead_id, buyer.buyer_id)
                cause = type(error).__name__
                log.error("record cannot be made", delivery_id=name, cause=cause)
                await self._leases.fail(buyer.key, due, UNPUBLISHABLE)
        return records

    async def _renew(self, stream: int) -> None:
        while True:
            await asyncio.sleep(self._renewal_seconds)
            try:
                await self._leases.renew(stream)
            except StoppingError:
                return
            except Exception as error:
                # A renewal that failed leaves two more before the lease ends; a task that
                # died would leave none, and the deliveries would be handed out twice.
                log.error("leases not renewed", error=type(error).__name__)

    async def _until(self, time: int | None, wake: asyncio.Event) -> None:
        """Waits for a ring, or for a time in microseconds."""
        now = self._leases.now()
        seconds = _LONGEST_WAIT_SECONDS if time is None else (time - now) / 1_000_000
        await happens(wake, min(seconds, _LONGEST_WAIT_SECONDS))
