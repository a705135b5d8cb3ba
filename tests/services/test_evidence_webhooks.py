"""Webhooks: signed, tried again for days, kept in the ledger, and never to a private address."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from evidence.webhooks import PLAN
from tests.builders_evidence import (
    OPERATOR_KEY,
    ACdr,
    AnOrg,
    ATime,
    EvidenceClient,
    an_evidence_service,
    code_of,
    data_of,
)
from tests.fakes.receiver import Received, Receiver, a_receiver
from tests.services.test_evidence_process import an_evidence_process

LOOPBACK = {"LEADGATE_EVIDENCE_WEBHOOK_LOOPBACK": "true"}


@pytest.fixture
def clock() -> ATime:
    """A clock that stands still."""
    return ATime()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """A system that takes every event."""
    async with a_receiver() as receiver:
        yield receiver


@pytest.fixture
async def evidence(tmp_path: Path, clock: ATime) -> AsyncIterator[EvidenceClient]:
    """A service that may send to this machine."""
    async with running(tmp_path, clock) as client:
        yield client


async def test_a_complete_cdr_is_told_once_to_each_org_that_has_it(
    evidence: EvidenceClient, receiver: Receiver, clock: ATime
) -> None:
    """With every field of the contract, and no sub-group's name."""
    owner = await evidence.org("generator")
    await set_url(evidence, owner, receiver.url)
    disclosures = [{"key": "tcpa", "language": "I agree", "agreed": True}]
    cdr = await evidence.cdr(
        owner,
        packageId="pkg_1",
        subGroupIds=["canary-buyer"],
        customMetadata={"uid": "42"},
        disclosures=disclosures,
    )
    got = (await receiver.until(1))[0]
    assert got.body == {
        "event": "cdr.completed",
        "webhookId": got.headers["webhook-id"],
        "timestamp": clock.now_ms,
        "orgId": "generator",
        "cdrId": cdr.cdr_id,
        "domainId": cdr.data["domainId"],
        "domain": "www.example.com",
        "createdAt": cdr.data["createdAt"],
        "ip": None,
        "userAgent": None,
        "downloadUrl": None,
        "customMetadata": {"uid": "42"},
        "sessionId": "pkg_1",
        "disclosures": disclosures,
        "packageId": "pkg_1",
        "imageState": "none",
    }
    assert got.body["webhookId"].startswith("wh_")
    assert "canary" not in got.text
    delivery = await settled(evidence, owner)
    assert (delivery["state"], delivery["cdrId"]) == ("delivered", cdr.cdr_id)
    assert [attempt["status"] for attempt in delivery["attempts"]] == [200]
    _, legacy = await snapshot(evidence, owner, cdr)
    assert legacy["webhookSuccessfullySentAt"]


async def test_events_are_signed_by_the_standard_webhooks_scheme(
    evidence: EvidenceClient, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, clock: ATime
) -> None:
    """By the newest secret, and by the one before while it is kept; by none without one."""
    owner = await evidence.org("generator")
    await set_url(evidence, owner, receiver.url)
    await evidence.cdr(owner)
    assert "webhook-signature" not in (await receiver.until(1))[0].headers
    path = f"/orgs/{owner.org_id}/webhook/secret"
    old = (await evidence.admin(path))["secret"]
    new = (await evidence.admin(path, {"keepMs": 1000}))["secret"]
    await evidence.cdr(owner)
    both = (await receiver.until(2))[1]
    assert verifies(old, both, clock, monkeypatch)
    assert verifies(new, both, clock, monkeypatch)
    clock.now_ms += 1000
    await evidence.cdr(owner)
    one = (await receiver.until(3))[2]
    assert verifies(new, one, clock, monkeypatch)
    assert not verifies(old, one, clock, monkeypatch)
    shown = data_of(await evidence.get(OPERATOR_KEY, f"/admin/v1/orgs/{owner.org_id}/webhook"))
    assert len(shown["secrets"]) == 1
    assert "whsec" not in str(shown)


