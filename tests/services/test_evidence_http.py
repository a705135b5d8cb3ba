"""The evidence API over HTTP, in this process: every code, and who may see what."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from evidence.callers import Callers
from evidence.commands import Answer, Command, Query, StoredKey
from evidence.errors import Overloaded
from evidence.http.api import application
from leadgate.keys import Key
from tests.builders_evidence import (
    DOMAIN,
    OPERATOR_KEY,
    PUBLIC_URL,
    ATime,
    EvidenceClient,
    an_evidence_service,
    code_of,
    data_of,
)

A_KEY = Key("buyer", "0123456789abcdef0123")
A_STORED_KEY = StoredKey(A_KEY.key_id, A_KEY.digest, 1, "buyer-a")


@pytest.fixture
def clock() -> ATime:
    """A clock that stands still."""
    return ATime()


@pytest.fixture
async def evidence(tmp_path: Path, clock: ATime) -> AsyncIterator[EvidenceClient]:
    """An empty service."""
    async with an_evidence_service(tmp_path, clock) as client:
        yield client


async def test_a_buyer_claims_and_is_billed_once(evidence: EvidenceClient) -> None:
    """The contract's example: claimed, then the same answer as a repeat."""
    generator = await evidence.org("generator-a", auto_collect=False)
    buyer = await evidence.org("buyer-a")
    cdr = await evidence.cdr(generator)
    first = data_of(await evidence.claim(buyer, cdr.share_url))
    assert first == {
        "claimed": True,
        "alreadyClaimed": False,
        "cdrId": cdr.cdr_id,
        "domainId": cdr.data["domainId"],
        "shareEventId": first["shareEventId"],
        "state": "collected",
        "manifestHash": first["manifestHash"],
        "custodyHead": first["custodyHead"],
    }
    assert first["custodyHead"].keys() == {"sequence", "hash", "keyId", "signature"}
    again = data_of(await evidence.claim(buyer, cdr.share_url))
    assert again == first | {"alreadyClaimed": True}
    assert await evidence.charges(buyer) == [(cdr.cdr_id, "claim")]


async def test_buyers_of_a_payer_have_it_free_and_their_partners_do_not(
    evidence: EvidenceClient,
) -> None:
    """One hop: the generator pays, its buyer does not, the buyer's partner does."""
    generator, buyer, partner = [await evidence.org(name) for name in ("gen", "buyer", "partner")]
    cdr = await evidence.cdr(generator)
    assert data_of(await evidence.claim(buyer, cdr.share_url, collect=False))["claimed"]
    await evidence.claim(partner, await evidence.share(buyer, cdr))
    assert await evidence.charges(generator) == [(cdr.cdr_id, "capture")]
    assert await evidence.charges(buyer) == []
    assert await evidence.charges(partner) == [(cdr.cdr_id, "claim")]


async def test_a_save_is_pending_until_it_is_collected(evidence: EvidenceClient) -> None:
    """collect:false from a non-payer: seen, not claimed, not billed; a repeat says the same."""
    generator = await evidence.org("generator-a", auto_collect=False)
    buyer = await evidence.org("buyer-a")
    cdr = await evidence.cdr(generator)
    for _ in range(2):
        saved = data_of(await evidence.claim(buyer, cdr.share_url, collect=False))
        assert (saved["claimed"], saved["alreadyClaimed"]) == (False, False)
    assert await evidence.state(buyer, cdr) == "pending"
    assert await evidence.charges(buyer) == []
    refused = await evidence.post(buyer.key, f"/v1/cdrs/{cdr.cdr_id}/share")
    assert code_of(refused) == (403, "FORBIDDEN")
    collected = data_of(await evidence.post(buyer.key, f"/v1/cdrs/{cdr.cdr_id}/collect"))
    assert (collected["collected"], collected["alreadyCollected"]) == (True, False)
    again = data_of(await evidence.post(buyer.key, f"/v1/cdrs/{cdr.cdr_id}/collect"))
    assert again["alreadyCollected"]
    assert await evidence.state(buyer, cdr) == "collected"
    assert await evidence.charges(buyer) == [(cdr.cdr_id, "collect")]


