"""Captures over HTTP, in this process: what is taken, once, from whom, and what is refused."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import sqlite3
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from evidence.http import capture
from evidence.http.capture import SDK_FILE
from evidence.snapshot import MAX_ENVELOPE_BYTES, MAX_UPLOAD_BYTES
from tests.builders_capture import (
    ORIGIN,
    a_client,
    a_disclosure,
    a_page,
    a_text,
    an_element,
    an_envelope,
    captured,
    packed,
    upload,
)
from tests.builders_evidence import (
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


@pytest.fixture
async def generator(evidence: EvidenceClient) -> AnOrg:
    """An org with a client id, `cid_a`, on the domain of the envelopes."""
    org = await evidence.org("generator-a")
    await a_client(evidence, org)
    return org


async def test_a_capture_becomes_a_cdr_of_its_org(
    evidence: EvidenceClient, generator: AnOrg
) -> None:
    """With what the server saw and what the browser said; the owner paid by auto-collect."""
    envelope = an_envelope(
        a_page(a_disclosure("tcpa")), custom={"uid": "42"}, subGroupIds=["step-1"]
    )
    data = await captured(evidence, envelope)
    assert data.keys() == {"cdrId", "packageData"}
    assert data["packageData"]["subGroupIdMap"].keys() == {"step-1"}
    seen = (await evidence.get(generator.key, f"/v1/cdrs/{data['cdrId']}")).json()["data"]
    assert seen["customMetadata"] == {"uid": "42"}
    assert seen["disclosures"][0]["key"] == "tcpa"
    assert seen["packageId"] == data["packageData"]["packageId"]
    assert seen["state"] == "collected"
    assert await evidence.charges(generator) == [(data["cdrId"], "capture")]


async def test_the_share_is_made_with_the_capture_and_can_be_claimed(
    evidence: EvidenceClient, generator: AnOrg, clock: ATime
) -> None:
    """shareUrl, shareToken and shareExpiresAt, exactly with autoShare."""
    buyer = await evidence.org("buyer-a")
    data = await captured(evidence, an_envelope(autoShare={"expiresInMs": 60_000}))
    assert data["shareExpiresAt"] == clock.now_ms + 60_000
    assert data["shareUrl"].endswith(data["shareToken"])
    claim = (await evidence.claim(buyer, data["shareUrl"])).json()["data"]
    assert (claim["claimed"], claim["cdrId"]) == (True, data["cdrId"])
    assert len(data["shareToken"]) >= 22, "128 bits or more"


async def test_a_repeat_is_answered_alike_whenever_it_comes(
    evidence: EvidenceClient, generator: AnOrg, clock: ATime
) -> None:
    """The same ids and the same share after an hour, though capture is off since: one CDR."""
    envelope = an_envelope(autoShare={"expiresInMs": 86_400_000}, subGroupIds=["a", "b"])
    first = await captured(evidence, envelope)
    clock.now_ms += 3_600_000
    assert await captured(evidence, envelope, attempt=2, deferred=1) == first
    assert len(await evidence.charges(generator)) == 1


async def test_two_attempts_at_once_make_one_cdr(
    evidence: EvidenceClient, generator: AnOrg
) -> None:
    """A keepalive upload and the next page's retry, twenty of them."""
    envelope = an_envelope(autoShare={"expiresInMs": 60_000})
    answers = await asyncio.gather(*[captured(evidence, envelope) for _ in range(20)])
    assert all(answer == answers[0] for answer in answers)
    assert len(await evidence.charges(generator)) == 1


async def test_a_capture_id_with_other_bytes_is_a_conflict(
    evidence: EvidenceClient, generator: AnOrg
) -> None:
    """What was captured first stands."""
    envelope = an_envelope()
    await captured(evidence, envelope)
    assert code_of(await upload(evidence, envelope | {"custom": {"a": 1}})) == (409, "CONFLICT")


