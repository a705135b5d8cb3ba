"""The `leadgate` commands: what they send, what they print, how they end."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2
from typer.testing import CliRunner

from leadgate import keys
from leadgate.cli.app import app
from leadgate.cli.arguments import time_of
from leadgate.v1 import admin_service_pb2 as admin
from leadgate.v1 import delivery_pb2 as delivery
from leadgate.v1 import delivery_service_pb2 as delivery_service
from leadgate.v1 import lead_service_pb2 as service
from leadgate.v1 import market_pb2 as market
from tests.processes import running
from tests.unit.cli.conftest import Run
from tests.unit.cli.fake_gateway import KEY, FakeGateway, refusal

LEAD = "0193b5d2-7a10-7000-8000-000000000001"
MARKET = """
generators:
  - id: forms
    keys: [{env: FORMS_KEY}]
buyers:
  - id: buyer-one   # env: COMMENTED
    transport: pull
    keys: [{env: BUYER_KEY}, {env: UNSET_KEY}]
"""


def commands() -> list[list[str]]:
    """Every command there is, in words."""
    found = [[command.name or ""] for command in app.registered_commands]
    for group in app.registered_groups:
        assert group.typer_instance
        found += [
            [group.name or "", command.name or str(getattr(command.callback, "__name__", ""))]
            for command in group.typer_instance.registered_commands
        ]
    return [words if words != [""] else ["health"] for words in found]


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_help_of_every_command_has_examples(words: list[str]) -> None:
    """A person learns from what can be copied."""
    result = CliRunner().invoke(app, [*words, "--help"])
    assert result.exit_code == 0
    assert "Examples:" in result.stdout
    assert f"leadgate {words[0]}" in result.stdout
    assert "--json" in result.stdout


def test_help_loads_nothing_heavy() -> None:
    """Help and completion are quick: neither gRPC nor pydantic nor any part is imported."""
    code = (
        "import sys, leadgate.cli.app\n"
        "heavy = {'grpc', 'pydantic', 'google.protobuf', 'aiohttp', 'gateway', 'evidence', "
        "'consumers', 'sqlalchemy'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_apply_sends_the_values_of_its_references_and_nothing_else(
    run: Run, gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What the document does not refer to, or is not set, stays at home."""
    for name in ("FORMS_KEY", "BUYER_KEY", "COMMENTED"):
        monkeypatch.setenv(name, f"value of {name}")
    monkeypatch.delenv("UNSET_KEY", raising=False)
    gateway.answers["ApplyMarket"] = lambda _: admin.ApplyMarketResponse(
        changes=["buyer buyer-one: created"]
    )
    (tmp_path / "market.yaml").write_text(MARKET)
    result = run("apply", tmp_path / "market.yaml", "--dry-run")
    assert result.exit_code == 0
    assert result.stdout == "buyer buyer-one: created\n"
    assert gateway.request.dry_run
    assert gateway.request.yaml == MARKET
    assert dict(gateway.request.environment) == {
        "FORMS_KEY": "value of FORMS_KEY",
        "BUYER_KEY": "value of BUYER_KEY",
    }
    assert gateway.keys == {KEY}


@pytest.mark.parametrize("text", ["a: [", "- 1", "generators: {keys: 1}", "generators: [1]", ""])
def test_apply_leaves_it_to_the_gateway_to_find_mistakes(
    run: Run, gateway: FakeGateway, tmp_path: Path, text: str
) -> None:
    """Every mistake is listed with its line, and the exit code is that of bad settings."""
    gateway.answers["ApplyMarket"] = lambda _: refusal(
        grpc.StatusCode.INVALID_ARGUMENT,
        "the market has 2 mistakes",
        "INVALID_FIELDS",
        {"line 1": "what is this?", "line 2": "and this?"},
    )
    (tmp_path / "market.yaml").write_text(text)
    result = run("apply", tmp_path / "market.yaml")
    assert result.exit_code == 78
    assert result.stderr.splitlines() == [
        "error: INVALID_ARGUMENT: the market has 2 mistakes (INVALID_FIELDS)",
        "  line 1: what is this?",
        "  line 2: and this?",
    ]


def test_keys_create_shows_the_key_alone_on_stdout(run: Run, gateway: FakeGateway) -> None:
    """So that it can be piped; the warning goes to stderr."""
    gateway.answers["CreateApiKey"] = lambda _: admin.CreateApiKeyResponse(secret="abc.secret")
    result = run("keys", "create", "buyer", "buyer-one")
    assert result.stdout == "abc.secret\n"
    assert (gateway.request.role, gateway.request.subject) == (market.ROLE_BUYER, "buyer-one")


def test_keys_mint_needs_no_gateway(run: Run) -> None:
    """The first operator's key is made before there is one."""
    minted = run("keys", "mint").stdout.strip()
    assert keys.parse(minted)
    assert minted != run("keys", "mint").stdout.strip()


