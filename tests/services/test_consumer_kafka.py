"""The Kafka source over a real broker: offsets, dead letters, rebalances."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from itertools import count
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from structlog.testing import capture_logs

from consumers.kafka_source import KafkaSource, KafkaTuning
from consumers.source import Handed, Taken, Unreadable
from consumers.testing import a_record
from scripts.kafka import KafkaBroker

QUICK = KafkaTuning(
    poll_seconds=0.05, commit_seconds=0.02, drain_seconds=2, touch_seconds=0.2, session_seconds=6
)


class Topic:
    """A buyer's topic of its own on the broker."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap
        self.buyer = f"buyer-{uuid.uuid4().hex[:12]}"
        self.name = f"leads.{self.buyer}"

    async def create(self, partitions: int = 1) -> Topic:
        """Creates it, with its dead letters."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        await admin.start()
        await admin.create_topics(
            [NewTopic(self.name, partitions, 1), NewTopic(f"{self.name}.dlq", 1, 1)]
        )
        await admin.close()
        return self

    async def publish(self, count: int, *, first: int = 0, partition: int | None = None) -> None:
        """Publishes records `lead-<n>`."""
        values = [
            a_record(f"lead-{number}", buyer_id=self.buyer).SerializeToString()
            for number in range(first, first + count)
        ]
        await self.send(*values, partition=partition)

    async def send(
        self,
        *values: bytes,
        partition: int | None = None,
        headers: tuple[tuple[str, bytes], ...] = (("content-type", b"application/protobuf"),),
    ) -> None:
        """Sends values as they are."""
        producer = AIOKafkaProducer(bootstrap_servers=self.bootstrap, acks="all")
        await producer.start()
        sends = [
            await producer.send(self.name, value, partition=partition, headers=list(headers))
            for value in values
        ]
        await asyncio.gather(*sends)
        await producer.stop()

    async def committed(self) -> dict[int, int]:
        """What the buyer's group has committed, by partition."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        await admin.start()
        try:
            found = await admin.list_consumer_group_offsets(f"leadgate.{self.buyer}")
        finally:
            await admin.close()
        return {tp.partition: meta.offset for tp, meta in found.items() if tp.topic == self.name}

    async def dead_letters(self, count: int) -> list[Any]:
        """Reads so many dead letters."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self.bootstrap, auto_offset_reset="earliest")
        consumer.assign([TopicPartition(f"{self.name}.dlq", 0)])
        await consumer.start()
        try:
            async with asyncio.timeout(10):
                return [await consumer.getone() for _ in range(count)]
        finally:
            await consumer.stop()

    def source(self, tuning: KafkaTuning = QUICK, prefetch: int = 64) -> KafkaSource:
        """A member of the buyer's group."""
        return KafkaSource(self.bootstrap, self.buyer, prefetch=prefetch, tuning=tuning)


async def take(source: KafkaSource, number: int, seconds: float = 20) -> list[Taken]:
    """Takes so many."""
    async with asyncio.timeout(seconds):
        return [await source.take() for _ in range(number)]


async def eventually(holds: Callable[[], Any], seconds: float = 15) -> None:
    """Asks the broker until it is so."""
    async with asyncio.timeout(seconds):
        while not await holds():  # noqa: ASYNC110 -- a broker tells nobody of its commits
            await asyncio.sleep(0.05)


async def test_only_what_has_ended_without_a_gap_is_committed(kafka: str) -> None:
    """Record 1 is open, 2 to 9 have ended: a crash now must bring 1 again."""
    topic = await Topic(kafka).create()
    await topic.publish(10)
    async with topic.source() as source:
        taken = await take(source, 10)
        for index in (0, *range(2, 10)):
            source.finish(taken[index])

        async def first_only() -> bool:
            return await topic.committed() == {0: 1}

        await eventually(first_only)
        source.finish(taken[1])

        async def all_of_them() -> bool:
            return await topic.committed() == {0: 10}

        await eventually(all_of_them)


