"""The operator's API of orgs: settings, keys in rotation, bills to export."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.builders_evidence import (
    DOMAIN,
    OPERATOR_KEY,
    ATime,
    EvidenceClient,
    an_evidence_service,
    code_of,
    data_of,
)


@pytest.fixture
def clock() -> ATime:
    """A clock that stands still."""
    return ATime()


@pytest.fixture
async def evidence(tmp_path: Path, clock: ATime) -> AsyncIterator[EvidenceClient]:
    """An empty service."""
    async with an_evidence_service(tmp_path, clock) as client:
        yield client


async def test_settings_are_changed_one_by_one(evidence: EvidenceClient) -> None:
    """What is left out stays; what is captured next follows."""
    owner = await evidence.org("generator")
    org = await got(evidence, "/orgs/generator")
    assert {**org, "createdAt": 0} == {
        "orgId": "generator",
        "name": "An org",
        "autoCollect": True,
        "captureDisabled": False,
        "retentionDays": None,
        "createdAt": 0,
    }
    changed = await change(evidence, {"autoCollect": False})
    assert changed == org | {"autoCollect": False}
    cdr = await evidence.cdr(owner)
    assert await evidence.state(owner, cdr) == "pending"
    assert await change(evidence, {}) == changed
    more = {"captureDisabled": True, "name": "Renamed"}
    assert await change(evidence, more) == changed | more


@pytest.mark.parametrize(
    "body",
    [{"retentionDays": 0}, {"retentionDays": 36_501}, {"retentionDays": "1"}, {"name": ""},
     {"autoCollect": 1}, {"autoCollect": None}, {"orgId": "other"}],
)  # fmt: skip
async def test_a_setting_out_of_range_is_refused(
    evidence: EvidenceClient, body: dict[str, Any]
) -> None:
    """And nothing of the request is taken."""
    await evidence.org("generator")
    answer = await evidence.http.patch(
        "/admin/v1/orgs/generator", headers={"x-api-key": OPERATOR_KEY}, json=body
    )
    assert code_of(answer) == (400, "INVALID_ARGUMENT")


async def test_orgs_domains_and_keys_are_listed(evidence: EvidenceClient) -> None:
    """Page by page, and never a secret."""
    keys = [(await evidence.org(name)).key for name in ("org-a", "org-b", "org-c")]
    first = await got(evidence, "/orgs?pageSize=2")
    assert [org["orgId"] for org in first["orgs"]] == ["org-a", "org-b"]
    rest = await got(evidence, f"/orgs?pageToken={first['nextPageToken']}")
    assert [org["orgId"] for org in rest["orgs"]] == ["org-c"]
    assert "nextPageToken" not in rest
    assert [one["domain"] for one in (await got(evidence, "/orgs/org-a/domains"))["domains"]] == [
        DOMAIN
    ]
    listed = await got(evidence, "/orgs/org-a/keys")
    key_id, _, secret = keys[0].partition(".")
    assert [one["keyId"] for one in listed["keys"]] == [key_id]
    assert secret not in str(listed)


async def test_a_rotated_key_is_good_for_a_while_beside_its_successor(
    tmp_path: Path, clock: ATime
) -> None:
    """Then it is not, also across a restart."""
    async with an_evidence_service(tmp_path, clock) as evidence:
        org = await evidence.org("generator")
        old_id = org.key.partition(".")[0]
        rotated = await evidence.admin(f"/keys/{old_id}/rotate", {"keepMs": 60_000})
        assert rotated["oldKeyRevokedAt"] == clock.now_ms + 60_000
        for key in (org.key, rotated["key"]):
            assert (await evidence.get(key, "/v1/domains")).status_code == 200
    async with an_evidence_service(tmp_path, clock) as evidence:
        assert (await evidence.get(org.key, "/v1/domains")).status_code == 200
        clock.now_ms += 60_000
        assert code_of(await evidence.get(org.key, "/v1/domains")) == (401, "UNAUTHENTICATED")
        assert (await evidence.get(rotated["key"], "/v1/domains")).status_code == 200
        again = await evidence.post(OPERATOR_KEY, f"/admin/v1/keys/{old_id}/rotate", {})
        assert code_of(again) == (404, "NOT_FOUND")


async def test_a_rotation_can_end_the_old_key_at_once_and_so_can_a_revocation(
    evidence: EvidenceClient,
) -> None:
    """Whoever has lost a key does not want it to be good for a day."""
    first, second = await evidence.org("org-a"), await evidence.org("org-b")
    await evidence.admin(f"/keys/{first.key.partition('.')[0]}/rotate", {"keepMs": 0})
    assert code_of(await evidence.get(first.key, "/v1/domains"))[0] == 401
    key_id = second.key.partition(".")[0]
    await evidence.admin(f"/keys/{key_id}/rotate", {"keepMs": 60_000})
    await evidence.admin(f"/keys/{key_id}/revoke")
    assert code_of(await evidence.get(second.key, "/v1/domains"))[0] == 401


async def test_the_billing_ledger_is_exported_in_pages(
    evidence: EvidenceClient, clock: ATime
) -> None:
    """Every charge once, oldest first; of all orgs or of one, within a time."""
    owner = await evidence.org("generator")
    buyer = await evidence.org("buyer", auto_collect=False)
    made = []
    for _ in range(3):
        made.append((await evidence.cdr(owner)).cdr_id)
        clock.now_ms += 1000
    poor = await evidence.cdr(buyer)
    await evidence.claim(owner, poor.share_url)
    expected = [*((cdr_id, "capture") for cdr_id in made), (poor.cdr_id, "claim")]
    charges, token = [], ""
    while True:
        page = await got(evidence, f"/charges?pageSize=2{token}")
        charges += page["charges"]
        if "nextPageToken" not in page:
            break
        token = f"&pageToken={page['nextPageToken']}"
    assert [(charge["cdrId"], charge["reason"]) for charge in charges] == expected
    start = charges[1]["chargedAt"]
    path = f"/charges?orgId=generator&from={start}&until={start + 1000}"
    assert (await got(evidence, path))["charges"] == [charges[1]]
    assert (await got(evidence, "/charges?orgId=buyer"))["charges"] == []


@pytest.mark.parametrize(
    "query",
    ["from=x", "until=-1", "pageSize=1001", "pageToken=x", "pageToken=a/b", "from=" + "9" * 20],
)
async def test_an_export_out_of_range_is_refused(evidence: EvidenceClient, query: str) -> None:
    """Rather than answered with something else."""
    answer = await evidence.get(OPERATOR_KEY, f"/admin/v1/charges?{query}")
    assert code_of(answer) == (400, "INVALID_ARGUMENT")


async def got(evidence: EvidenceClient, path: str) -> dict[str, Any]:
    """The data of a GET by the operator."""
    return data_of(await evidence.get(OPERATOR_KEY, f"/admin/v1{path}"))


async def change(evidence: EvidenceClient, body: dict[str, Any]) -> dict[str, Any]:
    """The generator's settings after a change."""
    return data_of(
        await evidence.http.patch(
            "/admin/v1/orgs/generator", headers={"x-api-key": OPERATOR_KEY}, json=body
        )
    )
