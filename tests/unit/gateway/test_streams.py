"""Streams over a real ledger: leases, limits, sharing, and what a dead stream leaves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from gateway.bell import MARKET
from gateway.delivery import EventKind, State, parse_lead_id
from gateway.errors import PreconditionError, StoppingError
from gateway.ledger.leases import LEASE, SqlLeases
from gateway.ledger.resend import SqlResend
from gateway.market import Buyer, Transport
from gateway.settlement import Outcome, Report
from gateway.streams import Streams
from gateway.timeline import DeliveryView
from leadgate.v1.delivery_pb2 import LeadRecord
from tests.builders import a_buyer, another_submission
from tests.unit.gateway.conftest import Clock, Gateway, claimed

ONE = "buyer-one"


@pytest.fixture
def streams(gateway: Gateway) -> Streams:
    """The streams of the gateway."""
    return Streams(SqlLeases(gateway.ledger), gateway.ledger.bell)


async def submit(gateway: Gateway, *numbers: int) -> None:
    """Submits leads for the first buyer."""
    for number in numbers:
        await gateway.submit(another_submission(number, ONE))


def buyer(gateway: Gateway) -> Buyer:
    """The first buyer, as the market has it."""
    return gateway.ledger.market.buyers[ONE]


async def read(records: AsyncIterator[LeadRecord], count: int) -> list[LeadRecord]:
    """The next records of a stream."""
    async with asyncio.timeout(5):
        return [await anext(records) for _ in range(count)]


async def idle(records: AsyncIterator[LeadRecord]) -> asyncio.Future[LeadRecord]:
    """Waits for the stream's next record, which must not come at once."""
    waiting = asyncio.ensure_future(anext(records))
    # A commit and a read each take a turn of their thread: by then it would have come.
    for _ in range(3):
        await asyncio.wait({waiting}, timeout=0.02)
    assert not waiting.done()
    return waiting


async def nothing_more(records: AsyncIterator[LeadRecord]) -> None:
    """Makes sure that the stream waits, and ends it."""
    waiting = await idle(records)
    waiting.cancel()
    await asyncio.wait({waiting})


async def settle(gateway: Gateway, record: LeadRecord, outcome: Outcome = Outcome.FAILED) -> None:
    """Reports on a record, with the receipts that DELIVERED needs."""
    lead_id = parse_lead_id(record.lead_id)
    assert lead_id
    delivered = outcome is Outcome.DELIVERED
    receipts = tuple(claimed(cdr.cdr_id) for cdr in record.cdrs) if delivered else ()
    reason = "" if delivered else "TEST"
    report = Report(
        record.delivery_id, lead_id, record.attempt, outcome, reason, receipts, timedelta()
    )
    assert (await gateway.ledger.settle(ONE, [report])[0]).refusal is None


async def view(gateway: Gateway, record: LeadRecord) -> DeliveryView:
    """The delivery of a record, as it stands."""
    found = await gateway.ledger.find_delivery(parse_lead_id(record.lead_id) or b"", ONE)
    assert found
    return found


async def handed_back(gateway: Gateway) -> None:
    """Waits until what is queued is committed: a stream's end does not wait."""
    await gateway.ledger.commit(lambda _: None)


async def test_a_stream_hands_out_what_waits_and_what_comes(
    gateway: Gateway, streams: Streams
) -> None:
    """In the order of commits."""
    await submit(gateway, 1, 2)
    async with streams.opened(buyer(gateway), 10) as records:
        waiting = await read(records, 2)
        next_one = await idle(records)
        await submit(gateway, 3)
        seen = [*waiting, await asyncio.wait_for(next_one, 5)]
    ids = [record.lead_id for record in seen]
    assert ids == sorted(ids)


async def test_a_delivery_is_leased_on_disk_before_it_is_handed_out(
    gateway: Gateway, streams: Streams, clock: Clock
) -> None:
    """Its owner and the lease's end; for followers it is PUBLISHED."""
    await submit(gateway, 1)
    async with streams.opened(buyer(gateway), 10) as records:
        [record] = await read(records, 1)
        delivery = await view(gateway, record)
        assert (delivery.state, delivery.events[-1].kind) == (
            State.PUBLISHED,
            EventKind.PUBLISHED,
        )
        assert delivery.due_time == clock.now + LEASE // timedelta(microseconds=1)


