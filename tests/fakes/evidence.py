"""An evidence service in memory, over real HTTP on 127.0.0.1, told what to answer."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

KEY = "buyer.0123456789abcdef"


@dataclass
class Cdr:
    """A CDR as the buyer's account sees it: held or not, paid or pending."""

    cdr_id: str
    custom: dict[str, Any] = field(default_factory=dict)
    state: str = ""
    gift: bool = False


@dataclass
class FakeEvidence:
    """Claims and reads; `scripted` answers come first, each (status, body, headers)."""

    authority: str = ""
    cdrs: dict[str, Cdr] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    scripted: deque[tuple[int, Any, dict[str, str]]] = field(default_factory=deque)
    accepts_key: bool = True
    delay_seconds: float = 0
    expired: set[str] = field(default_factory=set)
    news: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def entry(self) -> str:
        """The host entry that lets a consumer in."""
        return f"{self.authority};networks=127.0.0.0/8;insecure=true"

    def share(
        self, cdr_id: str, custom: dict[str, Any] | None = None, *, gift: bool = False
    ) -> str:
        """Makes a CDR and the URL of its share."""
        self.cdrs[cdr_id] = Cdr(cdr_id, custom or {}, gift=gift)
        return f"http://{self.authority}/v1/shares/token-{cdr_id}"

    def say(self, status: int, body: Any = None, **headers: str) -> None:
        """The next request is answered so, whatever it is."""
        self.scripted.append((status, body, headers))

    @property
    def claims(self) -> list[str]:
        """CDRs that were asked for by claims, in order."""
        return [
            path.removeprefix("/v1/shares/token-") for verb, path in self.requests if verb == "POST"
        ]

    async def until(self, holds: Any, seconds: float = 20) -> None:
        """Waits until `holds()`, asked after each request."""
        async with asyncio.timeout(seconds), self.news:
            await self.news.wait_for(holds)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answers one request."""
        body = await request.read()
        self.requests.append((request.method, request.path))
        self.keys.append(request.headers.get("x-api-key", ""))
        async with self.news:
            self.news.notify_all()
        if self.delay_seconds:
            await asyncio.sleep(self.delay_seconds)
        if not self.accepts_key:
            return _error(401, "UNAUTHENTICATED")
        if self.scripted:
            status, content, headers = self.scripted.popleft()
            text = content if isinstance(content, str) else json.dumps(content)
            return web.Response(
                status=status,
                text=text,
                headers={k.replace("_", "-"): v for k, v in headers.items()},
            )
        collect = (json.loads(body) if body else {}).get("collect", True)
        cdr_id = request.match_info["id"].removeprefix("token-")
        cdr = self.cdrs.get(cdr_id)
        if cdr is None:
            return _error(404, "NOT_FOUND")
        return self._claim(cdr, collect) if request.method == "POST" else self._read(cdr)

    def _claim(self, cdr: Cdr, collect: bool) -> web.Response:
        if cdr.cdr_id in self.expired:
            return _error(410, "GONE")
        repeated = cdr.state == "collected"
        cdr.state = "collected" if collect or cdr.gift or repeated else "pending"
        return _ok(
            claimed=cdr.state == "collected",
            alreadyClaimed=repeated,
            cdrId=cdr.cdr_id,
            domainId="dom-1",
            shareEventId=f"se-{cdr.cdr_id}",
        )

    def _read(self, cdr: Cdr) -> web.Response:
        if not cdr.state:
            return _error(404, "NOT_FOUND")
        return _ok(cdrId=cdr.cdr_id, customMetadata=cdr.custom, state=cdr.state)


@asynccontextmanager
async def fake_evidence() -> AsyncIterator[FakeEvidence]:
    """Serves one on a free port."""
    evidence = FakeEvidence()
    app = web.Application()
    app.router.add_post("/v1/shares/{id}", evidence.answer)
    app.router.add_get("/v1/cdrs/{id}", evidence.answer)
    app.router.add_route("*", "/{id:.*}", evidence.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.05)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    evidence.authority = f"127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield evidence
    finally:
        await runner.cleanup()


def _ok(**data: Any) -> web.Response:
    return web.json_response({"ok": True, "data": data, "requestId": "request-1"})


def _error(status: int, code: str) -> web.Response:
    return web.json_response(
        {"ok": False, "error": {"code": code, "message": "no", "requestId": "r"}}, status=status
    )
