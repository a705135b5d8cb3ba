"""A buyer's topic as a source: one member of the buyer's consumer group, kept alive.

Group `leadgate.<buyer>`, topic `leads.<buyer>`, dead letters in `leads.<buyer>.dlq`.
Offsets are committed explicitly, only up to the first record that has not ended. Where
this member loses a partition, records in hand get a few seconds to end first; what ends
later is not committed, and comes again to the new owner.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, Self

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

from consumers.backoff import Backoff
from consumers.dead_letters import DeadLetters
from consumers.errors import UndecodableError
from consumers.offsets import Offsets
from consumers.record import decode, parse_ce_id
from consumers.source import Handed, Taken, Unreadable

_CLOSE_SECONDS = 10.0

_log = structlog.get_logger("consumers.kafka_source")


@dataclass(frozen=True, slots=True)
class KafkaTuning:
    """Times in seconds; the defaults are for production, tests shorten them."""

    window: int = 1000
    """How many offsets past the committed one may be read."""
    poll_seconds: float = 0.2
    """How long one fetch waits for records."""
    commit_seconds: float = 0.2
    """The least time between two commits."""
    drain_seconds: float = 5.0
    """How long a rebalance waits for the records in hand."""
    touch_seconds: float = 20.0
    """How often the group is shown a sign of life while nothing more can be taken."""
    max_poll_seconds: float = 300.0
    """After how long without a fetch the group takes this member for dead."""
    idle_seconds: float = 240.0
    """How long a member stays without a partition before it joins anew: one that reaches
    `max_poll_seconds` so leaves the group and never comes back (aiokafka #1187)."""
    session_seconds: float = 10.0
    """After how long without a heartbeat the group takes this member for dead."""


@dataclass(frozen=True, slots=True, eq=False)
class _Place:
    """Where a record is from. Its `offsets` belong to one assignment of the partition."""

    offsets: Offsets
    offset: int
    raw: Any = None


class KafkaSource:
    """Takes deliveries from `leads.<buyer>`; an async context manager.

    Up to `prefetch` records wait to be taken. While Kafka is away it tries again for
    ever. Leaving the context commits what has ended, and leaves the group.
    """

    def __init__(
        self,
        bootstrap: str,
        buyer_id: str,
        *,
        prefetch: int = 64,
        tuning: KafkaTuning | None = None,
    ) -> None:
        self._bootstrap = bootstrap
        self._buyer_id = buyer_id
        self._topic = f"leads.{buyer_id}"
        self._tuning = tuning or KafkaTuning()
        self._prefetch = min(prefetch, self._tuning.window)
        self._dead_letters = DeadLetters(bootstrap, f"{self._topic}.dlq")
        self._backoff = Backoff(0.5, 15.0)
        self._ready: deque[tuple[Offsets, Any]] = deque()
        self._owned: dict[TopicPartition, Offsets] = {}
        self._arrived = asyncio.Event()
        self._wanted = asyncio.Event()
        self._ended = asyncio.Event()
        self._ended_in_drain = asyncio.Event()
        self._committing: asyncio.Task[None] | None = None
        self._member: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._member = asyncio.create_task(self._stay_member())
        self._member.add_done_callback(lambda _: self._arrived.set())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if self._member is not None:
            self._member.cancel()
            await asyncio.gather(self._member, return_exceptions=True)
        await self._dead_letters.__aexit__(None, None, None)

    async def take(self) -> Taken:
        """Waits for the next record. To cancel the wait loses nothing."""
        while not self._ready:
            self._arrived.clear()
            if self._member is not None and self._member.done():
                self._member.result()
            await self._arrived.wait()
        offsets, raw = self._ready.popleft()
        self._wanted.set()
        return self._read(offsets, raw)

    def finish(self, taken: Taken) -> None:
        """The record's offset counts from now on, if its partition is still owned."""
        place: _Place = taken.place
        place.offsets.finish(place.offset)
        self._ended.set()
        self._ended_in_drain.set()

    async def bury(self, unreadable: Unreadable) -> None:
        """Returns once the record is in the dead-letter topic."""
        await self._dead_letters.keep(unreadable.place.raw, unreadable.detail)

    def _read(self, offsets: Offsets, raw: Any) -> Taken:
        headers = {name: value or b"" for name, value in raw.headers}
        try:
            record = decode(raw.value, headers, self._buyer_id)
        except UndecodableError as error:
            delivery_id, attempt = parse_ce_id(headers.get("ce_id")) or ("", 0)
            place = _Place(offsets, raw.offset, raw)
            return Unreadable(error.detail, delivery_id, attempt, place)
        return Handed(record, _Place(offsets, raw.offset))

    async def _stay_member(self) -> None:
        while True:
            try:
                async with self._membership() as consumer:
                    self._backoff.reset()
                    await self._fetch_for_ever(consumer)
            except Exception as error:
                # Besides its own errors aiokafka lets assertions and those of sockets
                # through; what was not finished is read again, whatever it was.
                _log.error("Kafka refused or away, joining anew", error=type(error).__name__)
                await asyncio.sleep(self._backoff.next_seconds())

    @asynccontextmanager
    async def _membership(self) -> AsyncIterator[AIOKafkaConsumer]:
        consumer = self._consumer()
        consumer.subscribe([self._topic], listener=_Listener(partial(self._let_go, consumer)))
        committer: asyncio.Task[None] | None = None
        try:
            await consumer.start()
            committer = asyncio.create_task(self._commit_for_ever(consumer))
            yield consumer
        finally:
            if committer is not None:
                committer.cancel()
                await asyncio.gather(committer, return_exceptions=True)
            await self._let_go(consumer, set(self._owned), drain_seconds=0)
            await _stopped(consumer)

    def _consumer(self) -> AIOKafkaConsumer:
        tuning = self._tuning
        return AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap,
            group_id=f"leadgate.{self._buyer_id}",
            client_id=f"leadgate-consumer-{self._buyer_id}",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            fetch_max_bytes=8 << 20,
            max_partition_fetch_bytes=2 << 20,
            max_poll_interval_ms=int(tuning.max_poll_seconds * 1000),
            session_timeout_ms=int(tuning.session_seconds * 1000),
            heartbeat_interval_ms=int(tuning.session_seconds * 1000 / 5),
            # The listener may take its time to drain, and then to commit.
            rebalance_timeout_ms=int((tuning.drain_seconds * 2 + tuning.session_seconds) * 1000),
            # A topic or partition that is new is found within this.
            metadata_max_age_ms=30_000,
        )

    async def _fetch_for_ever(self, consumer: AIOKafkaConsumer) -> None:
        """Fetches what there is room for; returns when this member should join anew."""
        clock = asyncio.get_running_loop().time
        owned_at = clock()
        while clock() - owned_at < self._tuning.idle_seconds:
            if consumer.assignment():
                owned_at = clock()
            if (room := self._prefetch - len(self._ready)) > 0:
                self._pause_far_ahead(consumer, room)
                await self._fetch(consumer, room)
            elif not await self._room_came():
                await self._touch(consumer)
        _log.info("no partition for long, joining the group anew")

    async def _fetch(self, consumer: AIOKafkaConsumer, room: int) -> None:
        timeout_ms = int(self._tuning.poll_seconds * 1000)
        self._keep(await consumer.getmany(timeout_ms=timeout_ms, max_records=room))

    def _keep(self, fetched: dict[TopicPartition, list[Any]]) -> None:
        for partition, records in fetched.items():
            offsets = self._owned.get(partition)
            if offsets is None:
                offsets = self._owned[partition] = Offsets(records[0].offset)
            for record in records:
                offsets.take(record.offset)
                self._ready.append((offsets, record))
        if fetched:
            self._arrived.set()

    def _pause_far_ahead(self, consumer: AIOKafkaConsumer, room: int) -> None:
        for partition in consumer.assignment():
            offsets = self._owned.get(partition)
            far = offsets is not None and offsets.ahead + room > self._tuning.window
            if far and partition not in consumer.paused():
                _log.warning("too many open records, waiting", partition=partition.partition)
                consumer.pause(partition)
            elif not far and partition in consumer.paused():
                consumer.resume(partition)

    async def _room_came(self) -> bool:
        self._wanted.clear()
        try:
            async with asyncio.timeout(self._tuning.touch_seconds):
                await self._wanted.wait()
        except TimeoutError:
            return False
        return True

    async def _touch(self, consumer: AIOKafkaConsumer) -> None:
        """Fetches next to nothing, so that the group sees this member alive."""
        partitions = tuple(consumer.assignment())
        consumer.pause(*partitions)
        # A rebalance in between may assign partitions that are not paused.
        self._keep(await consumer.getmany(timeout_ms=0, max_records=1))
        consumer.resume(*(each for each in partitions if each in consumer.assignment()))

    async def _commit_for_ever(self, consumer: AIOKafkaConsumer) -> None:
        while True:
            await self._ended.wait()
            self._ended.clear()
            self._committing = asyncio.create_task(self._commit(consumer, dict(self._owned)))
            try:
                await asyncio.wait({self._committing})
            finally:
                self._committing.cancel()
            await asyncio.sleep(self._tuning.commit_seconds)

    async def _commit(
        self, consumer: AIOKafkaConsumer, owned: dict[TopicPartition, Offsets]
    ) -> None:
        due = {
            tp: offsets.next for tp, offsets in owned.items() if offsets.next > offsets.committed
        }
        if not due:
            return
        try:
            await consumer.commit(due)
        except (CommitFailedError, IllegalStateError):
            _log.info("commit came too late for a rebalance; records may come again")
        except KafkaError as error:
            _log.warning("commit failed, trying again", error=type(error).__name__)
            self._ended.set()
        else:
            for partition, offset in due.items():
                owned[partition].committed = offset

    async def _let_go(
        self,
        consumer: AIOKafkaConsumer,
        partitions: Collection[TopicPartition],
        drain_seconds: float | None = None,
    ) -> None:
        """Gives partitions back: nothing new of them, a last commit, and then no other.

        Never waits without an end, and for nothing that waits for the rebalance: not for
        a fetch, and not for a lock that one holds (aiokafka #335).
        """
        seconds = self._tuning.drain_seconds if drain_seconds is None else drain_seconds
        leaving = {tp: self._owned[tp] for tp in partitions if tp in self._owned}
        untaken = self._forget_untaken(set(leaving.values()))
        await self._drained(leaving.values(), untaken, seconds)
        if self._committing is not None:
            self._committing.cancel()
            await asyncio.wait({self._committing})
        for partition in leaving:
            # Out of reach of every later commit before anything is awaited again.
            del self._owned[partition]
        try:
            async with asyncio.timeout(self._tuning.session_seconds / 2):
                await self._commit(consumer, leaving)
        except TimeoutError:
            _log.warning("last commit not answered; records may come again")

    def _forget_untaken(self, leaving: set[Offsets]) -> int:
        kept = deque(each for each in self._ready if each[0] not in leaving)
        forgotten = len(self._ready) - len(kept)
        self._ready = kept
        return forgotten

    async def _drained(self, leaving: Collection[Offsets], untaken: int, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                while sum(offsets.open for offsets in leaving) > untaken:
                    self._ended_in_drain.clear()
                    await self._ended_in_drain.wait()
        except TimeoutError:
            _log.warning("records in hand outlast their assignment; they may come again")


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]  # published without types
    """Tells of the rebalances of one membership."""

    def __init__(self, let_go: Callable[[Collection[TopicPartition]], Awaitable[None]]) -> None:
        self._let_go = let_go

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """Returns when the partitions may have another owner."""
        await self._let_go(revoked)

    def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """Nothing to prepare: a partition is kept account of from its first record."""
        _log.info("partitions assigned", partitions=sorted(each.partition for each in assigned))


async def _stopped(consumer: AIOKafkaConsumer) -> None:
    """Leaves the group; a broker that does not answer is not waited for without end."""
    stopping = asyncio.create_task(consumer.stop())
    await asyncio.wait({stopping}, timeout=_CLOSE_SECONDS)
    if not stopping.done():
        stopping.cancel()
        await asyncio.gather(stopping, return_exceptions=True)
