"""A consumer that is killed, between a real gateway and a real evidence service."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from leadgate.v1.delivery_pb2 import (
    CLAIM_STATUS_ACCESS_CONFIRMED,
    DELIVERY_STATE_DELIVERED,
    Delivery,
)
from leadgate.v1.delivery_service_pb2 import ListDeliveriesRequest
from leadgate.v1.lead_pb2 import Cdr, Lead, Recipient
from leadgate.v1.lead_service_pb2 import (
    BatchSubmitLeadsRequest,
    SubmitLeadRequest,
    WatchDeliveriesRequest,
)
from tests.builders import a_contact, a_share
from tests.builders_evidence import OPERATOR_KEY, AnOrg, EvidenceClient
from tests.gateways import KEYS, Gateway, a_gateway
from tests.processes import Process, running

pytestmark = pytest.mark.timeout(120)

MARKET = """\
generators:
  - id: forms
    keys: [{{env: FORMS_KEY}}]
buyers:
  - id: {}
    transport: {}
    accepts: [forms]
    keys: [{{env: BUYER_ONE_KEY}}]
evidence_hosts:
  - host: {}
    networks: [127.0.0.0/8]
    insecure: true
"""
HANDLER = """\
import asyncio, json

async def hold(lead):
    print("held", lead.delivery_id, flush=True)
    await asyncio.Event().wait()

async def hold_every_tenth(lead):
    if lead.contact.phone.endswith("0"):
        await hold(lead)
    with open("first.jsonl", "a") as file:
        print(json.dumps({"deliveryId": lead.delivery_id}), file=file)
