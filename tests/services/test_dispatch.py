"""Dispatch to a real Kafka broker: what is published, and what survives its failures."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.partitioner import murmur2

from gateway.bell import EVENTS, Bell
from gateway.delivery import State, lead_text
from gateway.dispatch import Dispatch
from gateway.intake import Intake
from gateway.kafka import KafkaOutlet, _murmur2
from gateway.ledger import market as market_rows
from gateway.ledger.ledger import SqlLedger
from gateway.ledger.outbox import SqlOutbox
from gateway.ledger.transaction import Transaction
from gateway.market import Buyer, Generator, Transport
from gateway.topics import TopicCondition, Topics, TopicSettings
from leadgate.share_url import EvidenceHost
from leadgate.v1.delivery_pb2 import LeadRecord
from leadgate.v1.lead_service_pb2 import SubmitLeadRequest
from scripts.kafka import KafkaBroker
from tests.builders import EVIDENCE_HOST, a_buyer, another_submission

_numbers = count()


@dataclass
class Gateway:
    """A ledger with some buyers on Kafka, named for this test alone."""

    ledger: SqlLedger
    intake: Intake
    buyers: list[Buyer]

    async def submit(self, howmany: int) -> list[str]:
        """Submits leads to every buyer; returns their ids."""
        names = [buyer.buyer_id for buyer in self.buyers]
        requests = [another_submission(next(_numbers), *names) for _ in range(howmany)]
        answers = await asyncio.gather(
            *(self.intake.submit("forms", request) for request in requests)
        )
        return [lead_text(answer.lead_id) for answer in answers if answer.lead_id]

    async def count(self, buyer: Buyer, state: State) -> int:
        """How many deliveries of a buyer are in a state."""
        query = "SELECT count(*) FROM deliveries WHERE buyer_key = ? AND state = ?"
        row = await self.ledger.read(
            lambda cursor: cursor.execute(query, [buyer.key, int(state)]).fetchone()
        )
        return int(row[0])

    async def marks(self, buyer: Buyer) -> dict[tuple[int, int], str]:
        """The lead that the ledger says is there, by partition and offset."""
        query = (
            "SELECT e.partition, e.offset, l.lead_id FROM events e"
            " JOIN leads l ON l.lead_key = e.lead_key WHERE e.kind = 3 AND e.buyer_key = ?"
        )
        rows = await self.ledger.read(lambda cursor: cursor.execute(query, [buyer.key]).fetchall())
        return {(partition, offset): lead_text(lead) for partition, offset, lead in rows}

    async def until(self, buyer: Buyer, howmany: int, state: State = State.PUBLISHED) -> None:
        """Waits until that many deliveries of a buyer are in a state."""
        with self.ledger.bell.listen(EVENTS) as happened:
            async with asyncio.timeout(40):
                while await self.count(buyer, state) < howmany:
                    await happened.wait()
                    happened.clear()


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    """A gateway with two buyers on Kafka whose topics do not exist yet."""
    names = [f"{name}-{uuid4().hex[:8]}" for name in ("first", "second")]

    def set_up(tx: Transaction) -> None:
        market_rows.save_generator(tx.cursor, Generator("forms"))
        market_rows.save_hosts(tx.cursor, [EvidenceHost(EVIDENCE_HOST)])
        for name in names:
            market_rows.save_buyer(tx.cursor, a_buyer(name, transport=Transport.KAFKA))
        tx.market = market_rows.load(tx.cursor)

    async with SqlLedger(Bell()).opened(f"sqlite:///{tmp_path}/ledger.db") as ledger:
        await ledger.commit(set_up)
        buyers = [ledger.market.buyers[name] for name in names]
        yield Gateway(ledger, Intake(ledger, b"k" * 32, "US"), buyers)


@asynccontextmanager
async def running(
    gateway: Gateway, bootstrap: str, topics: Topics | None = None
) -> AsyncIterator[Dispatch]:
    """Dispatch at work, with a deadline short enough for a test."""
    outlet = KafkaOutlet(bootstrap, topics or Topics(bootstrap), timedelta(seconds=3))
    ledger = gateway.ledger
    async with Dispatch(SqlOutbox(ledger), ledger.bell, outlet).running() as dispatch:
        yield dispatch


@asynccontextmanager
async def administering(bootstrap: str) -> AsyncIterator[Any]:
    """An admin client."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


