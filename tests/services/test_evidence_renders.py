"""Images and reports of captures, drawn by a real Chromium from pages that may be hostile."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from aiohttp import web

from evidence.renderer import ChromiumRenderer, DrawingFailed
from leadgate.share_url import EvidenceHost
from tests.browser import executable
from tests.builders_capture import (
    Json,
    a_client,
    a_page,
    a_text,
    an_element,
    an_envelope,
    captured,
    packed,
)
from tests.builders_evidence import (
    AnOrg,
    ATime,
    EvidenceClient,
    an_evidence_service,
    code_of,
    data_of,
)
from tests.pictures import a_png, picture
from tests.services.test_evidence_process import an_evidence_process

RED, BLUE, OUTLINE = (255, 0, 0), (0, 0, 255), (0xD1, 0x11, 0x49)
SMALL = {"width": 200, "height": 200, "devicePixelRatio": 1}
LOOPBACK = EvidenceHost.parse("example.com;networks=127.0.0.0/8").networks


@dataclass
class Site:
    """A web site on loopback that remembers what was asked of it."""

    origin: str
    asked: list[str] = field(default_factory=list)
    stalls: asyncio.Event = field(default_factory=asyncio.Event)


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    """A site: a red square at /red.png, a style sheet at /blue.css, /stall until released."""
    site = Site("")

    async def answer(request: web.Request) -> web.Response:
        site.asked.append(request.path)
        if request.path == "/stall.png":
            await site.stalls.wait()
        if request.path == "/away.png":
            raise web.HTTPFound("/red.png")
        if request.path == "/blue.css":
            return web.Response(text="body { background: #0000ff }", content_type="text/css")
        return web.Response(body=a_png(RED), content_type="image/png")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    site.origin = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield site
    site.stalls.set()
    await runner.cleanup()


@pytest.fixture
async def renderer() -> AsyncIterator[ChromiumRenderer]:
    """A renderer that may fetch from loopback."""
    async with ChromiumRenderer(executable(), LOOPBACK) as renderer:
        yield renderer


async def test_a_capture_becomes_an_image_and_a_report(tmp_path: Path) -> None:
    """Both in the manifest and the custody log, and downloaded by links; each org's is logged."""
    async with a_service(tmp_path) as (evidence, owner):
        button = an_element("button", a_text("Get my quote"))
        page = a_page(an_element("h1", a_text("Quote")), button)
        cdr_id = (await captured(evidence, envelope_of(page, button)))["cdrId"]
        assert await state(evidence, owner, cdr_id, "reportState") == "ready"
        image, link = await downloaded(evidence, owner, cdr_id, "image")
        report, _ = await downloaded(evidence, owner, cdr_id, "report")
        await evidence.http.get(link)
        assert picture(image).has(OUTLINE)
        assert report.startswith(b"%PDF-")
        events = data_of(await evidence.get(owner.key, f"/v1/cdrs/{cdr_id}/custody"))["entries"]
        assert [entry["event"] for entry in events] == [
            "captured",
            "rendered",
            "rendered",
            "downloaded",
            "downloaded",
        ]
        hashes = [entry["detail"].get("sha256") for entry in events[1:]]
        wanted = [hashlib.sha256(content).hexdigest() for content in (image, report)]
        assert hashes == wanted * 2


async def test_without_chromium_captures_are_kept_and_drawn_once_there_is_one(
    tmp_path: Path,
) -> None:
    """The CDR says `unavailable`; a later start with a browser draws it."""
    async with a_service(tmp_path, chromium="off") as (evidence, owner):
        cdr_id = (await captured(evidence, envelope_of(a_page())))["cdrId"]
        assert await state(evidence, owner, cdr_id) == "unavailable"
        refused = await evidence.get(owner.key, f"/v1/cdrs/{cdr_id}/image")
        assert code_of(refused) == (412, "FAILED_PRECONDITION")
    async with an_evidence_service(tmp_path, chromium=executable()) as evidence:
        assert await state(evidence, owner, cdr_id) == "ready"


