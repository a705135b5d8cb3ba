"""`leadgate submit`: every line once, whatever happens on the way."""

from __future__ import annotations

import json
import signal
import stat
import threading
from pathlib import Path
from typing import Any

import grpc
import pytest

from leadgate.cli.submission import LineError, Tally, read_line
from tests.processes import running
from tests.unit.cli.conftest import Run
from tests.unit.cli.fake_gateway import KEY, FakeGateway, refusal


def a_line(number: int, **fields: Any) -> str:
    """One SubmitLeadRequest in JSON."""
    lead = {"contact": {"email": f"person{number}@example.com"}}
    return json.dumps({"lead": lead, "recipients": [{"buyerId": "buyer-one"}], **fields})


def a_file(folder: Path, *lines: str) -> Path:
    """A file of lines."""
    path = folder / "leads.jsonl"
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def test_every_line_is_stored_and_counted(run: Run, gateway: FakeGateway, tmp_path: Path) -> None:
    """Three lines, three leads, exit code 0, and no rejects file."""
    result = run("submit", a_file(tmp_path, *map(a_line, range(3))))
    assert result.exit_code == 0
    assert "3 lines: 3 new, 0 repeats, 0 refused" in result.stderr
    assert "deliveries of new leads: 3 PENDING" in result.stderr
    assert len(gateway.stored) == 3
    assert gateway.keys >= {KEY}
    assert not (tmp_path / "leads.rejects.jsonl").exists()


def test_a_second_run_stores_nothing_and_says_so(
    run: Run, gateway: FakeGateway, tmp_path: Path
) -> None:
    """The same line has the same request id in every run, also where it has moved."""
    run("submit", a_file(tmp_path, a_line(1), a_line(2)))
    result = run("submit", a_file(tmp_path, a_line(3), a_line(2), a_line(1)))
    assert "3 lines: 1 new, 2 repeats, 0 refused" in result.stderr
    assert len(gateway.stored) == 3


def test_a_line_that_stands_twice_is_one_lead(
    run: Run, gateway: FakeGateway, tmp_path: Path
) -> None:
    """The second is counted as a repeat."""
    result = run("submit", a_file(tmp_path, a_line(1), a_line(1)))
    assert "1 new, 1 repeats" in result.stderr
    assert len(gateway.stored) == 1


def test_a_request_id_of_the_line_is_kept(run: Run, gateway: FakeGateway, tmp_path: Path) -> None:
    """Generators name their submissions themselves where they want to."""
    run("submit", a_file(tmp_path, a_line(1, requestId="order-77")))
    assert list(gateway.stored) == ["order-77"]


def test_refused_lines_go_to_a_file_with_every_reason(
    run: Run, gateway: FakeGateway, tmp_path: Path
) -> None:
    """The others are stored; the summary names reasons, and nothing of the lead."""
    gateway.verdict = lambda request: (
        refusal(
            grpc.StatusCode.INVALID_ARGUMENT,
            "invalid request: lead.contact.email",
            "INVALID_FIELDS",
            {"lead.contact.email": "not an email address", "recipients": "unknown"},
        )
        if request.lead.contact.email.startswith("person1@")
        else None
    )
    result = run("submit", a_file(tmp_path, a_line(0), a_line(1), a_line(2)))
    assert result.exit_code == 1
    assert "3 lines: 2 new, 0 repeats, 1 refused" in result.stderr
    assert "INVALID_FIELDS" in result.stderr
    assert "person1" not in result.output
    rejects = tmp_path / "leads.rejects.jsonl"
    [entry] = [json.loads(line) for line in rejects.read_text().splitlines()]
    assert entry["line"] == 2
    assert entry["code"] == "INVALID_ARGUMENT"
    assert entry["violations"] == [
        "lead.contact.email: not an email address",
        "recipients: unknown",
    ]
    assert json.loads(entry["text"]) == json.loads(a_line(1))
    assert stat.S_IMODE(rejects.stat().st_mode) == 0o600


def test_a_line_that_is_no_request_is_refused_without_being_sent(
    run: Run, gateway: FakeGateway, tmp_path: Path
) -> None:
    """Broken JSON, an unknown field, bytes that are no text; blank lines do not count."""
    path = a_file(tmp_path, "{", '{"leed": {}}', "", a_line(1))
    path.write_bytes(path.read_bytes() + b"\xff\xfe\n")
    result = run("submit", path)
    assert result.exit_code == 1
    assert "4 lines: 1 new, 0 repeats, 3 refused" in result.stderr
    assert len((tmp_path / "leads.rejects.jsonl").read_text().splitlines()) == 3


