"""Packages over HTTP: one URL for all of one, a result for each CDR, no sibling shown."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.builders_evidence import (
    PUBLIC_URL,
    ACdr,
    AnOrg,
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


async def test_one_post_claims_a_package_and_bills_each_cdr_once(evidence: EvidenceClient) -> None:
    """Also where one of them had been claimed by its own URL before."""
    owner = await evidence.org("generator", auto_collect=False)
    buyer = await evidence.org("buyer")
    cdrs = await a_session(evidence, owner, [], [], [])
    await evidence.claim(buyer, cdrs[1].share_url)
    shared = await share(evidence, owner)
    assert shared["cdrIds"] == [cdr.cdr_id for cdr in cdrs]
    assert shared["shareUrl"] == f"{PUBLIC_URL}/v1/shares/{shared['shareToken']}"
    claimed = data_of(await evidence.claim(buyer, shared["shareUrl"]))
    assert (claimed["claimed"], claimed["alreadyClaimed"]) == (True, False)
    assert claimed["packageId"] == "pkg_1"
    results = claimed["cdrs"]
    assert [result["cdrId"] for result in results] == shared["cdrIds"]
    assert [result["alreadyClaimed"] for result in results] == [False, True, False]
    assert all(result["manifestHash"] and result["custodyHead"] for result in results)
    assert sorted(await evidence.charges(buyer)) == [(cdr.cdr_id, "claim") for cdr in cdrs]
    again = data_of(await evidence.claim(buyer, shared["shareUrl"]))
    assert (again["claimed"], again["alreadyClaimed"]) == (True, True)
    assert again["shareEventId"] == claimed["shareEventId"]
    assert len(await evidence.charges(buyer)) == 3


async def test_a_payers_package_is_free_and_a_saved_one_is_pending(
    evidence: EvidenceClient,
) -> None:
    """The rules of single shares: free from a payer, saved without a bill otherwise."""
    payer = await evidence.org("payer")
    poor, buyer = await evidence.org("poor", auto_collect=False), await evidence.org("buyer")
    await a_session(evidence, payer, [], [])
    await a_session(evidence, poor, [], [], package="pkg_2")
    free = await share(evidence, payer)
    assert data_of(await evidence.claim(buyer, free["shareUrl"]))["claimed"]
    unpaid = await share(evidence, poor, "pkg_2")
    saved = data_of(await evidence.claim(buyer, unpaid["shareUrl"], collect=False))
    assert (saved["claimed"], {one["state"] for one in saved["cdrs"]}) == (False, {"pending"})
    assert await evidence.charges(buyer) == []
    refused = await evidence.post(buyer.key, "/v1/packages/pkg_2/share")
    assert code_of(refused) == (403, "FORBIDDEN")


async def test_the_list_is_fixed_when_the_share_is_made(evidence: EvidenceClient) -> None:
    """What the session captures later is in a later share only."""
    owner, buyer = await evidence.org("generator"), await evidence.org("buyer")
    first = await a_session(evidence, owner, [])
    shared = await share(evidence, owner)
    later = await a_session(evidence, owner, [])
    claimed = data_of(await evidence.claim(buyer, shared["shareUrl"]))
    assert [one["cdrId"] for one in claimed["cdrs"]] == [first[0].cdr_id]
    assert await evidence.state(buyer, later[0]) == "NOT_FOUND"
    seen = data_of(await evidence.get(buyer.key, "/v1/packages/pkg_1"))
    assert [one["cdrId"] for one in seen["cdrs"]] == [first[0].cdr_id]


async def test_a_session_over_several_sub_groups_is_shared_by_name_only(
    evidence: EvidenceClient,
) -> None:
    """All of the names, or FAILED_PRECONDITION, whose message has none of them."""
    owner, buyer = await evidence.org("generator"), await evidence.org("buyer")
    await a_session(evidence, owner, ["solar-canary"], ["roof-canary"], [])
    path = "/v1/packages/pkg_1/share"
    bodies: list[dict[str, Any]] = [
        {},
        {"acrossSubGroupIds": ["solar-canary"]},
        {"acrossSubGroupIds": ["solar-canary", "roof-canary", "more"]},
    ]
    for body in bodies:
        answer = await evidence.post(owner.key, path, body)
        assert code_of(answer) == (412, "FAILED_PRECONDITION")
        assert "canary" not in answer.text
    named = {"acrossSubGroupIds": ["roof-canary", "solar-canary"]}
    shared = data_of(await evidence.post(owner.key, path, named))
    assert len(data_of(await evidence.claim(buyer, shared["shareUrl"]))["cdrs"]) == 3


async def test_a_sub_groups_package_shows_a_buyer_its_own_pages_only(
    evidence: EvidenceClient,
) -> None:
    """No sibling, and no other sub-group's name, in any answer the buyer can get."""
    owner, buyer = await evidence.org("generator"), await evidence.org("buyer")
    cdrs = await a_session(evidence, owner, ["solar"], ["roof-canary"], ["solar", "roof-canary"])
    session = data_of(await evidence.get(owner.key, "/v1/packages/pkg_1"))
    assert (session["kind"], len(session["cdrs"])) == ("session", 3)
    assert session["subGroupIdMap"].keys() == {"solar", "roof-canary"}
    solar = session["subGroupIdMap"]["solar"]
    assert data_of(await evidence.get(owner.key, f"/v1/packages/{solar}"))["subGroupId"] == "solar"
    for package in ("pkg_1", solar):
        refused = await evidence.get(buyer.key, f"/v1/packages/{package}")
        assert code_of(refused) == (404, "NOT_FOUND")
    shared = await share(evidence, owner, solar)
    answers = [await evidence.claim(buyer, shared["shareUrl"])]
    paths = [f"/v1/packages/{solar}", "/v1/packages/pkg_1", f"/v1/domains/{domain(cdrs)}/cdrs"]
    answers += [await evidence.get(buyer.key, path) for path in paths]
    answers += [await evidence.get(buyer.key, f"/v1/cdrs/{cdrs[0].cdr_id}")]
    for answer in answers:
        assert cdrs[1].cdr_id not in answer.text
        assert "canary" not in answer.text
    for answer in answers[1:3]:
        found = [one["cdrId"] for one in data_of(answer)["cdrs"]]
        assert found == [cdrs[0].cdr_id, cdrs[2].cdr_id]
    other = session["subGroupIdMap"]["roof-canary"]
    hidden = data_of(await evidence.get(buyer.key, f"/v1/packages/{other}"))
    assert [one["cdrId"] for one in hidden["cdrs"]] == [cdrs[2].cdr_id]
    assert not hidden.keys() & {"subGroupId", "subGroupIdMap"}