async def test_a_snapshot_that_cannot_be_drawn_ends_as_failed(tmp_path: Path) -> None:
    """Visible in the CDR, and the service goes on."""
    async with a_service(tmp_path) as (evidence, owner):
        bad = (await captured(evidence, envelope_of(an_element("p"))))["cdrId"]
        assert await state(evidence, owner, bad) == "failed"
        good = (await captured(evidence, envelope_of(a_page())))["cdrId"]
        assert await state(evidence, owner, good) == "ready"


async def test_kill_9_of_service_and_renderer_costs_no_image(tmp_path: Path, site: Site) -> None:
    """Killed while a page is drawn; the next start draws it. No process or folder is left."""
    settings = {
        "LEADGATE_EVIDENCE_CHROMIUM": executable(),
        "LEADGATE_EVIDENCE_ASSET_NETWORKS": "127.0.0.0/8",
    }
    page = a_page(an_element("img", src=f"{site.origin}/stall.png"))
    async with an_evidence_process(tmp_path, settings) as (process, evidence):
        owner = await evidence.org("generator-a")
        await a_client(evidence, owner)
        cdr_id = (await captured(evidence, envelope_of(page)))["cdrId"]
        child = (await process.event("renderer started"))["pid"]
        await until(lambda: "/stall.png" in site.asked)
        folder = await asyncio.to_thread(Path(f"/proc/{child}/cwd").resolve)
        assert folder.name.startswith("leadgate-render-")
        await process.kill()
    await until(lambda: not alive(child))
    await until(lambda: not folder.exists())
    site.stalls.set()
    async with an_evidence_process(tmp_path, settings) as (process, evidence):
        assert await state(evidence, owner, cdr_id) == "ready"
        # The service outlives its renderer, too.
        os.kill((await process.event("renderer started"))["pid"], signal.SIGKILL)
        second = (await captured(evidence, envelope_of(page)))["cdrId"]
        assert await state(evidence, owner, second) == "ready"


async def test_a_hostile_page_reaches_nobody(renderer: ChromiumRenderer, site: Site) -> None:
    """Scripts, handlers, SVG, CSS, frames and refreshes that call out: not a request arrives."""
    there = site.origin
    tricks = [
        an_element("script", src=f"{there}/script.js"),
        an_element("script", a_text(f"fetch('{there}/inline')")),
        an_element("img", src="x", onerror=f"new Image().src='{there}/handler'"),
        an_element("a", a_text("a link"), href=f"javascript:location='{there}/js'"),
        an_element("iframe", src=f"{there}/frame", srcdoc=f"<img src={there}/srcdoc>"),
        an_element("object", data=f"{there}/object"),
        an_element("embed", src=f"{there}/embed"),
        an_element("link", rel="preload", href=f"{there}/preload"),
        an_element("link", rel="prefetch", href=f"{there}/prefetch"),
        an_element("meta", http_equiv="refresh", content=f"0;url={there}/refresh"),
        an_element("base", href=f"{there}/base/"),
        an_element("form", an_element("input", type="submit"), action=f"{there}/form"),
        an_element("video", src=f"{there}/video", autoplay=True),
        an_element("audio", src=f"{there}/audio"),
        a_sheet(f"</style><script src={there}/mutated></script>"),
        an_element("title", a_text(f"</title><img src={there}/title>")),
        an_element("textarea", value=f"</textarea><img src={there}/textarea>"),
        an_element(
            "svg",
            an_element("script", a_text(f"fetch('{there}/svg-script')")),
            an_element("use", href=f"{there}/use.svg#x"),
            an_element("animate", attributeName="href", to=f"{there}/animate"),
            an_element("foreignObject", an_element("iframe", src=f"{there}/foreign")),
            onload=f"fetch('{there}/svg-load')",
        ),
    ]
    assert await renderer.draw(packed(envelope_of(a_page(*tricks))), "gzip")
    assert site.asked == []


async def test_private_addresses_and_files_are_not_fetched(site: Site) -> None:
    """As long as nobody has allowed them: not for a picture, not from a style sheet."""
    port = urlsplit(site.origin).port
    wanted = [f"{site.origin}/red.png", f"http://localhost:{port}/red.png", "file:///etc/passwd"]
    css = "".join(f"@import url({url}); body {{ background: url({url}) }}" for url in wanted)
    images = [an_element("img", src=url) for url in wanted]
    page = a_page(a_sheet(css), *images)
    async with ChromiumRenderer(executable()) as renderer:
        drawn = picture(await renderer.draw(packed(envelope_of(page)), "gzip"))
    assert site.asked == []
    assert not drawn.has(RED)


