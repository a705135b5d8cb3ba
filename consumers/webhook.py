"""The webhook sink: an HTTPS POST signed by the Standard Webhooks scheme.

    answer                                   outcome
    2xx                                      DELIVERED
    408, 425, 429, 5xx                       DEFERRED        SINK_HTTP_<status>, Retry-After kept
    no answer                                DEFERRED        SINK_TIMEOUT, SINK_UNREACHABLE, …
    other 4xx with a JSON `reason`           BUYER_REJECTED  that reason, as UPPER_SNAKE
    other 4xx                                FAILED          SINK_HTTP_<status>
    3xx and the rest                         FAILED          SINK_HTTP_<status>

`webhook-id` is the delivery_id: the receiver takes a second request with the same id
for what it is. The body is `DeliveredLead.as_json`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog
from standardwebhooks import Webhook

from consumers.claim import retry_after
from consumers.outcome import DELIVERED, Outcome
from consumers.record import DeliveredLead
from leadgate.outbound import Answer, Outbound, OutboundError
from leadgate.share_url import EvidenceHost, ShareUrlError, normal_authority

_DEADLINE_SECONDS = 15.0
_DEFERRED = {408, 425, 429}

_log = structlog.get_logger("consumers.webhook")


@dataclass(frozen=True, slots=True)
class WebhookTarget:
    """Where leads are posted. `repr` shows the host only: a path may be a secret."""

    url: str
    host: EvidenceHost

    @classmethod
    def parse(cls, entry: str) -> WebhookTarget:
        """Reads `https://host[:port]/path[;networks=CIDR CIDR…][;insecure=true]`.

        The options are those of `EvidenceHost.parse`: only with them may the host be
        private, or the URL http. Raises `ShareUrlError` with what is wrong.
        """
        url, *options = (part.strip() for part in entry.split(";"))
        scheme, separator, rest = url.partition("://")
        authority = rest.partition("/")[0].partition("?")[0]
        if not separator or scheme not in ("https", "http") or "#" in rest:
            raise ShareUrlError("a webhook must be an https URL without a fragment")
        host = EvidenceHost.parse(";".join([normal_authority(authority, scheme), *options]))
        if scheme == "http" and not host.insecure:
            raise ShareUrlError("a webhook must use https, unless marked ;insecure=true")
        return cls(url, host)

    def __repr__(self) -> str:
        return f"WebhookTarget({self.host.authority})"


class WebhookSink:
    """Posts each lead to one URL. `outbound` must allow `target.host`."""

    def __init__(self, target: WebhookTarget, secret: str, outbound: Outbound) -> None:
        """`secret` is `whsec_<base64>`, or the base64 alone. Raises `ValueError`."""
        self._target = target
        self._signer = Webhook(secret)
        self._outbound = outbound

    async def deliver(self, lead: DeliveredLead) -> Outcome:
        """Posts the lead once; the outcome is read from the table above."""
        body = lead.as_json()
        try:
            answer = await self._outbound.request(
                "POST",
                self._target.url,
                headers=self._headers(lead.delivery_id, body),
                content=body.encode(),
                deadline_seconds=_DEADLINE_SECONDS,
            )
        except OutboundError as error:
            return Outcome.deferred(f"SINK_{error.reason}")
        outcome = judge(answer)
        if not outcome.delivered:
            _log.warning("webhook", delivery_id=lead.delivery_id, status=answer.status)
        return outcome

    def _headers(self, delivery_id: str, body: str) -> dict[str, str]:
        now = datetime.now(UTC)
        return {
            "content-type": "application/json",
            "webhook-id": delivery_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": self._signer.sign(delivery_id, now, body),
        }


def judge(answer: Answer) -> Outcome:
    """What the webhook's answer means for the delivery; pure."""
    status = answer.status
    if 200 <= status < 300:
        return DELIVERED
    if status in _DEFERRED or status >= 500:
        return Outcome.deferred(f"SINK_HTTP_{status}", retry_after(answer.headers))
    if 400 <= status < 500 and (reason := _reason(answer.body)):
        return Outcome.rejected(reason)
    return Outcome.failed(f"SINK_HTTP_{status}")


def _reason(body: bytes) -> str:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    reason = content.get("reason") if isinstance(content, dict) else None
    return reason if isinstance(reason, str) else ""
