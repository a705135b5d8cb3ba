"""Retention: what is over is deleted, what is held is not, and the rest still verifies."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from leadgate import evidence_export
from tests.builders_evidence import (
    DOMAIN,
    OPERATOR_KEY,
    ATime,
    EvidenceClient,
    an_evidence_service,
    code_of,
    data_of,
)

DAY_MS = 24 * 3600 * 1000
CUSTOM = {"phone": "canary-phone", "nested": {"name": "canary-name"}}


@pytest.fixture
def clock() -> ATime:
    """A clock that stands still."""
    return ATime()


@pytest.fixture
async def evidence(tmp_path: Path, clock: ATime) -> AsyncIterator[EvidenceClient]:
    """An empty service."""
    async with an_evidence_service(tmp_path, clock) as client:
        yield client


async def test_a_cdr_is_kept_for_five_years_and_not_longer(tmp_path: Path, clock: ATime) -> None:
    """To the day; its bill stays, its content is gone from the file."""
    async with an_evidence_service(tmp_path, clock) as evidence:
        owner, buyer = await evidence.org("generator"), await evidence.org("buyer")
        cdr = await evidence.cdr(owner, customMetadata=CUSTOM)
        await evidence.claim(buyer, cdr.share_url)
        share = await evidence.share(owner, cdr)
        kept = await keeping(evidence, cdr.cdr_id)
        assert kept["retainUntil"] == clock.now_ms + 1827 * DAY_MS
    clock.now_ms += 1827 * DAY_MS - 1
    async with an_evidence_service(tmp_path, clock) as evidence:
        assert await evidence.state(owner, cdr) == "collected"
    clock.now_ms += 1
    async with an_evidence_service(tmp_path, clock) as evidence:
        await until(lambda: is_gone(evidence, cdr.cdr_id))
        for org in (owner, buyer):
            assert await evidence.state(org, cdr) == "NOT_FOUND"
        found = await evidence.get(owner.key, f"/v1/domains/{DOMAIN}/cdrs")
        assert data_of(found)["cdrs"] == []
        assert code_of(await evidence.claim(buyer, share)) == (404, "NOT_FOUND")
        assert await evidence.charges(owner) == [(cdr.cdr_id, "capture")]
    stored = rows(tmp_path)
    assert cdr.cdr_id in stored
    assert "canary" not in stored


async def test_a_hold_stops_deletion_until_it_is_released(
    evidence: EvidenceClient, clock: ATime
) -> None:
    """However long it is over; its reason is for the operator alone."""
    owner = await evidence.org("generator")
    cdr, other = await evidence.cdr(owner), await evidence.cdr(owner)
    await evidence.admin(f"/cdrs/{other.cdr_id}/hold", {})
    held = await evidence.admin(f"/cdrs/{cdr.cdr_id}/hold", {"reason": "canary case"})
    assert (held["heldAt"], held["reason"]) == (clock.now_ms, "canary case")
    clock.now_ms += 4000 * DAY_MS
    again = await evidence.admin(f"/cdrs/{cdr.cdr_id}/hold", {"reason": "another"})
    assert again == held
    await evidence.admin(f"/cdrs/{other.cdr_id}/release")
    await until(lambda: is_gone(evidence, other.cdr_id))
    assert await evidence.state(owner, cdr) == "collected"
    log = await evidence.get(owner.key, f"/v1/cdrs/{cdr.cdr_id}/custody")
    assert "held" in log.text
    assert "canary" not in log.text
    await evidence.admin(f"/cdrs/{cdr.cdr_id}/release")
    await until(lambda: is_gone(evidence, cdr.cdr_id))
    for deed in ("hold", "release"):
        answer = await evidence.post(OPERATOR_KEY, f"/admin/v1/cdrs/{cdr.cdr_id}/{deed}", {})
        assert code_of(answer) == (404, "NOT_FOUND")


async def test_an_orgs_own_retention_holds_for_what_it_captures_then(
    evidence: EvidenceClient, clock: ATime
) -> None:
    """Earlier CDRs keep what they were promised."""
    owner = await evidence.org("generator")
    before = await evidence.cdr(owner)
    await change(evidence, "generator", {"retentionDays": 1})
    after = await evidence.cdr(owner)
    await change(evidence, "generator", {"retentionDays": None})
    default = await evidence.cdr(owner)
    days = [
        (await keeping(evidence, cdr.cdr_id))["retainUntil"] - clock.now_ms
        for cdr in (before, after, default)
    ]
    assert [ms // DAY_MS for ms in days] == [1827, 1, 1827]


async def test_what_is_left_of_a_deleted_cdr_still_verifies(tmp_path: Path, clock: ATime) -> None:
    """The chain of its log is whole, and ends with `purged`."""
    async with an_evidence_service(tmp_path, clock) as evidence:
        owner, buyer = await evidence.org("generator"), await evidence.org("buyer")
        cdr = await evidence.cdr(owner, customMetadata=CUSTOM)
        await evidence.claim(buyer, cdr.share_url)
    clock.now_ms += 1827 * DAY_MS
    async with an_evidence_service(tmp_path, clock) as evidence:
        await until(lambda: is_gone(evidence, cdr.cdr_id))
        answer = await evidence.get(OPERATOR_KEY, "/admin/v1/export")
        assert answer.status_code == 200, answer.text
    assert b"canary" not in answer.content
    assert b"purged" in answer.content
    verdict = evidence_export.verify(answer.content.splitlines(keepends=True))
    assert verdict.problems == []
    assert verdict.cdrs == 1


async def change(evidence: EvidenceClient, org_id: str, body: dict[str, Any]) -> dict[str, Any]:
    """Changes an org's settings."""
    path, headers = f"/admin/v1/orgs/{org_id}", {"x-api-key": OPERATOR_KEY}
    return data_of(await evidence.http.patch(path, headers=headers, json=body))


async def keeping(evidence: EvidenceClient, cdr_id: str) -> dict[str, Any]:
    """How a CDR is kept."""
    return data_of(await evidence.get(OPERATOR_KEY, f"/admin/v1/cdrs/{cdr_id}/retention"))


async def is_gone(evidence: EvidenceClient, cdr_id: str) -> bool:
    """Whether a CDR was deleted."""
    return "deletedAt" in await keeping(evidence, cdr_id)


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Waits for what the service does in the background."""
    async with asyncio.timeout(20):
        while True:
            if await condition():
                return
            await asyncio.sleep(0.01)  # a deletion has no event to wait for


def rows(folder: Path) -> str:
    """Every row of the database."""
    with closing(sqlite3.connect(folder / "evidence.db")) as database:
        return "\n".join(database.iterdump())
