"""Custody: what every deed leaves, what a buyer sees of it, and exports verified offline."""

from __future__ import annotations

import base64
import hashlib
import json
import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from leadgate.chain import Entry, hash_detail, seal, verify
from leadgate.evidence_export import Verdict, key_id_of
from leadgate.evidence_export import verify as verify_export
from tests.builders_capture import a_client, an_envelope, captured, packed
from tests.builders_evidence import (
    OPERATOR_KEY,
    ACdr,
    AnOrg,
    ATime,
    EvidenceClient,
    an_evidence_service,
)

Json = dict[str, Any]


@pytest.fixture
async def evidence(tmp_path: Path) -> AsyncIterator[EvidenceClient]:
    """An empty service."""
    async with an_evidence_service(tmp_path) as client:
        yield client


@pytest.fixture
async def sold(evidence: EvidenceClient) -> tuple[AnOrg, AnOrg, Json, Json]:
    """A capture that buyers a and b have claimed: a, b, the capture, a's claim."""
    generator = await evidence.org("generator-a", auto_collect=False)
    await a_client(evidence, generator)
    data = await captured(evidence, an_envelope(autoShare={"expiresInMs": 60_000}))
    first, second = await evidence.org("buyer-a"), await evidence.org("buyer-b")
    claim = (await evidence.claim(first, data["shareUrl"])).json()["data"]
    await evidence.claim(second, data["shareUrl"])
    return first, second, data, claim


async def test_every_deed_is_in_the_log(evidence: EvidenceClient) -> None:
    """From the capture to the invalidation; a repeat leaves nothing."""
    generator = await evidence.org("generator-a", auto_collect=False)
    buyer = await evidence.org("buyer-a")
    cdr = await evidence.cdr(generator)
    await evidence.claim(buyer, cdr.share_url, collect=False)
    await evidence.claim(buyer, cdr.share_url)
    await evidence.claim(buyer, cdr.share_url)
    await evidence.share(buyer, cdr)
    for _ in range(2):
        await evidence.post(generator.key, f"/v1/cdrs/{cdr.cdr_id}/collect")
    for _ in range(2):
        await evidence.admin(f"/cdrs/{cdr.cdr_id}/invalidate")
    (exported,) = cdrs_of(await export(evidence))
    assert [entry["event"] for entry in exported["custody"]] == [
        "captured",
        "shared",
        "saved",
        "claimed",
        "shared",
        "collected",
        "invalidated",
    ]


async def test_a_claim_carries_an_anchor_that_anybody_can_verify(
    evidence: EvidenceClient, sold: tuple[AnOrg, AnOrg, Json, Json]
) -> None:
    """The head is signed by a published key, and is the end of the log that the buyer sees."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    first, _, data, claim = sold
    head = claim["custodyHead"]
    published = (await evidence.http.get("/.well-known/jwks.json")).json()["keys"]
    (key,) = [key for key in published if key["kid"] == head["keyId"]]
    public = base64.urlsafe_b64decode(key["x"] + "=")
    signature = bytes.fromhex(head["signature"])
    signed = b"leadgate custody head 1\n" + bytes.fromhex(head["hash"])
    Ed25519PublicKey.from_public_bytes(public).verify(signature, signed)
    assert key_id_of(public) == key["kid"]
    log = await custody(evidence, first, data["cdrId"])
    assert log[head["sequence"] - 1].hash.hex() == head["hash"]


async def test_a_buyer_verifies_the_log_and_learns_nothing_of_others(
    evidence: EvidenceClient, sold: tuple[AnOrg, AnOrg, Json, Json]
) -> None:
    """Its own deed has who and what; another org's only that it was, and when."""
    first, _, data, _ = sold
    answer = await evidence.get(first.key, f"/v1/cdrs/{data['cdrId']}/custody")
    log = await custody(evidence, first, data["cdrId"])
    assert list(verify(data["cdrId"], log)) == []
    claims = [entry for entry in log if entry.event == "claimed"]
    assert [entry.detail and entry.detail["orgId"] for entry in claims] == ["buyer-a", None]
    assert "buyer-b" not in answer.text
    assert "generator-a" not in answer.text
    stranger = await evidence.org("stranger")
    refused = await evidence.get(stranger.key, f"/v1/cdrs/{data['cdrId']}/custody")
    assert refused.status_code == 404


