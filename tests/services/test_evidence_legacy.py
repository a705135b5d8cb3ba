"""The legacy API: its own paths, bare objects, ISO times, and its own status for each refusal."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.builders_evidence import (
    DOMAIN,
    OPERATOR_KEY,
    PUBLIC_URL,
    ACdr,
    AnOrg,
    ATime,
    EvidenceClient,
    an_evidence_service,
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


async def test_domains_are_names(evidence: EvidenceClient) -> None:
    """`{"domains": [names]}`, without an envelope."""
    owner = await evidence.org("generator")
    assert await got(evidence, owner, "/domains") == (200, {"domains": [DOMAIN]})


async def test_a_snapshot_is_a_cdr_in_the_words_of_the_old_api(evidence: EvidenceClient) -> None:
    """Bare, with an ISO time; what is not known is left out."""
    owner = await evidence.org("generator")
    cdr = await evidence.cdr(owner, customMetadata={"uid": "1"})
    expected = {
        "transactionId": cdr.cdr_id,
        "contentType": "image/png",
        "customMetadata": {"uid": "1"},
        "domain": DOMAIN,
        "createdAt": "2027-01-15T08:00:00.000Z",
    }
    assert await got(evidence, owner, f"/snapshots/{cdr.cdr_id}") == (200, {"snapshot": expected})
    listed = {"snapshots": [expected], "nextPageToken": None}
    assert await got(evidence, owner, f"/domains/{DOMAIN}/snapshots") == (200, listed)


async def test_snapshots_come_in_pages(evidence: EvidenceClient) -> None:
    """`nextPageToken` is the id to start after."""
    owner = await evidence.org("generator")
    first, second, third = [await evidence.cdr(owner) for _ in range(3)]
    path = f"/domains/{DOMAIN}/snapshots?pageSize=2"
    _, page = await got(evidence, owner, path)
    assert ids(page) == [third.cdr_id, second.cdr_id]
    assert page["nextPageToken"] == second.cdr_id
    _, last = await got(evidence, owner, f"{path}&pageToken={second.cdr_id}")
    assert (ids(last), last["nextPageToken"]) == ([first.cdr_id], None)
    _, upwards = await got(evidence, owner, f"{path}&order=asc")
    assert ids(upwards) == [first.cdr_id, second.cdr_id]


async def test_a_key_alone_finds_what_has_it(evidence: EvidenceClient) -> None:
    """Here, unlike in v1; a value alone finds nothing and is an error."""
    owner, buyer = await evidence.org("generator"), await evidence.org("buyer")
    has = await evidence.cdr(owner, customMetadata={"campaign": "summer"})
    other = await evidence.cdr(owner, customMetadata={"campaign": "winter"})
    await evidence.cdr(owner, customMetadata={"form": "x"})
    await evidence.claim(buyer, has.share_url)
    path = f"/domains/{has.data['domainId']}/snapshots"
    _, page = await got(evidence, owner, f"{path}?metadataKey=campaign")
    assert ids(page) == [other.cdr_id, has.cdr_id]
    _, mine = await got(evidence, buyer, f"{path}?metadataKey=campaign")
    assert ids(mine) == [has.cdr_id]
    _, one = await got(evidence, owner, f"{path}?metadataKey=campaign&metadataValue=summer")
    assert ids(one) == [has.cdr_id]
    status, refused = await got(evidence, owner, f"{path}?metadataValue=summer")
    assert (status, set(refused)) == (400, {"error"})


async def test_a_collect_marks_both_orgs_and_tags_the_collector(evidence: EvidenceClient) -> None:
    """Only the collector is billed; the owner sees who has it, a buyer only itself."""
    owner = await evidence.org("generator", auto_collect=False)
    buyers = [await evidence.org("buyer-a"), await evidence.org("buyer-b")]
    cdrs = [await evidence.cdr(owner, packageId="lv_1") for _ in range(2)]
    assert await evidence.state(owner, cdrs[0]) == "pending"
    url = await shared(evidence, owner, "lv_1")
    for buyer in buyers:
        assert await collected(evidence, buyer, url) == (200, {"success": True})
        assert await tags(evidence, buyer, cdrs[1]) == [buyer.org_id]
    for cdr in cdrs:
        assert await evidence.state(owner, cdr) == "collected"
        assert await tags(evidence, owner, cdr) == ["buyer-a", "buyer-b"]
    assert await evidence.charges(owner) == []
    for buyer in buyers:
        assert await evidence.charges(buyer) == [(cdr.cdr_id, "claim") for cdr in cdrs]


async def test_a_repeat_is_a_conflict_here_and_a_success_in_v1(evidence: EvidenceClient) -> None:
    """Two status rules for one deed, and never two bills."""
    owner = await evidence.org("generator", auto_collect=False)
    buyer = await evidence.org("buyer")
    cdr = await evidence.cdr(owner, packageId="lv_1")
    url = await shared(evidence, owner, "lv_1")
    assert (await collected(evidence, buyer, url))[0] == 200
    status, refused = await collected(evidence, buyer, url)
    assert (status, set(refused)) == (409, {"error"})
    token = url.rpartition("/")[2]
    again = (await evidence.claim(buyer, f"/v1/shares/{token}")).json()["data"]
    assert again["alreadyClaimed"]
    assert await evidence.charges(buyer) == [(cdr.cdr_id, "claim")]


async def test_ones_own_share_is_400_and_an_expired_one_410(
    evidence: EvidenceClient, clock: ATime
) -> None:
    """It lasts thirty days, for as many orgs as come; then it is over for all."""
    owner, buyer = await evidence.org("generator"), await evidence.org("buyer")
    await evidence.cdr(owner, packageId="lv_1")
    status, answer = await got(evidence, owner, "/shareLeadValidation/lv_1")
    assert (status, answer["expiresAt"]) == (200, "2027-02-14T08:00:00.000Z")
    assert answer["shareUrl"].startswith(f"{PUBLIC_URL}/collectLeadValidation/")
    assert (await collected(evidence, owner, answer["shareUrl"]))[0] == 400
    clock.now_ms += 30 * 24 * 3600 * 1000
    assert (await collected(evidence, buyer, answer["shareUrl"]))[0] == 410


@pytest.mark.parametrize(
    "path",
    ["/domains/absent/snapshots", "/snapshots/cdr_absent", "/shareLeadValidation/absent",
     "/collectLeadValidation/x", "/collectLeadValidation/pkg_" + "x" * 32],
)  # fmt: skip
async def test_absent_foreign_and_guessed_answer_alike(evidence: EvidenceClient, path: str) -> None:
    """404 with the same words."""
    org = await evidence.org("stranger")
    assert await got(evidence, org, path) == (404, {"error": "not found"})


async def test_foreign_and_invalidated_snapshots_are_not_found(evidence: EvidenceClient) -> None:
    """410 has another meaning here."""
    owner, stranger = await evidence.org("generator"), await evidence.org("stranger")
    cdr = await evidence.cdr(owner, packageId="lv_1")
    assert (await got(evidence, stranger, f"/snapshots/{cdr.cdr_id}"))[0] == 404
    assert (await got(evidence, stranger, "/shareLeadValidation/lv_1"))[0] == 404
    url = await shared(evidence, owner, "lv_1")
    await evidence.admin(f"/cdrs/{cdr.cdr_id}/invalidate")
    assert (await got(evidence, owner, f"/snapshots/{cdr.cdr_id}"))[0] == 404
    assert (await collected(evidence, stranger, url))[0] == 404


@pytest.mark.parametrize("key", [None, "", "nobody.0123456789abcdef", OPERATOR_KEY])
async def test_without_an_orgs_key_every_path_is_401(
    evidence: EvidenceClient, key: str | None
) -> None:
    """An operator's key too: this API knows no 403."""
    paths = ["/domains", "/domains/x/snapshots", "/snapshots/x", "/shareLeadValidation/x",
             "/collectLeadValidation/x"]  # fmt: skip
    for path in paths:
        headers = {} if key is None else {"x-api-key": key}
        answer = await evidence.http.get(path, headers=headers)
        assert (answer.status_code, answer.json().keys()) == (401, {"error"})


