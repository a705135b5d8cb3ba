"""Snapshots drawn up again: inert whatever they hold, and true to what was seen."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evidence.inert import SnapshotError, inert_html
from evidence.markup import ATTRIBUTES, HTML, SVG
from tests.builders_capture import Json, a_page, a_text, an_element

_OURS = {"lg-used", "lg-scroll", "lg-modal", "lg-popover", "shadowrootmode", "sandbox", "srcdoc"}
_PLACES = {"src", "href", "poster", "rel"}
_WRITTEN = HTML | SVG | {"style", "link", "iframe", "template"}


class Reader(HTMLParser):
    """Reads what a parser would: elements, their attributes, and text."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Notes an element."""
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        """Notes text."""
        self.text += data

    def of(self, tag: str) -> dict[str, str]:
        """The attributes of the first element of a name."""
        return next(attributes for name, attributes in self.elements if name == tag)


_words = st.sampled_from(
    (
        "script", "iframe", "style", "svg", "a", "img", "x-y", "plaintext", "p", "onclick",
        "href", "src", "srcdoc", "javascript:alert(1)", "</style><script>", "<!--", "]]>", '">',
        "data:text/html,<script>", "file:///etc/passwd", "&lt;script&gt;", "\x00<script", "use",
    )
) | st.text(max_size=12)  # fmt: skip
_trees = st.recursive(
    st.builds(lambda text: {"type": 3, "id": 1, "textContent": text}, _words),
    lambda inner: st.fixed_dictionaries(
        {
            "type": st.sampled_from([0, 1, 2, 2, 2, 4, 5]),
            "id": st.integers(0, 9),
            "tagName": _words,
            "name": _words,
            "publicId": _words,
            "textContent": _words,
            "isShadow": st.booleans(),
            "attributes": st.dictionaries(_words, _words | st.booleans() | st.integers()),
            "childNodes": st.lists(inner, max_size=3),
        }
    ),
    max_leaves=12,
)


@given(st.lists(_trees, max_size=4), st.integers(0, 9))
def test_only_what_is_listed_is_ever_written(nodes: list[Json], used: int) -> None:
    """No name, text or attribute of any snapshot brings an element or attribute of its own."""
    waiting = [inert_html({"type": 0, "id": 1, "childNodes": nodes}, used)]
    while waiting:
        for tag, attributes in Reader(waiting.pop()).elements:
            assert tag in {name.lower() for name in _WRITTEN} or "-" in tag
            for name, value in attributes.items():
                assert not name.startswith("on")
                known = name in {each.lower() for each in ATTRIBUTES | _OURS | _PLACES}
                assert known or name.startswith(("data-", "aria-", "_ng"))
                if name in _PLACES - {"rel"}:
                    assert value.startswith(("http", "#", "data:image/"))
                if name == "srcdoc":
                    waiting.append(value)


def test_text_is_text_everywhere() -> None:
    """In elements, values, titles and text areas."""
    text = "</textarea></title></p><script>alert(1)</script>"
    page = a_page(
        an_element("p", a_text(text)),
        an_element("input", value=text),
        an_element("textarea", value="\n" + text),
    )
    read = Reader(inert_html(page))
    assert [tag for tag, _ in read.elements] == ["html", "head", "body", "p", "input", "textarea"]
    assert read.of("input")["value"] == text
    # The parser drops one line feed, so there are two.
    assert "\n\n" + text in read.text


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "data:text/html,x",
        "data:image/svg+xml2,x",
        "file:///etc/passwd",
        "//example.com/x.png",
        "/x.png",
        "blob:https://example.com/x",
        "http://a b",
        "",
    ],
)
def test_a_picture_is_named_by_the_web_or_itself_alone(url: str) -> None:
    """Anything else names nothing."""
    svg = an_element("svg", an_element("image", href=url), an_element("use", href=url))
    read = Reader(inert_html(a_page(an_element("img", src=url), svg)))
    assert "src" not in read.of("img")
    assert "href" not in read.of("image")
    assert "href" not in read.of("use")


def test_links_look_like_links_and_lead_nowhere() -> None:
    """Whatever they led to."""
    page = a_page(an_element("a", a_text("a"), href="javascript:alert(1)", target="_blank"))
    assert Reader(inert_html(page)).of("a") == {"href": "#"}