async def test_captures_of_one_tab_share_a_package(
    evidence: EvidenceClient, generator: AnOrg
) -> None:
    """A session has one package and one for each sub-group; another tab has its own."""
    first = an_envelope(subGroupIds=["x"])
    second = an_envelope(sessionId=first["sessionId"], subGroupIds=["x", "y"])
    one, two = [(await captured(evidence, e))["packageData"] for e in (first, second)]
    assert one["packageId"] == two["packageId"]
    assert one["subGroupIdMap"]["x"] == two["subGroupIdMap"]["x"]
    assert len({one["packageId"], *two["subGroupIdMap"].values()}) == 3
    other = await captured(evidence, an_envelope())
    assert other["packageData"]["packageId"] != one["packageId"]


async def test_the_same_session_of_another_org_is_another_session(
    evidence: EvidenceClient, generator: AnOrg
) -> None:
    """Nobody can put a CDR into another org's package."""
    other = await evidence.org("generator-b")
    await a_client(evidence, other, "cid_b")
    envelope = an_envelope()
    mine = await captured(evidence, envelope)
    theirs = await captured(evidence, an_envelope(cid="cid_b", sessionId=envelope["sessionId"]))
    assert theirs["packageData"]["packageId"] != mine["packageData"]["packageId"]


async def test_capture_can_be_switched_off(tmp_path: Path) -> None:
    """For an org: CAPTURE_DISABLED before the body is read, but to repeats of what was taken."""
    taken = an_envelope()
    async with an_evidence_service(tmp_path) as evidence:
        await a_client(evidence, await evidence.org("generator-a"))
        first = await captured(evidence, taken)
    with sqlite3.connect(tmp_path / "evidence.db") as connection:
        connection.execute("UPDATE orgs SET capture_disabled = true")
    connection.close()
    async with an_evidence_service(tmp_path) as evidence:
        refused = await upload(evidence, an_envelope(), body=b"not even read")
        assert code_of(refused) == (403, "CAPTURE_DISABLED")
        assert await captured(evidence, taken, attempt=2) == first


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        (ORIGIN, 200),
        ("http://www.example.com:8000", 200),
        ("https://shop.www.example.com", 200),
        ("https://example.com", 403),
        ("https://www.example.com.evil.example", 403),
        ("https://evil.example", 403),
        ("null", 403),
        ("", 403),
        ("https://www.example.com/path", 403),
        ("https://user@www.example.com", 403),
    ],
)
async def test_a_client_id_is_good_on_its_orgs_domains(
    evidence: EvidenceClient, generator: AnOrg, origin: str, status: int
) -> None:
    """A domain covers its subdomains, whatever the port; nothing else passes."""
    answer = await upload(evidence, an_envelope(), headers={"origin": origin})
    assert answer.status_code == status, answer.text


async def test_an_unknown_client_id_and_a_foreign_origin_answer_alike(
    evidence: EvidenceClient, generator: AnOrg
) -> None:
    """Nobody learns which client ids there are; one kept to a domain, or disabled, is none."""
    await evidence.admin("/domains", {"orgId": generator.org_id, "name": "other.example.com"})
    await a_client(evidence, generator, "cid_other", domain="other.example.com")
    await a_client(evidence, generator, "cid_off")
    await evidence.admin("/clients/cid_off/disable")
    answers = [
        await upload(evidence, an_envelope(), headers={"origin": "https://evil.example"}),
        await upload(evidence, an_envelope(cid="cid_guessed")),
        await upload(evidence, an_envelope(cid="cid_other")),
        await upload(evidence, an_envelope(cid="cid_off")),
    ]
    bodies = [answer.json()["error"] | {"requestId": ""} for answer in answers]
    assert all(body == bodies[0] for body in bodies)
    assert bodies[0]["code"] == "FORBIDDEN"


