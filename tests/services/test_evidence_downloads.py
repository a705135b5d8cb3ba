"""Images and reports: who gets one, by which link, and what the custody log says of it."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from evidence.downloads import LOG_AGAIN_MS, SHORT_MS
from evidence.renders import UNAVAILABLE
from tests.builders_capture import a_client, an_envelope, captured
from tests.builders_evidence import (
    AnOrg,
    ATime,
    EvidenceClient,
    an_evidence_service,
    code_of,
    data_of,
)
from tests.fakes.renderer import PICTURE, REPORT, FakeRenderer


@pytest.fixture
def clock() -> ATime:
    """A clock that stands still."""
    return ATime()


@pytest.fixture
async def evidence(
    tmp_path: Path, clock: ATime, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[EvidenceClient]:
    """A service whose renderer answers at once."""
    monkeypatch.setattr("evidence.app.chromium_at", lambda _: "a-browser")
    monkeypatch.setattr("evidence.app.ChromiumRenderer", FakeRenderer)
    async with an_evidence_service(tmp_path, clock) as client:
        yield client


@pytest.fixture
async def owner(evidence: EvidenceClient) -> AnOrg:
    """An org whose pages may capture."""
    org = await evidence.org("generator-a")
    await a_client(evidence, org)
    return org


async def test_a_link_is_good_for_its_time_and_for_its_file_alone(
    evidence: EvidenceClient, owner: AnOrg, clock: ATime
) -> None:
    """Changed, taken to the report, to another CDR or over: it leads nowhere."""
    cdr_id, other = await a_cdr(evidence, owner), await a_cdr(evidence, owner)
    link = await link_of(evidence, owner, cdr_id, "image")
    answer = await evidence.http.get(link)
    assert answer.content == PICTURE
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["cache-control"] == "no-store"
    for forged in (
        link.replace("/image?", "/report?"),
        link.replace(cdr_id, other),
        link.replace("org=1", "org=2"),
        link.replace("expires=1", "expires=2"),
        link[:-1] + ("A" if link[-1] != "A" else "B"),
        link.partition("&signature")[0],
        link.partition("?")[0],
        link.replace("/image?", "/..%2Fimage?"),
        link.replace(cdr_id, "..%2F..%2Fetc%2Fpasswd"),
    ):
        assert code_of(await evidence.http.get(forged)) == (404, "NOT_FOUND")
    clock.now_ms += SHORT_MS
    assert code_of(await evidence.http.get(link)) == (404, "NOT_FOUND")


async def test_a_link_ends_with_the_cdr(evidence: EvidenceClient, owner: AnOrg) -> None:
    """An invalidated CDR is handed to nobody, whatever links there are."""
    cdr_id = await a_cdr(evidence, owner)
    link = await link_of(evidence, owner, cdr_id, "report")
    assert (await evidence.http.get(link)).content == REPORT
    await evidence.admin(f"/cdrs/{cdr_id}/invalidate")
    assert code_of(await evidence.http.get(link)) == (410, "CDR_INVALID")


async def test_only_who_has_access_gets_a_link(evidence: EvidenceClient, owner: AnOrg) -> None:
    """Saved: forbidden. Foreign and absent: not found. The upload itself: nobody."""
    generator = await evidence.org("generator-b", auto_collect=False)
    await a_client(evidence, generator, "cid_b")
    made = await captured(evidence, an_envelope(cid="cid_b", autoShare={"expiresInMs": 60_000}))
    cdr_id = str(made["cdrId"])
    await drawn(evidence, generator, cdr_id)
    await evidence.claim(owner, made["shareUrl"], collect=False)
    path = f"/v1/cdrs/{cdr_id}/image"
    assert code_of(await evidence.get(owner.key, path)) == (403, "FORBIDDEN")
    stranger = await evidence.org("buyer-a")
    assert code_of(await evidence.get(stranger.key, path)) == (404, "NOT_FOUND")
    assert code_of(await evidence.get(owner.key, "/v1/cdrs/absent/image")) == (404, "NOT_FOUND")
    assert code_of(await evidence.http.get(path)) == (401, "UNAUTHENTICATED")
    await evidence.claim(owner, made["shareUrl"])
    link = await link_of(evidence, owner, cdr_id, "image")
    assert (await evidence.http.get(link)).content == PICTURE
    capture = link.replace("/image?", "/capture?")
    assert code_of(await evidence.http.get(capture)) == (404, "NOT_FOUND")


async def test_the_log_has_each_download_once_an_hour(
    evidence: EvidenceClient, owner: AnOrg, clock: ATime
) -> None:
    """For each file and org, with the hash of what was handed out."""
    cdr_id = await a_cdr(evidence, owner)
    for name in ("image", "image", "report"):
        await evidence.http.get(await link_of(evidence, owner, cdr_id, name))
    wanted = [(name, hashlib.sha256(file).hexdigest()) for name, file in
              (("image", PICTURE), ("report", REPORT))]  # fmt: skip
    assert await downloads_of(evidence, owner, cdr_id) == wanted
    clock.now_ms += LOG_AGAIN_MS
    await evidence.http.get(await link_of(evidence, owner, cdr_id, "image"))
    assert await downloads_of(evidence, owner, cdr_id) == [*wanted, wanted[0]]


async def test_a_file_that_was_changed_in_the_store_is_not_handed_out(
    evidence: EvidenceClient, owner: AnOrg, tmp_path: Path
) -> None:
    """Better no evidence than another one; the log does not say that it was handed out."""
    cdr_id = await a_cdr(evidence, owner)
    link = await link_of(evidence, owner, cdr_id, "image")
    await asyncio.to_thread(forge, tmp_path)
    assert code_of(await evidence.http.get(link)) == (500, "INTERNAL")
    assert await downloads_of(evidence, owner, cdr_id) == []


async def test_what_is_not_drawn_says_so(tmp_path: Path, clock: ATime) -> None:
    """412 with the state."""
    async with an_evidence_service(tmp_path, clock) as evidence:
        owner = await evidence.org("generator-a")
        await a_client(evidence, owner)
        cdr_id = await a_cdr(evidence, owner)
        answer = await evidence.get(owner.key, f"/v1/cdrs/{cdr_id}/report")
        assert code_of(answer) == (412, "FAILED_PRECONDITION")
        assert answer.json()["error"]["message"] == f"report: {UNAVAILABLE}"


def forge(folder: Path) -> None:
    """Changes every picture in the store."""
    for blob in folder.rglob("*-image-*"):
        blob.write_bytes(PICTURE + b"!")


async def a_cdr(evidence: EvidenceClient, org: AnOrg) -> str:
    """A capture that the renderer is done with."""
    cdr_id = str((await captured(evidence, an_envelope()))["cdrId"])
    await drawn(evidence, org, cdr_id)
    return cdr_id


async def drawn(evidence: EvidenceClient, org: AnOrg, cdr_id: str) -> None:
    """Waits until image and report are no longer pending."""

    async def settled() -> None:
        while (
            data_of(await evidence.get(org.key, f"/v1/cdrs/{cdr_id}"))["reportState"] == "pending"
        ):
            pass

    await asyncio.wait_for(settled(), 20)


async def link_of(evidence: EvidenceClient, org: AnOrg, cdr_id: str, name: str) -> str:
    """The path of a signed link."""
    parts = urlsplit(data_of(await evidence.get(org.key, f"/v1/cdrs/{cdr_id}/{name}"))["url"])
    return f"{parts.path}?{parts.query}"


async def downloads_of(evidence: EvidenceClient, org: AnOrg, cdr_id: str) -> list[tuple[str, str]]:
    """What the custody log says was downloaded: artifact and hash."""
    log = data_of(await evidence.get(org.key, f"/v1/cdrs/{cdr_id}/custody"))["entries"]
    details = [entry["detail"] for entry in log if entry["event"] == "downloaded"]
    return [(detail["artifact"], detail["sha256"]) for detail in details]