async def test_an_event_is_tried_for_more_than_three_days(
    tmp_path: Path, receiver: Receiver, clock: ATime
) -> None:
    """Each wait longer than the one before; every attempt is in the log, then it has failed."""
    receiver.statuses.extend([500, 404, 301, 429, *[503] * 50])
    attempts = len(PLAN.delays_seconds) + 1
    async with running(tmp_path, clock) as evidence:
        owner = await evidence.org("generator")
        await set_url(evidence, owner, receiver.url)
        await evidence.cdr(owner)
        await receiver.until(1)
        await logged(evidence, owner, 1)
    for made, delay in enumerate(PLAN.delays_seconds, 1):
        clock.now_ms += int(delay * 1000)
        # A restart before each attempt: nothing of it is in memory.
        async with running(tmp_path, clock) as evidence:
            await receiver.until(made + 1)
            await logged(evidence, owner, made + 1)
    assert list(PLAN.delays_seconds) == sorted(PLAN.delays_seconds)
    assert sum(PLAN.delays_seconds) >= 3 * 24 * 3600
    async with running(tmp_path, clock) as evidence:
        delivery = await settled(evidence, owner)
    assert delivery["state"] == "failed"
    tried = [attempt["status"] for attempt in delivery["attempts"]]
    assert tried[:4] == [500, 404, 301, 429]
    assert len(tried) == attempts
    assert len({got.body["webhookId"] for got in receiver.received}) == 1


async def test_clearing_the_url_stops_new_events_and_not_those_queued(
    tmp_path: Path, receiver: Receiver, clock: ATime
) -> None:
    """The queued one goes where it was meant to go."""
    receiver.statuses.append(500)
    async with running(tmp_path, clock) as evidence:
        owner = await evidence.org("generator")
        await set_url(evidence, owner, receiver.url)
        queued = await evidence.cdr(owner)
        await logged(evidence, owner, 1)
        await set_url(evidence, owner, "")
        await evidence.cdr(owner)
    clock.now_ms += 5000
    async with running(tmp_path, clock) as evidence:
        await receiver.until(2)
        delivery = await settled(evidence, owner)
        log = await deliveries(evidence, owner)
    assert (delivery["state"], delivery["cdrId"], len(log)) == ("delivered", queued.cdr_id, 1)


async def test_an_attempt_that_kill_9_cut_off_is_made_again(
    tmp_path: Path, receiver: Receiver
) -> None:
    """The receiver had not answered: the event comes again, under the same id."""
    receiver.held = asyncio.Event()
    async with an_evidence_process(tmp_path, LOOPBACK) as (process, evidence):
        owner = await evidence.org("generator")
        await set_url(evidence, owner, receiver.url)
        await evidence.cdr(owner)
        await receiver.until(1)
        await process.kill()
    receiver.held = None
    async with an_evidence_process(tmp_path, LOOPBACK) as (_, evidence):
        await receiver.until(2)
        assert (await settled(evidence, owner))["state"] == "delivered"
    first, second = receiver.received[:2]
    assert first.body["webhookId"] == second.body["webhookId"]


async def test_neither_url_nor_secret_nor_payload_is_in_the_log(
    tmp_path: Path, receiver: Receiver
) -> None:
    """What a failing endpoint leaves there are codes."""
    receiver.statuses.append(500)
    async with an_evidence_process(tmp_path, LOOPBACK) as (process, evidence):
        owner = await evidence.org("generator")
        await set_url(evidence, owner, f"{receiver.url}/canary-path")
        secret = (await evidence.admin("/orgs/generator/webhook/secret"))["secret"]
        await evidence.cdr(owner, customMetadata={"phone": "canary-phone"})
        await logged(evidence, owner, 1)
        await process.stop()
        said = "\n".join(process.errors + process.output)
    assert "HTTP_500" in said
    assert "canary" not in said
    assert secret.removeprefix("whsec_") not in said


@pytest.mark.parametrize(
    "url",
    ["http://hooks.example.com/", "http://127.0.0.1/", "ftp://hooks.example.com", "https://",
     "hooks.example.com", "https://user:pass@hooks.example.com/", "https://h.example.com/#x",
     "https://h.example.com/ x", "https://h.example.com/\u00e9", "https://" + "x" * 3000,
     "https://h.example.com:99999/", "javascript:alert(1)", "https://[::1"],
)  # fmt: skip
async def test_an_endpoint_that_is_not_plain_https_is_refused(tmp_path: Path, url: str) -> None:
    """And without the switch of development this machine is, too."""
    async with an_evidence_service(tmp_path) as evidence:
        owner = await evidence.org("generator")
        answer = await evidence.http.put(
            f"/admin/v1/orgs/{owner.org_id}/webhook",
            headers={"x-api-key": OPERATOR_KEY},
            json={"url": url},
        )
        assert code_of(answer) == (400, "INVALID_ARGUMENT")


