"""The landing page of examples/landing, from a person at a browser to both buyers' proof."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.async_api import Browser, Page

from leadgate.v1.delivery_pb2 import (
    CLAIM_STATUS_CLAIMED,
    DELIVERY_STATE_DELIVERED,
    VERIFICATION_MATCHED,
    Delivery,
)
from leadgate.v1.delivery_service_pb2 import ListDeliveriesRequest
from leadgate.v1.lead_service_pb2 import ListLeadsRequest
from tests.browser import chromium, executable
from tests.builders_evidence import OPERATOR_KEY, AnOrg, EvidenceClient, data_of
from tests.gateways import KEYS, Gateway, a_gateway
from tests.pictures import Picture, picture
from tests.processes import Process, running

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(120)]

ROOT = Path(__file__).parents[2]
CLIENT = "client-landing"
OUTLINE = (0xD1, 0x11, 0x49)
PHONE, EMAIL = "(201) 555-0123", "sample.person@example.com"
OFFERS = {"buyer-one": "solar", "buyer-two": "roofing"}
PLACE = """(control) => {
  const { left, right, top, bottom } = control.getBoundingClientRect();
  return [left, top + scrollY, right, bottom + scrollY];
}"""
MARKET = """\
generators:
  - id: forms
    keys: [{{env: FORMS_KEY}}]
buyers:
  - {{id: buyer-one, transport: pull, accepts: [forms], keys: [{{env: BUYER_ONE_KEY}}]}}
  - {{id: buyer-two, transport: pull, accepts: [forms], keys: [{{env: BUYER_TWO_KEY}}]}}
evidence_hosts:
  - {{host: "{}", networks: [127.0.0.0/8], insecure: true}}
