"""The Kafka outlet: an idempotent producer for each buyer, abandoned at its first error.

One producer for each, because an idempotent producer that lost one batch is lost for
every topic it sends to: this way no buyer pays for another's.
"""

from __future__ import annotations

import asyncio
import logging
import struct
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import lru_cache
from typing import Any, Final

from aiokafka import AIOKafkaProducer, errors

from gateway.market import Buyer
from gateway.outlet import OutletError, Place, RefusedError, Sending
from gateway.record import Record
from gateway.topics import Topics, kafka_errors

MAX_BATCH_BYTES: Final = 256 * 1024
"""The default of 16 KiB costs a request for every twenty records."""

_CLOSE_SECONDS = 2.0
_WORDS = struct.Struct("<9I")
_REFUSALS = (
    errors.MessageSizeTooLargeError,
    errors.RecordListTooLargeError,
    errors.InvalidTimestampError,
    errors.CorruptRecordException,
)


class KafkaOutlet:
    """Publishes to the topics of one cluster.

    `deadline` is how long a batch may stay unconfirmed: an idempotent send can hang for
    ever, so no answer by then counts as a failure.
    """

    def __init__(
        self, bootstrap: str, topics: Topics, deadline: timedelta = timedelta(seconds=10)
    ) -> None:
        self._bootstrap = bootstrap
        self._topics = topics
        self._deadline_seconds = deadline.total_seconds()
        # It logs every retry of every batch; lanes say once what is wrong and when it ends.
        logging.getLogger("aiokafka").setLevel(logging.CRITICAL)

    @asynccontextmanager
    async def channel(self, buyer: Buyer) -> AsyncIterator[KafkaChannel]:
        """Makes sure of the buyer's topic and opens a producer for it.

        Raises `AwayError` and `TopicError`.
        """
        await self._topics.ensure(buyer)
        producer = self._producer(buyer)
        try:
            with kafka_errors():
                async with asyncio.timeout(self._deadline_seconds):
                    await producer.start()
            yield KafkaChannel(producer, buyer.topic, self._deadline_seconds)
        except OutletError as error:
            self._topics.report(buyer, error)
            raise
        finally:
            await _abandon(producer)

    def _producer(self, buyer: Buyer) -> Any:
        return AIOKafkaProducer(
            bootstrap_servers=self._bootstrap,
            client_id=f"leadgate-{buyer.buyer_id}",
            acks="all",
            enable_idempotence=True,
            max_batch_size=MAX_BATCH_BYTES,
            request_timeout_ms=int(self._deadline_seconds * 1000),
        )


class KafkaChannel:
    """A way to one topic.

    Batches go out side by side for its partitions and one after the other within each,
    so that nothing overtakes a batch that failed.
    """

    def __init__(self, producer: Any, topic: str, deadline_seconds: float) -> None:
        self._producer = producer
        self._topic = topic
        self._deadline_seconds = deadline_seconds

    async def send(self, records: Sequence[Record]) -> Sending:
        """See `gateway.outlet.Channel`."""
        places: list[Place | None] = [None] * len(records)
        refused: list[int] = []
        try:
            by_partition = await self._by_partition(records)
        except OutletError as error:
            return Sending(places, error=error)
        outcomes = await asyncio.gather(
            *(
                self._send_in_order(partition, positions, records, places, refused)
                for partition, positions in by_partition.items()
            )
        )
        return Sending(places, refused, next((error for error in outcomes if error), None))

    async def _by_partition(self, records: Sequence[Record]) -> dict[int, list[int]]:
        """Positions of the records by partition, chosen as Java's default partitioner does."""
        with kafka_errors():
            async with asyncio.timeout(self._deadline_seconds):
                partitions = sorted(await self._producer.partitions_for(self._topic))
        chosen: defaultdict[int, list[int]] = defaultdict(list)
        for position, record in enumerate(records):
            hashed = _murmur2(record.key) & 0x7FFFFFFF
            chosen[partitions[hashed % len(partitions)]].append(position)
        return chosen

    async def _send_in_order(
        self,
        partition: int,
        positions: Sequence[int],
        records: Sequence[Record],
        places: list[Place | None],
        refused: list[int],
    ) -> OutletError | None:
        """Sends the records of one partition; returns what ended it early."""
        start = 0
        while start < len(positions):
            batch, count = self._batch(records, positions[start:])
            try:
                base = await self._confirmed(batch, partition)
            except RefusedError as error:
                if count == 1:
                    refused.append(positions[start])
                return error
            except OutletError as error:
                return error
            for number, position in enumerate(positions[start : start + count]):
                places[position] = Place(partition, None if base < 0 else base + number)
            start += count
        return None

    def _batch(self, records: Sequence[Record], positions: Sequence[int]) -> tuple[Any, int]:
        """Fills a batch; it takes at least one record, of whatever size."""
        batch = self._producer.create_batch()
        for count, position in enumerate(positions):
            record = records[position]
            added = batch.append(
                timestamp=None, key=record.key, value=record.value, headers=record.headers
            )
            if added is None:
                return batch, count
        batch.close()
        return batch, len(positions)

    async def _confirmed(self, batch: Any, partition: int) -> int:
        """Sends one batch and returns its first offset, negative where that is unknown."""
        with kafka_errors():
            try:
                async with asyncio.timeout(self._deadline_seconds):
                    sent = await self._producer.send_batch(batch, self._topic, partition=partition)
                    return int((await sent).offset)
            except TimeoutError:
                raise OutletError("no answer in time") from None
            except _REFUSALS as error:
                raise RefusedError(type(error).__name__) from None


@lru_cache(4096)
def _murmur2(key: bytes) -> int:
    """The hash of Kafka's default partitioner, for the 36 bytes of a lead id.

    The same as `aiokafka.partitioner.murmur2`, in half its time; and the lanes of one
    lead's buyers ask for it at about the same time.
    """
    hashed = 0x9747B28C ^ len(key)
    for word in _WORDS.unpack(key):
        mixed = word * 0x5BD1E995 & 0xFFFFFFFF
        mixed = (mixed ^ mixed >> 24) * 0x5BD1E995 & 0xFFFFFFFF
        hashed = (hashed * 0x5BD1E995 & 0xFFFFFFFF) ^ mixed
    hashed = (hashed ^ hashed >> 13) * 0x5BD1E995 & 0xFFFFFFFF
    return hashed ^ hashed >> 15


async def _abandon(producer: Any) -> None:
    """Closes a producer without flushing it, within a few seconds whatever it does.

    Its own `stop` waits until every batch is confirmed, which is for ever where a batch
    was lost; so its task is cancelled and its connections are closed from outside.
    """
    producer._closed = True  # noqa: SLF001
    task = producer._sender.sender_task  # noqa: SLF001
    closing = asyncio.create_task(producer.client.close())
    tasks = {closing} if task is None else {closing, task}
    if task is not None:
        task.cancel()
    _, late = await asyncio.wait(tasks, timeout=_CLOSE_SECONDS)
    for straggler in late:
        # Once cancelled, the task waits for requests in flight; a second time ends those.
        straggler.cancel()
    if late:
        await asyncio.wait(late, timeout=_CLOSE_SECONDS)
    await asyncio.gather(*(task for task in tasks if task.done()), return_exceptions=True)
