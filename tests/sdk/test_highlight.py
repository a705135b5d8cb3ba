"""Which control is outlined, and whether a person used it."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.async_api import Page

from tests.sdk.conftest import Site
from tests.sdk.service import Service
from tests.sdk.tree import element

pytestmark = pytest.mark.asyncio(loop_scope="session")

BODY = """
<form id="form"><input id="email"><button id="send"><b id="icon">Send</b></button></form>
<button id="other" data-expressconsent-highlight-label="other-label" type="button">Other</button>
<script>
  const done = (options) => ExpressConsent.captureCDR(options).then(() => document.title = "done");
</script>
"""


async def highlight(
    tab: Page, site: Site, service: Service, script: str, press: str = "#icon"
) -> dict[str, Any]:
    """What is highlighted when the person presses something on a page with this script."""
    await tab.goto(site.page(BODY + f"<script>{script}</script>"))
    await tab.click(press)
    await tab.wait_for_function("document.title === 'done'")
    found: dict[str, Any] = service.last.envelope["highlight"]
    return found


def node_id(service: Service, name: str) -> int:
    """Id of the node with this `id` attribute."""
    number: int = element(service.last.envelope, name)["id"]
    return number


async def test_the_button_of_a_submit_is_found_by_itself(
    tab: Page, site: Site, service: Service
) -> None:
    """The event under way names it; the icon inside is not what was pressed."""
    found = await highlight(
        tab, site, service, "form.onsubmit = (e) => { e.preventDefault(); done(); };"
    )
    assert found == {
        "nodeId": node_id(service, "send"),
        "label": None,
        "source": "auto",
        "isTrusted": True,
        "eventType": "submit",
    }


async def test_the_event_that_is_handed_over_decides(
    tab: Page, site: Site, service: Service
) -> None:
    """Also after an await, when the browser no longer knows it."""
    script = """form.onsubmit = async (e) => {
      e.preventDefault(); await new Promise(r => setTimeout(r, 20)); done({triggerEvent: e}); };"""
    found = await highlight(tab, site, service, script)
    assert (found["nodeId"], found["source"]) == (node_id(service, "send"), "trigger")


async def test_a_label_overrides_what_was_pressed(tab: Page, site: Site, service: Service) -> None:
    """The option names another control; the event's trust is kept."""
    script = """form.onsubmit = (e) => { e.preventDefault();
      done({highlightTarget: "other-label"}); };"""
    found = await highlight(tab, site, service, script)
    assert (found["nodeId"], found["source"]) == (node_id(service, "other"), "label")
    assert (found["label"], found["isTrusted"]) == ("other-label", True)


async def test_a_late_call_remembers_what_was_pressed(
    tab: Page, site: Site, service: Service
) -> None:
    """After a wait there is no event any more: the interaction log has it."""
    script = "form.onsubmit = (e) => { e.preventDefault(); setTimeout(done, 30); };"
    found = await highlight(tab, site, service, script)
    assert (found["nodeId"], found["source"]) == (node_id(service, "send"), "interaction-log")
    types = [entry["type"] for entry in service.last.envelope["interactions"]]
    assert types == ["click", "submit"]


async def test_a_click_made_by_a_script_is_not_trusted(
    tab: Page, site: Site, service: Service
) -> None:
    """The mark is that of the event."""
    await tab.goto(site.page(BODY + "<script>other.onclick = () => done();</script>"))
    await tab.evaluate("other.click()")
    await tab.wait_for_function("document.title === 'done'")
    found = service.last.envelope["highlight"]
    assert (found["nodeId"], found["isTrusted"]) == (node_id(service, "other"), False)


async def test_a_button_in_a_shadow_tree_is_found(tab: Page, site: Site, service: Service) -> None:
    """The event's own path is used, not the host it is retargeted to."""
    await tab.goto(site.page(BODY + '<div id="host"></div>'))
    await tab.evaluate(
        """() => { const root = host.attachShadow({mode: "open"});
        root.innerHTML = "<button id=deep>Go</button>";
        root.getElementById("deep").onclick = () => done(); }"""
    )
    await tab.click("#deep")
    await tab.wait_for_function("document.title === 'done'")
    found = service.last.envelope["highlight"]
    assert (found["nodeId"], found["source"]) == (node_id(service, "deep"), "auto")


async def test_without_an_interaction_nothing_is_highlighted(
    tab: Page, site: Site, service: Service
) -> None:
    """A capture at page load."""
    await tab.goto(site.page(BODY + "<script>done()</script>"))
    await tab.wait_for_function("document.title === 'done'")
    assert service.last.envelope["highlight"] is None
    assert service.last.envelope["interactions"] == []


async def test_keys_that_are_typed_are_not_logged(tab: Page, site: Site, service: Service) -> None:
    """Of the keyboard only what presses a control."""
    await tab.goto(
        site.page(BODY + "<script>form.onsubmit = (e) => { e.preventDefault(); done(); };</script>")
    )
    await tab.type("#email", "a b")
    await tab.keyboard.press("Enter")
    await tab.wait_for_function("document.title === 'done'")
    logged = {entry["type"] for entry in service.last.envelope["interactions"]}
    assert "keydown" in logged
    keydowns = [e for e in service.last.envelope["interactions"] if e["type"] == "keydown"]
    assert len(keydowns) == 1