async def test_what_a_page_names_is_drawn_where_it_may_be_fetched(
    renderer: ChromiumRenderer, site: Site
) -> None:
    """A picture and a style sheet; a redirect is not followed, and nothing else is fetched."""
    page = a_page(
        an_element("link", rel="stylesheet", href=f"{site.origin}/blue.css"),
        an_element("img", src=f"{site.origin}/red.png", width=50, height=50),
        an_element("img", src=f"{site.origin}/away.png"),
    )
    drawn = picture(await renderer.draw(packed(envelope_of(page)), "gzip"))
    assert drawn.has(RED)
    assert drawn.has(BLUE)
    assert sorted(site.asked) == ["/away.png", "/blue.css", "/red.png"]


async def test_state_that_html_has_no_words_for_is_drawn(renderer: ChromiumRenderer) -> None:
    """Shadow trees, scroll positions, custom elements and modal dialogs."""
    blue, red = {"style": "height:40px;background:#00f"}, {"style": "height:60px;background:#f00"}
    shadow = an_element("div", **blue) | {"isShadow": True}
    host = an_element("x-host", shadow) | {"isShadowHost": True}
    hidden = a_sheet("x-host:not(:defined) { display: none }")
    scrolled = an_element(
        "div", an_element("div", style="height:60px"), an_element("div", **red),
        style="height:60px;overflow:auto",
    )  # fmt: skip
    scrolled["attributes"]["rr_scrollTop"] = 60
    page = a_page(hidden, host, scrolled)
    drawn = picture(await renderer.draw(packed(envelope_of(page)), "gzip"))
    assert drawn.has(BLUE)
    assert drawn.has(RED)


async def test_a_box_that_hides_under_its_label_is_outlined_by_it(
    renderer: ChromiumRenderer,
) -> None:
    """Styled checkboxes have no size of their own."""
    box = an_element("input", type="checkbox", style="position:absolute;opacity:0;width:0;height:0")
    label = an_element("label", box, a_text("I agree"))
    drawn = picture(await renderer.draw(packed(envelope_of(a_page(label), box)), "gzip"))
    assert drawn.has(OUTLINE)


async def test_a_page_without_end_gives_a_picture_that_has_one(renderer: ChromiumRenderer) -> None:
    """Ten million pixels of height, and forms nested as deep as is allowed."""
    endless = an_element("div", style="height:9999999px;width:9999999px")
    png = await renderer.draw(packed(envelope_of(a_page(endless))), "gzip")
    assert int.from_bytes(png[16:20], "big") == 200
    assert int.from_bytes(png[20:24], "big") == 16_000


async def test_a_renderer_that_is_killed_is_replaced(
    renderer: ChromiumRenderer, site: Site
) -> None:
    """The page in hand fails, to be tried again; the next is drawn."""
    page = a_page(an_element("img", src=f"{site.origin}/stall.png"))
    drawing = asyncio.create_task(renderer.draw(packed(envelope_of(page)), "gzip"))
    await until(lambda: "/stall.png" in site.asked)
    assert renderer.pid is not None
    os.kill(renderer.pid, signal.SIGKILL)
    with pytest.raises(DrawingFailed, match="RENDERER_DIED") as failed:
        await drawing
    assert not failed.value.hopeless
    assert await renderer.draw(packed(envelope_of(a_page())), "gzip")


async def test_uploads_that_cannot_be_drawn_are_refused_for_good(
    renderer: ChromiumRenderer,
) -> None:
    """Bombs, towers and rubbish end their job with a code; the same renderer goes on."""
    tower = b'{"snapshot":' + b'{"type":0,"childNodes":[' * 4000 + b"]}" * 4000 + b"}"
    uploads = {
        b"rubbish": "SNAPSHOT_UNREADABLE",
        gzip.compress(b" " * (21 * 2**20)): "SNAPSHOT_UNREADABLE",
        gzip.compress(b"[" * 100_000): "SNAPSHOT_UNREADABLE",
        gzip.compress(b'{"snapshot":{"type":0,"childNodes":7}}'): "SNAPSHOT_UNREADABLE",
        gzip.compress(tower): "SNAPSHOT_(TOO_DEEP|UNREADABLE)",
    }
    pids = set()
    for upload, code in uploads.items():
        with pytest.raises(DrawingFailed, match=code) as failed:
            await renderer.draw(upload, "gzip")
        assert failed.value.hopeless
        pids.add(renderer.pid)
    assert len(pids) == 1


