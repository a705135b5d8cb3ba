"""A buyer's own system, as small as can be: takes leads by webhook, and turns some down."""

from __future__ import annotations

import base64
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

REJECTION = "NOT_A_HOMEOWNER"


class BuyerSystem:
    """What came in, by delivery id: the same delivery twice is one lead."""

    def __init__(self) -> None:
        self.url = ""
        self.secret = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
        self.taken: set[str] = set()
        self.turned_down: set[str] = set()
        self.forged = 0

    async def receive(self, request: web.Request) -> web.Response:
        """Answers one webhook: 200, or 422 with a reason, or 400 where the signature is wrong."""
        body = await request.read()
        try:
            record: Any = Webhook(self.secret).verify(body, dict(request.headers))
        except WebhookVerificationError:
            self.forged += 1
            return web.json_response({"reason": "BAD_SIGNATURE"}, status=400)
        delivery_id = request.headers["webhook-id"]
        if record["lead"].get("attributes", {}).get("homeowner") != "yes":
            self.turned_down.add(delivery_id)
            return web.json_response({"reason": REJECTION}, status=422)
        self.taken.add(delivery_id)
        return web.json_response({})


@asynccontextmanager
async def buyer_system() -> AsyncIterator[BuyerSystem]:
    """Serves the system on a free port of this machine."""
    system = BuyerSystem()
    app = web.Application()
    app.router.add_post("/leads", system.receive)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        system.url = f"http://127.0.0.1:{runner.addresses[0][1]}/leads"
        yield system
    finally:
        await runner.cleanup()
