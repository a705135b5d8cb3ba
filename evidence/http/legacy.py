"""The legacy API: a thin layer over the same data, with its own paths and status rules.

Answers are bare objects, errors `{"error": text}`, times ISO 8601. A transaction is a
CDR, a lead validation (ours) a session's package. It says otherwise than v1: a repeated
collect is 409, one's own share 400, and what v1 calls CDR_INVALID is 404.

    status  of the refusals of v1
    400     INVALID_ARGUMENT, FAILED_PRECONDITION, and FORBIDDEN for what one may not share
    401     UNAUTHENTICATED, and an operator's key
    404     NOT_FOUND, CDR_INVALID
    409     CONFLICT
    410     GONE
    500     everything else; the same request may succeed later
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from fastapi import FastAPI, Request
from starlette.responses import Response

from evidence import sharing
from evidence.access import State
from evidence.callers import Callers, Org
from evidence.commands import CdrView, GetCdr, Ledger, ListDomains
from evidence.downloads import Downloads
from evidence.errors import (
    CdrInvalid,
    Conflict,
    EvidenceError,
    FailedPrecondition,
    Forbidden,
    Gone,
    InvalidArgument,
    NotFound,
    Overloaded,
    Unauthenticated,
)
from evidence.http.envelope import JsonResponse, logged
from evidence.http.openapi import CDRS, asks
from evidence.http.paging import cdrs_of
from evidence.lists import Search
from evidence.packages import CollectValidation, SharePackage
from evidence.snapshots import Extras, ListExtras

LINK_MS = 7 * 24 * 3600 * 1000
"""How long a `downloadURL` lasts."""

_STATUS: Mapping[type[EvidenceError], int] = {
    InvalidArgument: 400,
    FailedPrecondition: 400,
    Forbidden: 400,
    Unauthenticated: 401,
    NotFound: 404,
    CdrInvalid: 404,
    Conflict: 409,
    Gone: 410,
}

Endpoint = Callable[["Legacy", Request, Org], Awaitable[Mapping[str, Any]]]


def _endpoint(
    answer: Endpoint,
) -> Callable[[Legacy, Request], Awaitable[Response]]:
    """Puts an endpoint behind the key, and its answer or refusal into the legacy form."""

    async def serve(self: Legacy, request: Request) -> Response:
        try:
            return JsonResponse(await answer(self, request, self._caller(request)))
        except EvidenceError as refusal:
            return _refused(refusal)
        except Exception as error:
            # The edge that must survive, and in this API's own form.
            logged(error)
            return JsonResponse({"error": "Internal server error"}, 500)

    serve.__doc__ = answer.__doc__
    return serve


class Legacy:
    """The endpoints, over a ledger and the table of callers."""

    def __init__(
        self, ledger: Ledger, callers: Callers, public_url: str, downloads: Downloads | None
    ) -> None:
        self._ledger = ledger
        self._callers = callers
        self._public_url = public_url
        self._downloads = downloads

    @_endpoint
    async def domains(self, _: Request, org: Org) -> Mapping[str, Any]:
        """The names of the org's domains: `{"domains": […]}`."""
        found = await self._ledger.read(ListDomains(org.number))
        return {"domains": [domain.name for domain in found]}

    @_endpoint
    async def snapshots(self, request: Request, org: Org) -> Mapping[str, Any]:
        """What the org has of a domain: `{"snapshots": […], "nextPageToken"}`, null at the end.

        `metadataKey` alone finds what has the key; `metadataValue` needs it.
        """
        query = request.query_params
        key, value = query.get("metadataKey"), query.get("metadataValue")
        if key is None and value is not None:
            raise InvalidArgument("metadataValue: needs metadataKey")
        search = Search(key, value) if key is not None else None
        wanted = cdrs_of(org.number, request.path_params["domain_id"], query, search)
        page = await self._ledger.read(wanted)
        shown = await self._shown(org, page.cdrs)
        return {"snapshots": shown, "nextPageToken": page.next_after}

    @_endpoint
    async def snapshot(self, request: Request, org: Org) -> Mapping[str, Any]:
        """One snapshot: `{"snapshot": {…}}`."""
        wanted = GetCdr(org.number, request.path_params["transaction_id"])
        shown = await self._shown(org, [await self._ledger.read(wanted)])
        return {"snapshot": shown[0]}

    @_endpoint
    async def share(self, request: Request, org: Org) -> Mapping[str, Any]:
        """Shares a lead validation for 30 days: `{"shareUrl", "expiresAt"}`."""
        token = sharing.mint_package_token()
        share = SharePackage(
            org.number,
            request.path_params["lead_validation_id"],
            sharing.digest(token),
            sharing.DEFAULT_EXPIRY_MS,
        )
        answer = await self._ledger.write(share)
        url = f"{self._public_url}/collectLeadValidation/{token}"
        return {"shareUrl": url, "expiresAt": iso(answer.expire_ms)}

    @_endpoint
    async def collect(self, request: Request, org: Org) -> Mapping[str, Any]:
        """Collects a shared lead validation, for both orgs: `{"success": true}`; once an org."""
        token = request.path_params["token"]
        if not sharing.is_package_token(token):
            raise NotFound
        await self._ledger.write(CollectValidation(org.number, sharing.digest(token)))
        return {"success": True}

    def _caller(self, request: Request) -> Org:
        try:
            return self._callers.org(request.headers.get("x-api-key"))
        except Forbidden:
            raise Unauthenticated from None

    async def _shown(self, org: Org, views: list[CdrView]) -> list[dict[str, Any]]:
        asked = ListExtras(org.number, [view.cdr.cdr_id for view in views])
        extras = await self._ledger.read(asked)
        return [self._snapshot(org, view, extras[view.cdr.cdr_id]) for view in views]

    def _snapshot(self, org: Org, view: CdrView, extras: Extras) -> dict[str, Any]:
        seen = view.facts["serverObserved"]
        optional = {
            "downloadURL": self._link(org, view),
            "webhookSuccessfullySentAt": iso(extras.sent_ms) if extras.sent_ms else None,
            "signerCanonicalIp": seen["ip"],
            "signerUserAgent": seen["userAgent"],
            "affiliateTags": extras.affiliates or None,
        }
        return {
            "transactionId": view.cdr.cdr_id,
            "contentType": "image/png",
            "customMetadata": view.cdr.custom,
            "domain": view.domain,
            "createdAt": iso(view.create_ms),
            **{name: value for name, value in optional.items() if value is not None},
        }

    def _link(self, org: Org, view: CdrView) -> str | None:
        ready = view.image_state == "ready" and view.state is State.COLLECTED
        if self._downloads is None or not ready:
            return None
        return self._downloads.url(org.number, view.cdr.cdr_id, "image", LINK_MS)


def add_routes(app: FastAPI, legacy: Legacy) -> None:
    """Adds the paths of the legacy API."""
    app.get("/domains")(legacy.domains)
    app.get("/domains/{domain_id}/snapshots", **asks(CDRS))(legacy.snapshots)
    app.get("/snapshots/{transaction_id}")(legacy.snapshot)
    app.get("/shareLeadValidation/{lead_validation_id}")(legacy.share)
    app.get("/collectLeadValidation/{token}")(legacy.collect)


def iso(unix_ms: int) -> str:
    """A time as this API writes it: `2026-01-31T08:00:00.123Z`."""
    moment = datetime.fromtimestamp(unix_ms // 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{unix_ms % 1000:03}Z"


def _refused(refusal: EvidenceError) -> Response:
    status, headers = _STATUS.get(type(refusal), 500), {}
    if isinstance(refusal, Overloaded):
        headers["retry-after"] = str(refusal.retry_after_seconds)
    return JsonResponse({"error": refusal.message}, status, headers)
