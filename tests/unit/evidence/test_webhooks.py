"""What a webhook carries: the link to an image only where it is there and the org may have it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

import pytest

from evidence.access import State
from evidence.commands import Cdr, CdrView, Ledger
from evidence.downloads import Downloads
from evidence.jobs import WEBHOOK, Job, Later
from evidence.webhooks import AddAttempt, GetToSend, Sender, ToSend
from leadgate.outbound import Answer, Outbound, Unreachable
from tests.builders_evidence import ATime

JOB = Job(1, WEBHOOK, "wh_1", 1, {}, 1)


class OneEvent:
    """A ledger with one event on its way."""

    def __init__(self, view: CdrView) -> None:
        self.view = view
        self.attempts: list[AddAttempt] = []

    async def read(self, _: GetToSend) -> ToSend:
        """The event."""
        return ToSend("https://hooks.example.com/", 7, "buyer", self.view, [])

    async def write(self, add: AddAttempt) -> None:
        """Keeps the attempt."""
        self.attempts.append(add)


class OneAnswer:
    """A client that gives every request one answer, or none."""

    def __init__(self, status: int | None) -> None:
        self.status = status
        self.sent: list[dict[str, Any]] = []

    async def request(self, _: str, __: str, *, content: bytes, **___: object) -> Answer:
        """Answers."""
        self.sent.append(json.loads(content))
        if self.status is None:
            raise Unreachable
        return Answer(self.status, cast("Mapping[str, str]", {}), b"")


@pytest.mark.parametrize(
    ("image", "state", "linked"),
    [
        ("ready", State.COLLECTED, True),
        ("ready", State.PENDING, False),
        ("pending", State.COLLECTED, False),
        ("failed", State.COLLECTED, False),
    ],
)
async def test_the_download_is_linked_where_the_org_may_have_it(
    image: str, state: State, linked: bool
) -> None:
    """For this org alone; an org that has not paid learns of the CDR without it."""
    outbound = OneAnswer(200)
    await a_sender(OneEvent(a_view(image, state)), outbound).send(JOB)
    link = outbound.sent[0]["downloadUrl"]
    assert (link is not None) == linked
    if linked:
        assert link.startswith("https://evidence.example.com/v1/downloads/cdr_1/image?org=7&")


@pytest.mark.parametrize(
    ("status", "taken", "code"),
    [(200, True, ""), (204, True, ""), (301, False, "HTTP_301"), (410, False, "HTTP_410"),
     (500, False, "HTTP_500"), (None, False, "UNREACHABLE")],
)  # fmt: skip
async def test_only_a_2xx_takes_an_event(status: int | None, taken: bool, code: str) -> None:
    """Everything else is written down, and tried again."""
    ledger = OneEvent(a_view("none", State.COLLECTED))
    sender = a_sender(ledger, OneAnswer(status))
    if taken:
        await sender.send(JOB)
    else:
        with pytest.raises(Later, match=code):
            await sender.send(JOB)
    assert [(one.taken, one.attempt.status) for one in ledger.attempts] == [(taken, status)]


def a_sender(ledger: OneEvent, outbound: OneAnswer) -> Sender:
    """A sender over both fakes."""
    clock = ATime()
    downloads = Downloads(b"k" * 32, "https://evidence.example.com", clock)
    return Sender(cast("Ledger", ledger), cast("Outbound", outbound), downloads, clock)


def a_view(image: str, state: State) -> CdrView:
    """A CDR as the org sees it."""
    cdr = Cdr("cdr_1", None, "pkg_1", [], {}, [], session_id="session")
    seen = {"serverObserved": {"ip": "192.0.2.1", "userAgent": "A browser"}}
    return CdrView(
        cdr, "dom_1", "www.example.com", 0, state, owned=False, image_state=image, facts=seen
    )
