"""The pages and browsers that make it hard: strict policies, refused storage, odd loading."""

from __future__ import annotations

import pytest
from playwright.async_api import Page

from tests.sdk.calls import capture, failure, said
from tests.sdk.conftest import Site
from tests.sdk.service import Service, refuses
from tests.sdk.tree import css, element

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_strict_policy_needs_the_service_in_two_places_only(
    tab: Page, site: Site, service: Service
) -> None:
    """script-src and connect-src: nothing is evaluated, injected or framed."""
    lines = said(tab)
    policy = (
        f"default-src 'none'; script-src {service.url}; connect-src {service.url};"
        " style-src 'self'; img-src data:; require-trusted-types-for 'script'"
    )
    site.file("/page.css", "p{color:navy}", "text/css")
    url = site.page(
        '<p id="p">x</p><div data-ec-disclosure="a">terms</div>',
        head='<link rel="stylesheet" href="/page.css">',
        headers={"Content-Security-Policy": policy},
    )
    await tab.goto(url)
    await tab.click("#p")
    await capture(tab, disclosures={"a": True}, autoShare=True)
    assert "navy" in css(service.last.envelope)
    assert [line for line in lines if "Content Security Policy" in line] == []


async def test_a_policy_that_forgets_the_service_is_a_network_error(
    tab: Page, site: Site, service: Service
) -> None:
    """The capture is kept for a page that allows it."""
    policy = f"default-src 'self'; script-src {service.url}; img-src data:"
    await tab.goto(site.page("", headers={"Content-Security-Policy": policy}))
    error = await failure(tab)
    assert (error["code"], error["retrying"]) == ("NETWORK", True)


async def test_a_page_that_loads_the_script_twice_has_one_library(
    tab: Page, site: Site, service: Service
) -> None:
    """One log of interactions, one upload per call; another client id is warned about."""
    lines = said(tab)
    scripts = service.script("client-a") * 2 + service.script("client-b")
    await tab.goto(site.page("<p id=p>x</p>", script=scripts))
    await tab.click("#p")
    await capture(tab)
    assert len(service.uploads) == 1
    assert service.last.query["cid"] == "client-a"
    assert len(service.last.envelope["interactions"]) == 1
    assert any("data-ec-cid" in line for line in lines)


async def test_a_second_tag_may_bring_the_client_id(
    tab: Page, site: Site, service: Service
) -> None:
    """The first one had none."""
    bare = f'<script src="{service.url}/sdk/v1/sdk.js"></script>'
    await tab.goto(site.page("", script=bare + service.script("client-b")))
    await capture(tab)
    assert service.last.query["cid"] == "client-b"


@pytest.mark.parametrize("how", ["async", "defer", "injected", "integrity"])
async def test_the_script_may_be_loaded_in_any_way(
    tab: Page, site: Site, service: Service, how: str
) -> None:
    """Tags that load late, scripts that add the tag, tags with `crossorigin`."""
    tag = service.script()
    if how == "injected":
        tag = f"""<script>const s = document.createElement("script");
        s.src = "{service.url}/sdk/v1/sdk.js"; s.dataset.ecCid = "client-a";
        document.head.append(s);</script>"""
    elif how == "integrity":
        tag = tag.replace("<script ", "<script crossorigin=anonymous ")
    else:
        tag = tag.replace("<script ", f"<script {how} ")
    await tab.goto(site.page("", script=tag))
    await tab.wait_for_function("window.ExpressConsent")
    await capture(tab)


async def test_without_indexeddb_the_upload_goes_on(
    tab: Page, site: Site, service: Service
) -> None:
    """Refused, as in private windows: captures work, and a failure says it is not kept."""
    refuse = (
        "<script>indexedDB.open = () => { throw new DOMException('no', 'SecurityError'); }</script>"
    )
    await tab.goto(site.page("", head=refuse))
    await capture(tab)
    service.trouble = [refuses(500, "INTERNAL")]
    error = await failure(tab)
    assert (error["code"], error["retrying"]) == ("UNAVAILABLE", False)


async def test_an_indexeddb_that_never_answers_costs_a_second(
    tab: Page, site: Site, service: Service
) -> None:
    """Some browsers neither open nor fail."""
    hang = "<script>indexedDB.open = () => ({});</script>"
    await tab.goto(site.page("", head=hang))
    took = await tab.evaluate(
        "() => { const began = performance.now();"
        "return ExpressConsent.captureCDR().then(() => performance.now() - began); }"
    )
    assert took < 5_000
    assert len(service.uploads) == 1


