"""`python -m evidence` as a real process: start, stop, crash, and what its log holds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType

import httpx

from leadgate.process import ExitCode
from tests.builders_capture import a_client, an_envelope, captured, packed, upload
from tests.builders_evidence import OPERATOR_KEY, EvidenceClient
from tests.processes import Process, running


async def test_a_claim_that_was_answered_survives_kill_9(tmp_path: Path) -> None:
    """After a restart the CDR is collected, and the claim is a repeat with the same event."""
    async with an_evidence_process(tmp_path) as (process, evidence):
        generator = await evidence.org("generator-a", auto_collect=False)
        buyer = await evidence.org("buyer-a")
        cdr = await evidence.cdr(generator)
        first = (await evidence.claim(buyer, cdr.share_url)).json()["data"]
        await process.kill()
    token = cdr.share_url.rpartition("/")[2]
    async with an_evidence_process(tmp_path) as (_, evidence):
        assert await evidence.state(buyer, cdr) == "collected"
        again = (await evidence.claim(buyer, f"/v1/shares/{token}")).json()["data"]
        assert again == first | {"alreadyClaimed": True}
        assert await evidence.charges(buyer) == [(cdr.cdr_id, "claim")]


async def test_a_capture_that_was_answered_survives_kill_9(tmp_path: Path) -> None:
    """After a restart it is there with its upload, and a retry is answered alike."""
    envelope = an_envelope(autoShare={"expiresInMs": 60_000})
    public = {"LEADGATE_EVIDENCE_PUBLIC_URL": "https://evidence.example.com"}
    async with an_evidence_process(tmp_path, public) as (process, evidence):
        generator = await evidence.org("generator-a")
        await a_client(evidence, generator)
        first = await captured(evidence, envelope)
        await process.kill()
    assert _uploads(tmp_path) == [packed(envelope)]
    async with an_evidence_process(tmp_path, public) as (_, evidence):
        assert await captured(evidence, envelope, attempt=2) == first
        assert await evidence.charges(generator) == [(first["cdrId"], "capture")]


async def test_captures_under_way_at_kill_9_land_once_by_their_retry(tmp_path: Path) -> None:
    """Answered or not: each is one CDR after it was sent again, with what was answered."""
    envelopes = [an_envelope(custom={"uid": str(number)}) for number in range(30)]
    async with an_evidence_process(tmp_path) as (process, evidence):
        generator = await evidence.org("generator-a")
        await a_client(evidence, generator)
        sending = [asyncio.create_task(upload(evidence, envelope)) for envelope in envelopes]
        await asyncio.wait(sending, return_when=asyncio.FIRST_COMPLETED)
        await process.kill()
        answers = await asyncio.gather(*sending, return_exceptions=True)
    async with an_evidence_process(tmp_path) as (_, evidence):
        for envelope, answer in zip(envelopes, answers, strict=True):
            again = await captured(evidence, envelope, attempt=2)
            if isinstance(answer, httpx.Response):
                assert again == answer.json()["data"]
        assert len(await evidence.charges(generator)) == len(envelopes)


async def test_the_database_holds_hashes_of_keys_and_tokens_only(tmp_path: Path) -> None:
    """Whoever reads the file can claim nothing with it."""
    async with an_evidence_process(tmp_path) as (process, evidence):
        generator = await evidence.org("generator-a")
        cdr = await evidence.cdr(generator)
        assert await process.stop() == ExitCode.OK
    stored = _stored(tmp_path)
    assert cdr.cdr_id.encode() in stored
    for secret in (cdr.share_url.rpartition("/")[2], generator.key.partition(".")[2]):
        assert secret.encode() not in stored


async def test_share_urls_start_with_the_public_url(tmp_path: Path) -> None:
    """The setting, without its last slash, and not the address that was asked."""
    public = {"LEADGATE_EVIDENCE_PUBLIC_URL": "https://evidence.example.com/proof/"}
    async with an_evidence_process(tmp_path, public) as (_, evidence):
        cdr = await evidence.cdr(await evidence.org("generator-a"))
        assert cdr.share_url.startswith("https://evidence.example.com/proof/v1/shares/")


async def test_sigterm_finishes_what_is_in_hand_and_exits_0(tmp_path: Path) -> None:
    """Claims that were under way when the signal came are answered or never began."""
    async with an_evidence_process(tmp_path) as (process, evidence):
        generator = await evidence.org("generator-a")
        buyers = [await evidence.org(f"buyer-{number}") for number in range(8)]
        cdr = await evidence.cdr(generator)
        claims = [asyncio.create_task(evidence.claim(buyer, cdr.share_url)) for buyer in buyers]
        await claims[0]
        assert await process.stop() == ExitCode.OK
        answers = await asyncio.gather(*claims, return_exceptions=True)
    answered = [a for a in answers if isinstance(a, httpx.Response)]
    assert all(answer.status_code == 200 for answer in answered)
    assert all(isinstance(a, httpx.Response | httpx.TransportError) for a in answers)
    async with an_evidence_process(tmp_path) as (_, evidence):
        for buyer, answer in zip(buyers, answers, strict=True):
            if isinstance(answer, httpx.Response):
                assert await evidence.state(buyer, cdr) == "collected"


async def test_sigterm_closes_idle_connections(tmp_path: Path) -> None:
    """A client that keeps its connection open does not hold up the stop."""
    async with an_evidence_process(tmp_path) as (process, evidence):
        assert (await evidence.http.get("/healthz")).status_code == 200
        assert await process.stop(seconds=5) == ExitCode.OK


async def test_no_key_token_or_metadata_is_in_the_log(tmp_path: Path) -> None:
    """Good and bad requests alike leave none of them on stdout or stderr."""
    async with an_evidence_process(tmp_path) as (process, evidence):
        generator, buyer = await evidence.org("generator-a"), await evidence.org("buyer-a")
        cdr = await evidence.cdr(generator, customMetadata={"phone": "canary-value"})
        await evidence.claim(buyer, cdr.share_url)
        await a_client(evidence, generator)
        shared = {"autoShare": {"expiresInMs": 60_000}}
        capture = await captured(evidence, an_envelope(custom={"phone": "canary"}, **shared))
        await upload(evidence, an_envelope(cid="canary"), headers={"user-agent": "canary"})
        await upload(evidence, an_envelope(), body=b"canary", captureId="canary")
        await evidence.post(buyer.key, "/v1/shares/canary-token-0123456789")
        await evidence.post(buyer.key, "/v1/shares/canary?canary-query=1")
        await evidence.http.post("/v1/shares/x", headers={"x-api-key": "canary.canary-secret-1234"})
        assert await process.stop() == ExitCode.OK
        said = "\n".join(process.errors + process.output)
    token = cdr.share_url.rpartition("/")[2]
    secrets = [key.partition(".")[2] for key in (generator.key, buyer.key, OPERATOR_KEY)]
    for secret in [token, capture["shareToken"], "canary", *secrets]:
        assert secret not in said


async def test_every_wrong_setting_is_named_and_the_exit_code_says_so(tmp_path: Path) -> None:
    """Two mistakes, two lines, exit 78."""
    env = {
        "LEADGATE_EVIDENCE_LISTEN": "nowhere",
        "LEADGATE_EVIDENCE_OPERATOR_KEY": "canary-without-a-dot",
    }
    async with running("-m", "evidence", env=env, cwd=tmp_path) as process:
        assert await process.ended() == ExitCode.SETTINGS
        problems = [e["problem"] for e in process.events if e["event"] == "settings refused"]
        assert {p.partition(":")[0] for p in problems} == set(env)
        assert "canary" not in "\n".join(process.errors)


async def test_without_an_operator_key_it_says_so_and_serves(tmp_path: Path) -> None:
    """The admin API refuses everybody; the rest works."""
    env = {"LEADGATE_EVIDENCE_LISTEN": "127.0.0.1:0"}
    async with running("-m", "evidence", env=env, cwd=tmp_path) as process:
        url = (await process.event("listening"))["public_url"]
        warned = [e for e in process.events if "LEADGATE_EVIDENCE_OPERATOR_KEY" in e["event"]]
        assert warned
        async with httpx.AsyncClient(base_url=url) as http:
            answer = await http.post("/admin/v1/orgs", headers={"x-api-key": OPERATOR_KEY})
        assert answer.status_code == 401


async def test_a_second_process_on_the_same_database_refuses_to_start(tmp_path: Path) -> None:
    """It names the file and exits with HELD, while the first goes on."""
    async with (
        an_evidence_process(tmp_path) as (_, evidence),
        running("-m", "evidence", env=_env(tmp_path), cwd=tmp_path) as second,
    ):
        assert await second.ended() == ExitCode.HELD
        refused = next(e for e in second.events if e["event"] == "refused to start")
        assert "evidence.db" in refused["problem"]
        assert (await evidence.http.get("/healthz")).status_code == 200


async def test_a_taken_address_is_a_clear_refusal(tmp_path: Path) -> None:
    """No traceback: the address and why."""
    async with an_evidence_process(tmp_path) as (first, _):
        address = (await first.event("listening"))["address"]
        env = {"LEADGATE_EVIDENCE_LISTEN": address}
        async with running("-m", "evidence", env=env, cwd=tmp_path) as second:
            assert await second.ended() == ExitCode.UNAVAILABLE
            refused = next(e for e in second.events if e["event"] == "refused to start")
            assert address in refused["problem"]


@asynccontextmanager
async def an_evidence_process(
    folder: Path, more: Mapping[str, str] = MappingProxyType({})
) -> AsyncIterator[tuple[Process, EvidenceClient]]:
    """Runs the service on a free port over a database in `folder`, with `more` settings."""
    async with running("-m", "evidence", env=_env(folder) | dict(more), cwd=folder) as process:
        url = f"http://{(await process.event('listening'))['address']}"
        async with httpx.AsyncClient(base_url=url) as http:
            yield process, EvidenceClient(http)


def _stored(folder: Path) -> bytes:
    files = (file for file in folder.glob("evidence.db*") if file.is_file())
    return b"".join(file.read_bytes() for file in files)


def _uploads(folder: Path) -> list[bytes]:
    return [file.read_bytes() for file in folder.rglob("*-capture-*") if file.is_file()]


def _env(folder: Path) -> dict[str, str]:
    return {
        "LEADGATE_EVIDENCE_LISTEN": "127.0.0.1:0",
        "LEADGATE_EVIDENCE_DATABASE_URL": f"sqlite:///{folder / 'evidence.db'}",
        "LEADGATE_EVIDENCE_OPERATOR_KEY": OPERATOR_KEY,
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