"""


Place = tuple[float, float, float, float]
"""Left, top, right and bottom of a control on its page, in CSS pixels."""


@dataclass(frozen=True)
class World:
    """Everything that runs, and where the page is."""

    folder: Path
    gateway: Gateway
    evidence: EvidenceClient
    orgs: dict[str, AnOrg]
    landing: Process
    url: str

    def handed_over(self, buyer: str) -> list[dict[str, Any]]:
        """The leads that a buyer's system has."""
        lines = (self.folder / f"{buyer}.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]


@asynccontextmanager
async def a_world(folder: Path) -> AsyncIterator[World]:
    """Evidence service with its renderer, gateway, two consumers, and the page's back end."""
    path = {"PYTHONPATH": str(ROOT)}
    settings = path | {
        "LEADGATE_EVIDENCE_LISTEN": "127.0.0.1:0",
        "LEADGATE_EVIDENCE_DATABASE_URL": f"sqlite:///{folder / 'evidence.db'}",
        "LEADGATE_EVIDENCE_OPERATOR_KEY": OPERATOR_KEY,
        "LEADGATE_EVIDENCE_CHROMIUM": executable(),
    }
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        service = await enter(running("-m", "evidence", env=settings, cwd=folder))
        url = (await service.event("listening"))["public_url"]
        client = httpx.AsyncClient(base_url=url, trust_env=False)
        evidence, host = EvidenceClient(await enter(client)), url.removeprefix("http://")
        orgs = await _orgs(evidence)
        (folder / "market.yaml").write_text(MARKET.format(host))
        gateway = await enter(a_gateway(folder))
        for buyer in OFFERS:
            consumer = path | {
                "LEADGATE_GATEWAY": gateway.address,
                "LEADGATE_API_KEY": KEYS[buyer],
                "LEADGATE_BUYER": buyer,
                "LEADGATE_EVIDENCE_HOSTS": f"{host};networks=127.0.0.0/8;insecure=true",
                "LEADGATE_EVIDENCE_API_KEY": orgs[buyer].key,
                "LEADGATE_SINK": f"jsonl:{folder / buyer}.jsonl",
            }
            await enter(running("-m", "consumers", env=consumer, cwd=folder))
        page = path | {
            "LANDING_LISTEN": "127.0.0.1:0",
            "LANDING_EVIDENCE_URL": url,
            "LANDING_CLIENT_ID": CLIENT,
            "LANDING_GATEWAY": gateway.address,
            "LANDING_API_KEY": KEYS["forms"],
        }
        script = ROOT / "examples" / "landing" / "backend.py"
        landing = await enter(running(script, env=page, cwd=folder))
        served = (await landing.event("listening"))["url"]
        yield World(folder, gateway, evidence, orgs, landing, served)


async def _orgs(evidence: EvidenceClient) -> dict[str, AnOrg]:
    """The page's owner, whose client id the page has, and both buyers."""
    await evidence.org("forms", auto_collect=False)
    await evidence.admin("/domains", {"orgId": "forms", "name": "127.0.0.1"})
    await evidence.admin("/clients", {"orgId": "forms", "clientId": CLIENT})
    return {buyer: await evidence.org(buyer) for buyer in OFFERS}


@dataclass
class Visit:
    """What a person saw, and what their browser sent."""

    buttons: dict[str, Place]
    sent: str


async def fill_in(page: Page, url: str) -> Visit:
    """A person goes through both steps and agrees to both offers."""
    buttons, sent = {}, []
    page.on("request", lambda made: sent.append(made) if made.method == "POST" else None)
    await page.goto(url)
    for label, text in {
        "First name": "Sample",
        "Last name": "Person",
        "Email": EMAIL,
        "Phone": PHONE,
    }.items():
        await page.get_by_label(label).fill(text)
    await page.get_by_label("Yes", exact=True).check()
    for offer, button in (("solar", "Get my solar quote"), ("roofing", "Send my request")):
        await page.get_by_role("checkbox").check()
        buttons[offer] = await page.get_by_role("button", name=button).evaluate(PLACE)
        await page.get_by_role("button", name=button).click()
        await page.wait_for_url("**/roofing" if offer == "solar" else "**/thanks")
    [form] = [made for made in sent if made.url.startswith(url)]
    return Visit(buttons, form.post_data or "")


async def test_a_person_becomes_a_lead_with_proof_of_its_own_for_each_buyer(
    tmp_path: Path,
) -> None:
    """Both steps captured, both shares claimed, both deliveries proved; each sees its own only."""
    async with a_world(tmp_path) as world, chromium() as browser:
        page = await a_phone(browser)
        visit = await fill_in(page, world.url)
        await page.locator("#deliveries [data-state=DELIVERED]").nth(1).wait_for(timeout=30_000)
        cdrs = {buyer: await proved(world, buyer) for buyer in OFFERS}
        assert len(set(cdrs.values())) == 2
        for buyer, cdr_id in cdrs.items():
            await sees_its_own_only(world, buyer, cdr_id, *set(cdrs.values()) - {cdr_id})
            image = await drawn(world, buyer, cdr_id)
            shows_the_button(image, visit.buttons[OFFERS[buyer]])
        await sent_again_it_is_the_same_lead(world, visit)
        said = "\n".join(world.landing.errors + world.landing.output)
        assert not [word for word in ("Sample", "@", "555", "shares") if word in said]
        assert await world.landing.stop() == 0


async def a_phone(browser: Browser) -> Page:
    """A tab on a narrow screen."""
    return await browser.new_page(viewport={"width": 390, "height": 844})


async def proved(world: World, buyer: str) -> str:
    """The CDR that a buyer holds for its one lead, delivered, claimed, paid and compared."""
    caller = world.gateway.caller(KEYS[buyer])
    listed = await caller.deliveries.ListDeliveries(ListDeliveriesRequest())
    delivery: Delivery
    [delivery] = listed.deliveries
    assert delivery.state == DELIVERY_STATE_DELIVERED
    [receipt] = delivery.receipts
    assert receipt.status == CLAIM_STATUS_CLAIMED
    assert receipt.verification == VERIFICATION_MATCHED
    [lead] = world.handed_over(buyer)
    assert lead["deliveryId"] == delivery.delivery_id
    assert await world.evidence.charges(world.orgs[buyer]) == [(receipt.cdr_id, "claim")]
    return receipt.cdr_id


async def sees_its_own_only(world: World, buyer: str, own: str, other: str) -> None:
    """Its own CDR says its own disclosure was ticked by hand; the other's is not there."""
    key = world.orgs[buyer].key
    cdr = data_of(await world.evidence.get(key, f"/v1/cdrs/{own}"))
    [said] = cdr["disclosures"]
    assert (said["key"], said["agreed"]) == (OFFERS[buyer], True)
    assert said["consentMechanism"] == "manual"
    assert cdr["customMetadata"]["email"] == EMAIL
    for path in (f"/v1/cdrs/{other}", f"/v1/cdrs/{other}/image"):
        assert (await world.evidence.get(key, path)).status_code == 404


async def drawn(world: World, buyer: str, cdr_id: str) -> Picture:
    """The image of a CDR as its buyer gets it, once the renderer has drawn it."""
    key, path = world.orgs[buyer].key, f"/v1/cdrs/{cdr_id}"
    async with asyncio.timeout(40):
        while data_of(await world.evidence.get(key, path))["imageState"] == "pending":
            pass
    made = data_of(await world.evidence.get(key, f"{path}/image"))
    image = (await world.evidence.http.get(made["url"])).content
    (world.folder / f"{buyer}.png").write_bytes(image)
    return picture(image)


def shows_the_button(image: Picture, button: Place) -> None:
    """The page as wide as the person's, and an outline around where the button was."""
    assert image.width == 390
    outlined = [
        (x, y) for y in range(image.height) for x in range(image.width) if image.at(x, y) == OUTLINE
    ]
    across, down = zip(*outlined, strict=True)
    assert (min(across), min(down), max(across), max(down)) == pytest.approx(button, abs=12)


async def sent_again_it_is_the_same_lead(world: World, visit: Visit) -> None:
    """The very bytes of the browser's request, once more."""
    async with httpx.AsyncClient(base_url=world.url, trust_env=False) as http:
        again = await http.post("/leads", content=visit.sent)
    listed = await world.gateway.forms.leads.ListLeads(ListLeadsRequest())
    assert [again.json()["leadId"]] == [lead.lead_id for lead in listed.leads]