async def test_claiming_ones_own_share_changes_nothing(evidence: EvidenceClient) -> None:
    """The owner stays unpaid, and gets an answer rather than an error."""
    generator = await evidence.org("generator-a", auto_collect=False)
    cdr = await evidence.cdr(generator)
    answer = data_of(await evidence.claim(generator, cdr.share_url))
    assert (answer["claimed"], answer["alreadyClaimed"]) == (False, True)
    assert await evidence.state(generator, cdr) == "pending"
    assert await evidence.charges(generator) == []


async def test_an_org_sees_a_cdr_with_its_evidence(evidence: EvidenceClient) -> None:
    """Every field; the sub-groups only for the owner, for their names can say who else bought."""
    generator, buyer = await evidence.org("generator-a"), await evidence.org("buyer-a")
    fields = {
        "captureTime": 1_799_999_999_000,
        "packageId": "pkg_1",
        "customMetadata": {"uid": "42", "nested": {"n": [1, None]}},
        "disclosures": [{"key": "tcpa", "language": "I agree", "agreed": True}],
    }
    cdr = await evidence.cdr(generator, subGroupIds=["secret-buyer"], **fields)
    await evidence.claim(buyer, cdr.share_url)
    seen = data_of(await evidence.get(buyer.key, f"/v1/cdrs/{cdr.cdr_id}"))
    facts = seen.pop("facts")
    assert facts["serverObserved"]["receivedAt"] == cdr.data["createdAt"]
    assert facts["browserReported"]["customMetadata"] == fields["customMetadata"]
    assert seen == fields | {
        "cdrId": cdr.cdr_id,
        "domainId": cdr.data["domainId"],
        "domain": DOMAIN,
        "createdAt": cdr.data["createdAt"],
        "state": "collected",
        "valid": True,
        "imageState": "none",
        "reportState": "none",
    }
    owned = data_of(await evidence.get(generator.key, f"/v1/cdrs/{cdr.cdr_id}"))
    assert owned == seen | {"subGroupIds": ["secret-buyer"], "facts": facts}
    assert "secret-buyer" not in str(facts)


async def test_domains_are_the_orgs_own(evidence: EvidenceClient) -> None:
    """Two orgs may have a domain of the same name; each lists its own."""
    generator, other = await evidence.org("generator-a"), await evidence.org("generator-b")
    cdr = await evidence.cdr(generator)
    mine = data_of(await evidence.get(generator.key, "/v1/domains"))["domains"]
    assert mine == [
        {"domainId": cdr.data["domainId"], "domain": DOMAIN, "createdAt": mine[0]["createdAt"]}
    ]
    theirs = data_of(await evidence.get(other.key, "/v1/domains"))["domains"]
    assert theirs[0]["domainId"] != mine[0]["domainId"]


async def test_share_urls_ignore_the_host_header(evidence: EvidenceClient) -> None:
    """Whoever sends a Host header cannot lead claims elsewhere."""
    generator = await evidence.org("generator-a")
    cdr = await evidence.cdr(generator)
    answer = await evidence.http.post(
        f"/v1/cdrs/{cdr.cdr_id}/share",
        headers={"x-api-key": generator.key, "host": "evil.example", "x-forwarded-host": "evil"},
    )
    data = data_of(answer)
    assert data["shareUrl"] == f"{PUBLIC_URL}/v1/shares/{data['shareToken']}"
    assert cdr.share_url.startswith(f"{PUBLIC_URL}/v1/shares/")


async def test_a_share_lasts_thirty_days_or_as_long_as_asked(
    evidence: EvidenceClient, clock: ATime
) -> None:
    """The default, and the longest: two years."""
    generator, buyer = await evidence.org("generator-a"), await evidence.org("buyer-a")
    cdr = await evidence.cdr(generator)
    assert cdr.data["shareExpiresAt"] == clock.now_ms + 2_592_000_000
    path = f"/v1/cdrs/{cdr.cdr_id}/share"
    longest = data_of(await evidence.post(generator.key, path, {"expiresInMs": 63_072_000_000}))
    assert longest["shareExpiresAt"] == clock.now_ms + 63_072_000_000
    clock.now_ms += 2_592_000_000
    assert code_of(await evidence.claim(buyer, cdr.share_url)) == (410, "GONE")
    assert (await evidence.claim(buyer, longest["shareUrl"])).status_code == 200