async def test_every_answer_can_be_read_by_the_page(
    evidence: EvidenceClient, generator: AnOrg
) -> None:
    """Refusals too: without the CORS headers the library would see a broken network."""
    answers = [
        await upload(evidence, an_envelope()),
        await upload(evidence, an_envelope(cid="cid_guessed")),
        await upload(evidence, an_envelope(), body=b"no gzip"),
        await upload(evidence, an_envelope(), body=bytes(MAX_UPLOAD_BYTES + 1)),
        await evidence.http.get("/v1/captures"),
    ]
    assert [answer.status_code for answer in answers] == [200, 403, 400, 413, 405]
    for answer in answers:
        assert answer.headers["access-control-allow-origin"] == "*"
        assert answer.headers["access-control-expose-headers"] == "Retry-After"
        assert answer.headers["cache-control"] == "no-store"
        assert "access-control-allow-credentials" not in answer.headers
    assert "access-control-allow-origin" not in (await evidence.http.get("/healthz")).headers


async def test_a_gzip_bomb_is_not_unpacked(evidence: EvidenceClient, generator: AnOrg) -> None:
    """A small body that unpacks to more than the limit is 413; the limit itself is read."""
    envelope = an_envelope()
    bomb = gzip.compress(bytes(MAX_ENVELOPE_BYTES * 8))
    assert len(bomb) < MAX_UPLOAD_BYTES
    assert code_of(await upload(evidence, envelope, body=bomb)) == (413, "PAYLOAD_TOO_LARGE")
    within = gzip.compress(packed_text(envelope).ljust(MAX_ENVELOPE_BYTES))
    assert (await upload(evidence, envelope, body=within)).status_code == 200


@pytest.mark.parametrize("spoilt", ["two members", "cut", "deflate", "trailing"])
async def test_a_body_is_one_whole_gzip_member(
    evidence: EvidenceClient, generator: AnOrg, spoilt: str
) -> None:
    """What unpacks in two ways for two readers is refused."""
    envelope = an_envelope()
    whole = packed(envelope)
    body = {
        "two members": whole + whole,
        "cut": whole[:-9],
        "deflate": zlib.compress(packed_text(envelope)),
        "trailing": whole + b"x",
    }[spoilt]
    assert code_of(await upload(evidence, envelope, body=body)) == (400, "INVALID_ARGUMENT")


async def test_an_upload_may_come_unpacked(evidence: EvidenceClient, generator: AnOrg) -> None:
    """From browsers without compression streams."""
    envelope = an_envelope()
    answer = await upload(evidence, envelope, body=packed_text(envelope), encoding="identity")
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    ("broken", "field"),
    [
        ({"v": 2}, "v"),
        ({"sessionId": "../../etc/passwd"}, "sessionId"),
        ({"captureTime": -1}, "captureTime"),
        ({"captureTime": "SECRET"}, "captureTime"),
        ({"custom": ["SECRET"]}, "custom"),
        ({"custom": {"SECRET": "x" * 16_384}}, "custom"),
        ({"subGroupIds": list("abcdef")}, "subGroupIds"),
        ({"subGroupIds": ["SECRET", "SECRET"]}, "subGroupIds"),
        ({"autoShare": {"expiresInMs": 63_072_000_001}}, "autoShare"),
        ({"page": {"url": "x" * 8193}}, "page"),
        ({"viewport": {"width": -1}}, "viewport"),
        ({"snapshot": None}, "snapshot"),
        ({"snapshot": {"type": "SECRET", "id": 1}}, "snapshot"),
        ({"disclosures": [{"key": "tcpa", "agreed": "SECRET"}]}, "disclosures"),
        ({"cid": "cid_other"}, "cid"),
    ],
)
async def test_a_broken_envelope_is_refused_by_its_field(
    evidence: EvidenceClient, generator: AnOrg, broken: dict[str, Any], field: str
) -> None:
    """The message has the field's name, and no value."""
    envelope = an_envelope()
    answer = await upload(evidence, envelope, body=packed(envelope | broken))
    assert code_of(answer) == (400, "INVALID_ARGUMENT")
    assert answer.json()["error"]["message"].startswith(field)
    assert "SECRET" not in answer.text
    assert await evidence.charges(generator) == []


