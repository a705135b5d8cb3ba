"""The operator's API under `/admin/v1`: orgs, domains, keys, CDRs and charges.

Every call needs the operator key in `X-API-Key`. Ids are the caller's, or minted where
they are missing. Whoever prepares a service unattended sends its own ids and keys; a
repeat is then a CONFLICT for what exists, and no error for the same key.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

import structlog
from fastapi import FastAPI, Request
from pydantic import Field, SecretStr, StrictBool, StringConstraints, field_validator
from starlette.responses import Response

from evidence import sharing
from evidence.callers import Callers
from evidence.capture import AddClient, Body, Capture, DisableClient, Id
from evidence.commands import (
    AddCdr,
    AddDomain,
    Added,
    AddKey,
    AddOrg,
    Cdr,
    InvalidateCdr,
    Ledger,
    ListCharges,
    RevokeKey,
    StoredKey,
)
from evidence.errors import Conflict
from evidence.http.body import read_model
from evidence.http.envelope import ok
from evidence.http.openapi import takes
from evidence.ids import mint_id
from leadgate.keys import mint, parse

log = structlog.get_logger("evidence.admin")

BODY_LIMIT_BYTES = 1024 * 1024

_DomainName = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$", to_lower=True),
]
M = TypeVar("M", bound=Body)


class NewOrg(Body):
    """An org; with `autoCollect` it pays for its own captures at once."""

    org_id: Id | None = None
    name: str = Field(min_length=1, max_length=200)
    auto_collect: StrictBool = True


class NewDomain(Body):
    """A domain of an org."""

    domain_id: Id | None = None
    org_id: Id
    name: _DomainName


class NewKey(Body):
    """An API key of an org; without `key` one is minted."""

    org_id: Id
    key: SecretStr | None = None

    @field_validator("key")
    @classmethod
    def _is_key(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and parse(value.get_secret_value()) is None:
            raise ValueError("must be <keyId>.<secret>, the secret of 16 characters or more")
        return value


class NewClient(Body):
    """A client id for the script tags of an org's pages: on all its domains, or on one."""

    client_id: Id | None = None
    org_id: Id
    domain: Id | None = None


class NewCdr(Capture):
    """A CDR of an org's domain, named by its id or its name."""

    org_id: Id
    domain: Id