@pytest.mark.parametrize("value", [0, -1, 63_072_000_001, 1.5, "1", True, None, [], 10**400])
async def test_an_expiry_out_of_range_is_refused(evidence: EvidenceClient, value: object) -> None:
    """Whole milliseconds from 1 to two years."""
    generator = await evidence.org("generator-a")
    cdr = await evidence.cdr(generator)
    answer = await evidence.post(
        generator.key, f"/v1/cdrs/{cdr.cdr_id}/share", {"expiresInMs": value}
    )
    assert code_of(answer) == (400, "INVALID_ARGUMENT")


@pytest.mark.parametrize(
    "body",
    [b"{", b"[]", b"null", b'"x"', b'{"collect":1}', b'{"collect":null}', b'{"collect":NaN}',
     b"\xff", b"[" * 4000, b'{"collect":' + b"9" * 4000 + b"}"],
)  # fmt: skip
async def test_a_claim_that_cannot_be_read_changes_nothing(
    evidence: EvidenceClient, body: bytes
) -> None:
    """Malformed bodies are INVALID_ARGUMENT, and nobody is billed."""
    generator = await evidence.org("generator-a", auto_collect=False)
    buyer = await evidence.org("buyer-a")
    cdr = await evidence.cdr(generator)
    path = cdr.share_url.removeprefix(PUBLIC_URL)
    answer = await evidence.http.post(path, headers={"x-api-key": buyer.key}, content=body)
    assert code_of(answer) == (400, "INVALID_ARGUMENT")
    assert await evidence.charges(buyer) == []


async def test_a_body_that_is_too_large_is_not_read(evidence: EvidenceClient) -> None:
    """By its declared length, and by what really comes."""
    buyer = await evidence.org("buyer-a")

    async def chunks() -> AsyncIterator[bytes]:
        yield b" " * 4000
        yield b" " * 4000
        pytest.fail("read on past the limit")

    for content in (b" " * 5000, chunks()):
        answer = await evidence.http.post(
            "/v1/shares/" + "x" * 32, headers={"x-api-key": buyer.key}, content=content
        )
        assert code_of(answer) == (413, "PAYLOAD_TOO_LARGE")


async def test_absent_foreign_and_guessed_answer_alike(evidence: EvidenceClient) -> None:
    """Nothing in the answer tells whether a CDR or a share exists."""
    generator, stranger = await evidence.org("generator-a"), await evidence.org("stranger")
    cdr = await evidence.cdr(generator)
    bodies = set()
    for cdr_id in (cdr.cdr_id, "cdr_absent", "%00", "x" * 300, "a%20b"):
        bodies.add(bare(await evidence.get(stranger.key, f"/v1/cdrs/{cdr_id}")))
        bodies.add(bare(await evidence.post(stranger.key, f"/v1/cdrs/{cdr_id}/share")))
        bodies.add(bare(await evidence.post(stranger.key, f"/v1/cdrs/{cdr_id}/collect")))
    for token in ("x" * 32, "x", "%ff%00", "x" * 3000):
        bodies.add(bare(await evidence.post(stranger.key, f"/v1/shares/{token}")))
    bodies.add(bare(await evidence.get(stranger.key, "/v1/nothing")))
    assert bodies == {(404, '{"code": "NOT_FOUND", "message": "not found"}')}