async def test_a_stream_holds_no_more_than_its_limit(gateway: Gateway, streams: Streams) -> None:
    """A report makes room for exactly one."""
    await submit(gateway, *range(5))
    async with streams.opened(buyer(gateway), 2) as records:
        first, _ = await read(records, 2)
        waiting = await idle(records)
        await settle(gateway, first)
        await asyncio.wait_for(waiting, 5)
        await nothing_more(records)


async def test_a_deferral_makes_room_too(gateway: Gateway, streams: Streams) -> None:
    """The delivery is out of the stream's hands until it is due again."""
    await submit(gateway, 1, 2)
    async with streams.opened(buyer(gateway), 1) as records:
        [first] = await read(records, 1)
        await settle(gateway, first, Outcome.DEFERRED)
        [second] = await read(records, 1)
    assert second.lead_id != first.lead_id


async def test_streams_of_one_buyer_share_without_doubling(
    gateway: Gateway, streams: Streams
) -> None:
    """Whoever asks, each delivery is handed out once."""
    await submit(gateway, *range(20))
    async with (
        streams.opened(buyer(gateway), 10) as one,
        streams.opened(buyer(gateway), 10) as other,
    ):
        batches = await asyncio.gather(read(one, 10), read(other, 10))
    ids = [record.delivery_id for batch in batches for record in batch]
    assert len(set(ids)) == 20


async def test_the_next_hand_out_after_a_stream_that_died_is_the_next_attempt(
    gateway: Gateway, streams: Streams
) -> None:
    """At once, with an event that says so."""
    await submit(gateway, 1)
    async with streams.opened(buyer(gateway), 10) as records:
        [first] = await read(records, 1)
    async with streams.opened(buyer(gateway), 10) as records:
        [second] = await read(records, 1)
    assert (first.attempt, second.attempt) == (1, 2)
    events = [(event.kind, event.attempt) for event in (await view(gateway, second)).events]
    assert events[1:] == [
        (EventKind.PUBLISHED, 1),
        (EventKind.RELEASED, 1),
        (EventKind.PUBLISHED, 2),
    ]


async def test_a_stream_that_ends_wakes_the_buyers_others(
    gateway: Gateway, streams: Streams
) -> None:
    """They take over at once, not when the lease would have run out."""
    await submit(gateway, 1)
    async with streams.opened(buyer(gateway), 10) as other:
        async with streams.opened(buyer(gateway), 10) as dying:
            await read(dying, 1)
            waiting = await idle(other)
        assert (await asyncio.wait_for(waiting, 5)).attempt == 2


async def test_a_report_counts_after_the_stream_ended(gateway: Gateway, streams: Streams) -> None:
    """Until the delivery is handed out again."""
    await submit(gateway, 1)
    async with streams.opened(buyer(gateway), 10) as records:
        [record] = await read(records, 1)
    await settle(gateway, record)
    async with streams.opened(buyer(gateway), 10) as records:
        await nothing_more(records)


async def test_a_lease_that_ran_out_is_handed_to_another_stream(
    gateway: Gateway, streams: Streams, clock: Clock
) -> None:
    """A stream that hangs without renewing loses what it holds."""
    await submit(gateway, 1)
    async with (
        streams.opened(buyer(gateway), 10) as hanging,
        streams.opened(buyer(gateway), 10) as other,
    ):
        await read(hanging, 1)
        waiting = await idle(other)
        clock.move(LEASE.total_seconds() + 1)
        gateway.ledger.bell.ring((buyer(gateway).key,))
        assert (await asyncio.wait_for(waiting, 5)).attempt == 2


async def test_a_living_stream_renews_its_leases(gateway: Gateway, clock: Clock) -> None:
    """So a slow buyer keeps what it works on."""
    ledger = gateway.ledger
    streams = Streams(SqlLeases(ledger), ledger.bell, renewal=timedelta(milliseconds=10))
    await submit(gateway, 1)
    async with streams.opened(buyer(gateway), 10) as records:
        [record] = await read(records, 1)
        first_end = (await view(gateway, record)).due_time
        clock.move(30)
        async with asyncio.timeout(5):
            while (await view(gateway, record)).due_time == first_end:
                await handed_back(gateway)
        assert (await view(gateway, record)).due_time == (first_end or 0) + 30_000_000


