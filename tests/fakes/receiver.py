"""A system that receives webhooks over real HTTP on 127.0.0.1, and answers as it is told."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


@dataclass(frozen=True)
class Received:
    """One request."""

    headers: Mapping[str, str]
    text: str

    @property
    def body(self) -> dict[str, Any]:
        """The body as JSON."""
        body: dict[str, Any] = json.loads(self.text)
        return body


@dataclass
class Receiver:
    """Answers 200, or the statuses it was told, in order. `held`: answers nothing at all."""

    url: str = ""
    statuses: deque[int] = field(default_factory=deque)
    received: list[Received] = field(default_factory=list)
    news: asyncio.Condition = field(default_factory=asyncio.Condition)
    held: asyncio.Event | None = None

    async def until(self, count: int, seconds: float = 20) -> list[Received]:
        """Waits until that many requests came."""
        async with asyncio.timeout(seconds), self.news:
            await self.news.wait_for(lambda: len(self.received) >= count)
        return self.received

    async def _take(self, request: web.Request) -> web.Response:
        got = Received(request.headers.copy(), await request.text())
        async with self.news:
            self.received.append(got)
            self.news.notify_all()
        if self.held is not None:
            await self.held.wait()
        status = self.statuses.popleft() if self.statuses else 200
        headers = {"location": self.url} if status in {301, 307} else {}
        return web.Response(status=status, headers=headers)


@asynccontextmanager
async def a_receiver() -> AsyncIterator[Receiver]:
    """Runs a receiver on a free port."""
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/{path:.*}", receiver._take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        receiver.url = f"http://{host}:{port}/hook"
        yield receiver
    finally:
        await runner.cleanup()
