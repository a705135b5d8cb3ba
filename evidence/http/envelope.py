"""The envelope every answer wears, and the edge that puts errors into it.

Success: `{"ok":true,"data":{…},"requestId":"<uuid>"}`. Error:
`{"ok":false,"error":{"code","message","requestId"}}`, with the code's HTTP status.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import structlog
import uuid_utils
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from evidence.errors import (
    EvidenceError,
    Internal,
    InvalidArgument,
    MethodNotAllowed,
    NotFound,
    Overloaded,
)

log = structlog.get_logger("evidence.http")


class JsonResponse(Response):
    """A response of JSON that no cache keeps: answers are one org's own."""

    media_type = "application/json"

    def __init__(
        self, body: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None
    ) -> None:
        # Plain ASCII: a lone surrogate in somebody's metadata cannot break the answer.
        text = json.dumps(body, separators=(",", ":"), allow_nan=False)
        super().__init__(text.encode(), status, {"cache-control": "no-store", **(headers or {})})


def ok(data: Mapping[str, Any]) -> JsonResponse:
    """Puts the data of a success into the envelope."""
    return JsonResponse({"ok": True, "data": data, "requestId": _request_id()})


def failed(error: EvidenceError, headers: Mapping[str, str] | None = None) -> JsonResponse:
    """Puts an error into the envelope."""
    return _failed(error, _request_id(), headers)


async def on_refusal(_: Request, error: EvidenceError) -> Response:
    """Answers what the service refuses."""
    if isinstance(error, Overloaded):
        return failed(error, {"retry-after": str(error.retry_after_seconds)})
    return failed(error)


async def on_http_error(_: Request, error: HTTPException) -> Response:
    """Answers what the framework refuses: unknown paths and verbs."""
    if error.status_code == MethodNotAllowed.status:
        return failed(MethodNotAllowed(), error.headers)
    if error.status_code == NotFound.status:
        return failed(NotFound())
    return failed(InvalidArgument("the request cannot be read"))


class Edge:
    """ASGI middleware: whatever breaks below is logged once and answered as INTERNAL."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request; nothing but a cancellation leaves it."""
        started = False

        async def sending(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, sending)
        except Exception as error:
            # The edge that must survive. The message and the path stay out of the log:
            # they may hold a token or what a person has typed.
            request_id = logged(error)
            if not started:
                await _failed(Internal(), request_id)(scope, receive, send)


def logged(error: Exception) -> str:
    """Logs what broke a request, without its message, and returns the id it is found by."""
    request_id = _request_id()
    where = _innermost(error)
    log.error("request failed", request_id=request_id, error=type(error).__name__, at=where)
    return request_id


def _failed(
    error: EvidenceError, request_id: str, headers: Mapping[str, str] | None = None
) -> JsonResponse:
    body = {"code": error.code, "message": error.message, "requestId": request_id}
    return JsonResponse({"ok": False, "error": body}, error.status, headers)


def _innermost(error: BaseException) -> list[str]:
    """Where it broke, innermost call last: files and lines, no values."""
    places = []
    trace = error.__traceback__
    while trace is not None:
        places.append(f"{trace.tb_frame.f_globals.get('__name__')}:{trace.tb_lineno}")
        trace = trace.tb_next
    return places[-8:]


def _request_id() -> str:
    return str(uuid_utils.uuid4())
