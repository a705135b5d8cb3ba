"""Packages over HTTP: read one, share it by one URL, and what a claim of it answers.

Paths and bodies are ours: the contract knows packages, and no API for them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from starlette.responses import Response

from evidence import sharing
from evidence.access import State
from evidence.callers import Callers
from evidence.commands import Claimed, Ledger
from evidence.errors import InvalidArgument
from evidence.http.body import read_object
from evidence.http.envelope import ok
from evidence.http.openapi import fields, takes
from evidence.packages import GetPackage, Lost, PackageClaimed, PackageView, SharePackage
from evidence.shown import shown

BODY_LIMIT_BYTES = 64 * 1024
EXPIRY: Mapping[str, Any] = {
    "type": "integer",
    "minimum": 1,
    "maximum": sharing.MAX_EXPIRY_MS,
    "default": sharing.DEFAULT_EXPIRY_MS,
}
"""Schema of `expiresInMs`."""
SHARE = fields(
    expiresInMs=EXPIRY,
    acrossSubGroupIds={"type": "array", "items": {"type": "string"}},
)


class Packages:
    """The endpoints, over a ledger and the table of callers."""

    def __init__(self, ledger: Ledger, callers: Callers, public_url: str) -> None:
        self._ledger = ledger
        self._callers = callers
        self._public_url = public_url

    async def get(self, request: Request) -> Response:
        """One package: `data` is packageId, kind (session or sub_group), createdAt, cdrs.

        Of its CDRs only those the org has, oldest first, at most 500. For the owner
        also subGroupId of a sub-group's package, or of a session `subGroupIdMap`: the
        package id of each sub-group.
        """
        org = self._callers.org(request.headers.get("x-api-key"))
        package_id = request.path_params["package_id"]
        return ok(_shown(await self._ledger.read(GetPackage(org.number, package_id))))

    async def share(self, request: Request) -> Response:
        """Makes one share URL of all the org has of a package, as it is now.

        `data` is packageId, cdrIds, shareUrl, shareToken, shareExpiresAt. The body may
        have `expiresInMs`, and for a session that spans several sub-groups it must name
        them all in `acrossSubGroupIds`; else FAILED_PRECONDITION.
        """
        org = self._callers.org(request.headers.get("x-api-key"))
        body = await read_object(request, BODY_LIMIT_BYTES)
        token = sharing.mint_package_token()
        share = SharePackage(
            org.number,
            request.path_params["package_id"],
            sharing.digest(token),
            expires_in_ms_of(body),
            _across(body),
        )
        answer = await self._ledger.write(share)
        return ok(
            {
                "packageId": answer.package_id,
                "cdrIds": answer.cdr_ids,
                "shareUrl": sharing.share_url(self._public_url, token),
                "shareToken": token,
                "shareExpiresAt": answer.expire_ms,
            }
        )


def add_routes(app: FastAPI, packages: Packages) -> None:
    """Adds the paths of packages."""
    app.get("/v1/packages/{package_id}")(packages.get)
    app.post("/v1/packages/{package_id}/share", **takes(SHARE))(packages.share)


def claimed(answer: Claimed) -> dict[str, Any]:
    """What the claim of one CDR answers."""
    return {
        "claimed": answer.state is State.COLLECTED,
        "alreadyClaimed": answer.repeated,
        "cdrId": answer.cdr_id,
        "domainId": answer.domain_id,
        "shareEventId": answer.event_id,
        "state": answer.state,
        **answer.anchor.shown(),
    }


def claimed_package(answer: PackageClaimed) -> dict[str, Any]:
    """What the claim of a package answers: in `cdrs` a result for each of its CDRs.

    One that was invalidated or deleted since has cdrId and `error.code` instead, and
    does not keep `claimed` and `alreadyClaimed` of the whole from being true.
    """
    return {
        "claimed": answer.claimed,
        "alreadyClaimed": answer.repeated,
        "packageId": answer.package_id,
        "shareEventId": answer.event_id,
        "cdrs": [_result(result) for result in answer.results],
    }


def _result(result: Claimed | Lost) -> dict[str, Any]:
    if isinstance(result, Lost):
        return {"cdrId": result.cdr_id, "error": {"code": result.code}}
    return claimed(result)


def _shown(package: PackageView) -> dict[str, Any]:
    data: dict[str, Any] = {
        "packageId": package.package_id,
        "kind": "session" if package.session else "sub_group",
        "createdAt": package.create_ms,
        "cdrs": [shown(view) for view in package.cdrs],
    }
    if package.sub_group:
        data["subGroupId"] = package.sub_group
    if package.sub_group_packages:
        data["subGroupIdMap"] = package.sub_group_packages
    return data


def _across(body: Mapping[str, Any]) -> frozenset[str]:
    names = body.get("acrossSubGroupIds", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InvalidArgument("acrossSubGroupIds: must be a list of names")
    return frozenset(names)


def expires_in_ms_of(body: Mapping[str, Any]) -> int:
    """Reads `expiresInMs`, 30 days without it. Raises `InvalidArgument`."""
    value = body.get("expiresInMs", sharing.DEFAULT_EXPIRY_MS)
    if type(value) is not int or not 1 <= value <= sharing.MAX_EXPIRY_MS:
        raise InvalidArgument(
            f"expiresInMs: must be a whole number from 1 to {sharing.MAX_EXPIRY_MS}"
        )
    return value
