"""Claims over real HTTP, against an evidence service that is told what to say."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta

import pytest

from consumers import evidence_api
from consumers.claimer import ClaimPolicy, HttpClaimer
from consumers.gate import Gate
from consumers.testing import a_receipt, a_record
from leadgate.outbound import Outbound
from leadgate.share_url import EvidenceHost, by_authority
from leadgate.v1.delivery_pb2 import ClaimStatus, LeadRecord, Verification
from tests.fakes.evidence import KEY, FakeEvidence, fake_evidence

OFF = ClaimPolicy(verify=None)
MINE = {"phone": "+12015550123"}
OTHERS = {"phone": "+12015550199"}

Claiming = Callable[..., AbstractAsyncContextManager[HttpClaimer]]


@pytest.fixture
async def evidence() -> AsyncIterator[FakeEvidence]:
    """An evidence service."""
    async with fake_evidence() as fake:
        yield fake


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Quick tries are quicker still."""
    monkeypatch.setattr(evidence_api, "_FIRST_WAIT_SECONDS", 0.001)


@pytest.fixture
def claiming(evidence: FakeEvidence) -> Claiming:
    """Makes a claimer for that service."""

    @asynccontextmanager
    async def make(
        policy: ClaimPolicy | None = None, gate: Gate | None = None
    ) -> AsyncIterator[HttpClaimer]:
        hosts = [EvidenceHost.parse(evidence.entry)]
        async with Outbound(hosts) as outbound:
            yield HttpClaimer(outbound, by_authority(hosts), KEY, policy, gate or Gate(0.001, 0.01))

    return make


def record_of(evidence: FakeEvidence, *cdr_ids: str, **changes: object) -> LeadRecord:
    """A record with a share for each CDR, all of them this person's."""
    urls = {cdr_id: evidence.share(cdr_id, dict(MINE)) for cdr_id in cdr_ids}
    return a_record(share_urls=urls, **changes)  # type: ignore[arg-type]


async def test_a_claim_brings_a_whole_receipt(evidence: FakeEvidence, claiming: Claiming) -> None:
    """Everything the contract asks of a receipt, and the key sent as it should be."""
    async with claiming() as claimer:
        claims = await claimer.claim(record_of(evidence, "c1"))
    (receipt,) = claims.fresh
    assert claims.failure is None
    assert receipt.status == ClaimStatus.CLAIM_STATUS_CLAIMED
    assert (receipt.cdr_id, receipt.host) == ("c1", evidence.authority)
    assert (receipt.http_status, receipt.request_id) == (200, "request-1")
    assert (receipt.share_event_id, receipt.collect) == ("se-c1", True)
    assert receipt.claim_time.seconds > 0
    assert len(receipt.body_sha256) == hashlib.sha256().digest_size
    assert receipt.verification == Verification.VERIFICATION_MATCHED
    assert set(evidence.keys) == {KEY}


async def test_a_claim_made_before_counts(evidence: FakeEvidence, claiming: Claiming) -> None:
    """To claim again is safe and says so."""
    record = record_of(evidence, "c1")
    async with claiming(OFF) as claimer:
        await claimer.claim(record)
        claims = await claimer.claim(record)
    assert claims.fresh[0].status == ClaimStatus.CLAIM_STATUS_ALREADY_CLAIMED


async def test_a_cdr_with_a_receipt_is_not_claimed_again(
    evidence: FakeEvidence, claiming: Claiming
) -> None:
    """Receipts travel in the record; only the other share is claimed."""
    record = record_of(evidence, "c1", "c2", receipts=(a_receipt("c1"),))
    async with claiming(OFF) as claimer:
        claims = await claimer.claim(record)
    assert evidence.claims == ["c2"]
    assert {each.cdr_id for each in claims.receipts} == {"c1", "c2"}
    assert [each.cdr_id for each in claims.fresh] == ["c2"]


async def test_receipts_are_told_although_a_later_share_fails(
    evidence: FakeEvidence, claiming: Claiming
) -> None:
    """A claim that cost money is never forgotten, and no further one is made."""
    record = record_of(evidence, "c1", "c2", "c3")
    del evidence.cdrs["c2"]
    async with claiming() as claimer:
        claims = await claimer.claim(record)
    assert claims.failure is not None
    assert claims.failure.reason == "CLAIM_NOT_FOUND"
    assert [each.cdr_id for each in claims.fresh] == ["c1"]
    assert evidence.claims == ["c1", "c2"]


