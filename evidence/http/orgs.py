"""The operator's API of orgs: settings, keys in rotation, and bills to export."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import structlog
from fastapi import FastAPI, Request
from pydantic import Field, StrictBool
from starlette.responses import Response

from evidence.callers import Callers
from evidence.capture import MAX_TIME_MS, Body
from evidence.commands import Ledger, StoredKey
from evidence.errors import InvalidArgument
from evidence.http.body import read_model
from evidence.http.envelope import ok
from evidence.http.openapi import PAGE, asks, takes
from evidence.http.paging import page_size
from evidence.orgs import (
    MAX_RETENTION_DAYS,
    ChangeOrg,
    ExportCharges,
    GetOrg,
    ListOrgDomains,
    ListOrgKeys,
    ListOrgs,
    OrgView,
    RotateKey,
)
from leadgate.keys import mint

log = structlog.get_logger("evidence.admin")

BODY_LIMIT_BYTES = 16 * 1024
_DAY_MS = 24 * 3600 * 1000
_MAX_CHARGES = 1000
_MOMENT = {"type": "integer", "minimum": 0, "maximum": MAX_TIME_MS}
_CHARGES: Mapping[str, Mapping[str, Any]] = {
    **PAGE,
    "pageSize": {"type": "integer", "minimum": 1, "maximum": _MAX_CHARGES, "default": 20},
    "orgId": {"type": "string"},
    "from": _MOMENT,
    "until": _MOMENT,
}


class OrgChange(Body):
    """Settings of an org to change; what is left out stays as it is.

    `retentionDays` null is the service's default of 5 years. They hold for captures to
    come.
    """

    name: str = Field("", min_length=1, max_length=200)
    auto_collect: StrictBool = True
    capture_disabled: StrictBool = False
    retention_days: int | None = Field(None, ge=1, le=MAX_RETENTION_DAYS, strict=True)


class KeyRotation(Body):
    """How long the old key is good beside the new one; at most 30 days."""

    keep_ms: int = Field(_DAY_MS, ge=0, le=30 * _DAY_MS, strict=True)


class Orgs:
    """The endpoints, over a ledger and the table of callers."""

    def __init__(self, ledger: Ledger, callers: Callers) -> None:
        self._ledger = ledger
        self._callers = callers

    async def list_orgs(self, request: Request) -> Response:
        """All orgs by id, page by page: `data.orgs`, and `data.nextPageToken`."""
        self._authorise(request)
        query = request.query_params
        size = page_size(query)
        found = await self._ledger.read(ListOrgs(size + 1, query.get("pageToken", "")))
        data: dict[str, Any] = {"orgs": [_org(org) for org in found[:size]]}
        if len(found) > size:
            data["nextPageToken"] = found[size - 1].org_id
        return ok(data)

    async def get_org(self, request: Request) -> Response:
        """One org with its settings."""
        self._authorise(request)
        return ok(_org(await self._ledger.read(GetOrg(request.path_params["org_id"]))))

    async def change_org(self, request: Request) -> Response:
        """Changes an org's settings: `data` is the org afterwards."""
        self._authorise(request)
        change = await read_model(request, OrgChange, BODY_LIMIT_BYTES)
        given = {name: getattr(change, name) for name in change.model_fields_set}
        org = await self._ledger.write(ChangeOrg(request.path_params["org_id"], given))
        log.info("org changed", org_id=org.org_id, settings=sorted(given))
        return ok(_org(org))

    async def list_domains(self, request: Request) -> Response:
        """An org's domains: `data.domains`, each with domainId, domain, createdAt."""
        self._authorise(request)
        found = await self._ledger.read(ListOrgDomains(request.path_params["org_id"]))
        listed = [
            {"domainId": one.domain_id, "domain": one.name, "createdAt": one.create_ms}
            for one in found
        ]
        return ok({"domains": listed})

    async def list_keys(self, request: Request) -> Response:
        """An org's keys, without their secrets: `data.keys`; revokedAt may be to come."""
        self._authorise(request)
        found = await self._ledger.read(ListOrgKeys(request.path_params["org_id"]))
        listed = [
            {"keyId": one.key_id, "createdAt": one.create_ms}
            | ({"revokedAt": one.revoke_ms} if one.revoke_ms is not None else {})
            for one in found
        ]
        return ok({"keys": listed})

    async def rotate_key(self, request: Request) -> Response:
        """Makes a key's successor: `data` is orgId, keyId, key, and oldKeyRevokedAt.

        This shows the secret, once. The old key is good for `keepMs` more, a day
        without it.
        """
        self._authorise(request)
        rotation = await read_model(request, KeyRotation, BODY_LIMIT_BYTES)
        old_key_id, key = request.path_params["key_id"], mint()
        rotate = RotateKey(old_key_id, key.key_id, key.digest, rotation.keep_ms)
        done = await self._ledger.write(rotate)
        self._callers.admit(StoredKey(key.key_id, key.digest, done.org, done.org_id))
        self._callers.expire(old_key_id, done.revoke_ms)
        log.info("key rotated", key_id=key.key_id, old_key_id=old_key_id, org_id=done.org_id)
        return ok(
            {
                "orgId": done.org_id,
                "keyId": key.key_id,
                "key": str(key),
                "oldKeyRevokedAt": done.revoke_ms,
            }
        )

    async def export_charges(self, request: Request) -> Response:
        """The billing ledger, oldest first: `data.charges`, and `data.nextPageToken`.

        Of one org with `orgId`; from `from` on and before `until`, in Unix
        milliseconds; `pageSize` up to 1000.
        """
        self._authorise(request)
        query = request.query_params
        size = page_size(query, most=_MAX_CHARGES)
        wanted = ExportCharges(
            query.get("orgId"),
            _moment(query.get("from", "0"), "from"),
            _moment(query.get("until", str(MAX_TIME_MS)), "until"),
            size + 1,
            _place(query["pageToken"]) if "pageToken" in query else None,
        )
        found = await self._ledger.read(wanted)
        data: dict[str, Any] = {
            "charges": [
                {
                    "orgId": charge.org_id,
                    "cdrId": charge.cdr_id,
                    "reason": charge.reason,
                    "chargedAt": charge.charge_ms,
                }
                for charge in found[:size]
            ]
        }
        if len(found) > size:
            last = found[size - 1]
            data["nextPageToken"] = f"{last.cdr_id}/{last.org_id}"
        return ok(data)

    def _authorise(self, request: Request) -> None:
        self._callers.operator(request.headers.get("x-api-key"))


