"""Lists of CDRs over HTTP: pages, search by metadata, and nothing of what others have."""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.builders_evidence import (
    DOMAIN,
    ACdr,
    AnOrg,
    EvidenceClient,
    an_evidence_service,
    code_of,
    data_of,
)


@pytest.fixture
async def evidence(tmp_path: Path) -> AsyncIterator[EvidenceClient]:
    """An empty service."""
    async with an_evidence_service(tmp_path) as client:
        yield client


async def test_pages_follow_each_other_without_gap_or_repeat(evidence: EvidenceClient) -> None:
    """Newest first, or oldest first; the last page names no next one."""
    owner = await evidence.org("generator")
    made = [(await evidence.cdr(owner)).cdr_id for _ in range(5)]
    for order, expected in (("desc", made[::-1]), ("asc", made)):
        pages = await every_page(evidence, owner, pageSize=2, order=order)
        assert [len(page) for page in pages] == [2, 2, 1]
        assert [*chain(*pages)] == expected
    assert [found["cdrId"] for found in await listed(evidence, owner)] == made[::-1]


async def test_a_page_has_twenty_unless_asked_and_a_hundred_at_most(
    evidence: EvidenceClient,
) -> None:
    """The contract's numbers, at their ends."""
    owner = await evidence.org("generator")
    for _ in range(21):
        await evidence.cdr(owner)
    assert len(await listed(evidence, owner)) == 20
    assert len(await listed(evidence, owner, pageSize=100)) == 21
    assert len(await listed(evidence, owner, pageSize=1)) == 1


@pytest.mark.parametrize(
    "query",
    ["pageSize=0", "pageSize=101", "pageSize=x", "pageSize=", "pageSize=-1", "pageSize=1e1",
     "pageSize=%D9%A1", "pageSize=" + "9" * 400, "order=up", "order=", "pageToken=cdr_absent",
     "pageToken=", "metadataKey=uid", "metadataValue=1", "metadataKey="],
)  # fmt: skip
async def test_a_query_out_of_range_is_refused(evidence: EvidenceClient, query: str) -> None:
    """Also a key without its value: v1 wants both."""
    owner = await evidence.org("generator")
    answer = await evidence.get(owner.key, f"/v1/domains/{DOMAIN}/cdrs?{query}")
    assert code_of(answer) == (400, "INVALID_ARGUMENT")


async def test_any_key_finds_its_cdrs(evidence: EvidenceClient) -> None:
    """By text, by number, inside an object, with odd characters, and only where equal."""
    owner = await evidence.org("generator")
    custom = {"uid": "42", "n": 42, "ok": True, "nested": {"a": {"b": "deep"}}, "ключ & =": "ü?"}
    cdr = await evidence.cdr(owner, customMetadata=custom)
    await evidence.cdr(owner, customMetadata={"uid": "43", "n": "forty", "nested": {"a": 1}})
    hits = [("uid", "42"), ("n", "42"), ("ok", "true"), ("nested.a.b", "deep"), ("ключ & =", "ü?")]
    for key, value in hits:
        found = await listed(evidence, owner, metadataKey=key, metadataValue=value)
        assert [one["cdrId"] for one in found] == [cdr.cdr_id], key
    for key, value in [("uid", "4"), ("uid", ""), ("absent", "42"), ("42", "uid")]:
        assert await listed(evidence, owner, metadataKey=key, metadataValue=value) == []


async def test_found_cdrs_come_in_pages_too(evidence: EvidenceClient) -> None:
    """A search that finds many is walked like a list."""
    owner = await evidence.org("generator")
    made = []
    for number in range(6):
        cdr = await evidence.cdr(owner, customMetadata={"form": "signup" if number % 2 else "x"})
        made.append(cdr.cdr_id)
    search = {"metadataKey": "form", "metadataValue": "signup"}
    pages = await every_page(evidence, owner, pageSize=2, **search)
    assert pages == [[made[5], made[3]], [made[1]]]


