"""What was answered is on disk: kill -9 under load, and the system calls before an answer."""

from __future__ import annotations

import asyncio
import random
import re
import sqlite3
import sys
from contextlib import closing
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import grpc
import pytest

from leadgate.v1 import lead_service_pb2 as pb
from tests import needs
from tests.builders import another_submission
from tests.gateways import Caller, Gateway, a_gateway, database, environment
from tests.processes import running

BUYERS = ("buyer-one", "buyer-two")
KILLS = 20
UNKNOWN_OUTCOME = {"CANCELLED", "DEADLINE_EXCEEDED", "UNAVAILABLE", "INTERNAL", "UNKNOWN"}
"""The codes that tell a client to repeat the request."""


@dataclass
class Load:
    """Submits over unary, batch and stream at once, until the gateway is gone.

    `answered` has the lead id of each request that was answered, `sent` every request.
    """

    sent: dict[str, pb.SubmitLeadRequest] = field(default_factory=dict)
    answered: dict[str, str] = field(default_factory=dict)
    _numbers: count[int] = field(default_factory=lambda: count(1))
    _enough: asyncio.Event = field(default_factory=asyncio.Event)
    _wanted: int = 0

    async def until_killed(self, gateway: Gateway, answers: int) -> None:
        """Runs until that many more answers have come, and kills the gateway at once."""
        self._wanted = len(self.answered) + answers
        self._enough.clear()
        leads = gateway.forms
        ways = [self._unary(leads) for _ in range(8)] + [self._batch(leads), self._stream(leads)]
        tasks = [asyncio.create_task(way) for way in ways]
        await self._enough.wait()
        await gateway.process.kill()
        for end in await asyncio.gather(*tasks, return_exceptions=True):
            # A write to a stream that has just ended raises the latter.
            assert isinstance(end, grpc.aio.AioRpcError | asyncio.InvalidStateError), end
            if isinstance(end, grpc.aio.AioRpcError):
                assert end.code().name in UNKNOWN_OUTCOME, end

    def _next(self) -> pb.SubmitLeadRequest:
        request = another_submission(next(self._numbers), *BUYERS)
        self.sent[request.request_id] = request
        return request

    def _note(self, request_id: str, lead_id: str) -> None:
        self.answered[request_id] = lead_id
        if len(self.answered) >= self._wanted:
            self._enough.set()

    async def _unary(self, caller: Caller) -> None:
        while True:
            request = self._next()
            self._note(request.request_id, (await caller.leads.SubmitLead(request)).lead_id)

    async def _batch(self, caller: Caller) -> None:
        while True:
            requests = [self._next() for _ in range(10)]
            batch = pb.BatchSubmitLeadsRequest(requests=requests)
            answer = await caller.leads.BatchSubmitLeads(batch)
            for request, result in zip(requests, answer.results, strict=True):
                self._note(request.request_id, result.response.lead_id)

    async def _stream(self, caller: Caller) -> None:
        stream = caller.leads.StreamLeads()
        for _ in range(16):
            await stream.write(pb.StreamLeadsRequest(request=self._next()))
        while (answer := await stream.read()) is not grpc.aio.EOF:
            self._note(answer.request_id, answer.result.response.lead_id)
            await stream.write(pb.StreamLeadsRequest(request=self._next()))


@pytest.mark.timeout(180)
async def test_what_was_answered_survives_kill_9(tmp_path: Path) -> None:
    """20 kills under load: answered leads are there once, none is half, repeats converge."""
    load = Load()
    chance = random.Random()
    checked: set[str] = set()
    for kill in range(KILLS + 1):
        async with a_gateway(tmp_path) as gateway:
            await _all_is_whole(gateway.forms, load)
            await _repeats_converge(gateway.forms, load, set(load.sent) - checked)
            checked = set(load.sent)
            if kill < KILLS:
                await load.until_killed(gateway, chance.randint(1, 80))
    with closing(sqlite3.connect(database(tmp_path))) as ledger:
        assert ledger.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert not ledger.execute("PRAGMA foreign_key_check").fetchall()
        stored = ledger.execute("SELECT request_id FROM leads").fetchall()
        assert sorted(request_id for (request_id,) in stored) == sorted(load.sent)
        events = "SELECT count(*) FROM events WHERE kind = 1 GROUP BY lead_key"
        assert ledger.execute(events).fetchall() == [(1,)] * len(load.sent)