async def test_a_start_releases_what_an_earlier_process_leased(
    gateway: Gateway, streams: Streams
) -> None:
    """A process that was killed ended none of its streams."""
    await submit(gateway, 1)
    leases = SqlLeases(gateway.ledger)
    await leases.take(buyer(gateway).key, stream=1, count=10, max_unsettled=10)
    await streams.start()
    async with streams.opened(buyer(gateway), 10) as records:
        [record] = await read(records, 1)
    assert record.attempt == 2


async def test_a_replay_keeps_its_attempt(gateway: Gateway, streams: Streams) -> None:
    """Of a settled delivery, also after a stream that died with it."""
    await submit(gateway, 1)
    async with streams.opened(buyer(gateway), 10) as records:
        [record] = await read(records, 1)
        await settle(gateway, record, Outcome.DELIVERED)
        assert await SqlResend(gateway.ledger).replay(ONE, 0, None) == 1
        [again] = await read(records, 1)
    assert (again.attempt, again.replay) == (1, True)
    async with streams.opened(buyer(gateway), 10) as records:
        [once_more] = await read(records, 1)
        assert (once_more.attempt, once_more.replay) == (1, True)
        await settle(gateway, once_more, Outcome.DELIVERED)
        await nothing_more(records)
    assert (await view(gateway, record)).state is State.DELIVERED


async def test_a_paused_buyer_is_handed_nothing_until_it_is_resumed(
    gateway: Gateway, streams: Streams
) -> None:
    """Its open streams wait."""
    await submit(gateway, 1)
    await gateway.set_buyer(a_buyer(paused=True))
    async with streams.opened(buyer(gateway), 10) as records:
        waiting = await idle(records)
        await gateway.set_buyer(a_buyer())
        gateway.ledger.bell.ring((MARKET,))
        assert (await asyncio.wait_for(waiting, 5)).buyer_id == ONE


async def test_what_a_paused_generator_submitted_is_not_handed_out(
    gateway: Gateway, streams: Streams
) -> None:
    """Until it is resumed."""
    await submit(gateway, 1)
    await gateway.set_generator("forms", paused=True)
    async with streams.opened(buyer(gateway), 10) as records:
        waiting = await idle(records)
        await gateway.set_generator("forms")
        gateway.ledger.bell.ring((MARKET,))
        assert (await asyncio.wait_for(waiting, 5)).buyer_id == ONE


async def test_a_buyer_that_reads_kafka_has_no_streams(gateway: Gateway, streams: Streams) -> None:
    """The error says why."""
    await gateway.set_buyer(a_buyer(transport=Transport.KAFKA))
    async with streams.opened(buyer(gateway), 10) as records:
        with pytest.raises(PreconditionError) as refusal:
            await anext(records)
    assert refusal.value.reason == "WRONG_TRANSPORT"


async def test_a_stop_ends_waiting_streams(gateway: Gateway, streams: Streams) -> None:
    """With an error that says to come back."""
    async with streams.opened(buyer(gateway), 10) as records:
        waiting = await idle(records)
        streams.stop()
        with pytest.raises(StoppingError):
            await asyncio.wait_for(waiting, 5)


async def test_a_call_that_is_cancelled_hands_back_what_it_held(
    gateway: Gateway, streams: Streams
) -> None:
    """Also while it waits for the next delivery."""
    await submit(gateway, 1)
    held = asyncio.Event()

    async def call() -> None:
        async with streams.opened(buyer(gateway), 10) as records:
            async for _ in records:
                held.set()

    calling = asyncio.create_task(call())
    await asyncio.wait_for(held.wait(), 5)
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    await handed_back(gateway)
    async with streams.opened(buyer(gateway), 10) as records:
        [record] = await read(records, 1)
    assert record.attempt == 2


async def test_stored_bytes_that_make_no_record_fail_alone(
    gateway: Gateway, streams: Streams
) -> None:
    """The stream goes on with the next."""
    await submit(gateway, 1, 2)
    spoil = "UPDATE leads SET submission = x'ff' WHERE lead_key = 1"
    await gateway.ledger.commit(lambda tx: tx.cursor.execute(spoil).rowcount)
    async with streams.opened(buyer(gateway), 10) as records:
        await read(records, 1)
    row = await gateway.ledger.read(
        lambda c: c.execute("SELECT state, reason FROM deliveries WHERE lead_key = 1").fetchone()
    )
    assert row == (State.FAILED, "UNPUBLISHABLE")