def test_keys_revoke_sends_no_secret(run: Run, gateway: FakeGateway) -> None:
    """Also where the whole key was pasted."""
    gateway.answers["RevokeApiKey"] = lambda request: admin.RevokeApiKeyResponse(
        api_key=market.ApiKey(key_id=request.key_id)
    )
    assert run("keys", "revoke", KEY).exit_code == 0
    assert gateway.request.key_id == "operator1"


def test_a_list_is_read_page_by_page_up_to_the_limit(run: Run, gateway: FakeGateway) -> None:
    """Limit 3 over pages of two: two calls, three rows."""

    def page(request: Any) -> Any:
        answer = delivery_service.ListDeliveriesResponse(next_page_token=f"{request.page_token}x")
        for number in range(2):
            answer.deliveries.add(delivery_id=f"{request.page_token or 'first'}-{number}")
        return answer

    gateway.answers["ListDeliveries"] = page
    result = run("deliveries", "list", "--limit", 3, "--state", "buyer-rejected", "--json")
    ids = [json.loads(line)["deliveryId"] for line in result.stdout.splitlines()]
    assert ids == ["first-0", "first-1", "x-0"]
    assert gateway.requests[0].state == delivery.DELIVERY_STATE_BUYER_REJECTED
    assert [request.page_size for request in gateway.requests] == [3, 1]


def test_a_state_that_does_not_exist_is_a_usage_error(run: Run, gateway: FakeGateway) -> None:
    """The message lists those that do."""
    result = run("leads", "list", "--state", "sold")
    assert result.exit_code == 2
    assert "buyer_rejected" in result.stderr


def test_a_lead_is_shown_with_its_timeline(run: Run, gateway: FakeGateway) -> None:
    """State, place on the topic, receipts and verification, in words."""
    lead = service.LeadStatus(lead_id=LEAD, state=service.LEAD_STATE_DELIVERED)
    item = lead.deliveries.add(
        delivery_id=f"{LEAD}.buyer-one", state=delivery.DELIVERY_STATE_DELIVERED, attempt=1
    )
    item.events.add(
        type=delivery.DELIVERY_EVENT_TYPE_PUBLISHED, topic="leads.buyer-one", offset=7, attempt=1
    )
    claimed = item.events.add(type=delivery.DELIVERY_EVENT_TYPE_CLAIMED, attempt=1)
    claimed.receipts.add(
        cdr_id="cdr_1",
        status=delivery.CLAIM_STATUS_CLAIMED,
        host="evidence.example.com",
        verification=delivery.VERIFICATION_MATCHED,
    )
    gateway.answers["GetLead"] = lambda _: service.GetLeadResponse(lead=lead)
    shown = run("leads", "get", LEAD).stdout
    assert "leads.buyer-one[0]@7" in shown
    assert "cdr_1 claimed at evidence.example.com, evidence matched" in shown
    assert json.loads(run("leads", "get", LEAD, "--json").stdout)["leadId"] == LEAD


def test_added_evidence_is_answered_with_its_decisions(
    run: Run, gateway: FakeGateway, tmp_path: Path
) -> None:
    """The file is the request; what became of each delivery is shown."""
    answer = service.AddEvidenceResponse(lead_id=LEAD)
    answer.deliveries.add(
        buyer_id="buyer-one",
        state=delivery.DeliveryState.DELIVERY_STATE_REJECTED,
        reason="CDR_REUSED",
    )
    gateway.answers["AddEvidence"] = lambda _: answer
    file = tmp_path / "evidence.json"
    file.write_text('{"requestId": "form-42", "recipients": [{"buyerId": "buyer-one"}]}')
    result = run("leads", "add-evidence", str(file))
    assert gateway.request.request_id == "form-42"
    assert LEAD in result.stdout
    assert "CDR_REUSED" in result.stdout


def test_a_file_that_is_no_evidence_is_not_quoted(run: Run, tmp_path: Path) -> None:
    """A share URL is a credential."""
    file = tmp_path / "evidence.json"
    file.write_text('{"secret-token": 1}')
    result = run("leads", "add-evidence", str(file))
    assert result.exit_code == 2
    assert "secret-token" not in result.output


def test_retry_wants_deliveries_or_a_buyer(run: Run, gateway: FakeGateway) -> None:
    """Neither and both are usage errors; an age is counted from now."""
    gateway.answers["RetryDeliveries"] = lambda _: admin.RetryDeliveriesResponse(retried=2)
    assert run("deliveries", "retry").exit_code == 2
    assert run("deliveries", "retry", "a.b", "--buyer", "b").exit_code == 2
    result = run("deliveries", "retry", "--buyer", "b", "--since", "1d")
    assert result.stdout == "2 on their way again\n"
    age = datetime.now(UTC) - gateway.request.accepted_from.ToDatetime(tzinfo=UTC)
    assert timedelta(hours=23) < age < timedelta(hours=25)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-31", datetime(2026, 1, 31, tzinfo=UTC)),
        ("2026-01-31T08:00Z", datetime(2026, 1, 31, 8, tzinfo=UTC)),
        ("2026-01-31T08:00+02:00", datetime(2026, 1, 31, 6, tzinfo=UTC)),
        ("", None),
    ],
)
def test_times_are_read_as_utc_unless_they_say_otherwise(
    text: str, expected: datetime | None
) -> None:
    """ISO 8601 with and without a zone."""
    assert time_of(text, "--since") == expected