"""
IN_FLIGHT = 8


@dataclass(frozen=True)
class Parts:
    """The running services, and what a consumer of `buyer-one` needs of them."""

    folder: Path
    gateway: Gateway
    evidence: EvidenceClient
    generator: AnOrg
    buyer: AnOrg
    host: str
    buyer_id: str
    kafka: str

    @asynccontextmanager
    async def consumer(self, sink: str) -> AsyncIterator[Process]:
        """Runs `python -m consumers` until the block ends."""
        env = {
            "LEADGATE_GATEWAY": self.gateway.address,
            "LEADGATE_API_KEY": KEYS["buyer-one"],
            "LEADGATE_BUYER": self.buyer_id,
            "LEADGATE_KAFKA_BOOTSTRAP": self.kafka,
            "LEADGATE_EVIDENCE_HOSTS": f"{self.host};networks=127.0.0.0/8;insecure=true",
            "LEADGATE_EVIDENCE_API_KEY": self.buyer.key,
            "LEADGATE_SINK": sink,
            "LEADGATE_IN_FLIGHT": str(IN_FLIGHT),
            "PYTHONPATH": f"{self.folder}:{Path(__file__).parents[2]}",
        }
        async with running("-m", "consumers", env=env, cwd=self.folder) as process:
            yield process

    async def submit(self, count: int, lifetime_ms: int = 3_600_000) -> None:
        """Submits leads with real evidence, whose shares last that long."""
        requests = [await self._request(number, lifetime_ms) for number in range(count)]
        batch = BatchSubmitLeadsRequest(requests=requests)
        answer = await self.gateway.forms.leads.BatchSubmitLeads(batch)
        assert not [result for result in answer.results if result.HasField("error")]

    async def _request(self, number: int, lifetime_ms: int) -> SubmitLeadRequest:
        contact = a_contact(email="", phone=f"+1201555{number:04}")
        cdr = await self.evidence.cdr(
            self.generator, autoShare=False, customMetadata={"phone": contact.phone}
        )
        path = f"/v1/cdrs/{cdr.cdr_id}/share"
        made = await self.evidence.post(self.generator.key, path, {"expiresInMs": lifetime_ms})
        data = made.json()["data"]
        share = a_share(cdr.cdr_id, share_url=data["shareUrl"])
        share.share_expire_time.FromMilliseconds(data["shareExpiresAt"])
        return SubmitLeadRequest(
            request_id=f"request-{number}",
            lead=Lead(contact=contact),
            cdrs=[Cdr(cdr_id=cdr.cdr_id)],
            recipients=[Recipient(buyer_id=self.buyer_id, shares=[share])],
        )

    async def delivered(self, goal: int) -> None:
        """Returns once that many deliveries were delivered, counted from the first event."""
        watch = WatchDeliveriesRequest(cursor="0")
        seen: set[str] = set()
        async with asyncio.timeout(60):
            async for answer in self.gateway.forms.leads.WatchDeliveries(watch):
                if answer.state == DELIVERY_STATE_DELIVERED:
                    seen.add(answer.delivery_id)
                if len(seen) >= goal:
                    return

    async def deliveries(self) -> list[Delivery]:
        """Every delivery of the buyer, with its events."""
        listing = ListDeliveriesRequest(page_size=500)
        return list((await self.gateway.buyer_one.deliveries.ListDeliveries(listing)).deliveries)


@pytest.fixture
async def parts(tmp_path: Path) -> AsyncIterator[Parts]:
    """Evidence service and gateway, without Kafka: the buyer pulls."""
    async with running_parts(tmp_path, "buyer-one") as parts:
        yield parts


@pytest.fixture
async def kafka_parts(tmp_path: Path, kafka: str) -> AsyncIterator[Parts]:
    """The same with a buyer of its own on Kafka."""
    async with running_parts(tmp_path, f"buyer-{uuid4().hex}", kafka) as parts:
        yield parts


@asynccontextmanager
async def running_parts(folder: Path, buyer_id: str, kafka: str = "") -> AsyncIterator[Parts]:
    """An evidence service with a generator and a buyer, and a gateway that trusts it."""
    env = {
        "LEADGATE_EVIDENCE_LISTEN": "127.0.0.1:0",
        "LEADGATE_EVIDENCE_DATABASE_URL": f"sqlite:///{folder / 'evidence.db'}",
        "LEADGATE_EVIDENCE_OPERATOR_KEY": OPERATOR_KEY,
        "LEADGATE_EVIDENCE_CHROMIUM": "off",
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    async with AsyncExitStack() as stack:
        service = await stack.enter_async_context(running("-m", "evidence", env=env, cwd=folder))
        url = (await service.event("listening"))["public_url"]
        client = await stack.enter_async_context(httpx.AsyncClient(base_url=url, trust_env=False))
        evidence, host = EvidenceClient(client), url.removeprefix("http://")
        transport = "kafka" if kafka else "pull"
        (folder / "market.yaml").write_text(MARKET.format(buyer_id, transport, host))
        (folder / "holding.py").write_text(HANDLER)
        gateway = a_gateway(folder, LEADGATE_KAFKA_BOOTSTRAP=kafka)
        yield Parts(
            folder=folder,
            gateway=await stack.enter_async_context(gateway),
            evidence=evidence,
            generator=await evidence.org("forms", auto_collect=False),
            buyer=await evidence.org("buyer-one"),
            host=host,
            buyer_id=buyer_id,
            kafka=kafka,
        )


async def test_killed_under_load_every_delivery_is_settled_and_paid_once(parts: Parts) -> None:
    """Killed with -9 three times; the last start settles all, and no claim is lost or doubled."""
    await parts.submit(100)
    path = parts.folder / "leads.jsonl"
    for goal in (10, 30, 60):
        async with parts.consumer(f"jsonl:{path}") as process:
            await parts.delivered(goal)
            await process.kill()
    async with parts.consumer(f"jsonl:{path}") as process:
        await parts.delivered(100)
        assert await process.stop() == 0
    await all_is_settled(parts, [path])


async def test_of_two_consumers_of_one_group_the_other_finishes_what_the_killed_one_began(
    kafka_parts: Parts,
) -> None:
    """The first has its hands full when the second joins, and is killed with -9 then."""
    paths = [kafka_parts.folder / "first.jsonl", kafka_parts.folder / "second.jsonl"]
    await kafka_parts.submit(150)
    async with kafka_parts.consumer("python:holding:hold_every_tenth") as first:
        await first.until(lambda: held(first) == IN_FLIGHT)
        async with kafka_parts.consumer(f"jsonl:{paths[1]}") as second:
            await second.event(lambda event: event.get("partitions"), seconds=40)
            await first.kill()
            await kafka_parts.delivered(150)
            assert await second.stop() == 0
    await all_is_settled(kafka_parts, paths)
    assert all(path.read_text() for path in paths)


def held(process: Process) -> int:
    """How many deliveries the handler has, and keeps."""
    return sum(line.startswith("held") for line in process.output)


async def all_is_settled(parts: Parts, paths: list[Path]) -> None:
    """Everything is delivered and handed over, and each claim is kept and was paid once."""
    deliveries = await parts.deliveries()
    assert {delivery.state for delivery in deliveries} == {DELIVERY_STATE_DELIVERED}
    assert all(delivery.receipts for delivery in deliveries)
    lines = [line for path in paths for line in path.read_text().splitlines()]
    handed = {json.loads(line)["deliveryId"] for line in lines if line.endswith("}")}
    assert handed == {delivery.delivery_id for delivery in deliveries}
    charged = [cdr_id for cdr_id, _ in await parts.evidence.charges(parts.buyer)]
    claimed = [receipt.cdr_id for delivery in deliveries for receipt in delivery.receipts]
    assert sorted(charged) == sorted(claimed)


async def test_a_share_that_expires_between_claim_and_report_is_delivered_all_the_same(
    parts: Parts,
) -> None:
    """Killed with its claims made and none reported; what it paid for is still its own."""
    await parts.submit(4, lifetime_ms=4_000)
    expired_at = time.monotonic() + 4.1
    async with parts.consumer("python:holding:hold") as process:
        await process.until(lambda: held(process) == 4)
        await process.kill()
    assert len(await parts.evidence.charges(parts.buyer)) == 4
    assert not any(delivery.receipts for delivery in await parts.deliveries())
    # Nobody tells of an expiry: its time has to come.
    await asyncio.sleep(expired_at - time.monotonic())
    async with parts.consumer(f"jsonl:{parts.folder / 'leads.jsonl'}") as process:
        await parts.delivered(4)
        assert await process.stop() == 0
    for delivery in await parts.deliveries():
        assert delivery.state == DELIVERY_STATE_DELIVERED
        assert [r.status for r in delivery.receipts] == [CLAIM_STATUS_ACCESS_CONFIRMED]
    assert len(await parts.evidence.charges(parts.buyer)) == 4