def add_routes(app: FastAPI, orgs: Orgs) -> None:
    """Adds the paths of orgs, keys and charges."""
    app.get("/admin/v1/orgs", **asks(PAGE))(orgs.list_orgs)
    app.get("/admin/v1/orgs/{org_id}")(orgs.get_org)
    app.patch("/admin/v1/orgs/{org_id}", **takes(OrgChange))(orgs.change_org)
    app.get("/admin/v1/orgs/{org_id}/domains")(orgs.list_domains)
    app.get("/admin/v1/orgs/{org_id}/keys")(orgs.list_keys)
    app.post("/admin/v1/keys/{key_id}/rotate", **takes(KeyRotation))(orgs.rotate_key)
    app.get("/admin/v1/charges", **asks(_CHARGES))(orgs.export_charges)


def _org(org: OrgView) -> dict[str, Any]:
    return {
        "orgId": org.org_id,
        "name": org.name,
        "autoCollect": org.auto_collect,
        "captureDisabled": org.capture_disabled,
        "retentionDays": org.retention_days,
        "createdAt": org.create_ms,
    }


def _moment(text: str, name: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 16 and int(text) <= MAX_TIME_MS):
        raise InvalidArgument(f"{name}: must be a time in Unix milliseconds")
    return int(text)


def _place(token: str) -> tuple[str, str]:
    cdr_id, separator, org_id = token.partition("/")
    if not separator:
        raise InvalidArgument("pageToken: not of this list")
    return cdr_id, org_id
