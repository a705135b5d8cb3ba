"""Disclosures: the claim of the caller, with the text that stood on the page."""

from __future__ import annotations

import pytest
from playwright.async_api import Page

from tests.sdk.calls import capture, said
from tests.sdk.conftest import Site
from tests.sdk.service import Service
from tests.sdk.tree import element

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_claim_is_sent_with_the_tagged_text(
    tab: Page, site: Site, service: Service
) -> None:
    """Words of different blocks stay apart; tags that are not claimed are left out."""
    body = """<div id="t" data-ec-disclosure="tcpa">
      <p>I  ag<b>ree</b></p><ul><li>one</li><li>two</li></ul></div>
    <p data-ec-disclosure="other">other</p>
    <p data-ec-disclosure="unseen" style="display:none">unseen</p>"""
    await tab.goto(site.page(body))
    await capture(tab, disclosures={"tcpa": True, "unseen": False, "no-such": True})
    sent = service.last.envelope
    first, second = sent["disclosures"]
    assert first == {
        "key": "tcpa",
        "language": "I agree one two",
        "agreed": True,
        "nodeId": element(sent, "t")["id"],
        "visible": True,
    }
    assert (second["key"], second["agreed"], second["visible"]) == ("unseen", False, False)


async def test_a_text_is_cut_at_five_thousand_characters(
    tab: Page, site: Site, service: Service
) -> None:
    """The limit of the contract."""
    await tab.goto(site.page(f'<p data-ec-disclosure="long">{"x" * 6_000}</p>'))
    await capture(tab, disclosures={"long": True})
    assert service.last.envelope["disclosures"][0]["language"] == "x" * 5_000


async def test_a_value_that_is_no_boolean_is_skipped_with_a_warning(
    tab: Page, site: Site, service: Service
) -> None:
    """And never stops the capture."""
    lines = said(tab)
    await tab.goto(site.page('<p data-ec-disclosure="a">a</p><p data-ec-disclosure="b">b</p>'))
    await capture(tab, disclosures={"a": "yes", "b": True})
    assert [claim["key"] for claim in service.last.envelope["disclosures"]] == ["b"]
    assert any(line.startswith("warning") and '"a"' in line for line in lines)
    await capture(tab, disclosures="all")
    assert service.last.envelope["disclosures"] == []


async def test_the_newer_tags_are_in_the_snapshot(tab: Page, site: Site, service: Service) -> None:
    """The service derives the truth from them, also below a mask."""
    body = """<label data-ec-mask>
      <input type="checkbox" id="box" data-ec-consent-checkbox data-ec-consent-for="tcpa"></label>
    <p id="text" data-ec-disclosure="tcpa">I agree</p>
    <button id="send" data-ec-submit>Send</button>"""
    await tab.goto(site.page(body))
    await capture(tab)
    sent = service.last.envelope
    assert element(sent, "box")["attributes"]["data-ec-consent-for"] == "tcpa"
    assert "data-ec-consent-checkbox" in element(sent, "box")["attributes"]
    assert "data-ec-submit" in element(sent, "send")["attributes"]
    assert sent["disclosures"] == []
