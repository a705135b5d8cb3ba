"""The snapshot: the page as the person saw it, without what nobody may see."""

from __future__ import annotations

import pytest
from playwright.async_api import Page

from tests.sdk.calls import capture, failure
from tests.sdk.conftest import Site
from tests.sdk.service import Service
from tests.sdk.tree import css, element, elements, nodes, text

pytestmark = pytest.mark.asyncio(loop_scope="session")

PICTURE = b'<svg xmlns="http://www.w3.org/2000/svg" width="8" height="8"></svg>'

FORM = """
<form>
  <input id="name" value="default">
  <input id="emptied" value="default">
  <textarea id="note">default</textarea>
  <textarea id="emptied-note">default</textarea>
  <select id="state"><option value="CA" selected>CA</option><option value="NY">NY</option></select>
  <input type="checkbox" id="preset" checked>
  <input type="checkbox" id="unticked" checked>
  <input type="checkbox" id="ticked">
  <input type="radio" name="r" id="r1" checked><input type="radio" name="r" id="r2">
</form>
"""


async def test_fields_hold_what_the_person_left_in_them(
    tab: Page, site: Site, service: Service
) -> None:
    """Values, ticks and choices are those of now: a default that was changed is gone."""
    await tab.goto(site.page(FORM))
    await tab.fill("#name", "Test Person")
    await tab.fill("#emptied", "")
    await tab.fill("#note", "hello")
    await tab.fill("#emptied-note", "")
    await tab.select_option("#state", "NY")
    for box in ("#unticked", "#ticked", "#r2"):
        await tab.click(box)
    await capture(tab)
    sent = service.last.envelope

    def attributes(name: str) -> dict[str, object]:
        found: dict[str, object] = element(sent, name)["attributes"]
        return found

    assert attributes("name")["value"] == "Test Person"
    assert "value" not in attributes("emptied")
    assert attributes("note")["value"] == "hello"
    assert (text(element(sent, "emptied-note")), attributes("emptied-note").get("value")) == (
        "",
        None,
    )
    chosen = [
        o["attributes"]["value"] for o in elements(sent, "option") if "selected" in o["attributes"]
    ]
    assert chosen == ["NY"]
    ticked = [b for b in ("preset", "unticked", "ticked", "r1", "r2") if "checked" in attributes(b)]
    assert ticked == ["preset", "ticked", "r2"]


async def test_controls_tell_defaults_and_whether_a_person_used_them(
    tab: Page, site: Site, service: Service
) -> None:
    """What the service derives the consent mechanism from; a script's click is no person."""
    await tab.goto(site.page(FORM))
    await tab.click("#ticked")
    await tab.evaluate("document.getElementById('unticked').click()")
    await capture(tab)
    sent = service.last.envelope
    by_id = {control["nodeId"]: control for control in sent["controls"]}
    states = {
        name: tuple(
            by_id[element(sent, name)["id"]][key]
            for key in ("checked", "defaultChecked", "touched")
        )
        for name in ("preset", "unticked", "ticked")
    }
    assert states == {
        "preset": (True, True, False),
        "unticked": (False, True, False),
        "ticked": (True, False, True),
    }


async def test_a_custom_consent_box_is_a_control(tab: Page, site: Site, service: Service) -> None:
    """An element with a role, tagged; its state is what it says of itself."""
    box = (
        '<div id="box" role="checkbox" tabindex="0" aria-checked="false" data-ec-consent-checkbox'
        " onclick=\"this.setAttribute('aria-checked', 'true')\"><b>I agree</b></div>"
    )
    await tab.goto(site.page(box))
    await tab.click("b")
    await capture(tab)
    (control,) = service.last.envelope["controls"]
    assert control["nodeId"] == element(service.last.envelope, "box")["id"]
    assert (control["type"], control["checked"], control["touched"]) == ("custom", True, True)


