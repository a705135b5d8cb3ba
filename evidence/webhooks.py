"""Webhooks: tells an org that a CDR of its own is complete, until its system has taken it.

One event, `cdr.completed`, for each org that has the CDR, to the URL the org had then.
It is queued in the transaction that completes the CDR, and every attempt is in the
ledger, so that no restart loses one. A 2xx answer takes it; anything else is tried
again, later and later, over more than three days, under the same `webhookId`.

Signed by the Standard Webhooks scheme (ours: the contract names none): headers
`webhook-id`, `webhook-timestamp` and, where the org has a secret, `webhook-signature`.
During a rotation there are two signatures.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import ip_network
from typing import Any
from urllib.parse import urlsplit

import structlog
from standardwebhooks import Webhook

from evidence.access import State
from evidence.clock import Clock
from evidence.commands import CdrView, Command, Ledger, Query
from evidence.downloads import SHORT_MS, Downloads
from evidence.errors import InvalidArgument
from evidence.jobs import Job, Later, Plan
from evidence.manifest import IMAGE
from leadgate.outbound import Anywhere, Outbound, OutboundError
from leadgate.share_url import ShareUrlError, normal_authority

log = structlog.get_logger("evidence.webhooks")

EVENT = "cdr.completed"
MAX_URL = 2048
SECRET_BYTES = 32

_MINUTE, _HOUR = 60.0, 3600.0
PLAN = Plan(
    delays_seconds=(
        5,
        30,
        2 * _MINUTE,
        8 * _MINUTE,
        30 * _MINUTE,
        2 * _HOUR,
        6 * _HOUR,
        12 * _HOUR,
        24 * _HOUR,
        36 * _HOUR,
    ),
    slots=16,
    limit_seconds=30,
)
"""Eleven attempts over three days and eight hours."""

_ANSWER_SECONDS = 15.0
_ANSWER_LIMIT_BYTES = 64 * 1024
_LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
_LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class SetWebhook(Command[None]):
    """Sets where an org wants its events; '' sends nothing new. `NotFound` without the org.

    What is queued already still goes to the URL it was queued for.
    """

    org_id: str
    url: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class RotateSecret(Command[None]):
    """Gives an org a new signing secret; the one before signs beside it for `keep_ms`."""

    org_id: str
    secret: bytes = field(repr=False)
    keep_ms: int


@dataclass(frozen=True, slots=True)
class DropSecrets(Command[None]):
    """Leaves an org without a secret: its events are not signed any more."""

    org_id: str


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where an org's events go. `secrets`: since when each is good, and until when."""

    url: str = field(repr=False)
    secrets: list[tuple[int, int | None]]


@dataclass(frozen=True, slots=True)
class GetWebhook(Query[Endpoint]):
    """The endpoint of an org; `NotFound` without the org."""

    org_id: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt: the HTTP status, or a code where no answer came."""

    at_ms: int
    duration_ms: int
    status: int | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event on its way. `state` is waiting, delivered or failed."""

    webhook_id: str
    cdr_id: str
    event: str
    state: str
    create_ms: int
    finish_ms: int | None
    attempts: list[Attempt]


@dataclass(frozen=True, slots=True)
class ListDeliveries(Query[list[Delivery]]):
    """The events of an org, newest first; `after` is the webhook id to start after.

    Refused with `NotFound` without the org, `InvalidArgument` for an unknown `after`.
    """

    org_id: str
    limit: int
    after: str | None = None


@dataclass(frozen=True, slots=True)
class ToSend:
    """An event as it is to be sent: where to, about what, and by which secrets."""

    url: str = field(repr=False)
    org: int
    org_id: str
    view: CdrView = field(repr=False)
    secrets: list[bytes] = field(repr=False)


@dataclass(frozen=True, slots=True)
class GetToSend(Query[ToSend | None]):
    """The event of a webhook id; None where its CDR is no more, or it was taken."""

    webhook_id: str


@dataclass(frozen=True, slots=True)
class AddAttempt(Command[None]):
    """Writes an attempt into the log; one that was taken ends the delivery and its job."""

    job: Job
    attempt: Attempt
    taken: bool


@dataclass(frozen=True, slots=True)
class FailDelivery(Command[None]):
    """Marks an event as failed for good."""

    webhook_id: str


