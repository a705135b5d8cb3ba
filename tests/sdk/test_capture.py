"""captureCDR(): what goes in, what comes out, and every way it fails."""

from __future__ import annotations

import asyncio

import pytest
from playwright.async_api import Page

from tests.sdk.calls import capture, failure, waiting
from tests.sdk.conftest import Site
from tests.sdk.service import (
    Service,
    answers_other_json,
    cuts,
    is_a_sign_in_page,
    refuses,
    running,
    stalls,
)

pytestmark = pytest.mark.asyncio(loop_scope="session")

DAY_MS = 86_400_000


async def test_a_capture_answers_with_the_ids_of_its_evidence(
    tab: Page, site: Site, service: Service
) -> None:
    """Without options: cdrId and the session's package, no share, no preflight, no cookie."""
    await tab.goto(site.page("<h1>Offer</h1>"))
    result = await capture(tab)
    session = service.last.envelope["sessionId"]
    assert result == {
        "cdrId": "cdr_1",
        "packageData": {"packageId": f"pkg_{session}", "subGroupIdMap": {}},
    }
    assert service.preflights == 0
    assert service.last.query["attempt"] == "1"
    assert service.last.query["deferred"] == "0"
    assert service.last.headers["Origin"] == site.origin
    assert "Cookie" not in service.last.headers


async def test_every_input_reaches_the_service(tab: Page, site: Site, service: Service) -> None:
    """custom, sub-groups and the share are sent; the share comes back whole."""
    await tab.goto(site.page("<h1>Offer</h1>", path="/offer") + "?step=1#form")
    result = await capture(
        tab,
        custom={"uid": "lead-1", "nested": {"a": [1, None, "é"]}},
        subGroupIds=["step-1", "partner-b", "step-1"],
        autoShare={"expiresInMs": 7 * DAY_MS},
    )
    sent = service.last.envelope
    assert sent["custom"] == {"uid": "lead-1", "nested": {"a": [1, None, "é"]}}
    assert sent["subGroupIds"] == ["step-1", "partner-b"]
    assert sent["page"]["url"] == f"{site.origin}/offer?step=1#form"
    assert sent["page"]["title"] == "Form"
    assert (sent["viewport"]["width"], sent["viewport"]["height"]) == (800, 600)
    assert result["packageData"]["subGroupIdMap"] == {
        "step-1": "pkg_step-1",
        "partner-b": "pkg_partner-b",
    }
    assert result["shareUrl"] == f"{service.url}/v1/shares/{result['shareToken']}"
    assert result["shareExpiresAt"] == sent["captureTime"] + 7 * DAY_MS


async def test_auto_share_true_means_thirty_days(tab: Page, site: Site, service: Service) -> None:
    """And false, like nothing, means no share."""
    await tab.goto(site.page(""))
    await capture(tab, autoShare=True)
    assert service.last.envelope["autoShare"] == {"expiresInMs": 30 * DAY_MS}
    assert "shareUrl" not in await capture(tab, autoShare=False)


async def test_an_option_beyond_its_limit_is_refused_before_anything_is_captured(
    tab: Page, site: Site, service: Service
) -> None:
    """INVALID_ARGUMENT; nothing is sent or kept."""
    wrong: list[dict[str, object]] = [
        {"custom": "text"},
        {"custom": [1]},
        {"custom": {"a": "x" * 16_384}},
        {"subGroupIds": ["1", "2", "3", "4", "5", "6"]},
        {"subGroupIds": [""]},
        {"subGroupIds": "step-1"},
        {"autoShare": {"expiresInMs": 0}},
        {"autoShare": {"expiresInMs": 63_072_000_001}},
        {"autoShare": "yes"},
        {"timeoutMs": 0},
        {"timeoutMs": 1.5},
        {"timeoutMs": 120_001},
    ]
    await tab.goto(site.page(""))
    for options in wrong:
        error = await failure(tab, **options)
        assert (error["name"], error["code"]) == ("CaptureError", "INVALID_ARGUMENT"), options
        assert error["retrying"] is False
    assert (service.uploads, await waiting(tab)) == ([], 0)


async def test_custom_may_have_sixteen_kilobytes(tab: Page, site: Site, service: Service) -> None:
    """Exactly 16,384 bytes of compact JSON pass."""
    await tab.goto(site.page(""))
    await capture(tab, custom={"a": "x" * (16_384 - len('{"a":""}'))})
    assert len(service.last.envelope["custom"]["a"]) == 16_376


async def test_custom_that_is_no_json_is_refused(tab: Page, site: Site) -> None:
    """A cycle cannot be sent."""
    await tab.goto(site.page(""))
    code = await tab.evaluate(
        "() => { const a = {}; a.a = a;"
        "return ExpressConsent.captureCDR({custom: a}).catch(error => error.code); }"
    )
    assert code == "INVALID_ARGUMENT"


async def test_a_tag_without_a_client_id_is_not_loaded(tab: Page, site: Site) -> None:
    """The library is there, and every call says why it cannot work."""
    tag = f'<script src="{site.service.url}/sdk/v1/sdk.js"></script>'
    await tab.goto(site.page("", script=tag))
    assert (await failure(tab))["code"] == "NOT_LOADED"


