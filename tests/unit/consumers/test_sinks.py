"""JSON lines: durable before they count, whole after a crash."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

from consumers.outcome import DELIVERED
from consumers.record import DeliveredLead
from consumers.sinks import JsonLinesSink, SinkHeld
from consumers.testing import a_receipt, a_record


def a_lead(lead_id: str = "lead-1") -> DeliveredLead:
    """A lead with its receipt."""
    return DeliveredLead(a_record(lead_id), (a_receipt(f"cdr-{lead_id}"),))


def lines(path: Path) -> list[str]:
    """The delivery ids in a file."""
    return [json.loads(line)["deliveryId"] for line in path.read_text().splitlines()]


async def test_a_line_is_synced_before_the_lead_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the sync the line is in the file; at the answer the sync has been made."""
    path = tmp_path / "leads.jsonl"
    synced: list[int] = []

    def sync(_: int) -> None:
        synced.append(len(lines(path)))

    async with JsonLinesSink(path) as sink:
        monkeypatch.setattr(os, "fsync", sync)
        assert await sink.deliver(a_lead()) == DELIVERED
        assert synced == [1]


async def test_lines_that_wait_share_a_sync(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sync for each lead would be the limit of everything."""
    path = tmp_path / "leads.jsonl"
    synced: list[int] = []
    async with JsonLinesSink(path) as sink:
        monkeypatch.setattr(os, "fsync", synced.append)
        await asyncio.gather(*(sink.deliver(a_lead(f"lead-{n}")) for n in range(64)))
    assert len(lines(path)) == 64
    assert len(synced) < 10


async def test_a_second_start_appends(tmp_path: Path) -> None:
    """What was delivered before stays."""
    path = tmp_path / "leads.jsonl"
    for lead_id in ("lead-1", "lead-2"):
        async with JsonLinesSink(path) as sink:
            await sink.deliver(a_lead(lead_id))
    assert lines(path) == ["lead-1.buyer-a", "lead-2.buyer-a"]


@pytest.mark.parametrize("torn", ['{"deliveryId":"lead-9', '{"x":"' + "y" * 200_000])
async def test_a_line_that_a_crash_cut_off_is_removed(tmp_path: Path, torn: str) -> None:
    """It was never reported, so its lead comes again; the file stays readable."""
    path = tmp_path / "leads.jsonl"
    async with JsonLinesSink(path) as sink:
        await sink.deliver(a_lead("lead-1"))
    with path.open("a") as file:
        file.write(torn)
    async with JsonLinesSink(path) as sink:
        await sink.deliver(a_lead("lead-2"))
    assert lines(path) == ["lead-1.buyer-a", "lead-2.buyer-a"]


async def test_a_disk_that_is_full_defers_and_leaves_no_half_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is reported as delivered that is not on disk."""
    path = tmp_path / "leads.jsonl"
    async with JsonLinesSink(path) as sink:
        await sink.deliver(a_lead("lead-1"))

        def full(_: int) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            outcome = await sink.deliver(a_lead("lead-2"))
        assert (outcome.name, outcome.reason) == ("DEFERRED", "SINK_FAILED")
        assert await sink.deliver(a_lead("lead-3")) == DELIVERED
    assert lines(path) == ["lead-1.buyer-a", "lead-3.buyer-a"]


async def test_a_file_has_one_writer(tmp_path: Path) -> None:
    """A second process would cut the first one's lines."""
    path = tmp_path / "leads.jsonl"
    async with JsonLinesSink(path):
        with pytest.raises(SinkHeld, match="another process"):
            await JsonLinesSink(path).__aenter__()


async def test_standard_output_is_a_sink_too(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """One line for each lead."""
    with pytest.MonkeyPatch.context() as patch, os.fdopen(os.dup(1), "wb") as output:
        patch.setattr(sys, "stdout", type("Out", (), {"buffer": output}))
        async with JsonLinesSink("-") as sink:
            assert await sink.deliver(a_lead()) == DELIVERED
    assert json.loads(capfdbinary.readouterr().out)["deliveryId"] == "lead-1.buyer-a"