@pytest.mark.parametrize("host", ["127.0.0.1", "10.0.0.1", "localhost", "[::1]", "2130706433"])
async def test_a_private_address_is_never_called(tmp_path: Path, host: str) -> None:
    """The endpoint may be set, for names change; the call is refused and the log says why."""
    async with an_evidence_service(tmp_path) as evidence:
        owner = await evidence.org("generator")
        await set_url(evidence, owner, f"https://{host}:8443/hook")
        await evidence.cdr(owner)
        log = await logged(evidence, owner, 1)
        assert log["attempts"][0]["error"] == "ADDRESS_NOT_ALLOWED"


async def test_a_buyer_that_has_the_cdr_when_it_completes_is_told_too(
    evidence: EvidenceClient, receiver: Receiver
) -> None:
    """Here a CDR of the admin API, complete at once: a buyer that comes later is not told."""
    owner, buyer = await evidence.org("generator"), await evidence.org("buyer")
    await set_url(evidence, buyer, receiver.url)
    cdr = await evidence.cdr(owner)
    await evidence.claim(buyer, cdr.share_url)
    assert await deliveries(evidence, buyer) == []


def running(folder: Path, clock: ATime) -> AbstractAsyncContextManager[EvidenceClient]:
    """A service that may send to this machine; over one folder, one after the other."""
    return an_evidence_service(folder, clock, webhook_loopback=True)


async def set_url(evidence: EvidenceClient, org: AnOrg, url: str) -> None:
    """Sets where an org's events go."""
    path = f"/admin/v1/orgs/{org.org_id}/webhook"
    answer = await evidence.http.put(path, headers={"x-api-key": OPERATOR_KEY}, json={"url": url})
    assert data_of(answer)["url"] == url


async def deliveries(evidence: EvidenceClient, org: AnOrg) -> list[dict[str, Any]]:
    """The delivery log of an org."""
    path = f"/admin/v1/orgs/{org.org_id}/webhook/deliveries"
    found: list[dict[str, Any]] = data_of(await evidence.get(OPERATOR_KEY, path))["deliveries"]
    return found


async def settled(evidence: EvidenceClient, org: AnOrg) -> dict[str, Any]:
    """The newest delivery, once it waits no more."""
    return await _once(evidence, org, lambda one: one["state"] != "waiting")


async def logged(evidence: EvidenceClient, org: AnOrg, attempts: int) -> dict[str, Any]:
    """The newest delivery, once that many attempts are written down."""
    return await _once(evidence, org, lambda one: len(one["attempts"]) >= attempts)


async def _once(evidence: EvidenceClient, org: AnOrg, condition: Any) -> dict[str, Any]:
    async with asyncio.timeout(20):
        while True:
            found: Sequence[dict[str, Any]] = await deliveries(evidence, org)
            if found and condition(found[0]):
                return found[0]
            await asyncio.sleep(0.01)  # the log has no event to wait for


async def snapshot(evidence: EvidenceClient, org: AnOrg, cdr: ACdr) -> tuple[int, dict[str, Any]]:
    """The CDR as the legacy API has it."""
    answer = await evidence.get(org.key, f"/snapshots/{cdr.cdr_id}")
    return answer.status_code, answer.json()["snapshot"]


def verifies(secret: str, got: Received, clock: ATime, patch: pytest.MonkeyPatch) -> bool:
    """Whether the receiver's own check passes, at the time the service has."""
    headers = {name.lower(): value for name, value in got.headers.items()}
    checker = Webhook(secret)
    sent = datetime.fromtimestamp(clock.now_ms // 1000, UTC)
    # The library compares with the system's clock, which is not the one of this service.
    patch.setattr(checker, "_Webhook__verify_timestamp", lambda _: sent)
    try:
        checker.verify(got.text, headers)
    except WebhookVerificationError:
        return False
    return True
