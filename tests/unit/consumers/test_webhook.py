"""The webhook: signed, guarded, and its answers understood."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import web
from standardwebhooks import Webhook

from consumers.outcome import Outcome
from consumers.record import DeliveredLead
from consumers.testing import a_receipt, a_record
from consumers.webhook import WebhookSink, WebhookTarget, judge
from leadgate.outbound import Answer, Outbound
from leadgate.share_url import ShareUrlError

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
LEAD = DeliveredLead(a_record(), (a_receipt("cdr-lead-1"),))


class Receiver:
    """A buyer's endpoint on 127.0.0.1."""

    def __init__(self) -> None:
        self.requests: list[tuple[dict[str, str], str]] = []
        self.status = 204
        self.entry = ""

    async def take(self, request: web.Request) -> web.Response:
        """Notes and answers."""
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.requests.append((headers, await request.text()))
        return web.Response(status=self.status, headers={"location": "http://127.0.0.1:1/"})


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """An endpoint that listens."""
    endpoint = Receiver()
    app = web.Application()
    app.router.add_post("/leads", endpoint.take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.05)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    endpoint.entry = f"http://127.0.0.1:{port}/leads;networks=127.0.0.0/8;insecure=true"
    yield endpoint
    await runner.cleanup()


async def deliver(entry: str) -> Outcome:
    """Delivers `LEAD` to a webhook entry."""
    target = WebhookTarget.parse(entry)
    async with Outbound([target.host]) as outbound:
        return await WebhookSink(target, SECRET, outbound).deliver(LEAD)


async def test_a_lead_is_posted_and_its_signature_holds(receiver: Receiver) -> None:
    """Any Standard Webhooks library verifies it; the id is the delivery's."""
    assert (await deliver(receiver.entry)).delivered
    ((headers, body),) = receiver.requests
    assert headers["webhook-id"] == "lead-1.buyer-a"
    assert Webhook(SECRET).verify(body, headers) == json.loads(body)
    assert json.loads(body)["receipts"][0]["cdrId"] == "cdr-lead-1"
    assert "v1/shares" not in body


async def test_a_redirect_is_a_failure_and_is_not_followed(receiver: Receiver) -> None:
    """A lead goes to the URL in the settings, and nowhere else."""
    receiver.status = 307
    outcome = await deliver(receiver.entry)
    assert (outcome.name, outcome.reason) == ("FAILED", "SINK_HTTP_307")
    assert len(receiver.requests) == 1


async def test_nobody_there_is_deferred() -> None:
    """The buyer's system is restarted now and then."""
    outcome = await deliver("http://127.0.0.1:9/leads;networks=127.0.0.0/8;insecure=true")
    assert (outcome.name, outcome.reason) == ("DEFERRED", "SINK_UNREACHABLE")


async def test_a_private_address_needs_its_network_named() -> None:
    """Without the allowance nothing is sent."""
    outcome = await deliver("http://127.0.0.1:9/leads;insecure=true")
    assert outcome.reason == "SINK_ADDRESS_NOT_ALLOWED"


@pytest.mark.parametrize(
    ("status", "body", "name", "reason"),
    [
        (200, "", "DELIVERED", ""),
        (202, "whatever", "DELIVERED", ""),
        (400, {"reason": "duplicate-customer"}, "BUYER_REJECTED", "DUPLICATE_CUSTOMER"),
        (422, {"reason": "OVER_CAP"}, "BUYER_REJECTED", "OVER_CAP"),
        (422, {"reason": "person42@example.com"}, "BUYER_REJECTED", "REJECTED"),
        (422, {"reason": ""}, "FAILED", "SINK_HTTP_422"),
        (422, {"reason": 7}, "FAILED", "SINK_HTTP_422"),
        (404, "<html>", "FAILED", "SINK_HTTP_404"),
        (401, "", "FAILED", "SINK_HTTP_401"),
        (302, {"reason": "X"}, "FAILED", "SINK_HTTP_302"),
        (408, {"reason": "X"}, "DEFERRED", "SINK_HTTP_408"),
        (425, "", "DEFERRED", "SINK_HTTP_425"),
        (429, {"reason": "X"}, "DEFERRED", "SINK_HTTP_429"),
        (500, {"reason": "X"}, "DEFERRED", "SINK_HTTP_500"),
        (503, "", "DEFERRED", "SINK_HTTP_503"),
    ],
)
def test_each_answer_has_one_outcome(status: int, body: Any, name: str, reason: str) -> None:
    """The table in the module."""
    raw = body if isinstance(body, str) else json.dumps(body)
    outcome = judge(Answer(status, {}, raw.encode()))
    assert (outcome.name, outcome.reason) == (name, reason)


def test_retry_after_is_passed_on() -> None:
    """The buyer's system says how long it needs."""
    outcome = judge(Answer(503, {"retry-after": "90"}, b""))
    assert outcome.retry_delay == timedelta(seconds=90)


@pytest.mark.parametrize(
    "entry",
    [
        "http://hooks.example.com/leads",
        "https://user:word@hooks.example.com/leads",
        "https://hooks.example.com/leads#x",
        "https://",
        "hooks.example.com/leads",
        "https://hooks.example.com/leads;x=1",
    ],
)
def test_an_entry_that_is_not_safe_is_refused(entry: str) -> None:
    """Found at start, not at the first lead."""
    with pytest.raises(ShareUrlError):
        WebhookTarget.parse(entry)


def test_a_target_shows_its_host_only() -> None:
    """The path may be a secret."""
    assert "token" not in repr(WebhookTarget.parse("https://hooks.example.com/token"))