async def _all_is_whole(caller: Caller, load: Load) -> None:
    """Every lead that is there has all its deliveries; answered ones are there."""
    listing = await caller.leads.ListLeads(pb.ListLeadsRequest(page_size=1000))
    for lead in listing.leads:
        assert tuple(delivery.buyer_id for delivery in lead.deliveries) == BUYERS
    newest = {lead.request_id: lead.lead_id for lead in listing.leads}
    recent = dict(list(load.answered.items())[-500:])
    assert recent.items() <= newest.items()


async def _repeats_converge(caller: Caller, load: Load, request_ids: set[str]) -> None:
    """Whether it was answered or not: repeated, a request gives its one lead."""
    if not request_ids:
        return
    requests = [load.sent[request_id] for request_id in request_ids]
    batch = pb.BatchSubmitLeadsRequest(requests=requests)
    answers = [await caller.leads.BatchSubmitLeads(batch) for _ in range(2)]
    assert answers[0] == answers[1]
    for request, result in zip(requests, answers[0].results, strict=True):
        lead_id = result.response.lead_id
        assert load.answered.setdefault(request.request_id, lead_id) == lead_id
    for lead_id in [result.response.lead_id for result in answers[0].results[:20]]:
        found = await caller.leads.GetLead(pb.GetLeadRequest(lead_id=lead_id))
        assert [len(d.events) for d in found.lead.deliveries] == [1, 1]


async def test_the_log_is_synced_before_each_answer(tmp_path: Path) -> None:
    """A trace of the system calls shows: written, synced, and only then answered."""
    assert await _unsynced_answers(tmp_path, "-m", "gateway") == []


async def test_a_gateway_that_does_not_sync_is_found_out(tmp_path: Path) -> None:
    """The same check fails with `synchronous=OFF`, which kill -9 would never show."""
    program = """
import runpy
from leadgate import sql
sql._WRITER_PRAGMAS = (*sql._WRITER_PRAGMAS, "synchronous=OFF")
runpy.run_module("gateway", run_name="__main__")
"""
    assert len(await _unsynced_answers(tmp_path, "-c", program)) == 12


async def _unsynced_answers(folder: Path, *program: str) -> list[str]:
    """Submits 12 leads to a traced gateway; those answered before they were synced."""
    trace = folder / "trace"
    calls = "fsync,fdatasync,write,writev,pwrite64,pwritev,send,sendto,sendmsg,sendmmsg"
    options = ["-f", "-y", "-s", "20000", "-o", str(trace), "-e", f"trace={calls}"]
    strace = (needs.tool("strace"), *options, sys.executable)
    answers = {}
    async with running(*program, env=environment(folder), cwd=folder, command=strace) as process:
        address = (await process.event("serving", seconds=50))["address"]
        async with grpc.aio.insecure_channel(address) as channel:
            caller = Caller(channel, environment(folder)["FORMS_KEY"])
            for number in range(1, 13):
                request = another_submission(number)
                answer = await caller.leads.SubmitLead(request)
                answers[request.request_id] = answer.lead_id
    lines = trace.read_text(errors="replace").splitlines()
    return [name for name, lead_id in answers.items() if not _synced_first(lines, name, lead_id)]


def _synced_first(lines: list[str], request_id: str, lead_id: str) -> bool:
    """Whether, between a lead's write to the log and its answer, the log was synced."""
    written = _first(lines, rf"(write|writev|pwrite64|pwritev)\(\d+<[^>]*-wal>.*{request_id}\b")
    answered = _first(lines, rf"(write|writev|send|sendto|sendmsg|sendmmsg)\(.*{lead_id}")
    between = lines[written + 1 : answered]
    whole = r"(fsync|fdatasync)\(\d+<[^>]*-wal>\) += 0"
    return any(re.search(whole, line) for line in between) or _ended_in(between)


def _ended_in(lines: list[str]) -> bool:
    """Whether a sync of the log both began and ended here, seen from several threads."""
    began: set[str] = set()
    for line in lines:
        thread = line.split()[0]
        if re.search(r"(fsync|fdatasync)\(\d+<[^>]*-wal> <unfinished", line):
            began.add(thread)
        elif thread in began and re.search(r"<\.\.\. (fsync|fdatasync) resumed>\) += 0", line):
            return True
    return False


def _first(lines: list[str], pattern: str) -> int:
    found = [index for index, line in enumerate(lines) if re.search(pattern, line)]
    assert found, f"no line of the trace matches {pattern}"
    return found[0]
