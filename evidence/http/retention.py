"""The operator's API of retention: how long a CDR is kept, and what holds it back."""

from __future__ import annotations

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
from evidence.http.openapi import takes
from evidence.retention import GetKeeping, HoldCdr, ReleaseCdr

log = structlog.get_logger("evidence.admin")

BODY_LIMIT_BYTES = 16 * 1024


class NewHold(Body):
    """A legal hold. The reason is for the operator alone."""

    reason: str = Field("", max_length=1000)


class Holds:
    """The endpoints, over a ledger and the table of callers."""

    def __init__(self, ledger: Ledger, callers: Callers) -> None:
        self._ledger = ledger
        self._callers = callers

    async def get(self, request: Request) -> Response:
        """How long a CDR is kept: `data` is cdrId, retainUntil, heldAt?, reason?, deletedAt?."""
        return ok(await self._shown(self._cdr_id(request)))

    async def hold(self, request: Request) -> Response:
        """Holds a CDR back from deletion, however long: `data` is how it is kept."""
        cdr_id = self._cdr_id(request)
        new = await read_model(request, NewHold, BODY_LIMIT_BYTES)
        await self._ledger.write(HoldCdr(cdr_id, new.reason))
        log.info("cdr held", cdr_id=cdr_id)
        return ok(await self._shown(cdr_id))

    async def release(self, request: Request) -> Response:
        """Ends a hold: a CDR whose time was over is deleted now. `data` is how it is kept."""
        cdr_id = self._cdr_id(request)
        await self._ledger.write(ReleaseCdr(cdr_id))
        log.info("cdr released", cdr_id=cdr_id)
        return ok(await self._shown(cdr_id))

    async def _shown(self, cdr_id: str) -> dict[str, Any]:
        keeping = await self._ledger.read(GetKeeping(cdr_id))
        optional = {
            "retainUntil": keeping.retain_until_ms,
            "heldAt": keeping.hold_ms,
            "reason": keeping.hold_reason or None,
            "deletedAt": keeping.purge_ms,
        }
        known = {name: value for name, value in optional.items() if value is not None}
        return {"cdrId": cdr_id, **known}

    def _cdr_id(self, request: Request) -> str:
        self._callers.operator(request.headers.get("x-api-key"))
        return str(request.path_params["cdr_id"])


def add_routes(app: FastAPI, holds: Holds) -> None:
    """Adds the paths of retention."""
    app.get("/admin/v1/cdrs/{cdr_id}/retention")(holds.get)
    app.post("/admin/v1/cdrs/{cdr_id}/hold", **takes(NewHold))(holds.hold)
    app.post("/admin/v1/cdrs/{cdr_id}/release")(holds.release)