async def test_styles_are_those_of_the_cssom(tab: Page, site: Site, service: Service) -> None:
    """Inserted, adopted, linked and shadow style sheets; not those that are switched off."""
    site.file("/linked.css", "p{background:url(img/a.png)}", "text/css")
    site.file("/shadow.css", ".in-shadow{color:teal}", "text/css")
    head = (
        '<link rel="stylesheet" href="/linked.css">'
        '<link rel="preload" as="style" href="/linked.css">'
        "<style id=off>.off{color:red}</style><style id=on>.typed{color:blue}</style>"
    )
    await tab.goto(site.page("<div id=host></div>", head=head))
    await tab.evaluate(
        """async () => {
          document.getElementById("on").sheet.insertRule(".inserted{color:green}");
          document.getElementById("off").sheet.disabled = true;
          const sheet = new CSSStyleSheet();
          sheet.replaceSync(".adopted{color:pink}");
          document.adoptedStyleSheets = [sheet];
          const root = document.getElementById("host").attachShadow({mode: "open"});
          root.adoptedStyleSheets = [sheet];
          const link = document.createElement("link");
          link.rel = "stylesheet"; link.href = "/shadow.css";
          const loaded = new Promise(resolve => link.onload = resolve);
          root.append(link);
          await loaded;
        }"""
    )
    await capture(tab)
    sent = service.last.envelope
    rules = css(sent)
    for rule in (".typed", ".inserted", ".in-shadow"):
        assert rules.count(rule) == 1, rule
    assert rules.count(".adopted") == 2
    assert rules.count(f'url("{site.origin}/img/a.png")') == 1
    assert element(sent, "off")["attributes"]["media"] == "not all"


async def test_shadow_trees_and_frames_of_the_site_are_inside(
    tab: Page, site: Site, service: Service
) -> None:
    """At the moment of the call; a frame of another origin stays blank."""
    site.page("<p>inner text</p><input value=inner-value>", path="/inner", script="")
    foreign = site.service.url.replace("127.0.0.1", "localhost")
    body = (
        '<div id="host"></div><iframe id="own" src="/inner"></iframe>'
        f'<iframe id="foreign" src="{foreign}/nothing"></iframe>'
        '<iframe id="typed" srcdoc="<p>typed text</p>"></iframe>'
    )
    await tab.goto(site.page(body))
    await tab.evaluate(
        "() => { const root = document.getElementById('host').attachShadow({mode: 'open'});"
        "root.innerHTML = '<p>shadow text</p><slot></slot>'; }"
    )
    await capture(tab)
    sent = service.last.envelope
    assert text(element(sent, "host")) == "shadow text"
    assert element(sent, "host")["isShadowHost"] is True
    assert "inner text" in text(element(sent, "own"))
    assert "inner-value" in service.last.text
    assert "typed text" in text(element(sent, "typed"))
    assert "srcdoc" not in element(sent, "typed")["attributes"]
    assert element(sent, "foreign")["childNodes"] == []
    ids = [node["id"] for node in nodes(sent["snapshot"])]
    assert len(ids) == len(set(ids))


async def test_scroll_and_viewport_are_kept(tab: Page, site: Site, service: Service) -> None:
    """Of the page and of boxes in it."""
    body = '<div id="box" style="height:50px;overflow:auto"><p style="height:900px"></p></div>'
    await tab.goto(site.page(body + '<p style="height:3000px"></p>'))
    await tab.evaluate("() => { scrollTo(0, 400); document.getElementById('box').scrollTop = 70; }")
    await capture(tab)
    sent = service.last.envelope
    assert sent["viewport"]["scrollY"] == 400
    assert sent["viewport"]["documentHeight"] > 3000
    assert element(sent, "box")["attributes"]["rr_scrollTop"] == 70


async def test_nothing_that_runs_is_in_the_snapshot(
    tab: Page, site: Site, service: Service
) -> None:
    """Scripts, handlers, script URLs, comments, nonces; and attributes that pass for ours."""
    body = (
        "<!-- a comment -->"
        '<p id="p" onclick="handled()" nonce="n1" rr_width="9px" ec_popover="open">x</p>'
        '<a id="a" href="javascript:void(0)">x</a><noscript>no script</noscript>'
        "<script>var inPage = 1</script>"
    )
    await tab.goto(site.page(body, head='<meta http-equiv="refresh" content="900">'))
    await capture(tab)
    sent = service.last
    for gone in (
        "a comment",
        "handled()",
        "n1",
        "9px",
        "javascript:",
        "no script",
        "inPage",
        "refresh",
    ):
        assert gone not in sent.text, gone
    assert "ec_popover" not in element(sent.envelope, "p")["attributes"]


SECRETS = """
<input type="password" id="pw" value="secret-0" data-copy="= secret-9">
<input type="text" id="shown" value="">
<input autocomplete="section-a cc-number" value="secret-1">
<input autocomplete="cc-csc" value="secret-2">
<input autocomplete="one-time-code" value="secret-3">
<input autocomplete="current-password" value="secret-4">
<select autocomplete="cc-exp-month">
<option>secret-5</option><option selected>secret-6</option></select>
<input id="card" value="4111 1111 1111 1111"><input type="hidden" name="csrf" value="secret-7">
<input type="password" id="no-value-now" value="secret-8">
<input id="phone" value="12015550123">
"""