async def test_an_invalidated_cdr_is_cdr_invalid_to_those_who_saw_it(
    evidence: EvidenceClient,
) -> None:
    """The share too; to a stranger it stays absent."""
    orgs = [await evidence.org(name) for name in ("generator-a", "buyer-a", "stranger")]
    generator, buyer, stranger = orgs
    cdr = await evidence.cdr(generator)
    await evidence.claim(buyer, cdr.share_url)
    done = await evidence.admin(f"/cdrs/{cdr.cdr_id}/invalidate")
    assert done["valid"] is False
    states = [await evidence.state(org, cdr) for org in orgs]
    assert states == ["CDR_INVALID", "CDR_INVALID", "NOT_FOUND"]
    assert code_of(await evidence.claim(buyer, cdr.share_url)) == (410, "CDR_INVALID")
    for path in ("share", "collect"):
        answer = await evidence.post(generator.key, f"/v1/cdrs/{cdr.cdr_id}/{path}")
        assert code_of(answer) == (410, "CDR_INVALID")
    assert code_of(await evidence.claim(stranger, cdr.share_url)) == (410, "CDR_INVALID")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/shares/" + "x" * 32),
        ("POST", "/v1/cdrs/cdr_1/share"),
        ("POST", "/v1/cdrs/cdr_1/collect"),
        ("GET", "/v1/cdrs/cdr_1"),
        ("GET", "/v1/domains"),
        ("GET", "/v1/domains/dom_1/cdrs"),
        ("POST", "/admin/v1/orgs"),
        ("POST", "/admin/v1/domains"),
        ("POST", "/admin/v1/keys"),
        ("POST", "/admin/v1/keys/k/revoke"),
        ("POST", "/admin/v1/cdrs"),
        ("POST", "/admin/v1/cdrs/c/invalidate"),
        ("GET", "/admin/v1/orgs/o/charges"),
    ],
)
async def test_every_endpoint_wants_the_right_key_before_anything_else(
    evidence: EvidenceClient, method: str, path: str
) -> None:
    """None, malformed or unknown: 401; of the other kind: 403; the body is not looked at."""
    org = await evidence.org("generator-a")
    other = org.key if path.startswith("/admin") else OPERATOR_KEY
    expected = {None: 401, "": 401, "x": 401, "nobody." + "x" * 20: 401, other: 403}
    for key, status in expected.items():
        headers = {} if key is None else {"x-api-key": key}
        answer = await evidence.http.request(method, path, headers=headers, content=b"{")
        assert code_of(answer) == (status, "UNAUTHENTICATED" if status == 401 else "FORBIDDEN")


async def test_a_wrong_verb_is_method_not_allowed(evidence: EvidenceClient) -> None:
    """405 in the envelope, with the verbs that would do."""
    answer = await evidence.http.delete("/v1/cdrs/cdr_1")
    assert code_of(answer) == (405, "METHOD_NOT_ALLOWED")
    assert answer.headers["allow"]


async def test_a_revoked_key_gets_in_no_more(evidence: EvidenceClient) -> None:
    """At once, and the same key cannot come back."""
    org = await evidence.org("generator-a")
    key_id = org.key.partition(".")[0]
    await evidence.admin(f"/keys/{key_id}/revoke")
    assert code_of(await evidence.get(org.key, "/v1/domains")) == (401, "UNAUTHENTICATED")
    again = await evidence.post(
        OPERATOR_KEY, "/admin/v1/keys", {"orgId": org.org_id, "key": org.key}
    )
    assert code_of(again) == (409, "CONFLICT")


async def test_a_given_key_may_be_given_again(evidence: EvidenceClient) -> None:
    """An unattended start repeats itself; another secret or org under the id is a conflict."""
    await evidence.org("generator-a")
    await evidence.org("generator-b")
    body = {"orgId": "generator-a", "key": "given.0123456789abcdef"}
    for _ in range(2):
        assert (await evidence.admin("/keys", body))["key"] == body["key"]
    assert (await evidence.get(body["key"], "/v1/domains")).status_code == 200
    for change in ({"key": "given.fedcba9876543210"}, {"orgId": "generator-b"}):
        answer = await evidence.post(OPERATOR_KEY, "/admin/v1/keys", body | change)
        assert code_of(answer) == (409, "CONFLICT")
    operators = {"key": "operator.fedcba9876543210"}
    answer = await evidence.post(OPERATOR_KEY, "/admin/v1/keys", body | operators)
    assert code_of(answer) == (409, "CONFLICT")


async def test_taken_ids_are_conflicts_and_unknown_ones_not_found(
    evidence: EvidenceClient,
) -> None:
    """The operator learns which, and nothing is half made."""
    org = await evidence.org("generator-a")
    await evidence.cdr(org, cdrId="cdr_1")
    cases: list[tuple[str, dict[str, Any], int]] = [
        ("/orgs", {"orgId": "generator-a", "name": "x"}, 409),
        ("/domains", {"orgId": "generator-a", "name": DOMAIN.upper()}, 409),
        ("/domains", {"orgId": "nobody", "name": DOMAIN}, 404),
        ("/keys", {"orgId": "nobody"}, 404),
        ("/cdrs", {"orgId": "generator-a", "domain": DOMAIN, "cdrId": "cdr_1"}, 409),
        ("/cdrs", {"orgId": "generator-a", "domain": "other.example.com"}, 404),
        ("/cdrs", {"orgId": "nobody", "domain": DOMAIN}, 404),
        ("/cdrs/cdr_2/invalidate", {}, 404),
        ("/keys/nobody/revoke", {}, 404),
    ]
    for path, body, status in cases:
        answer = await evidence.post(OPERATOR_KEY, f"/admin/v1{path}", body)
        assert answer.status_code == status, (path, body)
    assert await evidence.charges(org) == [("cdr_1", "capture")]