def test_a_style_sheet_keeps_its_rules_and_cannot_end_its_element() -> None:
    """Not in HTML, and not in a drawing, where its text is parsed as markup."""
    css = 'a > b { content: "</style><img>" } @media (width < 600px) { c { d: e } }'
    style = an_element("style")
    style["attributes"]["_cssText"] = css
    html = inert_html(a_page(style, an_element("svg", style)))
    assert html.count(css.replace("</", "\\3c /").replace("<img", "\\3c img")) == 2
    assert "img" not in [tag for tag, _ in Reader(html).elements]


def test_a_frame_holds_its_document_without_rights() -> None:
    """Written inside, sandboxed; frames in frames end at a depth."""
    page = a_page(a_text("deepest"))
    for _ in range(8):
        page = a_page(an_element("iframe", page, src="https://example.com", allow="camera"))
    html, depth = inert_html(page), 0
    while (read := Reader(html)).elements and "iframe" in [tag for tag, _ in read.elements]:
        frame = read.of("iframe")
        assert frame.keys() == {"sandbox", "srcdoc"}
        html, depth = frame["srcdoc"], depth + 1
    assert depth == 6
    assert "deepest" not in html


def test_a_shadow_tree_is_drawn_in_its_host() -> None:
    """As a declarative one, before the light children."""
    shadow = an_element("b", a_text("shadow")) | {"isShadow": True}
    host = an_element("x-host", an_element("i", a_text("light")), shadow) | {"isShadowHost": True}
    html = inert_html(a_page(host))
    assert (
        '<x-host><template shadowrootmode="open"><b>shadow</b></template><i>light</i></x-host>'
        in html
    )


def test_quirks_mode_is_kept() -> None:
    """A page that had it is drawn without a doctype."""
    doctype = {"type": 1, "id": 1, "name": "html", "publicId": "", "systemId": ""}
    page = {"type": 0, "id": 2, "childNodes": [doctype, an_element("html")]}
    assert inert_html(page).startswith("<!DOCTYPE html>")
    assert inert_html(page | {"compatMode": "BackCompat"}) == "<html></html>"


@pytest.mark.parametrize(
    "snapshot",
    [
        {},
        {"type": 2, "tagName": "p", "attributes": {}, "childNodes": []},
        {"type": 0, "childNodes": "text"},
        {"type": 0, "childNodes": [1]},
        {"type": 0, "childNodes": [{"type": 2, "attributes": {}, "childNodes": []}]},
        {"type": 0, "childNodes": [{"type": 2, "tagName": "p", "attributes": [1]}]},
    ],
)
def test_what_is_no_snapshot_is_refused(snapshot: Json) -> None:
    """With a code that quotes nothing of it."""
    with pytest.raises(SnapshotError, match="SNAPSHOT_UNREADABLE"):
        inert_html(snapshot)


def test_a_tower_of_elements_is_refused() -> None:
    """Past 300 levels, without any recursion."""
    tower: Json = an_element("i")
    for _ in range(5000):
        tower = an_element("i", tower)
    with pytest.raises(SnapshotError, match="SNAPSHOT_TOO_DEEP"):
        inert_html({"type": 0, "id": 1, "childNodes": [tower]})


def test_a_text_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where frames in frames make it longer each time it is escaped."""
    monkeypatch.setattr("evidence.inert.MAX_HTML_CHARS", 100_000)
    with pytest.raises(SnapshotError, match="SNAPSHOT_TOO_LARGE"):
        inert_html(a_page(a_text("x" * 100_001)))
    page = a_page(a_text("&" * 5000))
    for _ in range(5):
        page = a_page(an_element("iframe", page))
    with pytest.raises(SnapshotError, match="SNAPSHOT_TOO_LARGE"):
        inert_html(page)


def test_nodes_without_end_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """More than a page may have."""
    monkeypatch.setattr("evidence.inert.MAX_NODES", 100)
    many: list[dict[str, Any]] = [a_text("x") for _ in range(101)]
    with pytest.raises(SnapshotError, match="SNAPSHOT_TOO_LARGE"):
        inert_html(a_page(*many))
