"""The page to look at: sign-in, lists, one CDR; nothing that was captured runs there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from evidence.sign_ins import LASTS_MS
from tests.builders_capture import (
    a_client,
    a_disclosure,
    a_page,
    an_envelope,
    captured,
)
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
from tests.services.test_evidence_renders import state

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'"


@pytest.fixture
def clock() -> ATime:
    """A clock that stands still."""
    return ATime()


@pytest.fixture
async def evidence(tmp_path: Path, clock: ATime) -> AsyncIterator[EvidenceClient]:
    """A service without a browser to draw with."""
    async with an_evidence_service(tmp_path, clock) as client:
        yield client


@pytest.fixture
async def owner(evidence: EvidenceClient) -> AnOrg:
    """An org whose pages may capture."""
    org = await evidence.org("generator-a")
    await a_client(evidence, org)
    return org


async def test_a_key_is_exchanged_for_a_cookie_that_no_script_or_other_site_gets(
    evidence: EvidenceClient, owner: AnOrg
) -> None:
    """HttpOnly, SameSite=Strict, Secure under https, for the pages only, for 8 hours."""
    answer = await sign_in(evidence, owner.key)
    assert (answer.status_code, answer.headers["location"]) == (303, "/app")
    name, *attributes = answer.headers["set-cookie"].split("; ")
    assert {a.lower() for a in attributes} == {
        "httponly",
        "samesite=strict",
        "secure",
        "path=/app",
        f"max-age={LASTS_MS // 1000}",
    }
    assert owner.key.partition(".")[2] not in name
    page = await evidence.http.get("/app", headers={"cookie": name})
    assert page.status_code == 200
    assert "Consent records" in page.text


async def test_a_stored_sign_in_opens_nothing(
    evidence: EvidenceClient, owner: AnOrg, tmp_path: Path
) -> None:
    """The ledger has a hash of the cookie's value only."""
    cookie = await cookie_of(evidence, owner)
    stored = (tmp_path / "evidence.db").read_bytes() + (tmp_path / "evidence.db-wal").read_bytes()
    assert cookie.partition("=")[2].encode() not in stored


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://attacker.example"},
        {"origin": "null"},
        {"origin": "null", "sec-fetch-site": "cross-site"},
        {"origin": PUBLIC_URL, "sec-fetch-site": "same-site"},
        {},
    ],
)
async def test_forms_of_other_sites_are_refused(
    evidence: EvidenceClient, owner: AnOrg, headers: dict[str, str]
) -> None:
    """Nobody is signed in, or out, from elsewhere."""
    answer = await sign_in(evidence, owner.key, headers=headers)
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers
    cookie = await cookie_of(evidence, owner)
    await evidence.http.post("/app/sign-out", headers=headers | {"cookie": cookie})
    assert (await evidence.http.get("/app", headers={"cookie": cookie})).status_code == 200


async def test_our_own_form_is_taken_from_a_browser_that_hides_its_origin(
    evidence: EvidenceClient, owner: AnOrg
) -> None:
    """Under `no-referrer` browsers say `Origin: null`, and beside it that the site is ours."""
    headers = {"origin": "null", "sec-fetch-site": "same-origin"}
    assert (await sign_in(evidence, owner.key, headers=headers)).status_code == 303


@pytest.mark.parametrize("key", ["", "nobody.0123456789abcdef0123", "x" * 400, OPERATOR_KEY])
async def test_a_key_that_is_no_orgs_is_refused(evidence: EvidenceClient, key: str) -> None:
    """Also the operator's, who has no records; the key is not shown again."""
    answer = await sign_in(evidence, key)
    assert answer.status_code in {401, 403}
    assert "set-cookie" not in answer.headers
    assert not key or key not in answer.text


async def test_keys_cannot_be_guessed_at_speed(evidence: EvidenceClient, owner: AnOrg) -> None:
    """Past the limit of an address even a good key waits."""
    for _ in range(20):
        await sign_in(evidence, "nobody.0123456789abcdef0123")
    assert (await sign_in(evidence, owner.key)).status_code == 429