@pytest.mark.parametrize(
    ("status", "body", "kind", "reason"),
    [
        (302, "", "FAILED", "CLAIM_REDIRECTED"),
        (400, "", "FAILED", "CLAIM_HTTP_400"),
        (410, {"error": {"code": "CDR_INVALID"}}, "FAILED", "CDR_INVALID"),
        (200, {"ok": True, "data": {"cdrId": "other"}}, "FAILED", "CDR_MISMATCH"),
    ],
)
async def test_a_final_answer_fails_the_delivery_at_once(
    evidence: FakeEvidence,
    claiming: Claiming,
    status: int,
    body: object,
    kind: str,
    reason: str,
) -> None:
    """No second try, no redirect followed."""
    record = record_of(evidence, "c1")
    evidence.say(status, body, location="http://127.0.0.1:1/")
    async with claiming() as claimer:
        claims = await claimer.claim(record)
    assert claims.failure is not None
    assert (claims.failure.name, claims.failure.reason) == (kind, reason)
    assert len(evidence.requests) == 1


@pytest.mark.parametrize(("status", "body"), [(503, ""), (408, ""), (200, "<html>"), (500, "{}")])
async def test_a_passing_trouble_is_tried_again_at_once(
    evidence: FakeEvidence, claiming: Claiming, status: int, body: str
) -> None:
    """One bad answer costs nobody a deferral."""
    record = record_of(evidence, "c1")
    evidence.say(status, body)
    async with claiming(OFF) as claimer:
        claims = await claimer.claim(record)
    assert claims.failure is None
    assert len(evidence.claims) == 2


async def test_a_lasting_trouble_is_deferred(evidence: FakeEvidence, claiming: Claiming) -> None:
    """Four tries, then the gateway decides when again."""
    record = record_of(evidence, "c1")
    for _ in range(9):
        evidence.say(503, "")
    async with claiming() as claimer:
        claims = await claimer.claim(record)
    assert claims.failure is not None
    assert (claims.failure.name, claims.failure.reason) == ("DEFERRED", "CLAIM_HTTP_503")
    assert len(evidence.requests) == 4


async def test_a_long_retry_after_goes_into_the_deferral(
    evidence: FakeEvidence, claiming: Claiming
) -> None:
    """What the evidence service asks for is passed on, and nobody sits and waits."""
    record = record_of(evidence, "c1")
    evidence.say(429, "", retry_after="120")
    async with claiming() as claimer:
        claims = await claimer.claim(record)
    assert claims.failure is not None
    assert claims.failure.reason == "CLAIM_RATE_LIMITED"
    assert claims.failure.retry_delay == timedelta(seconds=120)
    assert len(evidence.requests) == 1


async def test_the_limit_ends_a_claim_that_hangs(
    evidence: FakeEvidence, claiming: Claiming
) -> None:
    """The time for one record is bounded, whatever the service does."""
    record = record_of(evidence, "c1")
    evidence.delay_seconds = 30
    async with claiming(ClaimPolicy(limit=timedelta(seconds=0.1))) as claimer:
        claims = await claimer.claim(record)
    assert claims.failure is not None
    assert (claims.failure.name, claims.failure.reason) == ("DEFERRED", "CLAIM_TIMEOUT")


async def test_nobody_there_is_deferred(evidence: FakeEvidence, claiming: Claiming) -> None:
    """A connection error is no decision about the lead."""
    hosts = [EvidenceHost.parse("127.0.0.1:9;networks=127.0.0.0/8;insecure=true")]
    record = a_record(share_urls={"c1": "http://127.0.0.1:9/v1/shares/token-c1-0"})
    async with Outbound(hosts) as outbound:
        claims = await HttpClaimer(outbound, by_authority(hosts), KEY, OFF).claim(record)
    assert claims.failure is not None
    assert (claims.failure.name, claims.failure.reason) == ("DEFERRED", "CLAIM_UNREACHABLE")


@pytest.mark.parametrize(
    ("url", "kind", "reason"),
    [
        ("https://elsewhere.example.com/v1/shares/token-c1", "FAILED", "HOST_NOT_ALLOWED"),
        ("https://10.0.0.1/v1/shares/token-c1", "FAILED", "HOST_NOT_ALLOWED"),
        ("https://private.example.com/not/a/share", "FAILED", "SHARE_URL_INVALID"),
        ("http://private.example.com/v1/shares/token-c1", "FAILED", "SHARE_URL_INVALID"),
        ("https://[::1]/v1/shares/token-c1", "DEFERRED", "ADDRESS_NOT_ALLOWED"),
    ],
)
async def test_a_share_that_is_not_trusted_never_sees_the_key(
    evidence: FakeEvidence, url: str, kind: str, reason: str
) -> None:
    """One bad share, and not even the good one in front of it is claimed."""
    hosts = [
        EvidenceHost.parse(evidence.entry),
        EvidenceHost.parse("private.example.com"),
        EvidenceHost.parse("[::1]"),
    ]
    record = a_record(share_urls={"bad": url})
    if kind == "FAILED":
        record.shares.insert(0, record_of(evidence, "good").shares[0])
    async with Outbound(hosts) as outbound:
        claims = await HttpClaimer(outbound, by_authority(hosts), KEY).claim(record)
    assert claims.failure is not None
    assert (claims.failure.name, claims.failure.reason) == (kind, reason)
    assert evidence.requests == []