@pytest.mark.parametrize(
    "query",
    [
        {"cid": ""},
        {"cid": "../admin"},
        {"captureId": "not-a-uuid"},
        {"captureId": "00000000-0000-0000-0000-00000000000A"},
        {"encoding": "br"},
        {"attempt": 0},
        {"attempt": 101},
        {"attempt": "9" * 5000},
    ],
)
async def test_a_broken_query_is_refused(
    evidence: EvidenceClient, generator: AnOrg, query: dict[str, Any]
) -> None:
    """Before the body is read."""
    assert code_of(await upload(evidence, an_envelope(), **query)) == (400, "INVALID_ARGUMENT")


@pytest.mark.parametrize("levels", [301, 5_000, 300_000])
async def test_deep_nesting_is_refused(
    evidence: EvidenceClient, generator: AnOrg, levels: int
) -> None:
    """Of the snapshot and of anything else; 300 nodes are taken."""
    envelope = an_envelope()
    text = packed_text(envelope | {"snapshot": "HERE"})
    for opening, closing in ((b'{"type":2,"id":1,"childNodes":[', b"]}"), (b"[", b"]")):
        deep = text.replace(b'"HERE"', opening * levels + closing * levels)
        answer = await upload(evidence, envelope, body=gzip.compress(deep))
        assert code_of(answer) == (400, "INVALID_ARGUMENT")
    node = {"type": 2, "id": 1, "childNodes": []}
    for _ in range(299):
        node = {"type": 2, "id": 1, "childNodes": [node]}
    assert (await upload(evidence, envelope | {"snapshot": node})).status_code == 200


async def test_too_many_nodes_are_refused(evidence: EvidenceClient, generator: AnOrg) -> None:
    """200,000 are the most."""
    nodes = [{"type": 3, "id": 1}] * 200_001
    envelope = an_envelope({"type": 0, "id": 1, "childNodes": nodes})
    assert code_of(await upload(evidence, envelope)) == (400, "INVALID_ARGUMENT")


async def test_a_hostile_snapshot_is_kept_as_it_came_and_never_run(
    evidence: EvidenceClient, generator: AnOrg, tmp_path: Path
) -> None:
    """Scripts, javascript: URLs and outreaching CSS are evidence: stored, byte for byte."""
    page = a_page(
        an_element("script", a_text("fetch('https://evil.example')")),
        an_element("a", a_text("click"), href="javascript:alert(1)"),
        an_element("style", _cssText="@import url(file:///etc/passwd)"),
        an_element("svg", an_element("image", href="file:///etc/passwd")),
        a_disclosure("tcpa", an_element("script", a_text("not its text"))),
    )
    envelope = an_envelope(page)
    data = await captured(evidence, envelope)
    seen = (await evidence.get(generator.key, f"/v1/cdrs/{data['cdrId']}")).json()["data"]
    assert seen["disclosures"][0]["language"] == "I agree to be called."
    assert _stored(tmp_path) == [packed(envelope)]


async def test_a_body_that_does_not_come_is_given_up(
    evidence: EvidenceClient, generator: AnOrg, monkeypatch: pytest.MonkeyPatch
) -> None:
    """408, which the library tries again; who stalls holds no room for ever."""
    monkeypatch.setattr(capture, "_BODY_SECONDS", 0.01)
    never = asyncio.Event()

    async def stalling() -> AsyncIterator[bytes]:
        yield b"{"
        await never.wait()

    envelope = an_envelope()
    path = f"/v1/captures?cid=cid_a&captureId={envelope['captureId']}&encoding=identity"
    answer = await evidence.http.post(path, headers={"origin": ORIGIN}, content=stalling())
    assert code_of(answer) == (408, "TIMEOUT")
    assert answer.headers["access-control-allow-origin"] == "*"


