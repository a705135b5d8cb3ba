"""Chromium, as evidence is drawn with it: scripts off, no way out, bounded in time.

What a page names is asked of `Asks`; nothing else than its answers reaches the page. The
document's own policy, the browser's routes and a resolver that knows no host each refuse
the rest.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Protocol

from playwright.async_api import (
    Browser,
    BrowserContext,
    ElementHandle,
    Error,
    FloatRect,
    Page,
    Route,
    async_playwright,
)

from evidence.inert import MODAL, POPOVER, SCROLL, USED

PAGE_URL = "http://capture.invalid/"
"""What the page is told its address is: plain http, so that no picture is mixed content."""

MAX_PIXELS_HIGH = 16_000  # above 16,384 Chromium paints nothing
_LOAD_MS = 12_000.0
_STEP_MS = 20_000.0

_FLAGS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",  # containers give /dev/shm 64 MB
    "--force-color-profile=srgb",
    # Behind the routes, a second wall: no name resolves, no address is gone to.
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
)
_POLICY = (
    "default-src 'none'; img-src http: https: data:; style-src 'unsafe-inline' http: https:;"
    " font-src http: https: data:; sandbox allow-same-origin"
)
_REPORT_POLICY = "default-src 'none'; img-src 'self'; style-src 'unsafe-inline'; sandbox"
_ASSETS = {"image", "stylesheet", "font"}

# Run by us in the page, where the page's own scripts are off.
_OPEN_MODALS = """(all) => all.slice(0, 20).forEach((dialog) => {
  dialog.removeAttribute('open'); dialog.showModal(); })"""
_OPEN_POPOVERS = "(all) => all.slice(0, 20).forEach((one) => one.showPopover())"
_SCROLL_TO = f"""(all) => all.slice(0, 200).forEach((one) => {{
  const [left, top] = one.getAttribute('{SCROLL}').split(' ').map(Number);
  one.scrollTo({{left, top, behavior: 'instant'}}); }})"""
_OUTLINE = """(box) => {
  const mark = document.createElement('div');
  mark.popover = 'manual';
  mark.style.cssText = `all: initial; display: block; position: absolute; margin: 0; inset: auto;
    box-sizing: border-box; left: ${box.x - 6}px; top: ${box.y - 6}px;
    width: ${box.width + 12}px; height: ${box.height + 12}px; border: 3px solid #d11149;
    border-radius: 6px; outline: 3px solid rgb(255 255 255 / 80%); background: transparent;
    pointer-events: none`;
  document.documentElement.append(mark);
  mark.showPopover();
}"""
_LABEL = "(control) => control.labels?.[0] ?? control.closest('label') ?? control.parentElement"
_HEIGHT = """() => Math.max(document.documentElement.scrollHeight,
  document.body ? document.body.scrollHeight : 0)"""


class Asks(Protocol):
    """Asks the service for what a page names."""

    async def __call__(self, url: str, kind: str) -> tuple[str, bytes] | None:
        """The media type and the content, or None where it is not to be had."""
        ...


@dataclass(frozen=True, slots=True)
class Sheet:
    """What to draw on: CSS pixels, and device pixels for each of them."""

    width: int = 1280
    height: int = 800
    scale: float = 1

    @classmethod
    def of(cls, viewport: Any) -> Sheet:
        """The viewport of a capture, brought to what can be drawn."""
        found = viewport if isinstance(viewport, dict) else {}
        width = _between(found.get("width"), 200, 4000, cls().width)
        height = _between(found.get("height"), 200, 4000, cls().height)
        ratio = _between(found.get("devicePixelRatio"), 1, 2, 1)
        # A phone's page is narrow: at twice the pixels its small print can be read.
        return cls(width, height, ratio if width <= 1000 else 1)


@asynccontextmanager
async def chromium(path: str) -> AsyncIterator[Browser]:
    """Starts a Chromium, and closes it."""
    # Its sandbox needs rights that it refuses to have as root, as containers run.
    flags = [*_FLAGS, "--no-sandbox"] if os.geteuid() == 0 else list(_FLAGS)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=path, headless=True, args=flags, chromium_sandbox=os.geteuid() != 0
        )
        try:
            yield browser
        finally:
            with suppress(Error):
                await browser.close()


async def draw(browser: Browser, html: str, sheet: Sheet, asks: Asks) -> bytes:
    """The picture of an inert page, the used control outlined: PNG, of the full page."""
    options: dict[str, Any] = {
        "viewport": {"width": sheet.width, "height": sheet.height},
        "device_scale_factor": sheet.scale,
    }
    async with _page(browser, html, _POLICY, asks, **options) as page:
        await _settle(page)
        await _outline(page)
        height = min(max(await page.evaluate(_HEIGHT), sheet.height), MAX_PIXELS_HIGH / sheet.scale)
        clip: FloatRect = {"x": 0, "y": 0, "width": sheet.width, "height": height}
        return await page.screenshot(
            full_page=True, clip=clip, animations="disabled", caret="hide", timeout=_STEP_MS
        )


async def printed(browser: Browser, html: str, picture: bytes) -> bytes:
    """A report as PDF, on A4; it may show `picture` as `image.png`."""

    async def own(url: str, kind: str) -> tuple[str, bytes] | None:
        named = url == f"{PAGE_URL}image.png" and kind == "image" and picture
        return ("image/png", picture) if named else None

    async with _page(browser, html, _REPORT_POLICY, own) as page:
        return await page.pdf(format="A4", print_background=True, prefer_css_page_size=True)


@asynccontextmanager
async def _page(
    browser: Browser, html: str, policy: str, asks: Asks, **options: Any
) -> AsyncIterator[Page]:
    """A page with this HTML in a profile of its own, as far as it has come in time."""
    context: BrowserContext = await browser.new_context(
        java_script_enabled=False,
        service_workers="block",
        accept_downloads=False,
        reduced_motion="reduce",
        **options,
    )
    try:
        context.set_default_timeout(_STEP_MS)
        await context.route("**/*", _Routes(html, policy, asks))
        page = await context.new_page()
        await page.goto(PAGE_URL, wait_until="commit", timeout=_LOAD_MS)
        with suppress(Error):  # what has come by then is what is drawn
            await page.wait_for_load_state("load", timeout=_LOAD_MS)
        yield page
    finally:
        await context.close()


class _Routes:
    """Answers every request of a page: its document once, its assets as they are given."""

    def __init__(self, html: str, policy: str, asks: Asks) -> None:
        self._html = html
        self._policy = policy
        self._asks = asks
        self._loaded = False

    async def __call__(self, route: Route) -> None:
        """Fulfils or aborts; a page that is closed meanwhile is no error."""
        with suppress(Error):
            await self._answer(route)

    async def _answer(self, route: Route) -> None:
        request = route.request
        if request.url == PAGE_URL and not self._loaded:
            self._loaded = True
            headers = {"content-security-policy": self._policy}
            page = self._html.encode(errors="replace")
            await route.fulfill(body=page, content_type="text/html; charset=utf-8", headers=headers)
            return
        asset = None
        if request.resource_type in _ASSETS and request.method == "GET":
            asset = await self._asks(request.url, request.resource_type)
        if asset is None:
            await route.abort()
            return
        kind, content = asset
        # Fonts are fetched with CORS; whose they are makes no difference here.
        headers = {"access-control-allow-origin": "*"}
        await route.fulfill(body=content, content_type=kind, headers=headers)


async def _settle(page: Page) -> None:
    """Brings about what HTML has no words for; what cannot be done is left."""
    steps = ((MODAL, _OPEN_MODALS), (POPOVER, _OPEN_POPOVERS), (SCROLL, _SCROLL_TO))
    for frame in page.frames[:20]:
        for attribute, script in steps:
            with suppress(Error):
                await frame.eval_on_selector_all(f"[{attribute}]", script)


async def _outline(page: Page) -> None:
    """Draws a frame around the control that was used, above everything else."""
    for frame in page.frames[:20]:
        with suppress(Error):
            control = await frame.query_selector(f"[{USED}]")
            if control and (box := await _visible_box(control)):
                left, top = await page.evaluate("() => [scrollX, scrollY]")
                placed = {**box, "x": box["x"] + left, "y": box["y"] + top}
                await page.evaluate(_OUTLINE, placed)
                return


async def _visible_box(control: ElementHandle) -> FloatRect | None:
    """Where a control is to be seen; many a box is hidden under its own label."""
    box = await control.bounding_box()
    if box and box["width"] >= 6 and box["height"] >= 6:
        return box
    label = (await control.evaluate_handle(_LABEL)).as_element()
    return await label.bounding_box() if label else box


def _between(value: Any, least: float, most: float, otherwise: float) -> Any:
    if not isinstance(value, int | float) or not value > 0:
        return otherwise
    bounded = min(max(value, least), most)
    return bounded if least == 1 else int(bounded)