def checked_url(url: str, *, loopback: bool) -> str:
    """The URL of an endpoint; raises `InvalidArgument` unless it is https and plain.

    `loopback` is the switch of development: it also lets http to this machine pass.
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        normal_authority(parts.netloc, parts.scheme)
    except (ValueError, ShareUrlError, KeyError):
        raise InvalidArgument("url: must be https://host[:port][/path]") from None
    local = loopback and host in _LOOPBACK_HOSTS and parts.scheme == "http"
    plain = url.isascii() and url.isprintable() and " " not in url and not parts.fragment
    if not (parts.scheme == "https" or local) or not plain or len(url) > MAX_URL:
        raise InvalidArgument("url: must be https://host[:port][/path]")
    return url


def outbound(*, loopback: bool) -> Outbound:
    """A client that reaches public hosts over https; in development this machine too."""
    anywhere = Anywhere(_LOOPBACK if loopback else (), insecure=loopback)
    return Outbound(anywhere, body_limit_bytes=_ANSWER_LIMIT_BYTES)


class Sender:
    """Does jobs of kind WEBHOOK: `send` makes one attempt, `failed` ends what is given up."""

    def __init__(
        self,
        ledger: Ledger,
        outbound: Outbound,
        downloads: Downloads,
        clock: Clock,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ledger = ledger
        self._outbound = outbound
        self._downloads = downloads
        self._clock = clock
        self._timer = timer

    async def send(self, job: Job) -> None:
        """Makes one attempt, and writes it down; raises `Later` unless it was taken."""
        event = await self._ledger.read(GetToSend(job.dedupe))
        if event is None:
            return
        attempt = await self._attempt(job.dedupe, event)
        taken = attempt.status is not None and 200 <= attempt.status < 300
        await self._ledger.write(AddAttempt(job, attempt, taken))
        if not taken:
            raise Later(attempt.error or f"HTTP_{attempt.status}")

    async def failed(self, job: Job, _: str) -> None:
        """Marks the event as failed."""
        await self._ledger.write(FailDelivery(job.dedupe))

    async def _attempt(self, webhook_id: str, event: ToSend) -> Attempt:
        at_ms, began = self._clock(), self._timer()
        body = self._body(webhook_id, event, at_ms)
        headers = signed_headers(webhook_id, event.secrets, at_ms, body)
        try:
            answer = await self._outbound.request(
                "POST",
                event.url,
                headers=headers,
                content=body.encode(),
                deadline_seconds=_ANSWER_SECONDS,
            )
        except OutboundError as error:
            return Attempt(at_ms, self._since(began), error=error.reason)
        return Attempt(at_ms, self._since(began), status=answer.status)

    def _since(self, began: float) -> int:
        return int((self._timer() - began) * 1000)

    def _body(self, webhook_id: str, event: ToSend, at_ms: int) -> str:
        view = event.view
        seen = view.facts["serverObserved"]
        payload = {
            "event": EVENT,
            "webhookId": webhook_id,
            "timestamp": at_ms,
            "orgId": event.org_id,
            "cdrId": view.cdr.cdr_id,
            "domainId": view.domain_id,
            "domain": view.domain,
            "createdAt": view.create_ms,
            "ip": seen["ip"],
            "userAgent": seen["userAgent"],
            "downloadUrl": self._link(event),
            "customMetadata": view.cdr.custom,
            "sessionId": view.cdr.session_id,
            "disclosures": view.cdr.disclosures,
            "packageId": view.cdr.package_id,
            "imageState": view.image_state,
        }
        return json.dumps(payload, separators=(",", ":"))

    def _link(self, event: ToSend) -> str | None:
        view = event.view
        if view.image_state != "ready" or view.state is not State.COLLECTED:
            return None
        return self._downloads.url(event.org, view.cdr.cdr_id, IMAGE, SHORT_MS)


def signed_headers(
    webhook_id: str, secrets: list[bytes], at_ms: int, body: str
) -> Mapping[str, Any]:
    """The headers of an attempt: a signature by each secret, none without one."""
    moment = datetime.fromtimestamp(at_ms // 1000, UTC)
    headers = {
        "content-type": "application/json",
        "webhook-id": webhook_id,
        "webhook-timestamp": str(at_ms // 1000),
    }
    signatures = [Webhook(secret).sign(webhook_id, moment, body) for secret in secrets]
    if signatures:
        headers["webhook-signature"] = " ".join(signatures)
    return headers
