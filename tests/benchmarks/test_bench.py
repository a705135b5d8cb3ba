"""`make bench` measures what it says: its load arrives, its counts match, all of it runs."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from benchmarks import load, programs
from benchmarks.figures import Figure
from benchmarks.frames import CallError
from benchmarks.leads import Leads
from benchmarks.ledger import CountError, Ledger
from gateway.delivery import State
from leadgate.v1.lead_service_pb2 import SubmitLeadRequest
from scripts import kafka
from tests import needs
from tests.processes import running


@pytest.mark.timeout(240)
async def test_a_quick_run_measures_every_figure(tmp_path: Path) -> None:
    """All programs start, are loaded and end; stored rows and answers match."""
    try:
        kafka.find_java(), kafka.find_jars()
    except kafka.KafkaError as error:
        needs.missing(str(error))
    report = tmp_path / "report.json"
    async with running("-m", "benchmarks", "--quick", "--json", report, cwd=programs.ROOT) as bench:
        assert await bench.ended(seconds=200) == 0, bench.errors
    figures = json.loads(report.read_text())["figures"]
    assert {figure["figure"] for figure in figures} == set(Figure)


def test_every_request_is_new_and_about_0_7_kib() -> None:
    """No request is a repeat, which a gateway would answer without storing it."""
    bodies = Leads().unary(300)
    requests = [SubmitLeadRequest.FromString(body[5:]) for body in bodies]
    assert len({request.request_id for request in requests}) == 300
    assert len({request.cdrs[1].cdr_id for request in requests}) == 300
    assert len({request.lead.contact.phone for request in requests}) > 250
    assert all(650 < len(body) < 750 for body in bodies)


def test_each_request_gets_its_answer(tmp_path: Path) -> None:
    """The client keeps flow control through far more bytes than the first windows hold."""
    with programs.echo(tmp_path) as echo:
        measured = load.calls(echo, "SubmitLead", Leads().unary(1000), 64)
    assert measured.answers == len(measured.latencies) == 1000


def test_a_refused_call_is_no_answer(tmp_path: Path) -> None:
    """Errors are fast: counted as answers, they would make a broken server look good."""
    with programs.echo(tmp_path) as echo, pytest.raises(CallError, match="NoSuchMethod"):
        load.calls(echo, "NoSuchMethod", Leads().unary(1), 1)


def test_a_row_that_is_missing_voids_the_round(tmp_path: Path) -> None:
    """An answer whose lead is not stored stops the run."""
    ledger = _ledger(tmp_path / "ledger.db", leads=1)
    with pytest.raises(CountError, match="0 leads"), ledger.grows_by(State.PENDING, 2) as answers:
        answers.append(1)


def _ledger(file: Path, leads: int) -> Ledger:
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("CREATE TABLE leads (lead_key INTEGER)")
        connection.execute("CREATE TABLE deliveries (state INTEGER)")
        connection.executemany("INSERT INTO leads VALUES (?)", [(key,) for key in range(leads)])
    return Ledger(file)