async def test_a_sign_in_ends(evidence: EvidenceClient, owner: AnOrg, clock: ATime) -> None:
    """By signing out, by its key being revoked, and after 8 hours."""
    first, second = await cookie_of(evidence, owner), await cookie_of(evidence, owner)
    await evidence.http.post("/app/sign-out", headers={"cookie": first, "origin": PUBLIC_URL})
    assert await is_out(evidence, first)
    assert not await is_out(evidence, second)
    clock.now_ms += LASTS_MS
    assert await is_out(evidence, second)
    third = await cookie_of(evidence, owner)
    await evidence.admin(f"/keys/{owner.key.partition('.')[0]}/revoke")
    assert await is_out(evidence, third)


@pytest.mark.parametrize(
    "path", ["/app", "/app/cdrs/cdr_1", "/app/cdrs/cdr_1/image", "/app/packages/pkg_1"]
)
async def test_nothing_is_shown_to_who_has_not_signed_in(
    evidence: EvidenceClient, path: str
) -> None:
    """Every page leads to the form; so does a made-up cookie."""
    for cookie in ("", "leadgate_evidence=" + "x" * 43, "leadgate_evidence=é"):
        answer = await evidence.http.get(path, headers=[(b"cookie", cookie.encode())])
        assert (answer.status_code, answer.headers["location"]) == (303, "/app/sign-in")


async def test_a_cdr_shows_every_fact_with_its_source(
    evidence: EvidenceClient, owner: AnOrg
) -> None:
    """Who, when, where from, the disclosures and how they were agreed to, and the custody."""
    fields: dict[str, Any] = {
        "custom": {"phone": "+12015550123"},
        "disclosures": [{"key": "tcpa", "agreed": True, "language": "x", "visible": True}],
    }
    envelope = an_envelope(a_page(a_disclosure("tcpa", text="Call me, please.")), **fields)
    cdr_id = (await captured(evidence, envelope))["cdrId"]
    assert await state(evidence, owner, cdr_id) == "unavailable"
    page = await shown(evidence, owner, f"/app/cdrs/{cdr_id}")
    for text in (
        "+12015550123",
        "a-browser/1.0",
        "2027-01-15 08:00:00.000 UTC",
        "1.0 s before it was received",
        f"https://{DOMAIN}/form?step=1",
        "Call me, please.",
        "non_interactive",
        "The page claims another text than the snapshot shows.",
        "Received and stored",
        "no browser to draw the image with",
        "server-observed",
        "browser-reported",
    ):
        assert text in page


async def test_what_was_captured_is_shown_as_text(evidence: EvidenceClient, owner: AnOrg) -> None:
    """In lists, facts, disclosures and searches; and no answer would let a script run."""
    envelope = an_envelope(
        a_page(a_disclosure(HOSTILE[:40], text=HOSTILE)),
        custom={HOSTILE: HOSTILE},
        subGroupIds=[HOSTILE],
    ) | {"page": {"url": f"javascript:{HOSTILE}", "title": HOSTILE}}
    made = await captured(evidence, envelope, headers={"user-agent": HOSTILE})
    for path in (
        f"/app/cdrs/{made['cdrId']}",
        f"/app/packages/{made['packageData']['packageId']}",
        f"/app?domain={DOMAIN}",
        "/app?domain=<script>alert(1)</script>&key=<script>&value=<script>",
        "/app/cdrs/<script>alert(1)<%2Fscript>",
    ):
        cookie = await cookie_of(evidence, owner)
        answer = await evidence.http.get(path, headers={"cookie": cookie})
        assert "<script" not in answer.text
        assert "<img src=x" not in answer.text
        assert 'href="javascript:' not in answer.text
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; img-src 'self'; style-src 'self';")
        assert "script-src" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"