class Admin:
    """The endpoints, over a ledger and the table of callers."""

    def __init__(self, ledger: Ledger, callers: Callers, public_url: str) -> None:
        self._ledger = ledger
        self._callers = callers
        self._public_url = public_url

    async def add_org(self, request: Request) -> Response:
        """Adds an org: `data` is orgId, name, autoCollect."""
        new = await self._read(request, NewOrg)
        org_id = new.org_id or mint_id("org")
        await self._ledger.write(AddOrg(org_id, new.name, new.auto_collect))
        log.info("org added", org_id=org_id)
        return ok({"orgId": org_id, "name": new.name, "autoCollect": new.auto_collect})

    async def add_domain(self, request: Request) -> Response:
        """Adds a domain: `data` is domainId, orgId, domain."""
        new = await self._read(request, NewDomain)
        domain_id = new.domain_id or mint_id("dom")
        await self._ledger.write(AddDomain(domain_id, new.org_id, new.name))
        log.info("domain added", domain_id=domain_id, org_id=new.org_id)
        return ok({"domainId": domain_id, "orgId": new.org_id, "domain": new.name})

    async def add_key(self, request: Request) -> Response:
        """Adds an API key: `data` is orgId, keyId, key. This shows the secret, once."""
        new = await self._read(request, NewKey)
        key = (parse(new.key.get_secret_value()) if new.key else None) or mint()
        if self._callers.is_operator_id(key.key_id):
            raise Conflict("key: its id is taken by another key")
        org = await self._ledger.write(AddKey(key.key_id, key.digest, new.org_id))
        self._callers.admit(StoredKey(key.key_id, key.digest, org, new.org_id))
        log.info("key added", key_id=key.key_id, org_id=new.org_id)
        return ok({"orgId": new.org_id, "keyId": key.key_id, "key": str(key)})

    async def revoke_key(self, request: Request) -> Response:
        """Revokes an API key: `data` is keyId, revoked."""
        self._authorise(request)
        key_id = request.path_params["key_id"]
        await self._ledger.write(RevokeKey(key_id))
        self._callers.dismiss(key_id)
        log.info("key revoked", key_id=key_id)
        return ok({"keyId": key_id, "revoked": True})

    async def add_client(self, request: Request) -> Response:
        """Adds a client id: `data` is clientId, orgId."""
        new = await self._read(request, NewClient)
        client_id = new.client_id or mint_id("cid")
        await self._ledger.write(AddClient(client_id, new.org_id, new.domain))
        log.info("client id added", client_id=client_id, org_id=new.org_id)
        return ok({"clientId": client_id, "orgId": new.org_id})

    async def disable_client(self, request: Request) -> Response:
        """Switches a client id off for good: `data` is clientId, disabled."""
        self._authorise(request)
        client_id = request.path_params["client_id"]
        await self._ledger.write(DisableClient(client_id))
        log.info("client id disabled", client_id=client_id)
        return ok({"clientId": client_id, "disabled": True})

    async def add_cdr(self, request: Request) -> Response:
        """Adds a CDR, and shares it if asked: `data` is as `captureCDR()` answers.

        That is cdrId, packageData, and with `autoShare` shareUrl, shareToken and
        shareExpiresAt; ours beside them: domainId, createdAt, state.
        """
        new = await self._read(request, NewCdr)
        cdr = new.cdr()
        token = sharing.mint_token() if new.share_ms is not None else None
        digest = sharing.digest(token) if token else None
        add = AddCdr(new.org_id, new.domain, cdr, digest, new.share_ms or 0)
        return ok(self._added(cdr, await self._ledger.write(add), token))

    async def invalidate_cdr(self, request: Request) -> Response:
        """Invalidates a CDR for everybody: `data` is cdrId, valid, invalidatedAt."""
        self._authorise(request)
        cdr_id = request.path_params["cdr_id"]
        since = await self._ledger.write(InvalidateCdr(cdr_id))
        log.info("cdr invalidated", cdr_id=cdr_id)
        return ok({"cdrId": cdr_id, "valid": False, "invalidatedAt": since})

    async def list_charges(self, request: Request) -> Response:
        """An org's bill: `data.charges`, each with orgId, cdrId, reason, chargedAt."""
        self._authorise(request)
        charges = await self._ledger.read(ListCharges(request.path_params["org_id"]))
        return ok(
            {
                "charges": [
                    {
                        "orgId": charge.org_id,
                        "cdrId": charge.cdr_id,
                        "reason": charge.reason,
                        "chargedAt": charge.charge_ms,
                    }
                    for charge in charges
                ]
            }
        )

    def _authorise(self, request: Request) -> None:
        self._callers.operator(request.headers.get("x-api-key"))

    async def _read(self, request: Request, kind: type[M]) -> M:
        """Authorises, and only then reads the body."""
        self._authorise(request)
        return await read_model(request, kind, BODY_LIMIT_BYTES)

    def _added(self, cdr: Cdr, added: Added, token: str | None) -> dict[str, Any]:
        data: dict[str, Any] = {
            "cdrId": cdr.cdr_id,
            "domainId": added.domain_id,
            "createdAt": added.create_ms,
            "state": added.state,
            "packageData": {"packageId": added.package_id},
        }
        if token is not None:
            data |= {
                "shareUrl": sharing.share_url(self._public_url, token),
                "shareToken": token,
                "shareExpiresAt": added.share_expire_ms,
            }
        return data


def add_routes(app: FastAPI, admin: Admin) -> None:
    """Adds the paths of the operator's API."""
    app.post("/admin/v1/orgs", **takes(NewOrg))(admin.add_org)
    app.get("/admin/v1/orgs/{org_id}/charges")(admin.list_charges)
    app.post("/admin/v1/domains", **takes(NewDomain))(admin.add_domain)
    app.post("/admin/v1/keys", **takes(NewKey))(admin.add_key)
    app.post("/admin/v1/keys/{key_id}/revoke")(admin.revoke_key)
    app.post("/admin/v1/clients", **takes(NewClient))(admin.add_client)
    app.post("/admin/v1/clients/{client_id}/disable")(admin.disable_client)
    app.post("/admin/v1/cdrs", **takes(NewCdr))(admin.add_cdr)
    app.post("/admin/v1/cdrs/{cdr_id}/invalidate")(admin.invalidate_cdr)