async def test_a_page_without_an_origin_can_capture(
    tab: Page, site: Site, service: Service
) -> None:
    """A sandboxed frame has neither storage nor locks; each load is a session of its own."""
    inner = site.page("<p>inner</p>", path="/inner")
    await tab.goto(site.page(f'<iframe sandbox="allow-scripts" src="{inner}"></iframe>', script=""))
    frame = tab.frames[1]
    result = await frame.evaluate("ExpressConsent.captureCDR()")
    assert result["cdrId"] == "cdr_1"
    assert service.last.headers["Origin"] == "null"


async def test_a_browser_without_compression_sends_plain_json(
    tab: Page, site: Site, service: Service
) -> None:
    """CompressionStream is younger than fetch."""
    await tab.goto(site.page("", head="<script>delete window.CompressionStream</script>"))
    await capture(tab)
    assert service.last.query["encoding"] == "identity"


async def test_session_storage_that_is_refused_gives_a_session_of_the_page(
    tab: Page, site: Site, service: Service
) -> None:
    """Two captures of one page are one session."""
    refuse = """<script>Object.defineProperty(window, "sessionStorage", {
      get() { throw new DOMException("no", "SecurityError"); } })</script>"""
    await tab.goto(site.page("", head=refuse))
    await capture(tab)
    await capture(tab)
    first, second = (upload.envelope["sessionId"] for upload in service.uploads)
    assert first == second


async def test_an_upload_outlives_its_page_as_far_as_browsers_allow(
    tab: Page, site: Site, service: Service
) -> None:
    """Small ones go with `keepalive`; big ones, which browsers refuse then, go without."""
    spy = """<script>window.kept = []; const send = window.fetch;
      window.fetch = (url, how) => { kept.push(how.keepalive); return send(url, how); };</script>"""
    await tab.goto(site.page("<div id=d></div>", head=spy))
    await capture(tab)
    await tab.evaluate(
        """() => { const bytes = new Uint8Array(60000); let text = "";
        for (let i = 0; i < 5; i++) text += Array.from(crypto.getRandomValues(bytes)).join("");
        d.textContent = text; }"""
    )
    await capture(tab)
    assert len(service.last.body) > 65_536
    assert await tab.evaluate("kept") == [True, False]


async def test_a_page_that_has_rewritten_the_dom_is_read_all_the_same(
    tab: Page, site: Site, service: Service
) -> None:
    """A framework has replaced Node's accessors."""
    taint = """<script>Object.defineProperty(Node.prototype, "childNodes", {
      get() { return []; } });</script>"""
    await tab.goto(site.page('<p id="p">still here</p>', head=taint))
    await capture(tab)
    assert element(service.last.envelope, "p")
    assert "still here" in service.last.text


async def test_the_page_is_not_touched(tab: Page, site: Site, service: Service) -> None:
    """Not a node or attribute changes while a page is captured, for a moment either."""
    await tab.goto(site.page("<div id=host></div><form><input value=a></form>"))
    changes = await tab.evaluate(
        """async () => {
          host.attachShadow({mode: "open"}).innerHTML = "<p>shadow</p>";
          const watch = new MutationObserver(() => null);
          const all = {childList: true, attributes: true, characterData: true, subtree: true};
          watch.observe(document, all);
          watch.observe(host.shadowRoot, all);
          await ExpressConsent.captureCDR();
          return watch.takeRecords().length;
        }"""
    )
    assert changes == 0


async def test_locks_that_never_answer_cost_a_second(
    tab: Page, site: Site, service: Service
) -> None:
    """The upload goes on without them."""
    hang = "<script>navigator.locks.request = () => new Promise(() => null);</script>"
    await tab.goto(site.page("", head=hang))
    await capture(tab)
    assert len(service.uploads) == 1


async def test_nothing_is_thrown_into_the_page(tab: Page, site: Site, service: Service) -> None:
    """No uncaught error, no unhandled rejection: not when a call fails, nor on a broken event."""
    lines = said(tab)
    await tab.goto(site.page("<p id=p>x</p>"))
    service.trouble = [refuses(403, "CAPTURE_DISABLED")]
    await failure(tab)
    await tab.evaluate(
        "() => { dispatchEvent(new Event('click')); dispatchEvent(new Event('focusin')); }"
    )
    await tab.click("#p")
    await capture(tab, triggerEvent="no event", highlightTarget="no-such-label")
    assert [line for line in lines if line.startswith("uncaught")] == []
