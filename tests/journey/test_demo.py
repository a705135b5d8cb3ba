"""`leadgate demo`: everything holds, nothing stays behind, and nothing personal is written."""

from __future__ import annotations

import asyncio
import json
import os
import re
import select
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer

from tests.processes import Process, running

COMMAND = ["-m", "leadgate.cli", "demo"]


async def demo(folder: Path, **env: str) -> Process:
    """Runs the demo to its end in a folder that stays."""
    command = [*COMMAND, "--leads", "12", "--folder", str(folder)]
    async with running(*command, env=env, cwd=folder.parent) as process:
        assert await process.ended(seconds=90) == 0
    return process


def started_by(folder: Path) -> list[int]:
    """The processes that work in a folder and still run."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").resolve() == folder.resolve():
                found.append(int(process.name))
        except OSError:
            continue
    return found


def words(node: Any) -> Iterator[str]:
    """Every text inside a JSON value, keys aside."""
    if isinstance(node, dict):
        for value in node.values():
            yield from words(value)
    elif isinstance(node, list):
        for value in node:
            yield from words(value)
    elif isinstance(node, str):
        yield node


def canaries(folder: Path) -> set[str]:
    """Everything the demo submitted or minted that must show up nowhere else."""
    found = set()
    for line in (folder / "leads.jsonl").read_text().splitlines():
        request = json.loads(line)
        contact = request["lead"]["contact"]
        found |= {contact["firstName"], contact["lastName"], contact["email"]}
        digits = re.sub(r"\D", "", contact["phone"])
        found |= {contact["phone"], digits, contact["address"]["addressLines"][0]}
        for cdr in request["cdrs"]:
            found |= set(words(json.loads(cdr.get("customJson", "{}"))))
        for recipient in request["recipients"]:
            for share in recipient.get("shares", []):
                found |= {share["shareUrl"], share["shareUrl"].rpartition("/")[2]}
    for line in (folder / "env.sh").read_text().splitlines():
        if "_KEY=" in line:
            found.add(line.partition("=")[2].partition(".")[2].strip("'"))
    return {canary for canary in found if len(canary) > 5}


def leaks(text: str, secrets: set[str]) -> list[str]:
    """Lines of a text that hold one of them."""
    return [line for line in text.splitlines() if any(secret in line for secret in secrets)]


@pytest.mark.timeout(120)
async def test_the_demo_holds_and_writes_nothing_personal(tmp_path: Path) -> None:
    """No log, no answer or error, and nothing printed holds what was submitted, or a key."""
    folder = tmp_path / "demo"
    process = await demo(folder)
    assert not started_by(folder)
    secrets = canaries(folder)
    assert len(secrets) > 100
    logs = sorted(folder.glob("*.log"))
    assert {log.name for log in logs} >= {"evidence.log", "gateway.log", "buyer-one.log"}
    for log in logs:
        assert log.stat().st_size > 0, f"{log.name} says nothing"
        assert leaks(log.read_text(), secrets) == []
    assert leaks("\n".join(process.output + process.errors), secrets) == []
    answers = (folder / "answers.jsonl").read_text()
    assert "INVALID_FIELDS" in answers
    assert leaks(answers, secrets) == []
    assert leaks((folder / "leads.jsonl").read_text(), secrets)


@pytest.mark.timeout(120)
async def test_the_demo_ends_with_the_table_of_the_readme(tmp_path: Path) -> None:
    """What a stranger reads first is what they will see; with --json it is data."""
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    [table] = re.findall(r"^```text\n(leads .*?)^```", readme, re.MULTILINE | re.DOTALL)
    async with running(*COMMAND, "--json", cwd=tmp_path) as process:
        assert await process.ended(seconds=90) == 0
    shown = [line.rstrip() for line in process.errors]
    assert set(table.splitlines()) <= set(shown)
    result = json.loads("\n".join(process.output))
    assert result["held"]
    assert sum(row["leads"] for row in result["rows"]) == 50


@pytest.mark.timeout(180)
async def test_the_demo_holds_over_kafka_and_no_header_is_personal(
    tmp_path: Path, kafka: str
) -> None:
    """The same over a real broker; headers and keys of every record are looked at."""
    folder = tmp_path / "demo"
    await demo(folder, LEADGATE_KAFKA_BOOTSTRAP=kafka)
    secrets = canaries(folder)
    for log in folder.glob("*.log"):
        assert leaks(log.read_text(), secrets) == []
    market = (folder / "market.yaml").read_text()
    topics = [f"leads.{buyer}" for buyer in re.findall(r"id: (buyer-(?:one|two)-\S+)", market)]
    async with AIOKafkaConsumer(
        *topics, bootstrap_servers=kafka, auto_offset_reset="earliest", enable_auto_commit=False
    ) as consumer:
        seen = 0
        while batch := await consumer.getmany(timeout_ms=3_000):
            for record in (record for records in batch.values() for record in records):
                seen += 1
                text = f"{record.key!r} {record.headers!r}"
                assert "ce_id" in text
                assert leaks(text, secrets) == []
    assert seen >= 12


@pytest.mark.timeout(120)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
async def test_an_interrupted_demo_leaves_nothing_behind(
    tmp_path: Path, number: signal.Signals
) -> None:
    """Whatever it had started by then has ended, and the exit code says it was stopped."""
    folder = tmp_path / "demo"
    async with running(*COMMAND, "--folder", str(folder), cwd=tmp_path) as process:
        await process.line("✓ gateway on", seconds=60)
        assert started_by(folder)
        process.signal(number)
        assert await process.ended(seconds=60) == 130
        assert not started_by(folder)


@pytest.mark.timeout(120)
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of that")
async def test_even_a_killed_demo_leaves_nothing_behind(tmp_path: Path) -> None:
    """SIGKILL of the demo itself: what it had started ends by itself."""
    folder = tmp_path / "demo"
    async with running(*COMMAND, "--folder", str(folder), cwd=tmp_path) as process:
        await process.line("✓ buyer-one writes", seconds=60)
        endings = [os.pidfd_open(pid) for pid in started_by(folder)]
        assert len(endings) >= 3
        process.signal(signal.SIGKILL)
        await process.ended()
    for ending in endings:
        assert (await asyncio.to_thread(select.select, [ending], [], [], 40))[0]
        os.close(ending)


@pytest.mark.timeout(120)
async def test_a_demo_whose_expectations_do_not_hold_says_so(tmp_path: Path) -> None:
    """A buyer that is killed on the way: what did not hold is listed, and the code is not 0."""
    folder = tmp_path / "demo"
    command = [*COMMAND, "--patience", "5", "--folder", str(folder)]
    async with running(*command, cwd=tmp_path) as process:
        await process.line("✓ buyer-one writes", seconds=60)
        for pid in consumers_in(folder, "buyer-one"):
            os.kill(pid, signal.SIGKILL)
        assert await process.ended(seconds=90) == 1
    assert any(line.startswith("✗ ") for line in process.output)
    assert any(str(folder) in line for line in process.output)
    assert not started_by(folder)


def consumers_in(folder: Path, buyer: str) -> list[int]:
    """The processes of the demo's consumer for a buyer."""
    wanted = f"LEADGATE_BUYER={buyer}\0".encode()
    return [
        pid for pid in started_by(folder) if wanted in Path(f"/proc/{pid}/environ").read_bytes()
    ]


@pytest.mark.timeout(60)
async def test_the_demo_overwrites_nothing_it_did_not_make(tmp_path: Path) -> None:
    """A folder with other things in it is refused, and left as it is."""
    (tmp_path / "mine.txt").write_text("mine")
    async with running(*COMMAND, "--folder", str(tmp_path), cwd=tmp_path) as process:
        assert await process.ended(seconds=60) == 1
    assert [name for _, _, names in os.walk(tmp_path) for name in names] == ["mine.txt"]
