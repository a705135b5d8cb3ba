"""A capture whose upload failed arrives later, once."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web
from playwright.async_api import BrowserContext, Page

from tests.sdk.calls import capture, failure, wait_until_waiting, waiting
from tests.sdk.conftest import Site
from tests.sdk.service import Service, cuts, refuses, stalls

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_capture_cut_off_arrives_with_the_next_page_load(
    tab: Page, site: Site, service: Service
) -> None:
    """The same bytes, marked as deferred, the share included; then nothing is kept."""
    await tab.goto(site.page("<h1>Offer</h1>"))
    service.trouble = [cuts] * 2
    error = await failure(tab, custom={"uid": "lead-1"}, autoShare=True)
    assert error["retrying"] is True
    tries = len(service.uploads)
    await tab.goto(site.page("<h1>Another page</h1>", path="/next"))
    await service.wait_for(tries + 1)
    await wait_until_waiting(tab, 0)
    first, last = service.uploads[0], service.last
    assert (last.query["deferred"], last.query["attempt"]) == ("1", "2")
    assert (last.query["captureId"], last.body) == (first.query["captureId"], first.body)
    assert last.envelope["custom"] == {"uid": "lead-1"}
    assert last.envelope["autoShare"] == {"expiresInMs": 2_592_000_000}
    assert len(service.cdrs) == 1


async def test_a_capture_that_was_answered_is_forgotten_before_its_caller_goes_on(
    tab: Page, site: Site, service: Service
) -> None:
    """Whose next step is to leave the page: the next one would upload it again."""
    spy = """<script>const forget = IDBObjectStore.prototype.delete;
      IDBObjectStore.prototype.delete = function (key) {
        const request = forget.call(this, key);
        request.addEventListener("success", () => window.forgotten = true);
        return request; };</script>"""
    await tab.goto(site.page("", head=spy))
    assert await tab.evaluate("ExpressConsent.captureCDR().then(() => window.forgotten)") is True
    assert await waiting(tab) == 0


async def test_an_upload_that_was_stored_but_not_answered_lands_once(
    tab: Page, site: Site, service: Service
) -> None:
    """The answer is lost, the retry repeats the capture id: one CDR."""

    async def stores_and_cuts(request: web.Request) -> web.Response:
        service._stored(service.last)
        return await cuts(request)

    await tab.goto(site.page(""))
    service.trouble = [stores_and_cuts] * 2
    await failure(tab)
    tries = len(service.uploads)
    await tab.reload()
    await service.wait_for(tries + 1)
    await wait_until_waiting(tab, 0)
    assert len(service.cdrs) == 1


async def test_a_server_error_is_tried_again_and_a_second_one_waits(
    tab: Page, site: Site, service: Service
) -> None:
    """The first failure is tried at once with the next page, the second not before 30 s."""
    await tab.goto(site.page(""))
    service.trouble = [refuses(500, "INTERNAL"), refuses(503, "UNAVAILABLE")]
    assert (await failure(tab))["retrying"] is True
    await tab.reload()
    await service.wait_for(2)
    await capture(tab)  # the round is over before this one is answered, or it goes on beside it
    await tab.reload()
    await capture(tab)
    assert [upload.query["deferred"] for upload in service.uploads] == ["0", "1", "0", "0"]
    assert await waiting(tab) == 1


async def test_retry_after_holds_a_capture_back(tab: Page, site: Site, service: Service) -> None:
    """The next page load does not try what the service asked to wait with."""
    await tab.goto(site.page(""))
    service.trouble = [refuses(429, "RESOURCE_EXHAUSTED", Retry_After="120")]
    assert (await failure(tab))["code"] == "RATE_LIMITED"
    await tab.reload()
    await capture(tab)
    assert [upload.query["deferred"] for upload in service.uploads] == ["0", "0"]
    assert await waiting(tab) == 1


async def test_what_is_refused_for_good_on_a_retry_is_let_go(
    tab: Page, site: Site, service: Service
) -> None:
    """CAPTURE_DISABLED meanwhile: not tried a third time."""
    await tab.goto(site.page(""))
    service.trouble = [refuses(500, "INTERNAL"), refuses(403, "CAPTURE_DISABLED")]
    await failure(tab)
    await tab.reload()
    await service.wait_for(2)
    await wait_until_waiting(tab, 0)


async def test_the_oldest_is_tried_first_and_a_dead_service_ends_the_round(
    tab: Page, site: Site, service: Service
) -> None:
    """Order of capture; while the first one fails, the others are not sent."""
    await tab.goto(site.page(""))
    for number in range(3):
        service.trouble = [refuses(500, "INTERNAL")]
        await failure(tab, custom={"n": number})
    service.trouble = [refuses(500, "INTERNAL")]
    await tab.reload()
    await service.wait_for(4)
    assert service.last.envelope["custom"] == {"n": 0}
    await tab.wait_for_function("navigator.locks.query().then(({held}) => held.length === 0)")
    assert len(service.uploads) == 4
    await tab.reload()
    await service.wait_for(6)
    assert [upload.envelope["custom"]["n"] for upload in service.uploads[4:]] == [1, 2]
    await wait_until_waiting(tab, 1)  # the oldest has failed twice and waits longer


async def test_a_tab_closed_during_the_upload_loses_nothing(
    profile: BrowserContext, site: Site, service: Service
) -> None:
    """The next tab brings the capture, if the closed one's request did not; one CDR in the end."""
    url = site.page("<h1>Offer</h1>")
    answer = asyncio.Event()
    service.trouble = [stalls(answer)]
    tab = await profile.new_page()
    await tab.goto(url)
    await tab.evaluate("() => { ExpressConsent.captureCDR({custom: {uid: 'closing'}}); }")
    await service.wait_for(1)
    await tab.close()
    tab = await profile.new_page()
    await tab.goto(url)
    await service.wait_for(2)
    answer.set()
    await wait_until_waiting(tab, 0)
    assert service.last.query["deferred"] == "1"
    assert service.last.envelope["custom"] == {"uid": "closing"}
    assert len(service.cdrs) == 1