async def test_a_buyer_lists_what_it_has_of_a_generators_domain(evidence: EvidenceClient) -> None:
    """By the domain's id or name; saved ones too; siblings and strangers' domains never."""
    owner = await evidence.org("generator", auto_collect=False)
    buyer = await buyer_without_domain(evidence, "buyer")
    fields = {"customMetadata": {"form": "signup"}}
    mine, saved, other = [await evidence.cdr(owner, **fields) for _ in range(3)]
    assert await refused(evidence, buyer, mine.data["domainId"]) == (404, "NOT_FOUND")
    await evidence.claim(buyer, mine.share_url)
    await evidence.claim(buyer, saved.share_url, collect=False)
    for domain in (mine.data["domainId"], DOMAIN):
        found = await listed(evidence, buyer, domain=domain)
        assert {one["cdrId"]: one["state"] for one in found} == {
            mine.cdr_id: "collected",
            saved.cdr_id: "pending",
        }
    search = {"metadataKey": "form", "metadataValue": "signup"}
    assert len(await listed(evidence, buyer, **search)) == 2
    assert len(await listed(evidence, owner, **search)) == 3
    # A token of a CDR that the buyer does not have is as good as a guessed one.
    path = f"/v1/domains/{DOMAIN}/cdrs?pageToken={other.cdr_id}"
    assert code_of(await evidence.get(buyer.key, path)) == (400, "INVALID_ARGUMENT")


async def test_two_generators_with_one_name_are_listed_together_by_name(
    evidence: EvidenceClient,
) -> None:
    """For whoever has some of both, in the order they came; by id, each alone."""
    first, second = await evidence.org("generator-a"), await evidence.org("generator-b")
    buyer = await buyer_without_domain(evidence, "buyer")
    made: list[ACdr] = []
    for owner in (first, second, first, second):
        cdr = await evidence.cdr(owner)
        await evidence.claim(buyer, cdr.share_url)
        made.append(cdr)
    pages = await every_page(evidence, buyer, pageSize=3, order="asc")
    assert [*chain(*pages)] == [cdr.cdr_id for cdr in made]
    alone = await listed(evidence, buyer, domain=made[0].data["domainId"])
    assert [one["cdrId"] for one in alone] == [made[2].cdr_id, made[0].cdr_id]
    assert len(await listed(evidence, first)) == 2


async def test_an_invalidated_cdr_leaves_the_lists_and_still_marks_a_page(
    evidence: EvidenceClient,
) -> None:
    """Somebody who pages while it is invalidated goes on where they were."""
    owner = await evidence.org("generator")
    oldest, middle, newest = [await evidence.cdr(owner) for _ in range(3)]
    await evidence.admin(f"/cdrs/{middle.cdr_id}/invalidate")
    assert [one["cdrId"] for one in await listed(evidence, owner)] == [
        newest.cdr_id,
        oldest.cdr_id,
    ]
    rest = await listed(evidence, owner, pageToken=middle.cdr_id)
    assert [one["cdrId"] for one in rest] == [oldest.cdr_id]


async def listed(
    evidence: EvidenceClient, org: AnOrg, domain: str = DOMAIN, **query: Any
) -> list[dict[str, Any]]:
    """One page of a list."""
    answer = await evidence.get(org.key, f"/v1/domains/{domain}/cdrs?{urlencode(query)}")
    cdrs: list[dict[str, Any]] = data_of(answer)["cdrs"]
    return cdrs


async def every_page(evidence: EvidenceClient, org: AnOrg, **query: Any) -> list[list[str]]:
    """The ids of every page."""
    pages: list[list[str]] = []
    more: dict[str, Any] = {}
    while True:
        path = f"/v1/domains/{DOMAIN}/cdrs?{urlencode(query | more)}"
        data = data_of(await evidence.get(org.key, path))
        pages.append([one["cdrId"] for one in data["cdrs"]])
        if "nextPageToken" not in data:
            return pages
        more = {"pageToken": data["nextPageToken"]}


async def refused(evidence: EvidenceClient, org: AnOrg, domain: str) -> tuple[int, str]:
    """Status and code of a list that is refused."""
    return code_of(await evidence.get(org.key, f"/v1/domains/{domain}/cdrs"))


async def buyer_without_domain(evidence: EvidenceClient, org_id: str) -> AnOrg:
    """An org that captures nothing."""
    await evidence.admin("/orgs", {"orgId": org_id, "name": "A buyer"})
    return AnOrg(org_id, (await evidence.admin("/keys", {"orgId": org_id}))["key"])