async def test_a_record_without_shares_never_passes(claiming: Claiming) -> None:
    """No evidence, no lead, whatever the gateway let through."""
    record = a_record()
    del record.shares[:]
    async with claiming() as claimer:
        claims = await claimer.claim(record)
    assert claims.failure is not None
    assert claims.failure.reason == "NO_EVIDENCE"


async def test_an_expired_share_of_a_cdr_that_is_held_counts_as_claimed(
    evidence: FakeEvidence, claiming: Claiming
) -> None:
    """Killed between claim and report, expired meanwhile: the lead is delivered all the same."""
    record = record_of(evidence, "c1")
    async with claiming() as claimer:
        await claimer.claim(record)
        evidence.expired.add("c1")
        claims = await claimer.claim(record)
    assert claims.failure is None
    assert claims.fresh[0].status == ClaimStatus.CLAIM_STATUS_ACCESS_CONFIRMED


@pytest.mark.parametrize("state", ["", "pending"])
async def test_an_expired_share_of_a_cdr_that_is_not_held_is_final(
    evidence: FakeEvidence, claiming: Claiming, state: str
) -> None:
    """Not there, or only saved and no longer to be paid for."""
    record = record_of(evidence, "c1")
    evidence.expired.add("c1")
    evidence.cdrs["c1"].state = state
    async with claiming() as claimer:
        claims = await claimer.claim(record)
    assert claims.failure is not None
    assert (claims.failure.name, claims.failure.reason) == ("FAILED", "SHARE_GONE")


async def test_save_takes_a_payers_gift_as_a_claim(
    evidence: FakeEvidence, claiming: Claiming
) -> None:
    """collect:false from a payer gives access, so it is a receipt like any other."""
    record = a_record(share_urls={"c1": evidence.share("c1", dict(MINE), gift=True)})
    async with claiming(ClaimPolicy(collect=False)) as claimer:
        claims = await claimer.claim(record)
    assert claims.failure is None
    assert claims.fresh[0].status == ClaimStatus.CLAIM_STATUS_CLAIMED
    assert claims.fresh[0].collect is False


async def test_unpaid_evidence_does_not_reach_the_sink_by_itself(
    evidence: FakeEvidence, claiming: Claiming
) -> None:
    """Saved, not claimed: the receipt says so, and the delivery fails."""
    async with claiming(ClaimPolicy(collect=False)) as claimer:
        claims = await claimer.claim(record_of(evidence, "c1"))
    assert claims.failure is not None
    assert (claims.failure.name, claims.failure.reason) == ("FAILED", "EVIDENCE_UNPAID")
    assert claims.fresh[0].status == ClaimStatus.CLAIM_STATUS_SAVED_UNPAID


async def test_unpaid_evidence_is_taken_where_the_policy_names_it(
    evidence: FakeEvidence, claiming: Claiming
) -> None:
    """Then it is checked like any other, and its receipt is enough the next time."""
    policy = ClaimPolicy(collect=False, take_unpaid=True)
    record = record_of(evidence, "c1")
    async with claiming(policy) as claimer:
        first = await claimer.claim(record)
        record.receipts.extend(first.fresh)
        asked = len(evidence.requests)
        second = await claimer.claim(record)
    assert first.failure is second.failure is None
    assert len(evidence.requests) == asked


async def test_a_saved_cdr_is_claimed_again_by_a_buyer_that_collects(
    evidence: FakeEvidence, claiming: Claiming
) -> None:
    """SAVED_UNPAID is no claim: a default claim afterwards pays."""
    saved = a_receipt("c1", ClaimStatus.CLAIM_STATUS_SAVED_UNPAID)
    record = record_of(evidence, "c1", receipts=(saved,))
    async with claiming() as claimer:
        claims = await claimer.claim(record)
    assert claims.failure is None
    assert claims.fresh[0].status == ClaimStatus.CLAIM_STATUS_CLAIMED


async def test_evidence_of_another_person_never_reaches_the_sink(
    evidence: FakeEvidence, claiming: Claiming
) -> None:
    """The claim is told, with what the check found."""
    record = a_record(share_urls={"c1": evidence.share("c1", OTHERS)})
    async with claiming() as claimer:
        claims = await claimer.claim(record)
    assert claims.failure is not None
    assert (claims.failure.name, claims.failure.reason) == ("FAILED", "EVIDENCE_MISMATCH")
    assert claims.fresh[0].verification == Verification.VERIFICATION_MISMATCHED


