"""Dispatch over a real ledger and an outlet in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from gateway.bell import EVENTS, MARKET
from gateway.delivery import EventKind, State, delivery_id
from gateway.dispatch import Dispatch
from gateway.ledger.outbox import SqlOutbox
from gateway.ledger.resend import SqlResend
from gateway.market import Buyer, Transport
from gateway.outlet import TopicError
from gateway.settlement import Outcome, Report
from gateway.timeline import DeliveryView
from tests.builders import a_buyer, another_submission
from tests.fakes.outlet import FakeOutlet
from tests.unit.gateway.conftest import Clock, Gateway, claimed

ONE = "buyer-one"
BOTH = (ONE, "buyer-two")


def on_kafka(buyer_id: str = ONE, **fields: object) -> Buyer:
    """A buyer that reads Kafka."""
    return a_buyer(buyer_id, transport=Transport.KAFKA, **fields)


@pytest.fixture
async def outlet(gateway: Gateway) -> FakeOutlet:
    """An outlet for a market whose two buyers both read Kafka."""
    for buyer_id in BOTH:
        await gateway.set_buyer(on_kafka(buyer_id))
    return FakeOutlet()


@asynccontextmanager
async def running(
    gateway: Gateway, outlet: FakeOutlet | None, drain: timedelta = timedelta(seconds=5)
) -> AsyncIterator[Dispatch]:
    """Dispatch at work."""
    ledger = gateway.ledger
    async with Dispatch(SqlOutbox(ledger), ledger.bell, outlet, drain).running() as dispatch:
        yield dispatch


async def submit(gateway: Gateway, *numbers: int, to: tuple[str, ...] = (ONE,)) -> list[bytes]:
    """Submits leads; returns their ids."""
    answers = [await gateway.submit(another_submission(number, *to)) for number in numbers]
    return [answer.lead_id for answer in answers if answer.lead_id]


async def view(gateway: Gateway, lead_id: bytes, buyer_id: str = ONE) -> DeliveryView:
    """A delivery as it stands."""
    found = await gateway.ledger.find_delivery(lead_id, buyer_id)
    assert found
    return found


async def becomes(
    gateway: Gateway, lead_id: bytes, right: Callable[[DeliveryView], bool], buyer_id: str = ONE
) -> DeliveryView:
    """Waits until a delivery is right, woken by events."""
    with gateway.ledger.bell.listen(EVENTS) as happened:
        async with asyncio.timeout(5):
            while not right(delivery := await view(gateway, lead_id, buyer_id)):
                await happened.wait()
                happened.clear()
    return delivery


async def published(gateway: Gateway, *lead_ids: bytes, buyer_id: str = ONE) -> None:
    """Waits until the deliveries are marked."""
    for lead_id in lead_ids:
        await becomes(gateway, lead_id, lambda d: d.state is State.PUBLISHED, buyer_id)


def kinds(delivery: DeliveryView) -> list[EventKind]:
    """What has happened, oldest first."""
    return [event.kind for event in delivery.events]


def a_report(lead_id: bytes, attempt: int = 1, outcome: Outcome = Outcome.FAILED) -> Report:
    """A report that needs no receipts."""
    name = delivery_id(lead_id, ONE)
    return Report(name, lead_id, attempt, outcome, "TEST", (), timedelta())


async def test_what_waits_is_published_in_the_order_of_commits(
    gateway: Gateway, outlet: FakeOutlet
) -> None:
    """Also what comes while dispatch runs."""
    waiting = await submit(gateway, *range(5))
    async with running(gateway, outlet):
        later = await submit(gateway, *range(5, 10))
        await published(gateway, *waiting, *later)
    keys = [record.delivery_id for record in outlet.records()]
    assert keys == [delivery_id(lead_id, ONE) for lead_id in (*waiting, *later)]


async def test_the_mark_says_where_the_record_is(gateway: Gateway, outlet: FakeOutlet) -> None:
    """Partition and offset stand in the event, and nothing is due any more."""
    first, second = await submit(gateway, 1, 2)
    async with running(gateway, outlet):
        await published(gateway, first, second)
    delivery = await view(gateway, second)
    assert kinds(delivery) == [EventKind.ACCEPTED, EventKind.PUBLISHED]
    assert (delivery.events[-1].partition, delivery.events[-1].offset) == (0, 1)
    assert (delivery.due_time, delivery.attempt) == (None, 1)


async def test_each_buyer_gets_its_own(gateway: Gateway, outlet: FakeOutlet) -> None:
    """One lead, two topics."""
    [lead_id] = await submit(gateway, 1, to=BOTH)
    async with running(gateway, outlet):
        for buyer_id in BOTH:
            await published(gateway, lead_id, buyer_id=buyer_id)
    assert {len(outlet.records(f"leads.{buyer_id}")) for buyer_id in BOTH} == {1}


async def test_a_long_backlog_is_sent_once_and_in_order(
    gateway: Gateway, outlet: FakeOutlet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over many chunks and several runs."""
    monkeypatch.setattr("gateway.lane.CHUNK", 7)
    monkeypatch.setattr("gateway.lane._CHUNKS_IN_A_RUN", 3)
    lead_ids = await submit(gateway, *range(100))
    async with running(gateway, outlet):
        await published(gateway, *lead_ids)
    sent = [record.delivery_id for record in outlet.records()]
    assert sent == [delivery_id(lead_id, ONE) for lead_id in lead_ids]


