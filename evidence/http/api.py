"""The whole HTTP application: routes, envelope and edge around a ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from evidence.callers import Callers
from evidence.commands import Ledger
from evidence.errors import EvidenceError
from evidence.http import admin, capture, openapi, packages, v1
from evidence.http.envelope import Edge, ok, on_http_error, on_refusal


def application(
    ledger: Ledger,
    callers: Callers,
    public_url: str,
    rooms: Iterable[Callable[[FastAPI], None]] = (),
) -> FastAPI:
    """Makes the ASGI application.

    `public_url` is the base of the share URLs it hands out; each of `rooms` adds the
    paths of one part that needs more than the ledger.
    """
    app = FastAPI(
        title="leadgate evidence",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        exception_handlers={EvidenceError: on_refusal, HTTPException: on_http_error},
    )
    v1.add_routes(app, v1.V1(ledger, callers, public_url))
    packages.add_routes(app, packages.Packages(ledger, callers, public_url))
    admin.add_routes(app, admin.Admin(ledger, callers, public_url))
    for add_routes in rooms:
        add_routes(app)
    openapi.add_routes(app)
    app.get("/healthz", include_in_schema=False)(_health)
    app.add_middleware(Edge)
    app.add_middleware(capture.OpenToPages)
    return app


async def _health(_: Request) -> Response:
    """Answers while the service serves."""
    return ok({"status": "serving"})