async def test_an_export_verifies_offline(
    evidence: EvidenceClient, sold: tuple[AnOrg, AnOrg, Json, Json]
) -> None:
    """With and without the artifacts, against a pinned key and the buyer's anchor."""
    _, _, data, claim = sold
    lines = await export(evidence, content="1")
    key_id = claim["custodyHead"]["keyId"]
    verdict = verify_export(lines, trusted=[key_id], anchors=[claim])
    assert (verdict.problems, verdict.cdrs, verdict.key_ids) == ([], 1, {key_id})
    assert verify_export(await export(evidence)).problems == []
    (cdr,) = cdrs_of(lines)
    (artifact,) = cdr["artifacts"]
    content = base64.b64decode(artifact["content"])
    assert hashlib.sha256(content).hexdigest() == artifact["sha256"]
    assert json.loads(content)["captureId"]
    one = await export(evidence, cdrId=data["cdrId"])
    assert verify_export(one).cdrs == 1
    missing = await evidence.get(OPERATOR_KEY, "/admin/v1/export?cdrId=cdr_guessed")
    assert missing.status_code == 404


async def test_an_export_is_the_operators(evidence: EvidenceClient) -> None:
    """No org reads another's evidence by it, and none rotates the keys."""
    org = await evidence.org("generator-a")
    assert (await evidence.get(org.key, "/admin/v1/export")).status_code == 403
    assert (await evidence.http.get("/admin/v1/export")).status_code == 401
    assert (await evidence.post(org.key, "/admin/v1/signing-keys")).status_code == 403


@pytest.mark.parametrize("what", ["facts", "custom", "drop a line", "drop the end", "append"])
async def test_a_changed_file_does_not_verify(
    evidence: EvidenceClient, sold: tuple[AnOrg, AnOrg, Json, Json], what: str
) -> None:
    """Whatever is done to it after the export."""
    lines = await export(evidence)
    changed: dict[str, list[bytes]] = {
        "facts": [lines[0], lines[1].replace(b"1799999999000", b"1799999999001"), lines[2]],
        "custom": [lines[0], lines[1].replace(b'"claimed"', b'"shared!"'), lines[2]],
        "drop a line": [lines[0], lines[2]],
        "drop the end": lines[:2],
        "append": [*lines, lines[1]],
    }
    assert changed[what] != lines
    assert verify_export(changed[what]).problems != []


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE cdrs SET ip = '203.0.113.9'",
        "UPDATE cdrs SET custom = '{}'",
        "UPDATE cdrs SET disclosures = '[{}]'",
        "UPDATE custody SET at_ms = at_ms + 1 WHERE sequence = 2",
        "UPDATE custody SET detail = '{}' WHERE sequence = 2",
        "UPDATE custody SET detail = NULL, salt = NULL WHERE sequence = 3",
        "DELETE FROM custody WHERE sequence = 2",
        "DELETE FROM custody WHERE sequence = (SELECT max(sequence) FROM custody)",
        "DELETE FROM custody",
        "DELETE FROM manifests",
        "UPDATE artifacts SET sha256 = zeroblob(32)",
        "DELETE FROM artifacts",
        "UPDATE cdrs SET purge_ms = 1",
    ],
)
async def test_a_database_that_was_rewritten_does_not_verify(
    tmp_path: Path, statement: str
) -> None:
    """By whoever can write to the database alone, before the export was made."""
    await a_sold_capture(tmp_path)
    with sqlite3.connect(tmp_path / "evidence.db") as connection:
        assert connection.execute(statement).rowcount
    connection.close()
    assert (await reopened(tmp_path)).problems != []


async def test_a_log_that_was_chained_anew_does_not_verify(tmp_path: Path) -> None:
    """Every hash follows from the one before it again; the signatures do not."""
    await a_sold_capture(tmp_path)
    assert (await reopened(tmp_path)).problems == []
    with sqlite3.connect(tmp_path / "evidence.db") as connection:
        rechain(connection, lambda detail: {**detail, "orgId": "somebody-else"})
    connection.close()
    problems = (await reopened(tmp_path)).problems
    assert any("signature" in problem.text for problem in problems)
    assert not any("follow" in problem.text for problem in problems)


async def test_a_log_cut_with_all_its_traces_fails_the_buyers_anchor(tmp_path: Path) -> None:
    """Who deletes the claim with its entry, standing and bill is caught by the claim's answer."""
    claim = await a_sold_capture(tmp_path)
    with sqlite3.connect(tmp_path / "evidence.db") as connection:
        connection.execute("DELETE FROM custody WHERE event = 'claimed'")
        connection.execute("DELETE FROM standings WHERE event_id IS NOT NULL")
        connection.execute("DELETE FROM charges")
    connection.close()
    assert (await reopened(tmp_path)).problems == []
    assert (await reopened(tmp_path, [claim])).problems != []


async def test_a_changed_artifact_does_not_verify(tmp_path: Path) -> None:
    """A byte changed in the blob store, or the blob gone."""
    await a_sold_capture(tmp_path)
    (blob,) = [file for file in tmp_path.rglob("*-capture-*") if file.is_file()]  # noqa: ASYNC240
    blob.write_bytes(packed(an_envelope()))
    assert [p.text for p in (await reopened(tmp_path)).problems] == ["artifact capture was changed"]
    blob.unlink()
    assert "blob store" in (await reopened(tmp_path)).problems[0].text