async def test_records_are_found_by_any_key_of_their_metadata(
    evidence: EvidenceClient, owner: AnOrg
) -> None:
    """By key and value, by key alone, and page by page."""
    for number in range(30):
        await evidence.cdr(owner, customMetadata={"uid": f"lead-{number}"})
    assert rows(await shown(evidence, owner, "/app?key=uid&value=lead-7")) == ["lead-7"]
    first = await shown(evidence, owner, "/app?key=uid")
    assert rows(first) == [f"lead-{number}" for number in range(29, 4, -1)]
    older = first.partition('class="button" href="')[2].partition('"')[0].replace("&amp;", "&")
    assert rows(await shown(evidence, owner, older)) == [f"lead-{n}" for n in range(4, -1, -1)]
    assert "Nothing found" in await shown(evidence, owner, "/app?domain=absent.example")


async def test_an_org_sees_its_own_records_only(evidence: EvidenceClient, owner: AnOrg) -> None:
    """Foreign and absent ids answer alike; a buyer sees no sub-group's name."""
    buyer = await evidence.org("buyer-a")
    envelope = an_envelope(subGroupIds=["for-another-buyer"], autoShare={"expiresInMs": 1000})
    made = await captured(evidence, envelope)
    cookie = await cookie_of(evidence, buyer)
    paths = [f"/app/cdrs/{made['cdrId']}", f"/app/packages/{made['packageData']['packageId']}"]
    for path in (*paths, "/app/cdrs/absent", "/app/packages/absent"):
        answer = await evidence.http.get(path, headers={"cookie": cookie})
        assert answer.status_code == 404
    await evidence.claim(buyer, made["shareUrl"])
    for path in paths:
        page = await shown(evidence, buyer, path)
        assert "for-another-buyer" not in page
        assert "for-another-buyer" in await shown(evidence, owner, path)
    assert "your organisation" in await shown(evidence, buyer, paths[0])


async def test_a_record_that_is_only_saved_has_no_downloads(
    evidence: EvidenceClient, owner: AnOrg
) -> None:
    """The page says so; the file is refused."""
    generator = await evidence.org("generator-b", auto_collect=False)
    cdr: ACdr = await evidence.cdr(generator)
    await evidence.claim(owner, cdr.share_url, collect=False)
    page = await shown(evidence, owner, f"/app/cdrs/{cdr.cdr_id}")
    assert "has no access to its image" in page
    cookie = await cookie_of(evidence, owner)
    path = f"/app/cdrs/{cdr.cdr_id}/image"
    answer = await evidence.http.get(path, headers={"cookie": cookie})
    assert answer.status_code == 403


async def sign_in(
    evidence: EvidenceClient, key: str, headers: dict[str, str] | None = None
) -> httpx.Response:
    """Sends the form."""
    sent = {"origin": PUBLIC_URL} if headers is None else headers
    evidence.http.cookies.clear()
    return await evidence.http.post("/app/sign-in", data={"key": key}, headers=sent)


async def cookie_of(evidence: EvidenceClient, org: AnOrg) -> str:
    """The cookie of a fresh sign-in, as a browser sends it."""
    answer = await sign_in(evidence, org.key)
    evidence.http.cookies.clear()
    return answer.headers["set-cookie"].partition(";")[0]


async def is_out(evidence: EvidenceClient, cookie: str) -> bool:
    """Whether a cookie opens nothing any more."""
    answer = await evidence.http.get("/app", headers={"cookie": cookie})
    return answer.status_code == 303


async def shown(evidence: EvidenceClient, org: AnOrg, path: str) -> str:
    """A page, as an org sees it."""
    cookie = await cookie_of(evidence, org)
    answer = await evidence.http.get(path, headers={"cookie": cookie})
    assert answer.status_code == 200, answer.text
    return answer.text


def rows(page: str) -> list[str]:
    """What the rows of a list begin with."""
    return [part.partition("</span>")[0] for part in page.split('<span class="main">')[1:]]