async def test_what_the_service_refuses_has_a_code_and_is_kept_only_if_it_may_pass_later(
    tab: Page, site: Site, service: Service
) -> None:
    """The table of docs/capture-protocol.md."""
    kept = 0
    await tab.goto(site.page(""))
    for status, answer, code, retrying in [
        (403, "CAPTURE_DISABLED", "CAPTURE_DISABLED", False),
        (403, "FORBIDDEN", "FORBIDDEN", False),
        (400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", False),
        (413, "PAYLOAD_TOO_LARGE", "TOO_LARGE", False),
        (409, "CONFLICT", "REJECTED", False),
        (404, "NOT_FOUND", "REJECTED", False),
        (425, "TOO_EARLY", "NETWORK", True),
        (429, "RESOURCE_EXHAUSTED", "RATE_LIMITED", True),
        (500, "INTERNAL", "UNAVAILABLE", True),
        (503, "UNAVAILABLE", "UNAVAILABLE", True),
    ]:
        service.trouble = [refuses(status, answer)]
        error = await failure(tab)
        kept += retrying
        assert (error["code"], error["status"], error["retrying"]) == (code, status, retrying)
        assert error["requestId"] == "r-2"
        assert await waiting(tab) == kept


async def test_a_broken_connection_is_a_network_error_and_kept(
    tab: Page, site: Site, service: Service
) -> None:
    """Both tries of the call are cut."""
    await tab.goto(site.page(""))
    service.trouble = [cuts] * 4
    error = await failure(tab)
    assert (error["code"], error["retrying"], await waiting(tab)) == ("NETWORK", True, 1)


async def test_a_page_of_somebody_else_is_no_success(
    tab: Page, site: Site, service: Service
) -> None:
    """Nor a refusal for good: without the envelope it is a network error, and kept."""
    await tab.goto(site.page(""))
    for trouble in (is_a_sign_in_page, answers_other_json):
        service.trouble = [trouble]
        error = await failure(tab)
        assert (error["code"], error["retrying"]) == ("NETWORK", True)


async def test_the_caller_waits_no_longer_than_it_said(
    tab: Page, site: Site, service: Service
) -> None:
    """TIMEOUT on time; the upload goes on, and once confirmed nothing is kept."""
    answer = asyncio.Event()
    await tab.goto(site.page(""))
    service.trouble = [stalls(answer)]
    began = await tab.evaluate("performance.now()")
    error = await failure(tab, timeoutMs=300)
    took = await tab.evaluate("performance.now()") - began
    assert (error["code"], error["retrying"]) == ("TIMEOUT", True)
    assert 300 <= took < 3_000
    assert await waiting(tab) == 1
    answer.set()
    await tab.wait_for_function(
        """() => new Promise(resolve => {
          const open = indexedDB.open("expressconsent", 1);
          open.onsuccess = () => {
            const count = open.result.transaction("captures").objectStore("captures").count();
            count.onsuccess = () => { open.result.close(); resolve(count.result === 0); };
          };
        })"""
    )
    assert len(service.cdrs) == 1


@pytest.mark.parametrize(
    ("connection", "seconds"), [("{rtt: 50, downlink: 10}", 5), ("{rtt: 2000, downlink: 0.1}", 20)]
)
async def test_the_connection_decides_how_long_a_caller_waits(
    tab: Page, site: Site, service: Service, connection: str, seconds: int
) -> None:
    """Between 5 and 20 s, where the caller says nothing."""
    fake = (
        f"<script>Object.defineProperty(navigator, 'connection', {{value: {connection}}})</script>"
    )
    await tab.clock.install()
    await tab.goto(site.page("", head=fake))
    service.trouble = [stalls(asyncio.Event())]
    await tab.evaluate(
        "() => { window.outcome = 'waiting';"
        "ExpressConsent.captureCDR().catch((error) => { window.outcome = error.message; }); }"
    )
    await service.wait_for(1)
    await tab.clock.fast_forward((seconds - 2) * 1000)
    assert await tab.evaluate("outcome") == "waiting"
    await tab.clock.fast_forward(3000)
    await tab.wait_for_function("outcome !== 'waiting'")
    assert await tab.evaluate("outcome") == f"no answer within {seconds * 1000} ms"


async def test_a_service_below_a_path_is_found(tab: Page, site: Site) -> None:
    """The endpoint is derived from the script's own URL, prefix included."""
    async with running(prefix="/evidence/eu") as elsewhere:
        await tab.goto(site.page("", script=elsewhere.script()))
        await capture(tab)
        assert len(elsewhere.uploads) == 1


async def test_captures_of_one_tab_are_one_session(tab: Page, site: Site, service: Service) -> None:
    """Over page loads too; another tab is another session."""
    url = site.page("")
    await tab.goto(url)
    await capture(tab)
    await tab.reload()
    await capture(tab)
    other = await tab.context.new_page()
    await other.goto(url)
    await capture(other)
    first, second, third = (upload.envelope["sessionId"] for upload in service.uploads)
    assert first == second != third


async def test_the_snapshot_is_taken_in_the_call_itself(
    tab: Page, site: Site, service: Service
) -> None:
    """What the page does right after the call is not in the evidence."""
    await tab.goto(site.page("<p id=p>agreed</p>"))
    await tab.evaluate(
        """() => {
          const pending = ExpressConsent.captureCDR();
          document.getElementById("p").textContent = "changed";
          return pending;
        }"""
    )
    assert "agreed" in service.last.text
    assert "changed" not in service.last.text


async def test_a_form_submits_whatever_the_service_does(
    tab: Page, site: Site, service: Service
) -> None:
    """The documented handler: catch, and go on."""
    url = site.page(
        """<form action="/thanks"><button>Send</button></form><script>
        document.querySelector("form").addEventListener("submit", async (event) => {
          event.preventDefault();
          const form = event.target;
          try { await ExpressConsent.captureCDR({timeoutMs: 200}); } catch {}
          form.submit();
        });</script>"""
    )
    site.page("thanks", path="/thanks")
    service.trouble = [stalls(asyncio.Event())]
    await tab.goto(url)
    await tab.click("button")
    await tab.wait_for_url("**/thanks?")