async def test_a_receipt_that_was_not_checked_is_checked_without_a_claim(
    evidence: FakeEvidence, claiming: Claiming
) -> None:
    """A crash between claim and check, or a policy switched on later."""
    record = a_record(share_urls={"c1": evidence.share("c1", OTHERS)}, receipts=(a_receipt("c1"),))
    evidence.cdrs["c1"].state = "collected"
    async with claiming() as claimer:
        claims = await claimer.claim(record)
    assert claims.failure is not None
    assert claims.failure.reason == "EVIDENCE_MISMATCH"
    assert evidence.claims == []


async def test_verification_off_reads_nothing(evidence: FakeEvidence, claiming: Claiming) -> None:
    """The buyer's choice: one call for each CDR."""
    record = a_record(share_urls={"c1": evidence.share("c1", OTHERS)})
    async with claiming(OFF) as claimer:
        claims = await claimer.claim(record)
    assert claims.failure is None
    assert claims.fresh[0].verification == Verification.VERIFICATION_UNSPECIFIED
    assert len(evidence.requests) == 1


async def test_a_check_that_fails_for_now_defers_with_the_receipt(
    evidence: FakeEvidence, claiming: Claiming
) -> None:
    """Claimed is claimed; the check comes with the next attempt."""
    record = record_of(evidence, "c1")
    good = {"ok": True, "data": {"cdrId": "c1", "claimed": True}, "requestId": "r"}
    evidence.say(200, good)
    for _ in range(9):
        evidence.say(503, "")
    async with claiming() as claimer:
        claims = await claimer.claim(record)
    assert claims.failure is not None
    assert (claims.failure.name, claims.failure.reason) == ("DEFERRED", "EVIDENCE_HTTP_503")
    assert [each.cdr_id for each in claims.fresh] == ["c1"]


async def test_a_refused_key_pauses_everyone_and_fails_nobody(
    evidence: FakeEvidence, claiming: Claiming
) -> None:
    """While it lasts one record asks, the others wait; then all go on by themselves."""
    evidence.accepts_key = False
    records = [record_of(evidence, f"c{number}") for number in range(8)]
    gate = Gate(0.001, 0.01)
    async with claiming(OFF, gate) as claimer:
        work = [asyncio.create_task(claimer.claim(record)) for record in records]
        await evidence.until(lambda: len(evidence.requests) >= 20)
        assert gate.shut
        assert not any(task.done() for task in work)
        # After the first eight only the prober asks.
        assert len({path for _, path in evidence.requests[12:]}) == 1
        evidence.accepts_key = True
        async with asyncio.timeout(5):
            claims = await asyncio.gather(*work)
    assert all(each.failure is None for each in claims)
    assert not gate.shut


async def test_a_pause_does_not_use_up_a_records_time(
    evidence: FakeEvidence, claiming: Claiming
) -> None:
    """A key that is mended after an hour defers nothing."""
    evidence.accepts_key = False
    record = record_of(evidence, "c1")
    policy = ClaimPolicy(verify=None, limit=timedelta(seconds=0.2))
    async with claiming(policy, Gate(0.15, 0.15)) as claimer:
        work = asyncio.create_task(claimer.claim(record))
        await evidence.until(lambda: len(evidence.requests) >= 5)
        evidence.accepts_key = True
        assert (await work).failure is None


async def test_a_prober_that_is_cancelled_leaves_the_gate_to_the_others(
    evidence: FakeEvidence, claiming: Claiming
) -> None:
    """Otherwise those who wait would wait for ever."""
    evidence.accepts_key = False
    async with claiming(OFF, Gate(0.001, 0.01)) as claimer:
        first = asyncio.create_task(claimer.claim(record_of(evidence, "c1")))
        await evidence.until(lambda: len(evidence.requests) >= 2)
        second = asyncio.create_task(claimer.claim(record_of(evidence, "c2")))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        evidence.accepts_key = True
        async with asyncio.timeout(5):
            assert (await second).failure is None


async def test_a_prober_that_meets_trouble_keeps_the_gate_shut(
    evidence: FakeEvidence, claiming: Claiming
) -> None:
    """A 503 does not say that the key is good, and a paused record is not deferred by it."""
    evidence.say(401, "")
    for _ in range(6):
        evidence.say(503, "")
    async with claiming(OFF) as claimer:
        claims = await claimer.claim(record_of(evidence, "c1"))
    assert claims.failure is None
    assert len(evidence.requests) == 8
