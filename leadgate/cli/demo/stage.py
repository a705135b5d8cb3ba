"""Everything the demo needs, running: evidence, gateway, two buyers, and keys for all."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import grpc.aio
import httpx

from leadgate import keys
from leadgate.cli.connection import Gateway
from leadgate.cli.demo.buyer_system import BuyerSystem, buyer_system
from leadgate.cli.demo.evidence import Evidence
from leadgate.cli.demo.processes import Child, running
from leadgate.v1 import admin_service_pb2

GENERATOR = "forms-example"

_MARKET = """\
generators:
  - id: {generator}
    keys: [{{env: FORMS_KEY}}]
buyers:
  - id: {one}
    transport: {transport}
    encoding: json
    accepts: [{generator}]
    keys: [{{env: BUYER_ONE_KEY}}]
  - id: {two}
    transport: {transport}
    accepts: ["*"]
    keys: [{{env: BUYER_TWO_KEY}}]
  # Nobody reads for this one: its leads wait for whoever follows docs/buyers.md.
  - id: {three}
    transport: {transport}
    encoding: json
    accepts: [{generator}]
    keys: [{{env: BUYER_THREE_KEY}}]
evidence_hosts:
  - host: {evidence_host}
    networks: [127.0.0.0/8]
    insecure: true
"""


@dataclass(frozen=True)
class Plan:
    """What is fixed before anything runs."""

    folder: Path
    kafka: str = ""
    one: str = "buyer-one"
    two: str = "buyer-two"
    three: str = "buyer-three"
    operator: str = field(default_factory=lambda: str(keys.mint()))
    generator: str = field(default_factory=lambda: str(keys.mint()))
    evidence_operator: str = field(default_factory=lambda: str(keys.mint()))
    buyers: tuple[str, ...] = field(default_factory=lambda: tuple(_minted(3)))

    @property
    def environment(self) -> dict[str, str]:
        """The keys that market.yaml refers to."""
        return {
            "FORMS_KEY": self.generator,
            "BUYER_ONE_KEY": self.buyers[0],
            "BUYER_TWO_KEY": self.buyers[1],
            "BUYER_THREE_KEY": self.buyers[2],
        }

    @property
    def transport(self) -> str:
        """How deliveries reach the buyers."""
        return "kafka" if self.kafka else "pull"

    @property
    def sink(self) -> Path:
        """The file the first buyer's leads are added to."""
        return self.folder / f"{self.one}.jsonl"


def plan(folder: Path) -> Plan:
    """Plans a run in `folder`: over Kafka where the environment names a broker.

    The broker may know topics of earlier runs, so buyers have names of their own there.
    """
    kafka = os.environ.get("LEADGATE_KAFKA_BOOTSTRAP", "")
    if not kafka:
        return Plan(folder)
    run = os.urandom(3).hex()
    one, two, three = (f"buyer-{name}-{run}" for name in ("one", "two", "three"))
    return Plan(folder, kafka, one, two, three)


def _minted(number: int) -> Iterator[str]:
    return (str(keys.mint()) for _ in range(number))


@dataclass
class Stage:
    """What runs, and how to reach it."""

    plan: Plan
    gateway: Gateway
    gateway_address: str
    evidence_url: str
    evidence: Evidence
    evidence_keys: dict[str, str]
    system: BuyerSystem
    children: list[Child]

    def metadata(self, key: str) -> tuple[tuple[str, str], ...]:
        """What makes a call that of the key's owner."""
        return (("x-api-key", key),)


@asynccontextmanager
async def stage(plan: Plan, say: Any) -> AsyncIterator[Stage]:
    """Starts everything, and stops it in reverse order; `say` is told of each step."""
    async with AsyncExitStack() as stack:
        services = [
            await stack.enter_async_context(
                running("evidence", "evidence", _evidence_settings(plan), plan.folder)
            ),
            await stack.enter_async_context(
                running("gateway", "gateway", _gateway_settings(plan), plan.folder)
            ),
        ]
        listening, serving = await asyncio.gather(
            services[0].event("listening"), services[1].event("serving")
        )
        url, address = listening["public_url"], serving["address"]
        say(f"evidence service on {url}")
        say(f"gateway on {address}" + (f", Kafka on {plan.kafka}" if plan.kafka else ""))
        http = await stack.enter_async_context(httpx.AsyncClient(base_url=url, trust_env=False))
        evidence = Evidence(http, plan.evidence_operator, GENERATOR)
        evidence_keys = await evidence.prepare([plan.one, plan.two, plan.three])
        channel = await stack.enter_async_context(grpc.aio.insecure_channel(address))
        gateway = Gateway(channel)
        await _apply(gateway, plan, urlsplit(url).netloc)
        say(f"market applied: {GENERATOR} submits, {plan.one} and {plan.two} buy")
        system = await stack.enter_async_context(buyer_system())
        set_up = Stage(plan, gateway, address, url, evidence, evidence_keys, system, services)
        for buyer, key, sink in (
            (plan.one, plan.buyers[0], {"LEADGATE_SINK": f"jsonl:{plan.sink}"}),
            (plan.two, plan.buyers[1], _webhook(system)),
        ):
            settings = _consumer_settings(set_up, buyer, key) | sink
            consumer = running(buyer, "consumers", settings, plan.folder)
            services.append(await stack.enter_async_context(consumer))
        say(f"{plan.one} writes leads to {plan.sink.name}, {plan.two} posts them to its system")
        yield set_up


async def _apply(gateway: Gateway, plan: Plan, evidence_host: str) -> None:
    text = _MARKET.format(
        generator=GENERATOR,
        one=plan.one,
        two=plan.two,
        three=plan.three,
        transport=plan.transport,
        evidence_host=evidence_host,
    )
    (plan.folder / "market.yaml").write_text(text, encoding="utf-8")
    request = admin_service_pb2.ApplyMarketRequest(yaml=text, environment=plan.environment)
    await gateway.admin.ApplyMarket(request, metadata=(("x-api-key", plan.operator),), timeout=30)


def _evidence_settings(plan: Plan) -> dict[str, str]:
    return {
        "LEADGATE_EVIDENCE_LISTEN": "127.0.0.1:0",
        "LEADGATE_EVIDENCE_DATABASE_URL": "sqlite:///evidence.db",
        "LEADGATE_EVIDENCE_OPERATOR_KEY": plan.evidence_operator,
    }


def _gateway_settings(plan: Plan) -> dict[str, str]:
    return {
        "LEADGATE_LISTEN": "127.0.0.1:0",
        "LEADGATE_DATABASE_URL": "sqlite:///leadgate.db",
        "LEADGATE_OPERATOR_KEY": plan.operator,
        "LEADGATE_KAFKA_BOOTSTRAP": plan.kafka,
    }


def _consumer_settings(stage: Stage, buyer: str, key: str) -> dict[str, str]:
    host = urlsplit(stage.evidence_url).netloc
    return {
        "LEADGATE_GATEWAY": stage.gateway_address,
        "LEADGATE_API_KEY": key,
        "LEADGATE_BUYER": buyer,
        "LEADGATE_KAFKA_BOOTSTRAP": stage.plan.kafka,
        "LEADGATE_EVIDENCE_HOSTS": f"{host};networks=127.0.0.0/8;insecure=true",
        "LEADGATE_EVIDENCE_API_KEY": stage.evidence_keys[buyer],
    }


def _webhook(system: BuyerSystem) -> dict[str, str]:
    sink = f"{system.url};networks=127.0.0.0/8;insecure=true"
    return {"LEADGATE_SINK": sink, "LEADGATE_SINK_SECRET": system.secret}
