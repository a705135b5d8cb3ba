"""The evidence service as the browser sees it: docs/capture-protocol.md, kept in memory.

It refuses whatever breaks the protocol, and does on demand what a network or a service
in trouble does.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import re
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

SDK = Path(__file__).parents[2] / "evidence" / "static" / "sdk.js"
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
Trouble = Callable[[web.Request], Awaitable[web.Response | None]]
"""What happens to one upload instead of being stored; None stores it after all."""
CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "Retry-After",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True)
class Upload:
    """One request to the capture endpoint, and the envelope in it."""

    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    envelope: dict[str, Any]

    @property
    def text(self) -> str:
        """All that has left the page, as the text of the envelope."""
        return json.dumps(self.envelope, ensure_ascii=False)


@dataclass
class Service:
    """The service: what it got, what it has on disk, and what it shall do next."""

    url: str = ""
    uploads: list[Upload] = field(default_factory=list)
    cdrs: dict[str, dict[str, Any]] = field(default_factory=dict)
    preflights: int = 0
    trouble: list[Trouble] = field(default_factory=list)
    prefix: str = ""
    _arrived: asyncio.Condition = field(default_factory=asyncio.Condition)

    def script(self, cid: str = "client-a") -> str:
        """The tag an integrator puts on the page."""
        return f'<script src="{self.url}/sdk/v1/sdk.js" data-ec-cid="{cid}"></script>'

    @property
    def last(self) -> Upload:
        """The newest upload."""
        return self.uploads[-1]

    async def wait_for(self, uploads: int, seconds: float = 10) -> None:
        """Waits until so many uploads have arrived."""
        async with self._arrived:
            await asyncio.wait_for(
                self._arrived.wait_for(lambda: len(self.uploads) >= uploads), seconds
            )

    async def capture(self, request: web.Request) -> web.StreamResponse:
        """The capture endpoint."""
        if request.method == "OPTIONS":
            self.preflights += 1
            return web.Response(status=405, headers=CORS)
        body = await request.read()
        upload = Upload(
            dict(request.query), dict(request.headers), body, _envelope(request.query, body)
        )
        async with self._arrived:
            self.uploads.append(upload)
            self._arrived.notify_all()
        if self.trouble:
            answer = await self.trouble.pop(0)(request)
            if answer is not None:
                return answer
        return self._stored(upload)

    def _stored(self, upload: Upload) -> web.Response:
        capture_id = upload.query["captureId"]
        digest = hashlib.sha256(upload.body).hexdigest()
        known = self.cdrs.setdefault(capture_id, {"digest": digest, "number": len(self.cdrs) + 1})
        if known["digest"] != digest:
            return refusal(409, "CONFLICT")
        number, envelope = known["number"], upload.envelope
        data: dict[str, Any] = {
            "cdrId": f"cdr_{number}",
            "packageData": {
                "packageId": f"pkg_{envelope['sessionId']}",
                "subGroupIdMap": {name: f"pkg_{name}" for name in envelope["subGroupIds"]},
            },
        }
        if envelope["autoShare"]:
            data["shareToken"] = f"token-{number:016}"
            data["shareUrl"] = f"{self.url}/v1/shares/{data['shareToken']}"
            data["shareExpiresAt"] = envelope["captureTime"] + envelope["autoShare"]["expiresInMs"]
        return web.json_response({"ok": True, "data": data, "requestId": "r-1"}, headers=CORS)


def _envelope(query: Any, body: bytes) -> dict[str, Any]:
    assert UUID.fullmatch(query["captureId"])
    assert query["encoding"] in ("gzip", "identity")
    assert query["deferred"] in ("0", "1")
    assert 1 <= int(query["attempt"]) <= 100
    assert len(body) <= 5 * 1024 * 1024
    text = gzip.decompress(body) if query["encoding"] == "gzip" else body
    assert zlib.decompress(body, 31) == text if query["encoding"] == "gzip" else True
    envelope: dict[str, Any] = json.loads(text)
    assert envelope["v"] == 1
    assert (envelope["cid"], envelope["captureId"]) == (query["cid"], query["captureId"])
    return envelope


def refusal(status: int, code: str, **headers: str) -> web.Response:
    """An error in the v1 envelope."""
    error = {"code": code, "message": "refused", "requestId": "r-2"}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return web.json_response({"ok": False, "error": error}, status=status, headers=CORS | named)


def refuses(status: int, code: str, **headers: str) -> Trouble:
    """Trouble: the service refuses one upload."""

    async def refuse(_: web.Request) -> web.Response:
        return refusal(status, code, **headers)

    return refuse


async def cuts(request: web.Request) -> web.Response:
    """Trouble: the connection breaks after the body has arrived, before it is stored."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


def stalls(until: asyncio.Event) -> Trouble:
    """Trouble: no answer until the event; what was sent is stored then."""

    async def stall(_: web.Request) -> None:
        await until.wait()

    return stall


async def answers_other_json(_: web.Request) -> web.Response:
    """Trouble: JSON with status 403 that is not of the service, as a proxy sends it."""
    return web.json_response({"error": "blocked"}, status=403, headers=CORS)


async def is_a_sign_in_page(_: web.Request) -> web.Response:
    """Trouble: somebody else's page with status 200, as hotels send it."""
    return web.Response(text="<h1>Welcome</h1>", content_type="text/html", headers=CORS)


@asynccontextmanager
async def running(prefix: str = "") -> AsyncIterator[Service]:
    """Starts the service on a port of its own, below a path prefix if given."""
    service = Service(prefix=prefix)

    async def script(_: web.Request) -> web.Response:
        return web.Response(body=SDK.read_bytes(), content_type="text/javascript", headers=CORS)

    app = web.Application(client_max_size=16 * 1024 * 1024)
    app.router.add_get(f"{prefix}/sdk/v1/sdk.js", script)
    app.router.add_route("*", f"{prefix}/v1/captures", service.capture)
    async with serving(app) as origin:
        service.url = origin + prefix
        yield service


@asynccontextmanager
async def serving(app: web.Application) -> AsyncIterator[str]:
    """Serves an app on a free port of loopback; its origin."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