async def messages(bootstrap: str, buyer: Buyer, howmany: int) -> list[Any]:
    """The first messages of a buyer's topic; within a partition as they lie there."""
    consumer = AIOKafkaConsumer(
        buyer.topic,
        bootstrap_servers=bootstrap,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
    )
    await consumer.start()
    try:
        async with asyncio.timeout(20):
            return [await consumer.getone() for _ in range(howmany)]
    finally:
        await consumer.stop()


def by_partition(seen: list[Any]) -> dict[int, list[str]]:
    """Lead ids by partition, each the first time it lies there, in order."""
    partitions: dict[int, dict[str, None]] = {}
    for message in seen:
        partitions.setdefault(message.partition, {})[message.key.decode()] = None
    return {number: list(leads) for number, leads in partitions.items()}


def in_commit_order(seen: list[Any], lead_ids: list[str]) -> bool:
    """Whether each partition holds its leads in the order given."""
    place = {lead_id: number for number, lead_id in enumerate(lead_ids)}
    return all(
        leads == sorted(leads, key=place.__getitem__) for leads in by_partition(seen).values()
    )


async def test_records_are_published_where_the_ledger_says(kafka: str, gateway: Gateway) -> None:
    """To topics that are made first; each mark names the partition and offset of its record."""
    lead_ids = await gateway.submit(50)
    topics = Topics(kafka)
    async with running(gateway, kafka, topics):
        for buyer in gateway.buyers:
            await gateway.until(buyer, 50)
        assert topics.state(gateway.buyers[0].buyer_id).state is TopicCondition.READY
    for buyer in gateway.buyers:
        seen = await messages(kafka, buyer, 50)
        assert in_commit_order(seen, lead_ids)
        assert {message.partition for message in seen} == {0, 1, 2}
        assert await gateway.marks(buyer) == {
            (message.partition, message.offset): message.key.decode() for message in seen
        }
        record = LeadRecord.FromString(seen[0].value)
        headers = {name: value.decode() for name, value in seen[0].headers}
        assert record.buyer_id == buyer.buyer_id
        assert headers["ce_id"] == f"{record.delivery_id}.1"


async def test_a_broker_that_stops_and_starts_loses_nothing(
    kafka_broker: Callable[[], KafkaBroker], gateway: Gateway
) -> None:
    """Submissions go on while it is away; afterwards everything is there, in order."""
    broker = await asyncio.to_thread(kafka_broker)
    lead_ids = await gateway.submit(200)
    async with running(gateway, broker.bootstrap) as dispatch:
        await gateway.until(gateway.buyers[0], 1)
        await asyncio.to_thread(broker.kill)
        for _ in range(10):
            lead_ids += await gateway.submit(20)
        # Longer than the deadline: producers are abandoned, and new ones find nobody.
        with gateway.ledger.bell.listen("kafka") as changed:
            async with asyncio.timeout(20):
                while dispatch.kafka_ready:
                    await changed.wait()
                    changed.clear()
        await asyncio.to_thread(broker.start)
        for buyer in gateway.buyers:
            await gateway.until(buyer, 400)
        assert dispatch.kafka_ready
    for buyer in gateway.buyers:
        seen = await messages(broker.bootstrap, buyer, 400)
        while len({message.key for message in seen}) < 400:
            seen = await messages(broker.bootstrap, buyer, len(seen) + 1)
        assert in_commit_order(seen, lead_ids)