async def test_one_address_can_flood_no_more_than_its_share(tmp_path: Path, clock: ATime) -> None:
    """429 with Retry-After, which is true; another address goes on meanwhile."""
    settings = {"captures_per_address": 4, "trusted_proxies": "127.0.0.1/32"}
    async with an_evidence_service(tmp_path, clock, **settings) as evidence:
        await a_client(evidence, await evidence.org("generator-a"))

        async def sent(address: str) -> httpx.Response:
            return await upload(evidence, an_envelope(), headers={"x-forwarded-for": address})

        answers = [await sent("203.0.113.1") for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 429]
        assert code_of(answers[-1]) == (429, "RESOURCE_EXHAUSTED")
        assert (await sent("203.0.113.2")).status_code == 200
        clock.now_ms += int(answers[-1].headers["retry-after"]) * 1000
        assert (await sent("203.0.113.1")).status_code == 200


async def test_a_flood_of_unknown_client_ids_is_limited_too(tmp_path: Path, clock: ATime) -> None:
    """It costs the flooder its address's share."""
    async with an_evidence_service(tmp_path, clock, captures_per_address=4) as evidence:
        answers = [await upload(evidence, an_envelope(cid=f"cid_{n}")) for n in range(3)]
        assert [answer.status_code for answer in answers] == [403, 403, 429]


async def test_one_client_id_is_limited_across_addresses(tmp_path: Path, clock: ATime) -> None:
    """A flood from many addresses is held up at the client id."""
    settings = {"captures_per_client": 4, "trusted_proxies": "127.0.0.1/32"}
    async with an_evidence_service(tmp_path, clock, **settings) as evidence:
        await a_client(evidence, await evidence.org("generator-a"))
        answers = [
            await upload(evidence, an_envelope(), headers={"x-forwarded-for": f"203.0.113.{n}"})
            for n in range(3)
        ]
        assert [answer.status_code for answer in answers] == [200, 200, 429]


async def test_tokens_and_texts_of_a_capture_are_not_in_the_log(
    evidence: EvidenceClient, generator: AnOrg, caplog: pytest.LogCaptureFixture, capfd: Any
) -> None:
    """Neither of one that is taken nor of one that is refused."""
    caplog.set_level(logging.DEBUG)
    envelope = an_envelope(custom={"phone": "+12015550123"}, autoShare={"expiresInMs": 60_000})
    token = (await captured(evidence, envelope))["shareToken"]
    await upload(evidence, envelope | {"custom": {"phone": "+12015550124"}})
    await upload(evidence, envelope, body=packed(envelope | {"page": {"url": ["+12015550125"]}}))
    printed = caplog.text + "".join(capfd.readouterr())
    for secret in (token, "201555012"):
        assert secret not in printed


async def test_the_script_is_served_to_any_page(evidence: EvidenceClient) -> None:
    """With an ETag that saves the next load, and headers that integrity checks need."""
    answer = await evidence.http.get("/sdk/v1/sdk.js")
    assert answer.content == SDK_FILE.read_bytes()
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "max-age=3600" in answer.headers["cache-control"]
    asked = {"if-none-match": answer.headers["etag"]}
    again = await evidence.http.get("/sdk/v1/sdk.js", headers=asked)
    assert (again.status_code, again.content) == (304, b"")


def _stored(folder: Path) -> list[bytes]:
    return [file.read_bytes() for file in folder.rglob("*-capture-*") if file.is_file()]


def packed_text(envelope: dict[str, Any]) -> bytes:
    """An envelope as JSON."""
    return json.dumps(envelope, separators=(",", ":")).encode()


def code_of(answer: httpx.Response) -> tuple[int, str]:
    """Status and code of a refusal."""
    return answer.status_code, answer.json()["error"]["code"]