async def test_a_packages_time_tells_a_buyer_nothing_of_earlier_pages(
    evidence: EvidenceClient, clock: ATime
) -> None:
    """It is that of the first CDR the asker has."""
    owner, buyer = await evidence.org("generator"), await evidence.org("buyer")
    await a_session(evidence, owner, ["roof"])
    clock.now_ms += 60_000
    mine = (await a_session(evidence, owner, ["solar"]))[0]
    await evidence.claim(buyer, mine.share_url)
    seen = data_of(await evidence.get(buyer.key, "/v1/packages/pkg_1"))
    assert seen["createdAt"] == mine.data["createdAt"]


async def test_an_invalidated_cdr_is_an_error_in_its_own_place(evidence: EvidenceClient) -> None:
    """The others are claimed; where none is left, the whole is CDR_INVALID."""
    owner, buyer = await evidence.org("generator"), await evidence.org("buyer")
    first, second = await a_session(evidence, owner, [], [])
    shared = await share(evidence, owner)
    await evidence.admin(f"/cdrs/{first.cdr_id}/invalidate")
    claimed = data_of(await evidence.claim(buyer, shared["shareUrl"]))
    assert claimed["claimed"]
    assert claimed["cdrs"][0] == {"cdrId": first.cdr_id, "error": {"code": "CDR_INVALID"}}
    assert claimed["cdrs"][1]["claimed"]
    await evidence.admin(f"/cdrs/{second.cdr_id}/invalidate")
    assert code_of(await evidence.claim(buyer, shared["shareUrl"])) == (410, "CDR_INVALID")


async def test_an_expired_package_share_is_gone_and_a_guessed_one_not_found(
    evidence: EvidenceClient, clock: ATime
) -> None:
    """As with the share of one CDR, and nothing was billed."""
    owner = await evidence.org("generator", auto_collect=False)
    buyer = await evidence.org("buyer")
    await a_session(evidence, owner, [])
    shared = await share(evidence, owner, expiresInMs=1000)
    clock.now_ms += 1000
    assert code_of(await evidence.claim(buyer, shared["shareUrl"])) == (410, "GONE")
    guessed = await evidence.claim(buyer, "/v1/shares/pkg_" + "x" * 32)
    assert code_of(guessed) == (404, "NOT_FOUND")
    assert await evidence.charges(buyer) == []


async def test_a_buyer_passes_on_what_it_has_of_a_package(evidence: EvidenceClient) -> None:
    """Only that, and whoever got it free makes the next one pay."""
    owner, buyer = await evidence.org("generator"), await evidence.org("buyer")
    partner = await evidence.org("partner")
    cdrs = await a_session(evidence, owner, [], [])
    await evidence.claim(buyer, cdrs[0].share_url)
    onward = await share(evidence, buyer)
    assert onward["cdrIds"] == [cdrs[0].cdr_id]
    assert data_of(await evidence.claim(partner, onward["shareUrl"]))["claimed"]
    assert await evidence.charges(partner) == [(cdrs[0].cdr_id, "claim")]


@pytest.mark.parametrize("across", ["solar", [1], {"a": 1}, None])
async def test_names_of_another_form_are_refused(evidence: EvidenceClient, across: object) -> None:
    """A list of texts."""
    owner = await evidence.org("generator")
    await a_session(evidence, owner, [])
    body = {"acrossSubGroupIds": across}
    answer = await evidence.post(owner.key, "/v1/packages/pkg_1/share", body)
    assert code_of(answer) == (400, "INVALID_ARGUMENT")


async def a_session(
    evidence: EvidenceClient, owner: AnOrg, *tags: list[str], package: str = "pkg_1"
) -> list[ACdr]:
    """A CDR of one session for each list of sub-groups."""
    return [
        await evidence.cdr(owner, packageId=package, subGroupIds=sub_groups) for sub_groups in tags
    ]


async def share(
    evidence: EvidenceClient, org: AnOrg, package: str = "pkg_1", **body: Any
) -> dict[str, Any]:
    """The share of a package."""
    return data_of(await evidence.post(org.key, f"/v1/packages/{package}/share", body))


def domain(cdrs: list[ACdr]) -> str:
    """The domain that CDRs are of."""
    return str(cdrs[0].data["domainId"])