async def test_a_page_that_takes_too_long_is_given_up(
    renderer: ChromiumRenderer, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its renderer is ended with it, whatever it is stuck in."""
    await renderer.draw(packed(envelope_of(a_page())), "gzip")
    before = renderer.pid
    assert before is not None
    monkeypatch.setattr("evidence.renderer.DRAW_SECONDS", 0.5)
    page = a_page(an_element("img", src=f"{site.origin}/stall.png"))
    with pytest.raises(DrawingFailed, match="DRAWING_TIMEOUT"):
        await renderer.draw(packed(envelope_of(page)), "gzip")
    assert not alive(before)


async def test_a_renderer_without_work_ends_and_comes_back() -> None:
    """It holds no memory while nobody captures."""
    async with ChromiumRenderer(executable(), idle_seconds=0.01) as renderer:
        await renderer.draw(packed(envelope_of(a_page())), "gzip")
        await until(lambda: renderer.pid is None)
        assert await renderer.draw(packed(envelope_of(a_page())), "gzip")


async def test_the_renderer_knows_no_secret_of_the_service(
    renderer: ChromiumRenderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the service's environment it has what a program needs to run."""
    monkeypatch.setenv("LEADGATE_EVIDENCE_OPERATOR_KEY", "canary-secret")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary-secret")
    await renderer.draw(packed(envelope_of(a_page())), "gzip")
    told = await asyncio.to_thread(Path(f"/proc/{renderer.pid}/environ").read_text)
    assert "PATH=" in told
    assert "canary" not in told


def a_sheet(css: str) -> Json:
    """A style sheet as the library sends it."""
    style = an_element("style")
    style["attributes"]["_cssText"] = css
    return style


def envelope_of(page: Json, used: Json | None = None) -> Json:
    """An upload of a small page; `used` is the control to outline."""
    highlight = None
    if used is not None:
        highlight = {"nodeId": used["id"], "label": None, "source": "auto", "isTrusted": True}
    return an_envelope(page, viewport=SMALL, highlight=highlight)


@asynccontextmanager
async def a_service(folder: Path, **settings: Any) -> AsyncIterator[tuple[EvidenceClient, AnOrg]]:
    """A service with a browser, and an org whose pages may capture."""
    chosen = {"chromium": executable()} | settings
    async with an_evidence_service(folder, ATime(), **chosen) as evidence:
        owner = await evidence.org("generator-a")
        await a_client(evidence, owner)
        yield evidence, owner


async def state(evidence: EvidenceClient, org: AnOrg, cdr_id: str, name: str = "imageState") -> str:
    """The state of the image or the report, once it is no longer pending."""

    async def settled() -> str:
        while True:
            found = data_of(await evidence.get(org.key, f"/v1/cdrs/{cdr_id}"))[name]
            if found != "pending":
                return str(found)

    return await asyncio.wait_for(settled(), 40)


async def downloaded(
    evidence: EvidenceClient, org: AnOrg, cdr_id: str, name: str
) -> tuple[bytes, str]:
    """An artifact by its link, and the link's path."""
    found = data_of(await evidence.get(org.key, f"/v1/cdrs/{cdr_id}/{name}"))
    parts = urlsplit(found["url"])
    link = f"{parts.path}?{parts.query}"
    answer = await evidence.http.get(link)
    assert answer.status_code == 200, answer.text
    assert hashlib.sha256(answer.content).hexdigest() == found["sha256"]
    assert answer.headers["content-security-policy"].endswith("sandbox")
    return answer.content, link


async def until(holds: Callable[[], bool]) -> None:
    """Waits until something holds."""

    async def held() -> None:
        while not holds():
            await asyncio.to_thread(signal.sigtimedwait, [], 0.02)

    await asyncio.wait_for(held(), 30)


def alive(pid: int) -> bool:
    """Whether a process runs."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
