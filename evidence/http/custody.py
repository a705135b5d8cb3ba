"""Proof over HTTP: a CDR's custody log, the public keys, their rotation, and exports."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import structlog
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from evidence.callers import Callers
from evidence.clock import Clock
from evidence.commands import Ledger
from evidence.custody import AddSigningKey, GetCustody, ListSigningKeys
from evidence.export import ExportCdrs, Exports
from evidence.http.envelope import JsonResponse, ok
from evidence.http.openapi import asks
from evidence.signing import Vault, jwk
from leadgate.chain import Entry

log = structlog.get_logger("evidence.custody")

JWKS_PATH = "/.well-known/jwks.json"

_KEYS_SECONDS = 300
_EXPORT: Mapping[str, Mapping[str, Any]] = {
    "cdrId": {"type": "string"},
    "content": {"type": "string", "enum": ["0", "1"], "default": "0"},
}


class CustodyApi:
    """The endpoints, over a ledger, the vault of secrets and the exports."""

    def __init__(
        self, ledger: Ledger, callers: Callers, vault: Vault, exports: Exports, clock: Clock
    ) -> None:
        self._ledger = ledger
        self._callers = callers
        self._vault = vault
        self._exports = exports
        self._clock = clock

    async def get_custody(self, request: Request) -> Response:
        """A CDR's custody log: `data` is cdrId, entries, manifestHash, custodyHead.

        The entries chain by `leadgate.chain`; `detail` and `salt` are null where the
        deed was another org's.
        """
        org = self._callers.org(request.headers.get("x-api-key"))
        found = await self._ledger.read(GetCustody(org.number, request.path_params["cdr_id"]))
        entries = [_shown(entry) for entry in found.entries]
        return ok({"cdrId": found.cdr_id, "entries": entries, **found.anchor.shown()})

    async def keys(self, _: Request) -> Response:
        """Every public key that signs or has signed, as a JWK set; needs no API key."""
        listed = [
            {**jwk(key.public_key), "createdAt": key.create_ms, "retiredAt": key.retire_ms}
            for key in await self._ledger.read(ListSigningKeys())
        ]
        headers = {
            "cache-control": f"public, max-age={_KEYS_SECONDS}",
            "access-control-allow-origin": "*",
        }
        return JsonResponse({"keys": listed}, headers=headers)

    async def rotate(self, request: Request) -> Response:
        """Signs with a new key from now on: `data` is keyId. The old private key is deleted."""
        self._callers.operator(request.headers.get("x-api-key"))
        successor = self._vault.successor()
        await self._ledger.write(AddSigningKey(successor.key_id, successor.public_key))
        self._vault.use(successor)
        log.info("signing key rotated", signing_key=successor.key_id)
        return ok({"keyId": successor.key_id})

    async def export(self, request: Request) -> Response:
        """An export as JSON lines, of all CDRs or of one; see `leadgate.evidence_export`.

        Query: `cdrId`; `content=1` puts the artifacts in, in base64.
        """
        self._callers.operator(request.headers.get("x-api-key"))
        cdr_id = request.query_params.get("cdrId")
        if cdr_id is not None:
            await self._ledger.read(ExportCdrs(cdr_id=cdr_id))
        lines = self._exports.lines(
            self._clock(), cdr_id, content=request.query_params.get("content") == "1"
        )
        return StreamingResponse(
            _unbroken(lines),
            media_type="application/x-ndjson",
            headers={"cache-control": "no-store"},
        )


def add_routes(app: FastAPI, api: CustodyApi) -> None:
    """Adds the paths of custody, keys and exports."""
    app.get("/v1/cdrs/{cdr_id}/custody")(api.get_custody)
    app.get(JWKS_PATH)(api.keys)
    app.post("/admin/v1/signing-keys")(api.rotate)
    app.get("/admin/v1/export", **asks(_EXPORT))(api.export)


def _shown(entry: Entry) -> dict[str, Any]:
    return {
        "sequence": entry.sequence,
        "event": entry.event,
        "at": entry.at_ms,
        "detail": entry.detail,
        "salt": entry.salt.hex() if entry.salt is not None else None,
        "detailHash": entry.detail_hash.hex(),
        "hash": entry.hash.hex(),
    }


async def _unbroken(lines: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Ends the body without its end record where an export breaks: it will not verify."""
    try:
        async for line in lines:
            yield line
    except Exception as error:
        # The answer has begun: nothing but its missing end can say so.
        log.error("export broke off", error=type(error).__name__)
