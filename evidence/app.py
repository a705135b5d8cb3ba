"""Composition root: the only place that names every concrete part of the service."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import structlog
from starlette.types import ASGIApp

from evidence.callers import Callers
from evidence.clock import Clock, unix_ms
from evidence.commands import ListKeys
from evidence.http.api import application
from evidence.ledger import ledger as sql_ledger
from evidence.server import bind, bound, serve
from evidence.settings import EvidenceSettings
from evidence.signing import Vault
from leadgate.settings import load, shown

log = structlog.get_logger("evidence")


@asynccontextmanager
async def service(
    settings: EvidenceSettings, public_url: str, clock: Clock = unix_ms
) -> AsyncIterator[ASGIApp]:
    """Opens the ledger and yields the application over it; leaving closes in reverse order."""
    async with AsyncExitStack() as stack:
        vault = Vault(settings.keys_folder)
        opening = sql_ledger.opened(settings.database_url, clock, vault)
        ledger = await stack.enter_async_context(opening)
        callers = Callers(settings.operator, await ledger.read(ListKeys()))
        yield application(ledger, callers, public_url)


async def main(stop: asyncio.Event) -> None:
    """Runs the service until `stop`; the requests in hand are finished and committed."""
    settings = load(EvidenceSettings)
    log.info("starting", **shown(settings))
    if settings.operator is None:
        log.warning("admin API refuses everybody: LEADGATE_EVIDENCE_OPERATOR_KEY is not set")
    with bind(settings.address) as listener:
        address = str(bound(listener))
        public_url = settings.public_url or f"http://{address}"

        def listening() -> None:
            log.info("listening", address=address, public_url=public_url)

        async with service(settings, public_url) as app:
            await serve(app, listener, stop, listening)
    log.info("stopped")