async def test_an_upload_under_way_in_one_tab_is_not_repeated_by_another(
    tab: Page, site: Site, service: Service
) -> None:
    """A lock that ends with the page tells them."""
    answer = asyncio.Event()
    service.trouble = [stalls(answer)]
    await tab.goto(site.page(""))
    await tab.evaluate("() => { window.pending = ExpressConsent.captureCDR(); }")
    await service.wait_for(1)
    other = await tab.context.new_page()
    await other.goto(site.page(""))
    await capture(other)
    answer.set()
    await tab.evaluate("window.pending")
    assert [upload.query["deferred"] for upload in service.uploads] == ["0", "0"]


async def test_the_network_comes_back_while_the_page_is_open(
    tab: Page, site: Site, service: Service
) -> None:
    """No reload is needed: the browser's `online` event is enough."""
    await tab.goto(site.page(""))
    await tab.context.set_offline(True)
    assert (await failure(tab))["code"] == "NETWORK"
    assert service.uploads == []
    await tab.context.set_offline(False)
    await service.wait_for(1)
    await wait_until_waiting(tab, 0)


async def test_a_page_that_stays_open_tries_again_by_itself(
    tab: Page, site: Site, service: Service
) -> None:
    """After half a minute, and after another half if that fails, too."""
    await tab.clock.install()
    await tab.goto(site.page(""))
    service.trouble = [refuses(503, "UNAVAILABLE")] * 2
    await failure(tab)
    await tab.clock.fast_forward(31_000)
    await service.wait_for(2)
    while len(service.uploads) < 3:  # the page sets its timer when the round has ended
        await tab.clock.fast_forward(40_000)
    await wait_until_waiting(tab, 0)
    assert [upload.query["attempt"] for upload in service.uploads] == ["1", "2", "3"]


async def test_what_waits_is_bounded(tab: Page, site: Site, service: Service) -> None:
    """Twenty captures at most, the oldest go; none older than thirty days is sent."""
    await tab.goto(site.page(""))
    await tab.context.set_offline(True)
    await tab.evaluate(
        """async () => { for (let n = 0; n < 22; n++)
          await ExpressConsent.captureCDR({custom: {n}}).catch(() => null); }"""
    )
    assert await waiting(tab) == 20
    await tab.evaluate(
        """() => new Promise(resolve => {
          const open = indexedDB.open("expressconsent", 1);
          open.onsuccess = () => {
            const change = open.result.transaction("captures", "readwrite");
            const captures = change.objectStore("captures");
            captures.getAll().onsuccess = (event) => {
              const old = event.target.result.sort((a, b) => a.createdAt - b.createdAt)[0];
              captures.put({...old, createdAt: Date.now() - 31 * 86400000});
            };
            change.oncomplete = () => { open.result.close(); resolve(); };
          };
        })"""
    )
    await tab.context.set_offline(False)
    await wait_until_waiting(tab, 0)
    assert [upload.envelope["custom"]["n"] for upload in service.uploads] == [*range(3, 22)]
