"""A lane: carries one buyer's deliveries to its topic, in order, and marks them.

Each buyer has its own, with its own place in the ledger and its own pauses, so that no
buyer waits for another. A lane keeps nothing that the ledger does not have: after any
failure it reads again from the oldest delivery that is not marked.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, Final, NamedTuple, Protocol, Self

import structlog

from gateway.bell import KAFKA, MARKET, Bell
from gateway.delivery import delivery_id
from gateway.due import Due, Waiting
from gateway.errors import StoppingError
from gateway.market import Buyer, Market, Transport
from gateway.outlet import AwayError, Channel, Outlet, OutletError, RefusedError, Sending
from gateway.record import UNPUBLISHABLE, Record, topic_record
from leadgate.waits import happens

CHUNK: Final = 500
"""Most deliveries in one chunk: one is built while another is sent and a third marked."""

# Sent, or marked: a mark waits for the disk, and two of them leave the lane idle meanwhile.
_IN_FLIGHT = 4
_CHUNKS_IN_A_RUN = 20

_SLICE = 32
_LONGEST_PAUSE_SECONDS = 5.0
_LONGEST_WAIT_SECONDS = 3600.0

log = structlog.get_logger("gateway.dispatch")


class Sent(NamedTuple):
    """A delivery whose record is confirmed."""

    due: Due
    partition: int
    offset: int | None


class Outbox(Protocol):
    """What a lane needs of the ledger."""

    @property
    def market(self) -> Market:
        """The market as last committed."""
        ...

    def now(self) -> int:
        """Now, in microseconds."""
        ...

    async def due(self, buyer_key: int, count: int, after: Due | None) -> Waiting:
        """What is due for a buyer, the oldest first, behind `after` if that is given."""
        ...

    async def mark(self, buyer_key: int, sent: Sequence[Sent]) -> None:
        """Notes what was sent. Raises `StoppingError`."""
        ...

    async def fail(self, buyer_key: int, due: Due, reason: str) -> None:
        """Gives a delivery up. Raises `StoppingError`."""
        ...


class Outage:
    """Whether Kafka can be reached; says so, in the log and by bell, when that changes."""

    def __init__(self, bell: Bell) -> None:
        self.away = False
        self._bell = bell

    def begins(self, error: AwayError) -> None:
        """Kafka did not answer a lane."""
        if not self.away:
            log.warning("kafka away", reason=str(error))
            self.away = True
            self._bell.ring((KAFKA,))

    def ends(self) -> None:
        """Kafka answered a lane."""
        if self.away:
            log.info("kafka back")
            self.away = False
            self._bell.ring((KAFKA,))


Chunk = list[tuple[Due, Record]]


class _Line:
    """Chunks on their way over one channel: sent one after the other, marked meanwhile.

    As a context it ends when all of them are done; the first error ends it for all.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._turn = asyncio.Lock()
        self._broken = False
        self._chunks: deque[asyncio.Task[None]] = deque()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: object, *_: object) -> None:
        try:
            while kind is None and self._chunks:
                await self._oldest()
        finally:
            for chunk in self._chunks:
                chunk.cancel()
            await asyncio.gather(*self._chunks, return_exceptions=True)

    async def put(self, carry: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Starts a chunk once there is room; raises what an earlier one ended with."""
        while len(self._chunks) >= _IN_FLIGHT:
            await self._oldest()
        self._chunks.append(asyncio.create_task(carry()))

    async def send(self, records: Sequence[Record]) -> Sending:
        """Sends in turn. Behind an error nothing is sent: it would overtake what failed."""
        async with self._turn:
            if self._broken:
                return Sending([None] * len(records), error=OutletError("an earlier batch failed"))
            sending = await self._channel.send(records)
            self._broken = sending.error is not None
            return sending

    async def _oldest(self) -> None:
        chunk = self._chunks[0]
        await chunk
        self._chunks.popleft()


class Lane:
    """Carries the deliveries of one buyer until `stop` is set or it leaves Kafka."""

    def __init__(
        self,
        buyer_key: int,
        outbox: Outbox,
        outlet: Outlet,
        bell: Bell,
        outage: Outage,
        stop: asyncio.Event,
    ) -> None:
        self._key = buyer_key
        self._outbox = outbox
        self._outlet = outlet
        self._bell = bell
        self._outage = outage
        self._stop = stop
        self._limit = CHUNK
        self._failures = 0
        self._trouble: str | None = None

    @property
    def _buyer(self) -> Buyer:
        return self._outbox.market.buyer_of(self._key)

    def _goes_on(self) -> bool:
        return not self._stop.is_set() and self._buyer.transport is Transport.KAFKA

    async def run(self) -> None:
        """Carries on whatever happens; returns at the end of the lane only."""
        with self._bell.listen(self._key, MARKET) as wake:
            while self._goes_on():
                try:
                    async with self._outlet.channel(self._buyer) as channel:
                        self._outage.ends()
                        await self._carry(channel, wake)
                except RefusedError:
                    self._limit = max(1, self._limit // 2)
                except StoppingError:
                    return
                except Exception as error:
                    # The lane is the last one who can try again: to let it die would
                    # leave this buyer without deliveries until the next start.
                    self._tell(error)
                    await self._pause()

    async def _carry(self, channel: Channel, wake: asyncio.Event) -> None:
        """Sends what falls due, run by run, and waits when there is nothing more."""
        while self._goes_on():
            wake.clear()
            async with _Line(channel) as line:
                waiting = await self._run(line)
            if not waiting.rows:
                await self._until(waiting.next_time, wake)

    async def _run(self, line: _Line) -> Waiting:
        """Sends chunk behind chunk while there is a backlog; returns what it read last.

        A run reads on from where it is, so what it has in hand is not read twice. Runs
        end, because a delivery may fall due behind that place: an operator's retry of
        the very microsecond, or a commit that overtook another.
        """
        last: Due | None = None
        for _ in range(_CHUNKS_IN_A_RUN):
            waiting = await self._waiting(last)
            if chunk := await self._built(waiting.rows):
                await line.put(partial(self._send, line, chunk))
            if not waiting.more or not self._goes_on():
                break
            last = waiting.rows[-1]
        return waiting

    async def _waiting(self, after: Due | None) -> Waiting:
        if self._buyer.paused:
            return Waiting((), more=False, next_time=None)
        return await self._outbox.due(self._key, self._limit, after)

    async def _built(self, rows: Sequence[Due]) -> Chunk:
        """Makes the records, and lets others have the event loop in between."""
        chunk: Chunk = []
        market, buyer = self._outbox.market, self._buyer
        for number, due in enumerate(rows):
            generator = market.generator_of(due.generator_key)
            try:
                chunk.append((due, topic_record(due, buyer, generator.generator_id)))
            except Exception as error:
                # Stored bytes that make no record never will, and must not hold up the rest.
                await self._give_up(due, type(error).__name__)
            if number % _SLICE == _SLICE - 1:
                await asyncio.sleep(0)
        return chunk

    async def _send(self, line: _Line, chunk: Chunk) -> None:
        """Sends a chunk and marks what was confirmed, whatever became of the rest."""
        sending = await line.send([record for _, record in chunk])
        sent = [
            Sent(due, place.partition, place.offset)
            for (due, _), place in zip(chunk, sending.places, strict=True)
            if place
        ]
        if sent:
            await self._outbox.mark(self._key, sent)
        for position in sending.refused:
            await self._give_up(chunk[position][0], "refused by the broker")
        if sending.error:
            raise sending.error
        self._flows()

    async def _give_up(self, due: Due, cause: str) -> None:
        name = delivery_id(due.lead_id, self._buyer.buyer_id)
        log.error("record cannot be published", delivery_id=name, cause=cause)
        await self._outbox.fail(self._key, due, UNPUBLISHABLE)

    def _flows(self) -> None:
        if self._trouble:
            log.info("deliveries flow again", buyer_id=self._buyer.buyer_id)
        self._trouble = None
        self._failures = 0
        self._limit = min(CHUNK, self._limit * 2)

    def _tell(self, error: Exception) -> None:
        """Logs a failure when it is news; an outage is told once for all lanes."""
        self._failures += 1
        if isinstance(error, AwayError):
            self._outage.begins(error)
        elif self._trouble != (trouble := str(error) or type(error).__name__):
            self._trouble = trouble
            unforeseen = None if isinstance(error, OutletError) else error
            buyer_id = self._buyer.buyer_id
            log.error("deliveries held up", buyer_id=buyer_id, reason=trouble, exc_info=unforeseen)

    async def _pause(self) -> None:
        """Waits before the next try: longer each time, and cut short by the stop."""
        longest = min(_LONGEST_PAUSE_SECONDS, 0.1 * 2 ** min(self._failures, 10))
        await happens(self._stop, longest * random.uniform(0.5, 1))  # no secret

    async def _until(self, time: int | None, wake: asyncio.Event) -> None:
        """Waits for a ring, or for a time in microseconds."""
        now = self._outbox.now()
        seconds = _LONGEST_WAIT_SECONDS if time is None else (time - now) / 1_000_000
        await happens(wake, min(seconds, _LONGEST_WAIT_SECONDS))
