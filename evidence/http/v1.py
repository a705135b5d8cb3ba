"""The v1 API of the contract: claims, shares, collects, CDRs and domains of an org.

The caller's org is the one of its key. Times are Unix milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from starlette.responses import Response

from evidence import sharing
from evidence.callers import Callers
from evidence.commands import Claim, Collect, GetCdr, Ledger, ListDomains, Share
from evidence.errors import InvalidArgument, NotFound
from evidence.http.body import read_object
from evidence.http.envelope import ok
from evidence.http.openapi import CDRS, asks, fields, takes
from evidence.http.packages import EXPIRY, claimed, claimed_package, expires_in_ms_of
from evidence.http.paging import cdrs_of
from evidence.lists import ListCdrs, Search
from evidence.packages import ClaimPackage
from evidence.shown import shown, shown_whole

BODY_LIMIT_BYTES = 4096
CLAIM = fields(collect={"type": "boolean", "default": True})


class V1:
    """The endpoints, over a ledger and the table of callers."""

    def __init__(self, ledger: Ledger, callers: Callers, public_url: str) -> None:
        self._ledger = ledger
        self._callers = callers
        self._public_url = public_url

    async def claim(self, request: Request) -> Response:
        """Claims a share: `data` is claimed, alreadyClaimed, cdrId, domainId, shareEventId, state.

        The body may be empty, or `{"collect": false}` to save without being billed.
        Ours: `claimed` tells whether the org has access now, so it is false, and
        `state` pending, where the CDR was only saved; `alreadyClaimed` tells whether a
        claim had given access before. An expired share is GONE for everybody.
        Ours too: the URL of a package claims all of it at once, see `claimed_package`.
        """
        org = self._callers.org(request.headers.get("x-api-key"))
        collect = _collect(await read_object(request, BODY_LIMIT_BYTES))
        token = request.path_params["token"]
        if not sharing.is_token(token):
            raise NotFound
        digest = sharing.digest(token)
        if sharing.is_package_token(token):
            claim = ClaimPackage(org.number, digest, collect)
            return ok(claimed_package(await self._ledger.write(claim)))
        return ok(claimed(await self._ledger.write(Claim(org.number, digest, collect))))

    async def share(self, request: Request) -> Response:
        """Makes a share URL: `data` is cdrId, shareUrl, shareToken, shareExpiresAt.

        `expiresInMs` is 1 ms to 2 years, 30 days without it.
        """
        org = self._callers.org(request.headers.get("x-api-key"))
        expires_in_ms = expires_in_ms_of(await read_object(request, BODY_LIMIT_BYTES))
        token = sharing.mint_token()
        cdr_id = request.path_params["cdr_id"]
        share = Share(org.number, cdr_id, sharing.digest(token), expires_in_ms)
        answer = await self._ledger.write(share)
        return ok(
            {
                "cdrId": answer.cdr_id,
                "shareUrl": sharing.share_url(self._public_url, token),
                "shareToken": token,
                "shareExpiresAt": answer.expire_ms,
            }
        )

    async def collect(self, request: Request) -> Response:
        """Pays for a CDR the org sees: `data` (ours) is collected, alreadyCollected, ids."""
        org = self._callers.org(request.headers.get("x-api-key"))
        await read_object(request, BODY_LIMIT_BYTES)
        answer = await self._ledger.write(Collect(org.number, request.path_params["cdr_id"]))
        return ok(
            {
                "collected": True,
                "alreadyCollected": answer.repeated,
                "cdrId": answer.cdr_id,
                "domainId": answer.domain_id,
            }
        )

    async def get_cdr(self, request: Request) -> Response:
        """One CDR the org sees, saved or with access; the fields are ours."""
        org = self._callers.org(request.headers.get("x-api-key"))
        view = await self._ledger.read(GetCdr(org.number, request.path_params["cdr_id"]))
        return ok(shown_whole(view))

    async def list_cdrs(self, request: Request) -> Response:
        """What the org has of a domain: `data.cdrs`, and (ours) `data.nextPageToken`.

        The path has the domain's id or its name.
        """
        org = self._callers.org(request.headers.get("x-api-key"))
        wanted = _wanted(org.number, request.path_params["domain_id"], request.query_params)
        page = await self._ledger.read(wanted)
        data: dict[str, Any] = {"cdrs": [shown(view) for view in page.cdrs]}
        return ok(data | ({"nextPageToken": page.next_after} if page.next_after else {}))

    async def list_domains(self, request: Request) -> Response:
        """The org's domains: `data.domains`, each with domainId, domain, createdAt."""
        org = self._callers.org(request.headers.get("x-api-key"))
        found = await self._ledger.read(ListDomains(org.number))
        return ok(
            {
                "domains": [
                    {"domainId": d.domain_id, "domain": d.name, "createdAt": d.create_ms}
                    for d in found
                ]
            }
        )


def add_routes(app: FastAPI, v1: V1) -> None:
    """Adds the paths of the v1 API; matched in this order, so the claim comes first."""
    app.post("/v1/shares/{token}", **takes(CLAIM))(v1.claim)
    app.post("/v1/cdrs/{cdr_id}/share", **takes(fields(expiresInMs=EXPIRY)))(v1.share)
    app.post("/v1/cdrs/{cdr_id}/collect")(v1.collect)
    app.get("/v1/cdrs/{cdr_id}")(v1.get_cdr)
    app.get("/v1/domains")(v1.list_domains)
    app.get("/v1/domains/{domain_id}/cdrs", **asks(CDRS))(v1.list_cdrs)


def _wanted(org: int, domain: str, query: Mapping[str, str]) -> ListCdrs:
    key, value = query.get("metadataKey"), query.get("metadataValue")
    if (key is None) != (value is None):
        raise InvalidArgument("metadataKey, metadataValue: give both or neither")
    search = Search(key, value) if key is not None else None
    return cdrs_of(org, domain, query, search)


def _collect(body: dict[str, Any]) -> bool:
    collect = body.get("collect", True)
    if not isinstance(collect, bool):
        raise InvalidArgument("collect: must be true or false")
    return collect
