"""`leadgate evidence …` against a service in a process of its own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from leadgate.cli.app import app
from leadgate.process import ExitCode
from tests.builders_evidence import OPERATOR_KEY, AnOrg, EvidenceClient
from tests.services.test_evidence_process import an_evidence_process

Run = Callable[..., Awaitable[Any]]


@pytest.fixture
async def evidence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[EvidenceClient]:
    """A service that the command finds through the environment."""
    async with an_evidence_process(tmp_path) as (_, client):
        monkeypatch.setenv("LEADGATE_EVIDENCE_URL", str(client.http.base_url))
        monkeypatch.setenv("LEADGATE_EVIDENCE_OPERATOR_KEY", OPERATOR_KEY)
        yield client


async def test_an_operator_sets_up_a_generator(evidence: EvidenceClient) -> None:
    """Org, domain, key: the key that was shown works, and is shown once."""
    await run("orgs", "create", "acme", "--name", "Acme Forms", "--no-auto-collect")
    await run("domains", "create", "acme", "www.example.com")
    key = (await run("keys", "create", "acme")).stdout.strip()
    assert (await evidence.get(key, "/v1/domains")).status_code == 200
    assert key.partition(".")[2] not in (await run("keys", "list", "acme")).stdout
    assert "www.example.com" in (await run("domains", "list", "acme")).stdout
    changed = await data("orgs", "set", "acme", "--auto-collect", "--retention-days", "30")
    assert (changed["autoCollect"], changed["retentionDays"]) == (True, 30)
    assert (await data("orgs", "set", "acme", "--retention-days", "0"))["retentionDays"] is None
    assert "Acme Forms" in (await run("orgs", "list")).stdout
    made = await data("clients", "create", "acme")
    await run("clients", "disable", made["clientId"])


async def test_keys_are_rotated_and_revoked(evidence: EvidenceClient) -> None:
    """A whole key that is pasted by mistake sends its id only."""
    org = await evidence.org("acme")
    new = (await run("keys", "rotate", org.key, "--keep", "1")).stdout.strip()
    for key in (org.key, new):
        assert (await evidence.get(key, "/v1/domains")).status_code == 200
    await run("keys", "revoke", org.key)
    assert (await evidence.get(org.key, "/v1/domains")).status_code == 401
    assert (await evidence.get(new, "/v1/domains")).status_code == 200


async def test_a_cdr_is_held_released_and_invalidated(evidence: EvidenceClient) -> None:
    """Each says what it did; an unknown id says so."""
    owner = await evidence.org("acme")
    cdr = await evidence.cdr(owner)
    assert (await data("hold", cdr.cdr_id, "--reason", "case 12"))["reason"] == "case 12"
    assert "heldAt" not in await data("release", cdr.cdr_id)
    assert "invalidated" in (await run("invalidate", cdr.cdr_id)).stdout
    assert await evidence.state(owner, cdr) == "CDR_INVALID"
    refused = await run("hold", "cdr_absent", exit_code=ExitCode.FAILED)
    assert "NOT_FOUND" in refused.stderr


async def test_charges_are_exported(evidence: EvidenceClient) -> None:
    """As a table, and as lines of JSON for scripts."""
    owner, buyer = await evidence.org("acme", auto_collect=False), await evidence.org("buyer")
    cdr = await evidence.cdr(owner)
    await evidence.claim(buyer, cdr.share_url)
    lines = (await run("charges", "--since", "1d", "--json")).stdout.splitlines()
    assert [json.loads(line)["cdrId"] for line in lines] == [cdr.cdr_id]
    assert cdr.cdr_id in (await run("charges", "--org", "buyer")).stdout
    assert (await run("charges", "--org", "acme", "--json")).stdout == ""


async def test_an_export_verifies_offline_and_a_changed_one_does_not(
    evidence: EvidenceClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the anchor that a claim gave the buyer; without a service or a key."""
    file, anchor = tmp_path / "proof.jsonl", tmp_path / "claim.json"
    cdr_id, claim, exported = await proof(evidence)
    anchor.write_text(claim)
    file.write_bytes(exported)
    monkeypatch.delenv("LEADGATE_EVIDENCE_OPERATOR_KEY")
    good = await data("verify", str(file), "--anchor", str(anchor))
    assert (good["cdrs"], good["problems"]) == (1, [])
    known = ["--trust", good["keyIds"][0]]
    assert "verified" in (await run("verify", str(file), *known)).stdout
    unknown = await run("verify", str(file), "--trust", "0" * 32, exit_code=ExitCode.FAILED)
    assert "problems" in unknown.stdout
    whole = file.read_text()
    for changed in (whole.replace("claimed", "shared"), whole[: len(whole) // 2]):
        file.write_text(changed)
        refused = await run("verify", str(file), exit_code=ExitCode.FAILED)
        assert cdr_id in refused.stdout or "file" in refused.stdout


async def test_webhooks_are_set_and_cleared(evidence: EvidenceClient) -> None:
    """An endpoint that is not https is refused as an argument."""
    await evidence.org("acme")
    url = "https://crm.example.com/hook"
    assert (await data("webhooks", "set", "acme", url))["url"] == url
    assert (await run("webhooks", "secret", "acme")).stdout.startswith("whsec_")
    assert (await data("webhooks", "set", "acme"))["url"] == ""
    assert (await run("webhooks", "log", "acme", "--json")).stdout == ""
    refused = await run(
        "webhooks", "set", "acme", "http://crm.example.com", exit_code=ExitCode.USAGE
    )
    assert "INVALID_ARGUMENT" in refused.stderr


async def test_what_is_missing_is_said(
    evidence: EvidenceClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No key, another key, no service: each with what to do, and never the key."""
    monkeypatch.setenv("LEADGATE_EVIDENCE_OPERATOR_KEY", "operator.canary-canary-canary")
    wrong = await run("orgs", "list", exit_code=ExitCode.SETTINGS)
    assert "LEADGATE_EVIDENCE_OPERATOR_KEY" in wrong.stderr
    assert "canary" not in wrong.stderr
    monkeypatch.setenv("LEADGATE_EVIDENCE_URL", "http://127.0.0.1:1")
    away = await run("orgs", "list", exit_code=ExitCode.UNAVAILABLE)
    assert "LEADGATE_EVIDENCE_URL" in away.stderr
    monkeypatch.delenv("LEADGATE_EVIDENCE_OPERATOR_KEY")
    assert "not set" in (await run("orgs", "list", exit_code=ExitCode.SETTINGS)).stderr


async def run(*arguments: str, exit_code: int = ExitCode.OK) -> Any:
    """Runs a command line, which must end so; the result has `stdout` and `stderr`."""
    invoke = CliRunner().invoke
    result = await asyncio.to_thread(invoke, app, ["evidence", *arguments])
    assert result.exit_code == exit_code, result.output
    return result


async def data(*arguments: str) -> dict[str, Any]:
    """What a command prints with `--json`."""
    found: dict[str, Any] = json.loads((await run(*arguments, "--json")).stdout)
    return found


async def proof(evidence: EvidenceClient) -> tuple[str, str, bytes]:
    """The id of a claimed CDR, the claim's answer, and the export."""
    owner: AnOrg = await evidence.org("acme")
    buyer = await evidence.org("buyer")
    cdr = await evidence.cdr(owner, customMetadata={"uid": "1"})
    path = "/v1/shares/" + cdr.share_url.rpartition("/")[2]
    claim = await evidence.claim(buyer, path)
    exported = await run("export", cdr.cdr_id, "--content")
    return cdr.cdr_id, claim.text, exported.stdout_bytes