async def test_everything_signed_anew_fails_the_pinned_key(tmp_path: Path) -> None:
    """With other keys in the file all is whole by itself; the published id tells."""
    claim = await a_sold_capture(tmp_path)
    key_id = claim["custodyHead"]["keyId"]
    other = tmp_path / "other"
    other.mkdir()
    await a_sold_capture(other)
    async with an_evidence_service(other) as evidence:
        lines = await export(evidence)
    assert verify_export(lines).problems == []
    assert verify_export(lines, trusted=[key_id]).problems != []


async def test_keys_rotate_and_old_signatures_stay_good(tmp_path: Path) -> None:
    """The new key signs, both are published, the old private key is gone; so after a restart."""
    first = (await a_sold_capture(tmp_path))["custodyHead"]["keyId"]
    async with an_evidence_service(tmp_path, ATime(1_800_000_001_000)) as evidence:
        second = (await evidence.admin("/signing-keys"))["keyId"]
    async with an_evidence_service(tmp_path) as evidence:
        buyer = await evidence.org("buyer-c")
        cdr: ACdr = await evidence.cdr(await evidence.org("generator-c"))
        claim = (await evidence.claim(buyer, cdr.share_url)).json()["data"]
        assert claim["custodyHead"]["keyId"] == second != first
        published = (await evidence.http.get("/.well-known/jwks.json")).json()["keys"]
        assert [(key["kid"], key["retiredAt"] is None) for key in published] == [
            (first, False),
            (second, True),
        ]
        verdict = verify_export(await export(evidence))
    assert (verdict.problems, verdict.key_ids) == ([], {first, second})
    keys = [file.stem for file in (tmp_path / "evidence.db.keys").glob("*.ed25519")]
    assert keys == [second]


@pytest.mark.parametrize("line", [b"", b"[]", b'{"record":"cdr"}', b"\xff", b"[" * 5000])
def test_a_file_that_is_no_export_is_a_problem_not_a_crash(line: bytes) -> None:
    """Any bytes at all."""
    assert verify_export([line]).problems != []


async def custody(evidence: EvidenceClient, org: AnOrg, cdr_id: str) -> list[Entry]:
    """A CDR's log as the API shows it."""
    answer = await evidence.get(org.key, f"/v1/cdrs/{cdr_id}/custody")
    return [
        Entry(
            shown["sequence"],
            shown["event"],
            shown["at"],
            bytes.fromhex(shown["detailHash"]),
            bytes.fromhex(shown["hash"]),
            shown["detail"],
            bytes.fromhex(shown["salt"]) if shown["salt"] else None,
        )
        for shown in answer.json()["data"]["entries"]
    ]


async def export(evidence: EvidenceClient, **query: str) -> list[bytes]:
    """The lines of an export."""
    headers = {"x-api-key": OPERATOR_KEY}
    answer = await evidence.http.get("/admin/v1/export", headers=headers, params=query)
    assert answer.status_code == 200, answer.text
    return answer.content.splitlines(keepends=True)


def cdrs_of(lines: list[bytes]) -> list[Json]:
    """The records of the CDRs in an export."""
    records = [json.loads(line) for line in lines]
    return [record for record in records if record["record"] == "cdr"]


async def a_sold_capture(folder: Path) -> Json:
    """A service's database with a capture that a buyer has claimed; its claim."""
    async with an_evidence_service(folder) as evidence:
        await a_client(evidence, await evidence.org("generator-a", auto_collect=False))
        envelope = an_envelope(autoShare={"expiresInMs": 60_000}, custom={"uid": "42"})
        data = await captured(evidence, envelope)
        buyer = await evidence.org("buyer-a")
        claim: Json = (await evidence.claim(buyer, data["shareUrl"])).json()["data"]
        return claim


async def reopened(folder: Path, anchors: list[Json] | None = None) -> Verdict:
    """What an export of the database says now."""
    async with an_evidence_service(folder) as evidence:
        lines = await export(evidence, content="1")
    return verify_export(lines, anchors=anchors or [])


def rechain(connection: sqlite3.Connection, change: Callable[[Json], Json]) -> None:
    """Changes the newest entry of a CDR's log, and chains the log anew."""
    (cdr_id,) = connection.execute("SELECT cdr_id FROM cdrs").fetchone()
    columns = "sequence, event, at_ms, detail, salt, hash"
    rows = connection.execute(f"SELECT {columns} FROM custody ORDER BY sequence").fetchall()
    sequence, event, at_ms, detail, salt, _ = rows[-1]
    changed = change(json.loads(detail))
    hashed = hash_detail(salt, changed)
    head = seal(cdr_id, rows[-2][5], sequence, event, at_ms, hashed)
    connection.execute(
        "UPDATE custody SET detail = ?, detail_hash = ?, hash = ? WHERE sequence = ?",
        (json.dumps(changed), hashed, head, sequence),
    )