async def test_a_record_that_the_broker_refuses_fails_alone(kafka: str, gateway: Gateway) -> None:
    """Those before and behind it, and the other buyer's, are published in order."""
    first, second = gateway.buyers
    async with administering(kafka) as admin:
        limit = {"max.message.bytes": "20000"}
        await admin.create_topics([NewTopic(first.topic, 3, 1, topic_configs=limit)])
    lead_ids = await gateway.submit(30)
    bad = await gateway.submit(2)
    lead_ids += await gateway.submit(30)
    await gateway.ledger.commit(_grow(bad))
    async with running(gateway, kafka):
        await gateway.until(second, 62)
        await gateway.until(first, 60)
        await gateway.until(first, 2, State.FAILED)
    seen = await messages(kafka, first, 60)
    assert sorted({message.key.decode() for message in seen}) == sorted(lead_ids)
    assert in_commit_order(seen, lead_ids)


def _grow(lead_ids: list[str]) -> Callable[[Transaction], None]:
    """Makes stored submissions larger than the topic takes: a last name of 30,000 letters."""

    def grow(tx: Transaction) -> None:
        for lead_id in lead_ids:
            key = bytes.fromhex(lead_id.replace("-", ""))
            find = "SELECT submission FROM leads WHERE lead_id = ?"
            [submission] = tx.cursor.execute(find, [key]).fetchone()
            request = SubmitLeadRequest.FromString(submission)
            request.lead.contact.last_name = "x" * 30_000
            update = "UPDATE leads SET submission = ? WHERE lead_id = ?"
            tx.cursor.execute(update, [request.SerializeToString(), key])

    return grow


async def test_a_topic_that_is_gone_holds_up_only_its_buyer_and_is_made_anew(
    kafka: str, gateway: Gateway
) -> None:
    """Deleted under a producer that knew it."""
    first, second = gateway.buyers
    async with running(gateway, kafka):
        await gateway.submit(3)
        for buyer in gateway.buyers:
            await gateway.until(buyer, 3)
        async with administering(kafka) as admin:
            await admin.delete_topics([first.topic])
        await gateway.submit(20)
        await asyncio.wait_for(gateway.until(second, 23), 2)
        await gateway.until(first, 23)
    assert len({message.key for message in await messages(kafka, first, 20)}) == 20


async def test_a_topic_that_cannot_be_made_is_reported_and_holds_up_nobody(
    kafka: str, gateway: Gateway
) -> None:
    """More replicas than there are brokers, for a buyer whose topic is not there yet."""
    first, second = gateway.buyers
    async with administering(kafka) as admin:
        await admin.create_topics([NewTopic(second.topic, 3, 1)])
    await gateway.submit(5)
    topics = Topics(kafka, TopicSettings(replication=3))
    async with running(gateway, kafka, topics):
        await gateway.until(second, 5)
        assert await gateway.count(first, State.PENDING) == 5
    state = topics.state(first.buyer_id)
    assert (state.state, state.name) == (TopicCondition.FAILING, first.topic)
    assert "InvalidReplicationFactorError" in state.detail


async def test_settings_that_differ_are_reported_and_left_alone(
    kafka: str, gateway: Gateway
) -> None:
    """The operator is told which, with both values."""
    first, _ = gateway.buyers
    async with administering(kafka) as admin:
        await admin.create_topics(
            [NewTopic(first.topic, 1, 1, topic_configs={"retention.ms": "1000000"})]
        )
    topics = Topics(kafka)
    await topics.ensure(first)
    state = topics.state(first.buyer_id)
    assert state.state is TopicCondition.DIFFERS
    assert "partitions is 1, not 3" in state.detail
    assert "retention.ms is 1000000, not 2592000000" in state.detail
    assert f"{first.topic}.dlq" not in state.detail


def test_keys_find_the_partition_that_other_producers_would_choose() -> None:
    """The hash is that of Kafka's own default partitioner."""
    for _ in range(500):
        key = str(uuid4()).encode()
        assert _murmur2(key) == murmur2(key)