async def test_what_was_not_finished_comes_again_to_the_next_member(kafka: str) -> None:
    """A stop commits what has ended, and nothing else."""
    topic = await Topic(kafka).create()
    await topic.publish(5)
    async with topic.source() as source:
        taken = await take(source, 5)
        source.finish(taken[0])
        source.finish(taken[1])
    async with topic.source() as source:
        again = await take(source, 3)
    assert [each.record.lead_id for each in again if isinstance(each, Handed)] == [
        "lead-2",
        "lead-3",
        "lead-4",
    ]


async def test_an_undecodable_record_is_a_dead_letter_before_its_offset_counts(kafka: str) -> None:
    """It keeps value and headers, and says where it came from; the next record goes on."""
    topic = await Topic(kafka).create()
    ce_id = f"lead-0.{topic.buyer}.2".encode()
    headers = (("content-type", b"application/protobuf"), ("ce_id", ce_id))
    await topic.send(b"\xff\xff", headers=headers)
    await topic.publish(1, first=1)
    async with topic.source() as source:
        bad, good = await take(source, 2)
        assert isinstance(bad, Unreadable)
        assert (bad.delivery_id, bad.attempt) == (f"lead-0.{topic.buyer}", 2)
        source.finish(good)
        assert await topic.committed() in ({}, {0: 0})
        await source.bury(bad)
        (letter,) = await topic.dead_letters(1)
        source.finish(bad)

        async def both() -> bool:
            return await topic.committed() == {0: 2}

        await eventually(both)
    assert letter.value == b"\xff\xff"
    found = dict(letter.headers)
    assert found["ce_id"] == ce_id
    assert found["leadgate-origin-topic"] == topic.name.encode()
    assert found["leadgate-origin-partition"] == b"0"
    assert found["leadgate-origin-offset"] == b"0"
    assert int(found["leadgate-origin-timestamp"]) > 0
    assert found["leadgate-reason"] == b"BAD_PROTOBUF"


async def test_reading_stops_a_window_past_the_committed_offset(kafka: str) -> None:
    """One record that never ends must not let a thousand others pile up behind it."""
    topic = await Topic(kafka).create()
    await topic.publish(120)
    tuning = KafkaTuning(window=50, poll_seconds=0.05, commit_seconds=0.02)
    async with topic.source(tuning, prefetch=10) as source:
        (stuck,) = await take(source, 1)
        taken = 1
        with suppress(TimeoutError):
            while True:
                (each,) = await take(source, 1, seconds=3)
                source.finish(each)
                taken += 1
        assert 40 <= taken <= 50
        source.finish(stuck)
        for _ in range(120 - taken):
            (each,) = await take(source, 1)
            source.finish(each)


async def test_two_members_share_a_topic_and_a_rebalance_loses_nothing(kafka: str) -> None:
    """The second joins in the middle; what was in hand ends within the drain, once."""
    topic = await Topic(kafka).create(partitions=4)
    await topic.publish(400)
    seen: list[str] = []
    begun, done = asyncio.Event(), asyncio.Event()

    async def work(source: KafkaSource) -> None:
        while True:
            taken = await source.take()
            assert isinstance(taken, Handed)
            await asyncio.sleep(0.002)
            seen.append(taken.record.lead_id)
            source.finish(taken)
            if len(seen) >= 100:
                begun.set()
            if len(set(seen)) == 400:
                done.set()

    async with topic.source() as first:
        working = [asyncio.create_task(work(first))]
        await begun.wait()
        async with topic.source() as second:
            working.append(asyncio.create_task(work(second)))
            async with asyncio.timeout(30):
                await done.wait()
            for task in working:
                task.cancel()
            await asyncio.gather(*working, return_exceptions=True)
    assert len(set(seen)) == 400
    assert len(seen) == 400, "each record ended within the drain, so none came again"
    assert sum((await topic.committed()).values()) == 400


