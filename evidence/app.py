"""Composition root: the only place that names every concrete part of the service."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

import structlog
from starlette.types import ASGIApp

from evidence.blobs import Blobs, blobs_at
from evidence.callers import Callers
from evidence.clock import Clock, unix_ms
from evidence.commands import Ledger, ListKeys
from evidence.downloads import Downloads
from evidence.export import Exports
from evidence.http import capture, custody, downloads, legacy, orgs, pages, webhooks
from evidence.http import retention as holds
from evidence.http.api import application
from evidence.http.capture import Captures, Limits
from evidence.http.custody import CustodyApi
from evidence.http.downloads import DownloadsApi, Shelf
from evidence.http.legacy import Legacy
from evidence.http.orgs import Orgs
from evidence.http.pages import Pages
from evidence.http.retention import Holds
from evidence.http.webhooks import Webhooks
from evidence.jobs import RENDER, WEBHOOK, ReleaseJobs, Runner, running
from evidence.ledger import ledger as sql_ledger
from evidence.ledger.ledger import SqlLedger
from evidence.peers import Peers, networks
from evidence.rates import Rate, Room
from evidence.renderer import ChromiumRenderer, chromium_at
from evidence.renders import PLAN as RENDER_PLAN
from evidence.renders import Renders, ResumeRenders
from evidence.retention import PLAN as PURGE_PLAN
from evidence.retention import PURGE, Retention, sweeping
from evidence.server import bind, bound, serve
from evidence.settings import EvidenceSettings
from evidence.signing import Vault
from evidence.webhooks import PLAN as WEBHOOK_PLAN
from evidence.webhooks import Sender, outbound
from leadgate.settings import load, shown

log = structlog.get_logger("evidence")

_SIGN_INS = 20  # attempts a minute from one address
_ROOM_BYTES = 128 * 1024 * 1024


@asynccontextmanager
async def service(
    settings: EvidenceSettings, public_url: str, clock: Clock = unix_ms
) -> AsyncIterator[ASGIApp]:
    """Opens the ledger and yields the application over it; leaving closes in reverse order."""
    async with AsyncExitStack() as stack:
        vault = Vault(settings.keys_folder)
        opening = sql_ledger.opened(settings.database_url, clock, vault)
        ledger = await stack.enter_async_context(opening)
        await ledger.write(ReleaseJobs())
        callers = Callers(settings.operator, await ledger.read(ListKeys()), clock)
        blobs = blobs_at(settings.blob_store)
        peers = Peers(networks(settings.trusted_proxies))
        captures = _captures(settings, ledger, blobs, vault, clock, public_url)
        custody_api = CustodyApi(ledger, callers, vault, Exports(ledger, blobs, vault), clock)
        links = Downloads(vault.derived("links"), public_url, clock)
        shelf = Shelf(ledger, blobs)
        renders = await _renders(settings, ledger, blobs, stack)
        rendering = Runner(
            ledger, RENDER, renders.do, RENDER_PLAN, clock=clock, failed=renders.failed
        )
        await stack.enter_async_context(running(rendering))
        loopback = settings.webhook_loopback
        sender = Sender(
            ledger,
            await stack.enter_async_context(outbound(loopback=loopback)),
            links,
            clock,
        )
        hooks = Runner(
            ledger, WEBHOOK, sender.send, WEBHOOK_PLAN, clock=clock, failed=sender.failed
        )
        keeping = Retention(ledger, blobs, clock)
        purging = Runner(ledger, PURGE, keeping.delete, PURGE_PLAN, clock=clock)
        await stack.enter_async_context(running(hooks, purging))
        await stack.enter_async_context(sweeping(keeping))
        rooms = [
            partial(legacy.add_routes, legacy=Legacy(ledger, callers, public_url, links)),
            partial(capture.add_routes, captures=captures),
            partial(custody.add_routes, api=custody_api),
            partial(downloads.add_routes, api=DownloadsApi(callers, shelf, links, clock)),
            partial(
                pages.add_routes,
                pages=Pages(ledger, callers, shelf, public_url, peers, Rate(_SIGN_INS, clock)),
            ),
            partial(orgs.add_routes, orgs=Orgs(ledger, callers)),
            partial(holds.add_routes, holds=Holds(ledger, callers)),
            partial(webhooks.add_routes, webhooks=Webhooks(ledger, callers, loopback=loopback)),
        ]
        yield application(ledger, callers, public_url, rooms)


async def _renders(
    settings: EvidenceSettings, ledger: SqlLedger, blobs: Blobs, stack: AsyncExitStack
) -> Renders:
    chromium = chromium_at(settings.chromium)
    if chromium is None:
        log.warning("no Chromium: captures are kept, their images are unavailable")
        return Renders(ledger, blobs, None)
    renderer = ChromiumRenderer(chromium, networks(settings.asset_networks))
    await ledger.write(ResumeRenders())
    return Renders(ledger, blobs, await stack.enter_async_context(renderer))


def _captures(
    settings: EvidenceSettings,
    ledger: Ledger,
    blobs: Blobs,
    vault: Vault,
    clock: Clock,
    public_url: str,
) -> Captures:
    limits = Limits(
        per_address=Rate(settings.captures_per_address, clock),
        per_client=Rate(settings.captures_per_client, clock),
        room=Room(_ROOM_BYTES),
    )
    return Captures(
        ledger,
        blobs,
        limits,
        Peers(networks(settings.trusted_proxies)),
        vault.derived("share tokens"),
        public_url,
    )


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
