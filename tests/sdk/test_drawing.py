"""A snapshot drawn again, without scripts, looks as the page did."""

from __future__ import annotations

import pytest
from playwright.async_api import Page

from tests.sdk.calls import capture
from tests.sdk.conftest import Site
from tests.sdk.drawing import drawn
from tests.sdk.service import Service

pytestmark = pytest.mark.asyncio(loop_scope="session")

STYLE = """<style>
  :root { --brand: #0b5 } body { font: 16px sans-serif; margin: 0; background: #f4f6f8 }
  main { max-width: 640px; margin: 24px auto; background: #fff; padding: 24px }
  label { display: block; margin: 10px 0 } .grid { display: grid; grid-template-columns: 1fr 1fr }
  button { background: var(--brand); color: #fff; padding: 12px }
  p::before { content: "»" } @media (max-width: 500px) { .grid { display: block } }
</style>"""
BODY = """<main><h1>Compare offers</h1><form>
  <div class="grid"><label>Name <input name="name"></label>
  <label>City <input value="x"></label></div>
  <select><option>California<option>New York</select><textarea>default</textarea>
  <label><input type="checkbox" checked id="news"> News, was ticked</label>
  <label><input type="checkbox" id="consent"> <b>Example Solar</b> may call me.</label>
  <label><input type="radio" name="r" checked> One
  <input type="radio" name="r" id="two"> Two</label>
  <div id="host"><i>slotted</i></div>
  <iframe srcdoc="<body style='color:purple'>Terms in a frame" style="height:60px"></iframe>
  <svg width="40" height="40" viewBox="0 0 10 10"><circle cx="5" cy="5" r="4" fill="teal"/></svg>
  <details open><summary>More</summary>text</details><button type="button">Send</button>
</form><p>end</p></main>"""
SCRIPT = """() => {
  const sheet = (css) => { const made = new CSSStyleSheet(); made.replaceSync(css); return made; };
  const root = document.getElementById("host").attachShadow({mode: "open"});
  root.adoptedStyleSheets = [sheet("p { background: #ffd; border: 1px dashed orange }")];
  root.innerHTML = "<p>Shadow: <slot></slot><input value=inner></p>";
  document.adoptedStyleSheets = [sheet("h1 { color: crimson }")];
  document.styleSheets[0].insertRule("h1 { letter-spacing: 3px }", 0);
}"""


async def test_a_page_looks_the_same_when_its_snapshot_is_drawn(
    tab: Page, site: Site, service: Service
) -> None:
    """Pixel for pixel: styles from everywhere, fields, shadow trees, frames, pictures."""
    await tab.goto(site.page(BODY, head=STYLE))
    await tab.evaluate(SCRIPT)
    await tab.fill("[name=name]", "Test Person")
    await tab.fill("textarea", "a note")
    await tab.select_option("select", "New York")
    for box in ("#news", "#consent", "#two"):
        await tab.click(box)
    await tab.evaluate("document.activeElement.blur()")
    await tab.mouse.move(0, 0)
    seen = await tab.screenshot(full_page=True, animations="disabled")
    await capture(tab)
    again = await tab.context.browser.new_context(  # type: ignore[union-attr]
        viewport=tab.viewport_size, java_script_enabled=False
    )
    page = await again.new_page()
    await page.set_content(drawn(service.last.envelope))
    assert await page.screenshot(full_page=True, animations="disabled") == seen
    await again.close()
