"""A browser, a site and an evidence service, each on an origin of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

import pytest_asyncio
from aiohttp import web
from playwright.async_api import Browser, BrowserContext, Page

from tests.browser import chromium
from tests.sdk.service import Service, running, serving


@dataclass
class Site:
    """An integrator's site: pages and files by path."""

    service: Service
    origin: str = ""
    _files: dict[str, tuple[bytes, str, Mapping[str, str]]] = field(default_factory=dict)

    def page(
        self,
        body: str,
        *,
        path: str = "/",
        head: str = "",
        script: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> str:
        """Puts a page on the site, with the SDK's tag unless another is given; its URL."""
        script = self.service.script() if script is None else script
        html = (
            '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Form</title>'
            f'<link rel="icon" href="data:,">{script}{head}</head><body>{body}</body></html>'
        )
        return self.file(path, html, "text/html", headers)

    def file(
        self, path: str, text: str | bytes, kind: str, headers: Mapping[str, str] | None = None
    ) -> str:
        """Puts a file on the site; its URL."""
        content = text.encode() if isinstance(text, str) else text
        self._files[path] = (content, kind, headers or {})
        return self.origin + path

    async def get(self, request: web.Request) -> web.Response:
        """Serves a file."""
        if request.path not in self._files:
            return web.Response(status=404)
        content, kind, headers = self._files[request.path]
        return web.Response(body=content, content_type=kind, charset="utf-8", headers=headers)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """One Chromium for all tests."""
    async with chromium() as started:
        yield started


@pytest_asyncio.fixture(loop_scope="session")
async def service() -> AsyncIterator[Service]:
    """An evidence service that has seen nothing."""
    async with running() as started:
        yield started


@pytest_asyncio.fixture(loop_scope="session")
async def site(service: Service) -> AsyncIterator[Site]:
    """An integrator's site without pages."""
    site = Site(service)
    app = web.Application()
    app.router.add_get("/{path:.*}", site.get)
    async with serving(app) as origin:
        site.origin = origin
        yield site


@pytest_asyncio.fixture(loop_scope="session")
async def profile(browser: Browser) -> AsyncIterator[BrowserContext]:
    """A person's browser: storage that lasts over tabs, as long as the test."""
    context = await browser.new_context(viewport={"width": 800, "height": 600})
    yield context
    await context.close()


@pytest_asyncio.fixture(loop_scope="session")
async def tab(profile: BrowserContext) -> Page:
    """A tab of that browser."""
    return await profile.new_page()