async def test_what_ends_after_a_rebalance_is_not_committed_by_the_old_owner(kafka: str) -> None:
    """The partition is lost while a record hangs: the new owner gets it, the late end is void."""
    topic = await Topic(kafka).create()
    await topic.publish(3)
    tuning = KafkaTuning(
        poll_seconds=0.05, commit_seconds=0.02, drain_seconds=0.2, session_seconds=6
    )
    async with topic.source(tuning) as first:
        old = await take(first, 3)
        async with topic.source(tuning) as second, topic.source(tuning) as third:
            taking = [asyncio.create_task(take(each, 3)) for each in (first, second, third)]
            finished, _ = await asyncio.wait(
                taking, return_when=asyncio.FIRST_COMPLETED, timeout=25
            )
            assert len(finished) == 1
            for each in old:
                first.finish(each)
            for task in taking:
                task.cancel()
            await asyncio.gather(*taking, return_exceptions=True)
            if finished != {taking[0]}:
                assert await topic.committed() in ({}, {0: 0})


async def test_a_member_without_a_partition_joins_anew_and_takes_over(kafka: str) -> None:
    """It would leave the group for good after `max_poll_seconds`; the watchdog is sooner."""
    topic = await Topic(kafka).create()
    tuning = KafkaTuning(
        poll_seconds=0.05,
        commit_seconds=0.02,
        drain_seconds=0.2,
        idle_seconds=1.0,
        max_poll_seconds=3.0,
        session_seconds=6,
    )
    first, second = topic.source(tuning), topic.source(tuning)
    rejoined = asyncio.Event()
    for source in (first, second):
        _count_joins(source, rejoined)
    async with first, second, asyncio.timeout(40):
        await rejoined.wait()
        await first.__aexit__(None, None, None)
        await topic.publish(1)
        assert isinstance(await second.take(), Handed)


def _count_joins(source: KafkaSource, rejoined: asyncio.Event) -> None:
    """Sets the event when the source has joined for the third time."""
    join, joins = source._consumer, count(1)

    def counted() -> AIOKafkaConsumer:
        if next(joins) == 3:
            rejoined.set()
        return join()

    source._consumer = counted  # type: ignore[method-assign]


async def test_a_member_with_its_hands_full_stays_in_the_group(kafka: str) -> None:
    """Nobody takes, for longer than the poll interval; the partition is not lost."""
    topic = await Topic(kafka).create()
    await topic.publish(20)
    tuning = KafkaTuning(
        poll_seconds=0.05, commit_seconds=0.02, touch_seconds=0.3, max_poll_seconds=2.0
    )
    with capture_logs() as logs:
        await _hold_and_finish(topic, tuning)
    assert [entry["event"] for entry in logs].count("partitions assigned") == 1


async def _hold_and_finish(topic: Topic, tuning: KafkaTuning) -> None:
    async with topic.source(tuning, prefetch=2) as source:
        (first,) = await take(source, 1)
        await asyncio.sleep(4)  # longer than the interval: there is no event for not leaving
        source.finish(first)
        for each in await take(source, 19):
            source.finish(each)

        async def all_of_them() -> bool:
            return await topic.committed() == {0: 20}

        await eventually(all_of_them)
        assert isinstance(each, Handed)
        assert each.record.lead_id == "lead-19"


@asynccontextmanager
async def stopped(broker: KafkaBroker) -> AsyncIterator[None]:
    """The broker is away inside the block."""
    await asyncio.to_thread(broker.stop)
    try:
        yield
    finally:
        await asyncio.to_thread(broker.start)


async def test_a_broker_that_goes_and_comes_back_is_found_again(
    kafka_broker: Callable[[], KafkaBroker],
) -> None:
    """What was in hand ends, what was not comes again, what is new arrives."""
    broker = await asyncio.to_thread(kafka_broker)
    topic = await Topic(broker.bootstrap).create()
    await topic.publish(5)
    async with topic.source() as source:
        taken = await take(source, 5)
        async with stopped(broker):
            for each in taken:
                source.finish(each)
        await topic.publish(1, first=5)
        seen: set[str] = set()
        while "lead-5" not in seen:
            (each,) = await take(source, 1, seconds=40)
            assert isinstance(each, Handed)
            seen.add(each.record.lead_id)
            source.finish(each)

        async def all_of_them() -> bool:
            return await topic.committed() == {0: 6}

        await eventually(all_of_them)
