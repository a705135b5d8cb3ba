"""What a capture costs the page: main-thread time beside a bare snapshot by the library.

    python -m benchmarks.sdk_capture        needs Chromium, and npm for the bare snapshot

Both run on a page of 5,000 nodes in the same Chromium, each time on a page freshly loaded,
as a person's form has it: nothing is compiled yet. The capture is whole: snapshot, masks,
JSON, gzip, IndexedDB and upload to a service on this machine. Counted is the CPU time of
the page's main thread as the browser's own `Performance.getMetrics` has it.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web
from playwright.async_api import Browser, Page

from tests.browser import chromium
from tests.sdk.service import Service, running, serving

SDK = Path(__file__).parents[1] / "sdk"
NODES = 5_000
GOAL = 1.5
_BARE = 'import { snapshot } from "rrweb-snapshot"; window.bare = () => snapshot(document);'


def main() -> int:
    """Prints the ratio; the exit code is 0 if it is good enough."""
    parser = argparse.ArgumentParser(description="Main-thread time of a capture ÷ bare snapshot.")
    parser.add_argument("--rounds", type=int, default=15)
    bare, capture = asyncio.run(measure(parser.parse_args().rounds))
    ratio = statistics.median(capture) / statistics.median(bare)
    for name, values in (("bare snapshot", bare), ("captureCDR()", capture)):
        median, low, high = statistics.median(values), min(values), max(values)
        print(f"{name:14} {median:6.1f} ms   ({low:.1f} to {high:.1f})")
    print(f"ratio          {ratio:6.2f}      (goal: at most {GOAL})")
    return 0 if ratio <= GOAL else 1


async def measure(rounds: int) -> tuple[list[float], list[float]]:
    """Milliseconds of each bare snapshot and of each capture."""
    library = _bare_library()
    async with running() as service, chromium() as browser:
        app = web.Application()

        async def page(_: web.Request) -> web.Response:
            return web.Response(text=_page(service), content_type="text/html")

        async def script(_: web.Request) -> web.Response:
            return web.Response(text=library, content_type="text/javascript")

        app.add_routes([web.get("/", page), web.get("/bare.js", script)])
        async with serving(app) as origin:
            bare, capture = [], []
            for _ in range(rounds):
                bare.append(await _cost(browser, origin, "window.bare() && undefined"))
                capture.append(await _cost(browser, origin, "ExpressConsent.captureCDR()"))
            return bare, capture


async def _cost(browser: Browser, origin: str, call: str) -> float:
    """Milliseconds that a call keeps the main thread of a new page busy."""
    page = await browser.new_page()
    try:
        await page.goto(origin)
        await page.evaluate("() => new Promise(done => requestIdleCallback(done))")
        busy = await _main_thread(page)
        # An empty call first: what the measuring itself costs.
        started = await busy()
        await page.evaluate("undefined")
        called = await busy()
        await page.evaluate(f"() => {call}")
        return (await busy() - called) - (called - started)
    finally:
        await page.close()


async def _main_thread(page: Page) -> Callable[[], Awaitable[float]]:
    """A clock of the CPU time of the page's main thread, in milliseconds."""
    session = await page.context.new_cdp_session(page)
    await session.send("Performance.enable", {"timeDomain": "threadTicks"})

    async def busy() -> float:
        answer = await session.send("Performance.getMetrics")
        metrics = {metric["name"]: metric["value"] for metric in answer["metrics"]}
        return float(metrics["TaskDuration"]) * 1_000

    return busy


def _page(service: Service) -> str:
    """A page of about 5,000 nodes: rows of text, links and fields, styled."""
    row = (
        '<div class="row" data-n="{n}"><h3>Offer {n}</h3><p class="text">Save up to <b>{n} %</b>'
        ' with <a href="/offers/{n}">this offer</a>.</p><label>Value '
        '<input name="f{n}" value="{n}"></label>'
        '<label><input type="checkbox" checked> Yes</label></div>'
    )
    rows = "".join(row.format(n=n) for n in range(NODES // 17))
    rules = "".join(f".row:nth-child({n}) .text{{color:rgb({n % 255},0,0)}}" for n in range(200))
    return (
        '<!doctype html><html><head><link rel="icon" href="data:,">'
        '<script src="/bare.js"></script>'
        f"{service.script()}<style>{rules}</style></head><body>{rows}</body></html>"
    )


def _bare_library() -> str:
    """The snapshot library alone, bundled by the tool that bundles the SDK."""
    with tempfile.TemporaryDirectory() as directory:
        built = Path(directory) / "bare.js"
        esbuild = SDK / "node_modules" / ".bin" / "esbuild"
        if not esbuild.exists():
            sys.exit("run `make sdk` first: the bare snapshot is built from its packages")
        command = [str(esbuild), "--bundle", "--minify", "--format=iife", f"--outfile={built}"]
        subprocess.run(command, cwd=SDK, input=_BARE, text=True, check=True, capture_output=True)
        return built.read_text()


if __name__ == "__main__":
    raise SystemExit(main())
