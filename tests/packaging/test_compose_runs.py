"""The market of docker-compose.yml, run as plain processes with the same settings."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import httpx
import pytest

from leadgate.v1 import delivery_pb2, lead_pb2, lead_service_pb2
from leadgate.v1.lead_service_pb2_grpc import LeadServiceStub
from scripts.kafka import free_port
from tests.packaging.test_compose import ROOT, SERVICES, environment
from tests.processes import Process, running

pytestmark = pytest.mark.timeout(120)


@dataclass(frozen=True)
class Market:
    """The running market: where its services are, and the keys that open them."""

    gateway: str
    evidence: str
    generator_key: str
    evidence_key: str
    buyer: Process


@pytest.fixture
async def market(kafka: str, tmp_path: Path) -> AsyncIterator[Market]:
    """Every service of the file but Kafka, in the order in which they wait for each other."""
    moved = {
        "/app/examples/market.yaml": str(tmp_path / "market.yaml"),
        "/data/": f"{tmp_path}/",
        "172.30.0.0/24": "127.0.0.0/8",
        "evidence:8080": f"127.0.0.1:{free_port()}",
        "gateway:50051": f"127.0.0.1:{free_port()}",
        "kafka:9092": kafka,
    }
    moved["0.0.0.0:8080"] = moved["evidence:8080"]
    moved["0.0.0.0:50051"] = moved["gateway:50051"]
    text = (ROOT / "examples" / "market.yaml").read_text()
    (tmp_path / "market.yaml").write_text(_replaced(text, moved))
    async with AsyncExitStack() as stack:
        for service, sign in [("evidence", "listening"), ("gateway", "serving")]:
            process = await stack.enter_async_context(_running(service, moved))
            await process.event(sign)
        async with _running("prepare", moved) as prepare:
            assert await prepare.ended() == 0
        yield Market(
            gateway=moved["gateway:50051"],
            evidence=f"http://{moved['evidence:8080']}",
            generator_key=environment("gateway")["FORMS_EXAMPLE_KEY"],
            evidence_key=environment("prepare")["FORMS_EXAMPLE_EVIDENCE_KEY"],
            buyer=await stack.enter_async_context(_running("buyer-one", moved)),
        )


async def test_a_lead_goes_from_the_generator_to_the_buyer(market: Market) -> None:
    """The lead is submitted with evidence, claimed and delivered to the buyer's stdout."""
    share_url = await _capture(market)
    request = lead_service_pb2.SubmitLeadRequest(
        request_id="compose-1",
        lead=lead_pb2.Lead(contact=lead_pb2.Contact(phone="+1 201 555 0123")),
        cdrs=[lead_pb2.Cdr(cdr_id="cdr-1")],
        recipients=[
            lead_pb2.Recipient(
                buyer_id="buyer-one",
                shares=[lead_pb2.Share(cdr_id="cdr-1", share_url=share_url)],
            )
        ],
    )
    key = (("x-api-key", market.generator_key),)
    async with grpc.aio.insecure_channel(market.gateway) as channel:
        leads = LeadServiceStub(channel)
        accepted = await leads.SubmitLead(request, metadata=key)
        watch = lead_service_pb2.WatchDeliveriesRequest()
        async for answer in leads.WatchDeliveries(watch, metadata=key, timeout=60):
            if answer.state == delivery_pb2.DELIVERY_STATE_DELIVERED:
                break
    await market.buyer.until(lambda: any(accepted.lead_id in line for line in market.buyer.output))


async def _capture(market: Market) -> str:
    """Makes the evidence of one capture as the generator would; returns a share URL."""
    operator = environment("evidence")["LEADGATE_EVIDENCE_OPERATOR_KEY"]
    cdr = {
        "orgId": "forms-example",
        "domain": "forms",
        "cdrId": "cdr-1",
        "customMetadata": {"phone": "+12015550123"},
    }
    async with httpx.AsyncClient(base_url=market.evidence, trust_env=False) as client:
        made = await client.post("/admin/v1/cdrs", json=cdr, headers={"X-API-Key": operator})
        assert made.status_code == httpx.codes.OK, made.text
        share = await client.post(
            "/v1/cdrs/cdr-1/share", json={}, headers={"X-API-Key": market.evidence_key}
        )
    return str(share.json()["data"]["shareUrl"])


@asynccontextmanager
async def _running(service: str, moved: Mapping[str, str]) -> AsyncIterator[Process]:
    """Runs a service's command with its environment, on this machine's addresses."""
    settings = {name: _replaced(value, moved) for name, value in environment(service).items()}
    arguments = SERVICES[service]["command"][1:]
    async with running(*arguments, env=settings, cwd=ROOT, command=(sys.executable,)) as process:
        yield process


def _replaced(text: str, moved: Mapping[str, str]) -> str:
    for old, new in moved.items():
        text = text.replace(old, new)
    return text