def test_a_run_without_refusals_removes_the_rejects_of_an_earlier_one(
    run: Run, gateway: FakeGateway, tmp_path: Path
) -> None:
    """Old reasons beside new results would mislead."""
    path = a_file(tmp_path, "{")
    run("submit", path)
    a_file(tmp_path, a_line(1))
    run("submit", path)
    assert not (tmp_path / "leads.rejects.jsonl").exists()


def test_a_stream_that_breaks_is_opened_again_and_loses_nothing(
    run: Run, gateway: FakeGateway, tmp_path: Path
) -> None:
    """Lines that were on their way are sent again; each is counted once."""
    gateway.break_after = [7, 3]
    result = run("submit", "--in-flight", 4, a_file(tmp_path, *map(a_line, range(40))))
    assert result.exit_code == 0, result.stderr
    assert gateway.streams == 3
    assert "40 lines: 40 new, 0 repeats, 0 refused" in result.stderr
    assert len(gateway.stored) == 40


def test_a_busy_gateway_is_given_time(run: Run, gateway: FakeGateway, tmp_path: Path) -> None:
    """RESOURCE_EXHAUSTED is no verdict on the line: it is sent again."""
    busy = iter([True, False])
    gateway.verdict = lambda _: (
        refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, "full", "OVERLOADED")
        if next(busy, False)
        else None
    )
    result = run("submit", a_file(tmp_path, *map(a_line, range(5))))
    assert result.exit_code == 0, result.stderr
    assert "5 lines: 5 new" in result.stderr


def test_an_error_that_stays_is_reported_as_what_it_is(
    run: Run, gateway: FakeGateway, tmp_path: Path
) -> None:
    """A line whose outcome stays unknown after five tries is among the rejects."""
    gateway.verdict = lambda request: (
        refusal(grpc.StatusCode.INTERNAL, "internal error", "INTERNAL")
        if request.request_id == "poison"
        else None
    )
    path = a_file(tmp_path, a_line(1), a_line(2, requestId="poison"), a_line(3))
    result = run("submit", path)
    assert result.exit_code == 1
    assert "2 new, 0 repeats, 1 refused" in result.stderr
    assert '"INTERNAL"' in (tmp_path / "leads.rejects.jsonl").read_text()


def test_json_prints_every_answer(run: Run, gateway: FakeGateway, tmp_path: Path) -> None:
    """One StreamLeadsResponse a line, in the order of the file."""
    result = run("submit", "--json", a_file(tmp_path, a_line(1, requestId="a"), a_line(2)))
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    assert answers[0]["requestId"] == "a"
    assert answers[0]["result"]["response"]["leadId"] == gateway.stored["a"]
    assert len(answers) == 2


async def test_ctrl_c_says_how_to_continue(gateway: FakeGateway, tmp_path: Path) -> None:
    """What was stored is counted, and a second run goes on where this one stopped."""
    over = threading.Event()

    def stuck_at_the_third(request: Any) -> None:
        if len(gateway.stored) == 2:
            over.wait(30)

    gateway.verdict = stuck_at_the_third
    path = a_file(tmp_path, *map(a_line, range(5)))
    try:
        command = ["-m", "leadgate.cli", "submit", "--json", str(path)]
        async with running(*command) as submitting:
            await submitting.until(lambda: len(submitting.output) == 2)
            submitting.signal(signal.SIGINT)
            assert await submitting.ended() == 130
    finally:
        over.set()
    assert "stopped; run the same command again to continue" in submitting.errors
    assert "2 lines: 2 new, 0 repeats, 0 refused" in submitting.errors


def test_without_a_gateway_it_ends_at_once(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Exit code 69 and what to do, for nothing was sent yet."""
    monkeypatch.setenv("LEADGATE_GATEWAY", "127.0.0.1:1")
    monkeypatch.setenv("LEADGATE_API_KEY", KEY)
    result = run("submit", a_file(tmp_path, a_line(1)))
    assert result.exit_code == 69
    assert "is the gateway running at 127.0.0.1:1?" in result.stderr


def test_ids_tell_new_leads_from_repeats() -> None:
    """Above the newest id known before, and not seen before: new."""
    tally = Tally("0193b5d2-7a10-7000-8000-000000000005")
    assert not tally.is_new("0193b5d2-7a10-7000-8000-000000000005")
    assert tally.is_new("0193b5d2-7a10-7000-8000-000000000006")
    assert not tally.is_new("0193b5d2-7a10-7000-8000-000000000006")


def test_a_line_must_be_one_json_object() -> None:
    """A list is none."""
    with pytest.raises(LineError):
        read_line(1, b"[]", 2)