async def test_a_session_of_several_sub_groups_is_not_shared_whole(
    evidence: EvidenceClient,
) -> None:
    """Here there is no way to name them."""
    owner = await evidence.org("generator")
    for group in ("a", "b"):
        await evidence.cdr(owner, packageId="lv_1", subGroupIds=[group])
    assert (await got(evidence, owner, "/shareLeadValidation/lv_1"))[0] == 400


async def test_what_breaks_is_500_in_this_apis_form(
    evidence: EvidenceClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client of the old API reads `error` as a text."""
    owner = await evidence.org("generator")

    def broken(_: int) -> str:
        raise RuntimeError("canary")

    await evidence.cdr(owner)
    monkeypatch.setattr("evidence.http.legacy.iso", broken)
    status, body = await got(evidence, owner, f"/domains/{DOMAIN}/snapshots")
    assert (status, body) == (500, {"error": "Internal server error"})


async def got(evidence: EvidenceClient, org: AnOrg, path: str) -> tuple[int, dict[str, Any]]:
    """Status and body of a GET."""
    answer: httpx.Response = await evidence.get(org.key, path)
    return answer.status_code, answer.json()


async def shared(evidence: EvidenceClient, org: AnOrg, lead_validation: str) -> str:
    """The URL of a share."""
    status, body = await got(evidence, org, f"/shareLeadValidation/{lead_validation}")
    assert status == 200, body
    return str(body["shareUrl"])


async def collected(
    evidence: EvidenceClient, org: AnOrg, share_url: str
) -> tuple[int, dict[str, Any]]:
    """Status and body of a collect."""
    return await got(evidence, org, share_url.removeprefix(PUBLIC_URL))


async def tags(evidence: EvidenceClient, org: AnOrg, cdr: ACdr) -> list[str]:
    """The affiliate tags of a snapshot."""
    _, body = await got(evidence, org, f"/snapshots/{cdr.cdr_id}")
    found: list[str] = body["snapshot"]["affiliateTags"]
    return found


def ids(page: dict[str, Any]) -> list[str]:
    """The ids of a page."""
    return [snapshot["transactionId"] for snapshot in page["snapshots"]]