async def test_a_report_that_overtakes_the_mark_stands(
    gateway: Gateway, outlet: FakeOutlet
) -> None:
    """The mark then only adds where the record was; the state stays as reported."""
    [lead_id] = await submit(gateway, 1)
    outlet.gate.clear()
    async with running(gateway, outlet):
        await asyncio.wait_for(outlet.sending.wait(), 5)
        await gateway.ledger.settle(ONE, [a_report(lead_id)])[0]
        outlet.gate.set()
        delivery = await becomes(gateway, lead_id, lambda d: EventKind.PUBLISHED in kinds(d))
    assert delivery.state is State.FAILED
    assert kinds(delivery) == [EventKind.ACCEPTED, EventKind.FAILED, EventKind.PUBLISHED]
    assert (delivery.events[-1].attempt, delivery.events[-1].offset) == (1, 0)


async def test_a_deferral_that_overtakes_the_mark_keeps_its_due_time(
    gateway: Gateway, outlet: FakeOutlet
) -> None:
    """The mark of attempt 1 must not take attempt 2 for published."""
    [lead_id] = await submit(gateway, 1)
    outlet.gate.clear()
    async with running(gateway, outlet):
        await asyncio.wait_for(outlet.sending.wait(), 5)
        await gateway.ledger.settle(ONE, [a_report(lead_id, outcome=Outcome.DEFERRED)])[0]
        outlet.gate.set()
        delivery = await becomes(gateway, lead_id, lambda d: EventKind.PUBLISHED in kinds(d))
    assert (delivery.state, delivery.attempt) == (State.PENDING, 2)
    assert delivery.due_time


async def test_a_deferred_delivery_is_sent_again_when_it_is_due(
    gateway: Gateway, outlet: FakeOutlet, clock: Clock
) -> None:
    """With the next attempt, and not before its time."""
    [lead_id] = await submit(gateway, 1)
    async with running(gateway, outlet):
        await published(gateway, lead_id)
        await gateway.ledger.settle(ONE, [a_report(lead_id, outcome=Outcome.DEFERRED)])[0]
        [other] = await submit(gateway, 2)
        await published(gateway, other)
        assert len(outlet.records()) == 2
        clock.move(24 * 3600)
        [third] = await submit(gateway, 3)
        await published(gateway, lead_id, third)
    assert [record.attempt for record in outlet.records()] == [1, 1, 2, 1]


async def test_a_record_that_was_not_confirmed_is_sent_again(
    gateway: Gateway, outlet: FakeOutlet
) -> None:
    """At least once: on a new channel, the same record as before."""
    lead_ids = await submit(gateway, 1, 2)
    outlet.lost = 1
    async with running(gateway, outlet):
        await published(gateway, *lead_ids)
    sent = outlet.topics["leads.buyer-one"]
    assert sent[:2] == sent[2:]
    assert outlet.opened["leads.buyer-one"] == 2