async def test_passwords_cards_and_codes_never_leave_the_page(
    tab: Page, site: Site, service: Service
) -> None:
    """Whatever the page forgot to mask; also a password that is shown, and an emptied default."""
    await tab.goto(site.page(SECRETS))
    await tab.fill("#no-value-now", "")
    await tab.fill("#pw", "secret-9")
    await tab.evaluate("document.getElementById('pw').type = 'text'")
    await capture(tab)
    sent = service.last
    assert "secret" not in sent.text
    assert "1111" not in sent.text
    assert element(sent.envelope, "pw")["attributes"]["value"] == "********"
    assert element(sent.envelope, "phone")["attributes"]["value"] == "12015550123"


MASKED = """
<section data-ec-mask title="private-0" aria-label="private-1">
  <p data-x="private-2">private-3 <b>private-4</b></p>
  <input id="field" value="private-5" placeholder="private-6"><textarea>private-7</textarea>
  <select><option value="private-8" label="private-9" selected>private-10</option></select>
  <input type="checkbox" id="box" checked value="private-11">
  <img id="img" src="/dot.svg#private-12" alt="private-13" width="50" height="40">
  <div id="styled" style="width:10px;background:url(/private-14.png)"></div>
  <svg><path d="M0 0L1 private-15"></path></svg>
  <iframe id="frame" srcdoc="<p>private-16</p>"></iframe><a href="/private-17">private-18</a>
  <div id="host"></div>
</section>
<p data-ec-disclosure="terms">We call <span data-ec-mask>+1 201 555 0123</span> soon.</p>
"""


async def test_what_is_marked_to_be_masked_never_leaves_the_page(
    tab: Page, site: Site, service: Service
) -> None:
    """Texts, values, attributes, images, frames and shadow trees; the page keeps its shape."""
    site.file("/dot.svg", PICTURE, "image/svg+xml")
    await tab.goto(site.page(MASKED))
    await tab.evaluate(
        "() => { const root = document.getElementById('host').attachShadow({mode: 'open'});"
        "root.innerHTML = '<i>private-19</i>'; }"
    )
    await capture(tab, disclosures={"terms": True})
    sent = service.last
    assert "private" not in sent.text
    assert "0123" not in sent.text
    assert element(sent.envelope, "field")["attributes"]["value"] == "*********"
    assert element(sent.envelope, "img")["attributes"]["rr_width"] == "50px"
    assert "width:10px" in element(sent.envelope, "styled")["attributes"]["style"]
    assert sent.envelope["disclosures"][0]["language"] == "We call ** *** *** **** soon."
    (control,) = sent.envelope["controls"]
    assert (control["masked"], control["checked"], control["touched"]) == (True, None, False)


async def test_a_page_beyond_the_limits_is_too_large(
    tab: Page, site: Site, service: Service
) -> None:
    """Depth and bytes; nothing is sent or kept, and the library goes on working."""
    await tab.goto(site.page("<div id=deep hidden></div>"))
    await tab.evaluate(
        """() => { let at = document.getElementById("deep");
        for (let i = 0; i < 400; i++) at = at.appendChild(document.createElement("div")); }"""
    )
    assert (await failure(tab))["code"] == "TOO_LARGE"
    await tab.evaluate("document.getElementById('deep').textContent = 'x'.repeat(21 * 1024 * 1024)")
    assert (await failure(tab))["code"] == "TOO_LARGE"
    assert service.uploads == []
    await tab.evaluate("document.getElementById('deep').remove()")
    await capture(tab)


async def test_assets_are_put_into_the_snapshot_on_request(
    tab: Page, site: Site, service: Service
) -> None:
    """For pages the service cannot reach: images, backgrounds; what fails keeps its URL."""
    for path in ("/a.svg", "/b.svg"):
        site.file(path, PICTURE, "image/svg+xml")
    body = '<img id="a" src="/a.svg" srcset="/a.svg 2x"><img id="gone" src="/gone.png">'
    await tab.goto(site.page(body, head="<style>p{background:url(/b.svg)}</style>"))
    await capture(tab)
    assert element(service.last.envelope, "a")["attributes"]["src"] == f"{site.origin}/a.svg"
    await capture(tab, inlineAssets=True)
    sent = service.last.envelope
    assert element(sent, "a")["attributes"]["src"].startswith("data:image/svg+xml")
    assert "srcset" not in element(sent, "a")["attributes"]
    assert element(sent, "gone")["attributes"]["src"] == f"{site.origin}/gone.png"
    assert 'url("data:image/svg+xml' in css(sent)
