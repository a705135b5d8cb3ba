"""The pull transport: a consumer over real gRPC and real HTTP."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import pytest

from consumers import DeliveredLead, GrpcGateway, StreamSource, consuming
from consumers.settings import ConsumerSettings
from consumers.testing import API_KEY, FakeGateway, a_record
from leadgate.settings import load
from leadgate.v1.delivery_pb2 import LeadRecord
from tests.fakes.evidence import KEY, FakeEvidence, fake_evidence


@pytest.fixture
async def evidence() -> AsyncIterator[FakeEvidence]:
    """An evidence service."""
    async with fake_evidence() as fake:
        yield fake


@pytest.fixture
async def gateway() -> AsyncIterator[FakeGateway]:
    """A gateway in memory."""
    async with FakeGateway() as fake:
        yield fake


class Buyer:
    """A buyer's handler, and what it saw."""

    def __init__(self) -> None:
        self.seen: Counter[str] = Counter()
        self.open = asyncio.Event()
        self.open.set()
        self.arrived = asyncio.Event()

    async def handle(self, lead: DeliveredLead) -> None:
        """Counts, and waits if told to."""
        self.seen[lead.delivery_id] += 1
        self.arrived.set()
        await self.open.wait()


@asynccontextmanager
async def consumer(
    gateway: FakeGateway, evidence: FakeEvidence, buyer: Buyer, **settings: object
) -> AsyncIterator[None]:
    """Runs a consumer inside the block, and stops it in an orderly way."""
    chosen = {
        "gateway": gateway.target,
        "api_key": API_KEY,
        "buyer": "buyer-a",
        "evidence_hosts": evidence.entry,
        "evidence_api_key": KEY,
        "drain_seconds": 5,
    }
    stop = asyncio.Event()
    async with consuming(load(ConsumerSettings, **(chosen | settings)), buyer.handle) as running:
        work = asyncio.create_task(running.run(stop))
        try:
            yield
        finally:
            stop.set()
            await work


def records(evidence: FakeEvidence, count: int) -> list[LeadRecord]:
    """Records, each with one CDR of the lead's own person."""
    return [
        a_record(
            f"lead-{number}",
            share_urls={
                f"cdr-{number}": evidence.share(f"cdr-{number}", {"phone": "+12015550123"})
            },
        )
        for number in range(count)
    ]


async def test_every_lead_is_claimed_delivered_and_reported_once(
    gateway: FakeGateway, evidence: FakeEvidence
) -> None:
    """The whole path, 300 times."""
    buyer = Buyer()
    gateway.add(*records(evidence, 300))
    async with consumer(gateway, evidence, buyer):
        await gateway.settled(300)
    assert set(gateway.states().values()) == {"DELIVERED"}
    assert set(buyer.seen.values()) == {1}
    assert Counter(evidence.claims) == Counter({f"cdr-{number}": 1 for number in range(300)})


async def test_while_the_gateway_is_away_reports_wait_and_no_more_is_claimed(
    gateway: FakeGateway, evidence: FakeEvidence
) -> None:
    """Nothing beyond the in-flight limit; afterwards everything is settled."""
    buyer = Buyer()
    gateway.add(*records(evidence, 20))
    gateway.hold.clear()
    async with consumer(gateway, evidence, buyer, in_flight=8):
        await gateway.until(lambda: gateway.calls >= 1)
        await evidence.until(lambda: len(set(evidence.claims)) == 8)
        await gateway.stop()
        gateway.hold.set()
        assert len(set(evidence.claims)) == 8
        await gateway.start()
        await gateway.settled(20)
    assert set(gateway.states().values()) == {"DELIVERED"}
    assert set(Counter(evidence.claims).values()) == {1}


async def test_a_broken_stream_runs_nothing_twice_at_once(
    gateway: FakeGateway, evidence: FakeEvidence
) -> None:
    """What is in hand comes again with the next attempt, and is reported for that one."""
    buyer = Buyer()
    buyer.open.clear()
    gateway.add(*records(evidence, 1))
    async with consumer(gateway, evidence, buyer):
        await buyer.arrived.wait()
        await gateway.stop()
        await gateway.start()
        delivery = gateway.deliveries["lead-0.buyer-a"]
        await gateway.until(lambda: delivery.record.attempt == 2 and delivery.leased)
        buyer.open.set()
        await gateway.settled(1)
    assert gateway.reports[-1].attempt == 2
    assert buyer.seen == {"lead-0.buyer-a": 1}


async def test_a_refused_stream_is_asked_for_again(
    gateway: FakeGateway, evidence: FakeEvidence
) -> None:
    """A key that is mended, a transport that is changed: the consumer comes by itself."""
    gateway.failures = [
        (grpc.StatusCode.UNAUTHENTICATED, 0),
        (grpc.StatusCode.FAILED_PRECONDITION, 0),
        (grpc.StatusCode.UNAVAILABLE, 0),
    ]
    gateway.add(*records(evidence, 1))
    async with (
        GrpcGateway(gateway.target, API_KEY) as client,
        StreamSource(client, first_seconds=0.01, longest_seconds=0.02) as source,
        asyncio.timeout(10),
    ):
        taken = await source.take()
    assert taken.place is None
    assert gateway.failures == []


async def test_no_more_is_worked_on_than_may_be_in_flight(
    gateway: FakeGateway, evidence: FakeEvidence
) -> None:
    """As many again may be handed out, so that a free slot need not wait; memory is bounded."""
    buyer = Buyer()
    buyer.open.clear()
    gateway.add(*records(evidence, 30))
    async with consumer(gateway, evidence, buyer, in_flight=5):
        await gateway.until(lambda: sum(d.leased for d in gateway.deliveries.values()) == 10)
        await evidence.until(lambda: len(set(evidence.claims)) == 5)
        assert sum(each.leased for each in gateway.deliveries.values()) == 10
        assert len(set(evidence.claims)) == 5
        buyer.open.set()
        await gateway.settled(30)


async def test_a_key_that_evidence_refuses_loses_nothing(
    gateway: FakeGateway, evidence: FakeEvidence
) -> None:
    """The consumer pauses with its hands full, and goes on by itself."""
    buyer = Buyer()
    evidence.accepts_key = False
    gateway.add(*records(evidence, 20))
    async with consumer(gateway, evidence, buyer, in_flight=8):
        await evidence.until(lambda: len(evidence.requests) >= 9)
        assert gateway.reports == []
        evidence.accepts_key = True
        await gateway.settled(20)
    assert set(gateway.states().values()) == {"DELIVERED"}
