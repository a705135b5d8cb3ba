"""The operator's API of webhooks: where an org's events go, by which secret, and the log.

A URL may carry a secret in its path, and the secret signs: both are the operator's to
see and nobody's to log.
"""

from __future__ import annotations

import base64
import secrets
from typing import Any

import structlog
from fastapi import FastAPI, Request
from pydantic import Field
from starlette.responses import Response

from evidence.callers import Callers
from evidence.capture import Body
from evidence.commands import Ledger
from evidence.http.body import read_model
from evidence.http.envelope import ok
from evidence.http.openapi import PAGE, asks, takes
from evidence.http.paging import page_size
from evidence.webhooks import (
    SECRET_BYTES,
    Attempt,
    Delivery,
    DropSecrets,
    GetWebhook,
    ListDeliveries,
    RotateSecret,
    SetWebhook,
    checked_url,
)

log = structlog.get_logger("evidence.webhooks")

BODY_LIMIT_BYTES = 16 * 1024
_DAY_MS = 24 * 3600 * 1000


class NewUrl(Body):
    """Where an org's events go; '' sends nothing new."""

    url: str = Field(max_length=2048)


class NewSecret(Body):
    """A new signing secret; the one before is good for `keepMs` more, at most 30 days."""

    keep_ms: int = Field(_DAY_MS, ge=0, le=30 * _DAY_MS, strict=True)


class Webhooks:
    """The endpoints. `loopback` is the switch of development, see `checked_url`."""

    def __init__(self, ledger: Ledger, callers: Callers, *, loopback: bool) -> None:
        self._ledger = ledger
        self._callers = callers
        self._loopback = loopback

    async def get(self, request: Request) -> Response:
        """An org's webhook: `data` is orgId, url, secrets (createdAt, expiresAt of each)."""
        return ok(await self._shown(self._org_id(request)))

    async def set_url(self, request: Request) -> Response:
        """Sets or clears an org's URL: `data` is its webhook. What is queued still goes out."""
        org_id = self._org_id(request)
        new = await read_model(request, NewUrl, BODY_LIMIT_BYTES)
        url = checked_url(new.url, loopback=self._loopback) if new.url else ""
        await self._ledger.write(SetWebhook(org_id, url))
        log.info("webhook set" if url else "webhook cleared", org_id=org_id)
        return ok(await self._shown(org_id))

    async def rotate_secret(self, request: Request) -> Response:
        """Makes a new secret: `data` is orgId, secret. This shows it, once."""
        org_id = self._org_id(request)
        new = await read_model(request, NewSecret, BODY_LIMIT_BYTES)
        secret = secrets.token_bytes(SECRET_BYTES)
        await self._ledger.write(RotateSecret(org_id, secret, new.keep_ms))
        log.info("webhook secret rotated", org_id=org_id)
        return ok({"orgId": org_id, "secret": f"whsec_{base64.b64encode(secret).decode()}"})

    async def drop_secrets(self, request: Request) -> Response:
        """Ends signing, at once: `data` is the org's webhook."""
        org_id = self._org_id(request)
        await self._ledger.write(DropSecrets(org_id))
        log.info("webhook secrets dropped", org_id=org_id)
        return ok(await self._shown(org_id))

    async def list_deliveries(self, request: Request) -> Response:
        """The delivery log, newest first: `data.deliveries`, and `data.nextPageToken`."""
        org_id = self._org_id(request)
        query = request.query_params
        size = page_size(query)
        found = await self._ledger.read(ListDeliveries(org_id, size + 1, query.get("pageToken")))
        data: dict[str, Any] = {"deliveries": [_delivery(each) for each in found[:size]]}
        if len(found) > size:
            data["nextPageToken"] = found[size - 1].webhook_id
        return ok(data)

    async def _shown(self, org_id: str) -> dict[str, Any]:
        endpoint = await self._ledger.read(GetWebhook(org_id))
        listed = [
            {"createdAt": since} | ({"expiresAt": until} if until is not None else {})
            for since, until in endpoint.secrets
        ]
        return {"orgId": org_id, "url": endpoint.url, "secrets": listed}

    def _org_id(self, request: Request) -> str:
        self._callers.operator(request.headers.get("x-api-key"))
        return str(request.path_params["org_id"])


def add_routes(app: FastAPI, webhooks: Webhooks) -> None:
    """Adds the paths of webhooks."""
    path = "/admin/v1/orgs/{org_id}/webhook"
    app.get(path)(webhooks.get)
    app.put(path, **takes(NewUrl))(webhooks.set_url)
    app.post(f"{path}/secret", **takes(NewSecret))(webhooks.rotate_secret)
    app.delete(f"{path}/secret")(webhooks.drop_secrets)
    app.get(f"{path}/deliveries", **asks(PAGE))(webhooks.list_deliveries)


def _delivery(delivery: Delivery) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "webhookId": delivery.webhook_id,
        "event": delivery.event,
        "cdrId": delivery.cdr_id,
        "state": delivery.state,
        "createdAt": delivery.create_ms,
        "attempts": [_attempt(attempt) for attempt in delivery.attempts],
    }
    if delivery.finish_ms is not None:
        shown["finishedAt"] = delivery.finish_ms
    return shown


def _attempt(attempt: Attempt) -> dict[str, Any]:
    shown: dict[str, Any] = {"at": attempt.at_ms, "durationMs": attempt.duration_ms}
    if attempt.status is not None:
        shown["status"] = attempt.status
    return shown | ({"error": attempt.error} if attempt.error else {})