async def test_every_mistake_of_a_cdr_is_named_at_once_and_no_value_is(
    evidence: EvidenceClient,
) -> None:
    """The message lists the fields; what was in them stays out."""
    org = await evidence.org("generator-a")
    body = {
        "orgId": org.org_id,
        "domain": DOMAIN,
        "cdrId": "a canary/",
        "captureTime": -1,
        "subGroupIds": ["a", "b", "c", "d", "e", "f"],
        "customMetadata": {"phone": "canary" * 3000},
        "disclosures": [{"key": "k", "language": "canary" * 1000, "agreed": "canary"}],
        "autoShare": {"expiresInMs": 63_072_000_001},
    }
    answer = await evidence.post(OPERATOR_KEY, "/admin/v1/cdrs", body)
    assert code_of(answer) == (400, "INVALID_ARGUMENT")
    message = answer.json()["error"]["message"]
    for name in ("cdrId", "captureTime", "subGroupIds", "customMetadata", "disclosures[0]"):
        assert f"{name}: " in message
    assert "autoShare: " in message
    assert "canary" not in message


@pytest.mark.parametrize(
    ("size", "status"), [(16 * 1024, 200), (16 * 1024 + 1, 400)], ids=["16 KiB", "one more"]
)
async def test_custom_metadata_may_have_16_kib(
    evidence: EvidenceClient, size: int, status: int
) -> None:
    """Counted as compact UTF-8 JSON."""
    org = await evidence.org("generator-a")
    frame = len(b'{"\xc3\xa9":""}')
    body = {
        "orgId": org.org_id,
        "domain": DOMAIN,
        "customMetadata": {"\u00e9": "x" * (size - frame)},
    }
    answer = await evidence.post(OPERATOR_KEY, "/admin/v1/cdrs", body)
    assert answer.status_code == status


async def test_what_breaks_inside_is_internal_and_says_nothing(
    evidence: EvidenceClient, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A defect answers 500 in the envelope; neither answer nor log holds the token or its text."""
    buyer = await evidence.org("buyer-a")

    def broken(_: str) -> bytes:
        raise RuntimeError("canary")

    monkeypatch.setattr("evidence.sharing.digest", broken)
    answer = await evidence.post(buyer.key, "/v1/shares/canary-token-canary")
    assert code_of(answer) == (500, "INTERNAL")
    seen = answer.text + "".join(capfd.readouterr())
    assert answer.json()["error"]["requestId"] in seen
    assert "canary" not in seen


async def test_a_full_queue_answers_429_with_retry_after() -> None:
    """Nothing was stored, and the caller learns when to come back."""
    app = application(AFullLedger(), Callers(None, [A_STORED_KEY]), PUBLIC_URL)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://in-process") as http:
        answer = await http.post("/v1/shares/" + "x" * 32, headers={"x-api-key": str(A_KEY)})
    assert code_of(answer) == (429, "RESOURCE_EXHAUSTED")
    assert answer.headers["retry-after"] == "1"


class AFullLedger:
    """A ledger in front of which too many wait."""

    async def write(self, _: Command[Answer]) -> Answer:
        """Refuses."""
        raise Overloaded

    async def read(self, _: Query[Answer]) -> Answer:
        """Refuses."""
        raise Overloaded


async def test_health_is_served_without_a_key(evidence: EvidenceClient) -> None:
    """What a container's health check asks."""
    assert (await evidence.http.get("/healthz")).status_code == 200


def bare(answer: httpx.Response) -> tuple[int, str]:
    """An error without its request id."""
    error = answer.json()["error"]
    del error["requestId"]
    return answer.status_code, json.dumps(error)