def events(count: int) -> Iterator[Any]:
    """A stream of events with cursors c1, c2 …, a heartbeat at its end."""
    for number in range(1, count + 1):
        yield service.WatchDeliveriesResponse(
            cursor=f"c{number}",
            delivery_id=f"{LEAD}.buyer-one",
            event=delivery.DeliveryEvent(type=delivery.DELIVERY_EVENT_TYPE_ACCEPTED, attempt=1),
        )
    yield service.WatchDeliveriesResponse(cursor="beat")


def test_watch_says_how_to_continue(run: Run, gateway: FakeGateway) -> None:
    """Also when the gateway goes away; a heartbeat moves the cursor and prints nothing."""
    gateway.answers["WatchDeliveries"] = lambda _: events(2)
    result = run("watch", "--cursor", "0")
    assert result.exit_code == 69
    assert len(result.stdout.splitlines()) == 2
    assert result.stderr.splitlines()[-1] == "continue with --cursor beat"
    assert gateway.request.cursor == "0"


def test_watch_ends_after_its_limit(run: Run, gateway: FakeGateway) -> None:
    """The cursor is that of the last event shown."""
    gateway.answers["WatchDeliveries"] = lambda _: events(5)
    result = run("watch", "--limit", 2, "--json")
    assert result.exit_code == 0
    assert [json.loads(line)["cursor"] for line in result.stdout.splitlines()] == ["c1", "c2"]
    assert result.stderr == "continue with --cursor c2\n"


async def test_ctrl_c_ends_a_watch_well(gateway: FakeGateway) -> None:
    """Exit code 0, and the cursor to continue with."""
    over = threading.Event()

    def endless(_: Any) -> Iterator[Any]:
        yield from islice(events(2), 2)
        over.wait(30)

    gateway.answers["WatchDeliveries"] = endless
    try:
        async with running("-m", "leadgate.cli", "watch") as command:
            await command.until(lambda: len(command.output) == 2)
            command.signal(signal.SIGINT)
            assert await command.ended() == 0
        # Stopped between an event and its cursor, the event comes again: never lost.
        assert command.errors in (["continue with --cursor c1"], ["continue with --cursor c2"])
    finally:
        over.set()


@pytest.mark.parametrize(
    ("code", "exit_code"),
    [
        (grpc.StatusCode.NOT_FOUND, 1),
        (grpc.StatusCode.PERMISSION_DENIED, 1),
        (grpc.StatusCode.UNAUTHENTICATED, 78),
        (grpc.StatusCode.INVALID_ARGUMENT, 2),
        (grpc.StatusCode.UNAVAILABLE, 69),
    ],
)
def test_a_refusal_names_its_reason_and_has_an_exit_code(
    run: Run, gateway: FakeGateway, code: grpc.StatusCode, exit_code: int
) -> None:
    """On stderr, with nothing on stdout."""
    gateway.answers["PauseBuyer"] = lambda _: refusal(code, "no", "SOME_REASON")
    result = run("buyers", "pause", "buyer-one")
    assert result.exit_code == exit_code
    assert result.stderr.startswith(f"error: {code.name}: no (SOME_REASON)\n")
    assert result.stdout == ""


@pytest.mark.parametrize("key", ["", "no-dot", "id.short"])
def test_a_key_that_cannot_work_is_a_settings_error(
    run: Run, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    """Found before anything is sent, and not echoed."""
    monkeypatch.setenv("LEADGATE_API_KEY", key)
    result = run("keys", "list")
    assert result.exit_code == 78
    assert "LEADGATE_API_KEY" in result.stderr
    assert not key or key not in result.stderr


def test_health_needs_no_key_and_ends_as_a_container_check_should(
    run: Run, gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """0 while serving; 69 when not, and when nobody answers."""
    monkeypatch.delenv("LEADGATE_API_KEY")
    gateway.health.set("", health_pb2.HealthCheckResponse.SERVING)
    gateway.health.set("leadgate.v1.LeadService", health_pb2.HealthCheckResponse.NOT_SERVING)
    assert run("health").exit_code == 0
    assert json.loads(run("health", "--json").stdout) == {"status": "SERVING"}
    assert run("health", "--service", "leadgate.v1.LeadService").exit_code == 69
    assert run("health", "--wait", 10).exit_code == 0
    monkeypatch.setenv("LEADGATE_GATEWAY", "127.0.0.1:1")
    assert run("health").exit_code == 69


def test_the_version_is_that_of_the_package(run: Run) -> None:
    """As in the wheel's metadata."""
    assert run("--version").stdout.startswith("leadgate ")
