"""The library and the evidence service itself: what the stand-in of the other tests promises."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Page

from tests.builders_evidence import OPERATOR_KEY, AnOrg, EvidenceClient
from tests.processes import running
from tests.sdk.calls import capture, failure, wait_until_waiting
from tests.sdk.conftest import Site

pytestmark = pytest.mark.asyncio(loop_scope="session")

CLIENT = "client-real"


class Real(EvidenceClient):
    """The service, with an org whose pages are on this machine."""

    owner: AnOrg

    @property
    def tag(self) -> str:
        """The tag an integrator puts on the page."""
        return f'<script src="{self.http.base_url}/sdk/v1/sdk.js" data-ec-cid="{CLIENT}"></script>'

    async def prepare(self) -> None:
        """Makes the org, its domain and its client id."""
        self.owner = await self.org("owner")
        await self.admin("/domains", {"orgId": "owner", "name": "127.0.0.1", "domainId": "here"})
        await self.admin("/clients", {"orgId": "owner", "clientId": CLIENT})

    async def found(self, uid: str) -> list[dict[str, object]]:
        """The CDRs with this `custom.uid`, as an integrator's backend looks for them."""
        answer = await self.http.get(
            "/v1/domains/here/cdrs",
            params={"metadataKey": "uid", "metadataValue": uid},
            headers={"X-API-Key": self.owner.key},
        )
        cdrs: list[dict[str, object]] = answer.json()["data"]["cdrs"]
        return cdrs


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def real(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Real]:
    """`python -m evidence` on a free port."""
    folder = tmp_path_factory.mktemp("evidence")
    settings = {
        "LEADGATE_EVIDENCE_LISTEN": "127.0.0.1:0",
        "LEADGATE_EVIDENCE_DATABASE_URL": f"sqlite:///{folder / 'evidence.db'}",
        "LEADGATE_EVIDENCE_OPERATOR_KEY": OPERATOR_KEY,
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    async with running("-m", "evidence", env=settings, cwd=folder) as process:
        url = f"http://{(await process.event('listening'))['address']}"
        async with httpx.AsyncClient(base_url=url) as http:
            service = Real(http)
            await service.prepare()
            yield service


async def test_a_capture_is_found_and_shared(tab: Page, site: Site, real: Real) -> None:
    """Every input at once, masked boxes and odd characters too; the share can be claimed."""
    body = """<p data-ec-disclosure="tcpa">I agree \N{BROKEN HEART}</p><p id="odd"></p>
    <p data-ec-mask><input type="checkbox" checked></p>
    <label><input id="box" type="checkbox" data-ec-consent-checkbox data-ec-consent-for="tcpa">
    Yes</label><button id="go" type="button" data-expressconsent-highlight-label="go">Go</button>"""
    await tab.goto(site.page(body, script=real.tag))
    await tab.evaluate("odd.textContent = 'half a pair: \\ud83d and \\\\ud800'")
    await tab.click("#box")
    await tab.click("#go")
    result = await capture(
        tab,
        custom={"uid": "lead-1", "note": "half \ud83d"},
        subGroupIds=["step-1"],
        autoShare=True,
        disclosures={"tcpa": True},
        highlightTarget="go",
    )
    (found,) = await real.found("lead-1")
    assert found["cdrId"] == result["cdrId"]
    assert list(result["packageData"]["subGroupIdMap"]) == ["step-1"]
    buyer = await real.org("buyer")
    claimed = await real.claim(buyer, f"/v1/shares/{result['shareToken']}")
    assert claimed.json()["data"]["cdrId"] == result["cdrId"]


async def test_a_page_at_the_limit_of_depth_is_taken(tab: Page, site: Site, real: Real) -> None:
    """What the library lets through the service can read."""
    await tab.goto(site.page("<div id=deep></div>", script=real.tag))
    await tab.evaluate(
        """() => { let at = document.getElementById("deep");
        for (let i = 0; i < 300 - 5; i++) at = at.appendChild(document.createElement("div"));
        at.textContent = "bottom"; }"""
    )
    await capture(tab, custom={"uid": "deep"})
    assert len(await real.found("deep")) == 1


async def test_a_capture_that_failed_arrives_once_with_the_next_page(
    tab: Page, site: Site, real: Real
) -> None:
    """The network is cut, the person comes back."""
    await tab.goto(site.page("", script=real.tag))
    await tab.context.set_offline(True)
    assert (await failure(tab, custom={"uid": "later"}))["retrying"] is True
    await tab.context.set_offline(False)
    await tab.goto(site.page("", path="/next", script=real.tag))
    await wait_until_waiting(tab, 0)
    assert len(await real.found("later")) == 1


async def test_a_foreign_site_is_refused(tab: Page, site: Site, real: Real) -> None:
    """FORBIDDEN, readable by the page, and not kept for later."""
    await tab.goto(site.page("", script=real.tag).replace("127.0.0.1", "localhost"))
    error = await failure(tab)
    assert (error["code"], error["status"], error["retrying"]) == ("FORBIDDEN", 403, False)