async def test_what_was_sent_before_a_crash_is_sent_again_identically(
    gateway: Gateway, outlet: FakeOutlet
) -> None:
    """Sent and never marked: the next process finds it due and sends the same bytes."""
    [lead_id] = await submit(gateway, 1)
    outlet.lost = 10
    async with running(gateway, outlet):
        async with asyncio.timeout(5):
            await outlet.sending.wait()
    outlet.lost = 0
    assert (await view(gateway, lead_id)).state is State.PENDING
    async with running(gateway, outlet):
        await published(gateway, lead_id)
    first, *others = outlet.topics["leads.buyer-one"]
    assert others
    assert all(other == first for other in others)


@pytest.mark.parametrize("chunk", [3, 100])
async def test_a_record_refused_alone_fails_and_holds_up_nobody(
    gateway: Gateway, outlet: FakeOutlet, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    """The others of its batch, before and behind it, are published in their order."""
    monkeypatch.setattr("gateway.lane.CHUNK", chunk)
    lead_ids = await submit(gateway, *range(20))
    bad = lead_ids[7]
    outlet.refuses = lambda record: record.delivery_id == delivery_id(bad, ONE)
    good = [lead_id for lead_id in lead_ids if lead_id != bad]
    async with running(gateway, outlet):
        await published(gateway, *good)
        failed = await becomes(gateway, bad, lambda d: d.state is State.FAILED)
    assert (failed.reason, failed.due_time) == ("UNPUBLISHABLE", None)
    assert kinds(failed)[-1] is EventKind.FAILED
    sent = [record.delivery_id for record in outlet.records()]
    assert sent == [delivery_id(lead_id, ONE) for lead_id in good]


async def test_stored_bytes_that_make_no_record_fail_alone(
    gateway: Gateway, outlet: FakeOutlet
) -> None:
    """A row that cannot be read must not hold up the rows behind it."""
    bad, good = await submit(gateway, 1, 2)
    spoil = "UPDATE leads SET submission = x'ff' WHERE lead_id = ?"
    await gateway.ledger.commit(lambda tx: tx.cursor.execute(spoil, [bad]).rowcount)
    async with running(gateway, outlet):
        await published(gateway, good)
    states = "SELECT state, reason FROM deliveries ORDER BY lead_key LIMIT 1"
    row = await gateway.ledger.read(lambda cursor: cursor.execute(states).fetchone())
    assert row == (State.FAILED, "UNPUBLISHABLE")


async def test_a_buyers_missing_topic_holds_up_only_that_buyer(
    gateway: Gateway, outlet: FakeOutlet
) -> None:
    """And its deliveries wait until the topic is there."""
    outlet.failures["leads.buyer-one"] = TopicError("UnknownTopicOrPartitionError")
    [lead_id] = await submit(gateway, 1, to=BOTH)
    async with running(gateway, outlet) as dispatch:
        await published(gateway, lead_id, buyer_id="buyer-two")
        assert (await view(gateway, lead_id)).state is State.PENDING
        assert dispatch.kafka_ready
        outlet.failures.clear()
        await published(gateway, lead_id)


async def test_an_outage_is_told_once_and_so_is_its_end(
    gateway: Gateway, outlet: FakeOutlet
) -> None:
    """However many lanes and tries it meets; submissions go on meanwhile."""
    outlet.away = True
    with capture_logs() as logs:
        async with running(gateway, outlet) as dispatch:
            lead_ids = await submit(gateway, *range(20), to=BOTH)
            async with asyncio.timeout(5):
                while min(outlet.opened[f"leads.{buyer_id}"] for buyer_id in BOTH) < 2:
                    await outlet.asked.wait()
                    outlet.asked.clear()
            assert not dispatch.kafka_ready
            outlet.away = False
            for buyer_id in BOTH:
                for lead_id in lead_ids:
                    await published(gateway, lead_id, buyer_id=buyer_id)
            assert dispatch.kafka_ready
    assert [log["event"] for log in logs] == ["kafka away", "kafka back"]


async def test_a_paused_buyer_is_sent_nothing_until_it_is_resumed(
    gateway: Gateway, outlet: FakeOutlet
) -> None:
    """What was accepted before the pause waits."""
    [lead_id] = await submit(gateway, 1, to=BOTH)
    await gateway.set_buyer(on_kafka(paused=True))
    async with running(gateway, outlet):
        await published(gateway, lead_id, buyer_id="buyer-two")
        assert outlet.records() == []
        await gateway.set_buyer(on_kafka())
        gateway.ledger.bell.ring((MARKET,))
        await published(gateway, lead_id)


async def test_what_a_paused_generator_submitted_waits_until_it_is_resumed(
    gateway: Gateway, outlet: FakeOutlet
) -> None:
    """Another generator's leads to the same buyer go on meanwhile."""
    [held] = await submit(gateway, 1)
    await gateway.set_generator("forms", paused=True)
    async with running(gateway, outlet):
        answer = await gateway.submit(another_submission(2, ONE), "others")
        assert answer.lead_id
        await published(gateway, answer.lead_id)
        assert len(outlet.records()) == 1
        await gateway.set_generator("forms")
        gateway.ledger.bell.ring((MARKET,))
        await published(gateway, held)


async def test_a_buyer_that_is_added_is_served_at_once(
    gateway: Gateway, outlet: FakeOutlet
) -> None:
    """No restart is needed."""
    async with running(gateway, outlet):
        await gateway.set_buyer(on_kafka("buyer-new"))
        gateway.ledger.bell.ring((MARKET,))
        [lead_id] = await submit(gateway, 1, to=("buyer-new",))
        await published(gateway, lead_id, buyer_id="buyer-new")


async def test_a_replay_keeps_state_and_attempt(gateway: Gateway, outlet: FakeOutlet) -> None:
    """And its record says what it is."""
    [lead_id] = await submit(gateway, 1)
    async with running(gateway, outlet):
        await published(gateway, lead_id)
        receipts = (claimed("cdr-1-buyer-one"),)
        report = replace(a_report(lead_id), outcome=Outcome.DELIVERED, reason="", receipts=receipts)
        await gateway.ledger.settle(ONE, [report])[0]
        assert await SqlResend(gateway.ledger).replay(ONE, 0, None) == 1
        delivery = await becomes(gateway, lead_id, lambda d: len(d.events) == 6)
    assert (delivery.state, delivery.attempt, delivery.due_time) == (State.DELIVERED, 1, None)
    assert kinds(delivery)[4:] == [EventKind.REPLAYED, EventKind.PUBLISHED]
    assert [record.replay for record in outlet.records()] == [False, True]


async def test_leaving_waits_for_what_is_being_sent_and_marks_it(
    gateway: Gateway, outlet: FakeOutlet
) -> None:
    """So a stop makes no duplicates where the outlet answers in time."""
    [lead_id] = await submit(gateway, 1)
    outlet.gate.clear()
    async with running(gateway, outlet):
        await asyncio.wait_for(outlet.sending.wait(), 5)
        asyncio.get_running_loop().call_soon(outlet.gate.set)
    assert (await view(gateway, lead_id)).state is State.PUBLISHED


async def test_leaving_ends_in_time_although_nothing_is_confirmed(
    gateway: Gateway, outlet: FakeOutlet
) -> None:
    """What is unconfirmed stays due."""
    [lead_id] = await submit(gateway, 1)
    outlet.gate.clear()
    async with asyncio.timeout(5):
        async with running(gateway, outlet, timedelta(milliseconds=10)):
            await outlet.sending.wait()
    delivery = await view(gateway, lead_id)
    assert delivery.state is State.PENDING
    assert delivery.due_time


async def test_without_an_outlet_deliveries_wait(gateway: Gateway, outlet: FakeOutlet) -> None:
    """The embedded default serves pull buyers only."""
    [lead_id] = await submit(gateway, 1)
    async with running(gateway, None) as dispatch:
        assert dispatch.kafka_ready
    assert (await view(gateway, lead_id)).state is State.PENDING
