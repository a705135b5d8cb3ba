"""`python -m consumers` as a process: stopped, killed, started again."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from consumers.testing import API_KEY, FakeGateway, a_record
from leadgate.v1.delivery_pb2 import LeadRecord
from tests.fakes.evidence import KEY, FakeEvidence, fake_evidence
from tests.processes import running

SECRETS = ["+12015550123", "2015550123", "person42@example.com", "token-cdr", "0123456789abcdef"]


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


def settings(gateway: FakeGateway, evidence: FakeEvidence, sink: str) -> dict[str, str]:
    """The environment of a consumer."""
    return {
        "LEADGATE_GATEWAY": gateway.target,
        "LEADGATE_API_KEY": API_KEY,
        "LEADGATE_BUYER": "buyer-a",
        "LEADGATE_EVIDENCE_HOSTS": evidence.entry,
        "LEADGATE_EVIDENCE_API_KEY": KEY,
        "LEADGATE_SINK": sink,
        "LEADGATE_IN_FLIGHT": "16",
    }


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


def delivered(path: Path) -> set[str]:
    """The delivery ids in a file of whole lines."""
    return {json.loads(line)["deliveryId"] for line in path.read_text().splitlines()}


async def test_sigterm_finishes_what_is_in_hand(
    gateway: FakeGateway, evidence: FakeEvidence, tmp_path: Path
) -> None:
    """Every claim that was begun is reported, and the exit code is 0."""
    evidence.delay_seconds = 0.2
    gateway.add(*records(evidence, 200))
    path = tmp_path / "leads.jsonl"
    async with running(
        "-m", "consumers", env=settings(gateway, evidence, f"jsonl:{path}")
    ) as process:
        await gateway.settled(16)
        await evidence.until(lambda: len(set(evidence.claims)) > 16)
        assert await process.stop() == 0
    settled = [key for key, state in gateway.states().items() if state == "DELIVERED"]
    assert len(settled) < 200
    assert len(settled) == len(set(evidence.claims))
    assert delivered(path) == set(settled)


async def test_killed_again_and_again_every_delivery_is_settled_and_no_claim_lost(
    gateway: FakeGateway, evidence: FakeEvidence, tmp_path: Path
) -> None:
    """Killed with -9 in the middle of the work; the next start goes on where it broke off."""
    evidence.delay_seconds = 0.02
    gateway.add(*records(evidence, 150))
    path = tmp_path / "leads.jsonl"
    env = settings(gateway, evidence, f"jsonl:{path}")
    for goal in (10, 50, 90):
        async with running("-m", "consumers", env=env) as process:
            await gateway.settled(goal)
            await process.kill()
        # Shares that expire while nobody runs: what was claimed is delivered all the same.
        evidence.expired |= {key for key, cdr in evidence.cdrs.items() if cdr.state}
    async with running("-m", "consumers", env=env) as process:
        await gateway.settled(150)
        assert await process.stop() == 0
    assert set(gateway.states().values()) == {"DELIVERED"}
    assert delivered(path) == set(gateway.deliveries)
    for delivery in gateway.deliveries.values():
        assert delivery.receipts.keys() == {share.cdr_id for share in delivery.record.shares}


async def test_a_second_signal_ends_it_at_once(
    gateway: FakeGateway, evidence: FakeEvidence, tmp_path: Path
) -> None:
    """For somebody who does not want to wait."""
    evidence.delay_seconds = 30
    gateway.add(*records(evidence, 4))
    async with running(
        "-m", "consumers", env=settings(gateway, evidence, f"jsonl:{tmp_path / 'leads'}")
    ) as process:
        await evidence.until(lambda: evidence.requests)
        process.signal(signal.SIGTERM)
        await process.event("stopping, finishing what is in hand")
        process.signal(signal.SIGTERM)
        assert await process.ended() == 130


async def test_nothing_personal_is_logged(
    gateway: FakeGateway, evidence: FakeEvidence, tmp_path: Path
) -> None:
    """Not in a success, not in any kind of failure, not in the settings."""
    gateway.add(*records(evidence, 12))
    for number, say in enumerate([500, 404, 302, 410, 200]):
        evidence.say(say, {"ok": True, "data": {"cdrId": "token-cdr"}}, x=str(number))
    handler = tmp_path / "crm.py"
    handler.write_text(
        "from consumers import Reject\n"
        "async def handle(lead):\n"
        "    if lead.lead_id in ('lead-7', 'lead-8'):\n"
        "        raise ValueError(lead.contact.email)\n"
        "    if lead.lead_id == 'lead-9':\n"
        "        raise Reject(lead.contact.email)\n"
    )
    env = settings(gateway, evidence, "python:crm:handle")
    async with running("-m", "consumers", env=env, cwd=tmp_path) as process:
        await gateway.until(lambda: len(gateway.reports) >= 12)
        assert await process.stop() == 0
    text = "\n".join(process.errors + process.output)
    assert "handler failed" in text
    assert [secret for secret in SECRETS if secret in text] == []
    assert not any("@" in report.reason for report in gateway.reports)


async def test_bad_settings_are_all_told_and_the_exit_code_says_so() -> None:
    """One line for each mistake."""
    env = {"LEADGATE_BUYER": "Not An Id", "LEADGATE_SINK": "nowhere"}
    async with running("-m", "consumers", env=env) as process:
        assert await process.ended() == 78
    refused = [event["problem"] for event in process.events if event["event"] == "settings refused"]
    assert len(refused) == 5


async def test_a_slow_gateway_does_not_hold_a_stop_longer_than_the_limit(
    gateway: FakeGateway, evidence: FakeEvidence, tmp_path: Path
) -> None:
    """Unanswered reports are left; their deliveries come again."""
    gateway.add(*records(evidence, 4))
    gateway.hold.clear()
    env = settings(gateway, evidence, f"jsonl:{tmp_path / 'leads'}")
    async with running("-m", "consumers", env=env | {"LEADGATE_DRAIN_SECONDS": "0.3"}) as process:
        await gateway.until(lambda: gateway.calls)
        async with asyncio.timeout(10):
            assert await process.stop() == 0
    gateway.hold.set()
