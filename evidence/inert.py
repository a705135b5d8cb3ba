"""A snapshot drawn up again as HTML that can do nothing: it has a look, and no behaviour.

A snapshot comes from anybody, so nothing is let through because it looks harmless: only
elements and attributes that are listed here are written, by a serializer of our own.
Links lead nowhere; pictures and style sheets are named by http, https and data URLs
alone, and whoever draws the page decides which of them are fetched. Text in style
sheets cannot end its element. See docs/capture-protocol.md for the input.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from evidence.markup import ATTRIBUTES, DROPPED, HTML, SVG, VOID

MAX_DEPTH = 300
MAX_FRAMES_DEEP = 5
MAX_NODES = 200_000
MAX_HTML_CHARS = 64 * 1024 * 1024
USED, SCROLL, MODAL, POPOVER = "lg-used", "lg-scroll", "lg-modal", "lg-popover"
"""Attributes of ours: the control that was used, and state that HTML has no words for."""

_DOCUMENT, _DOCTYPE, _ELEMENT, _TEXT, _CDATA = 0, 1, 2, 3, 4

_DROPPED = frozenset(name.lower() for name in DROPPED)
_EMPTY = frozenset(("canvas", "textarea", "video"))
_CUSTOM = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)+")

# Frameworks hang their styles on these.
_ATTRIBUTE_PATTERN = re.compile(
    r"(?:data|aria)-[A-Za-z0-9_.-]{1,100}|_ng(?:content|host)-[A-Za-z0-9_-]{1,100}"
)
_IMAGE = re.compile(
    r"https?://[^\s\x00-\x1f]{1,8192}"
    r"|data:image/(?:png|jpe?g|gif|webp|avif|bmp|x-icon|vnd\.microsoft\.icon|svg\+xml)[;,].*",
    re.IGNORECASE | re.DOTALL,
)
_SHEET = re.compile(r"https?://[^\s\x00-\x1f]{1,8192}", re.IGNORECASE)
_FRAGMENT = re.compile(r"#[^\s]{0,1000}")
_PUBLIC_ID = re.compile(r"[A-Za-z0-9 ./:+-]{1,200}")
_PIXELS = re.compile(r"\d{1,5}(?:\.\d{1,6})?px")
# No custom element is ever defined here; what a page hides until then was to be seen.
_DEFINED = re.compile(r":defined\b")
_TAG_IN_CSS = re.compile(r"<(?=[A-Za-z/!?])")
_ESCAPED = r"\\3c "
_CONTROL = dict.fromkeys([*range(9), 11, 12, *range(14, 32)])

Node = Mapping[str, Any]


class SnapshotError(ValueError):
    """A snapshot that cannot be drawn. `code` is UPPER_SNAKE and quotes nothing."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def inert_html(snapshot: Node, used: int | None = None) -> str:
    """The page as HTML; `used` is the node to mark as the control that was used.

    Raises `SnapshotError`: SNAPSHOT_UNREADABLE, SNAPSHOT_TOO_DEEP, SNAPSHOT_TOO_LARGE.
    """
    if snapshot.get("type") != _DOCUMENT:
        raise SnapshotError("SNAPSHOT_UNREADABLE")
    return _Page(used).document(snapshot, 0, 0)


class _Page:
    """One page while it is written, with what is left of its bounds."""

    def __init__(self, used: int | None) -> None:
        self._used = used
        self._nodes = 0
        self._chars = 0

    def document(self, root: Node, depth: int, frames: int) -> str:
        """A document, of the page or of a frame in it."""
        parts = []
        # What is still to write: nodes with their depth, or text that closes an element.
        waiting: list[tuple[Any, int, bool] | str] = [(root, depth, False)]
        while waiting:
            item = waiting.pop()
            part = item if isinstance(item, str) else self._node(*item, frames, waiting)
            self._chars += len(part)
            if self._chars > MAX_HTML_CHARS:
                raise SnapshotError("SNAPSHOT_TOO_LARGE")
            parts.append(part)
        return "".join(parts)

    def _node(self, node: Any, depth: int, svg: bool, frames: int, waiting: list[Any]) -> str:
        self._count(node, depth)
        kind = node.get("type")
        if kind == _DOCUMENT:
            children = _children(node)
            if node.get("compatMode") == "BackCompat":
                children = [child for child in children if child.get("type") != _DOCTYPE]
            waiting.extend((child, depth + 1, False) for child in reversed(children))
            return ""
        if kind == _DOCTYPE:
            return _doctype(node)
        if kind in {_TEXT, _CDATA}:
            return _text(node.get("textContent"))
        if kind == _ELEMENT:
            return self._element(node, depth, svg, frames, waiting)
        return ""

    def _count(self, node: Any, depth: int) -> None:
        if not isinstance(node, Mapping):
            raise SnapshotError("SNAPSHOT_UNREADABLE")
        self._nodes += 1
        if depth > MAX_DEPTH:
            raise SnapshotError("SNAPSHOT_TOO_DEEP")
        if self._nodes > MAX_NODES:
            raise SnapshotError("SNAPSHOT_TOO_LARGE")

    def _element(self, node: Node, depth: int, svg: bool, frames: int, waiting: list[Any]) -> str:
        name = node.get("tagName")
        if not isinstance(name, str):
            raise SnapshotError("SNAPSHOT_UNREADABLE")
        given = _given(node)
        if name in {"style", "link"}:
            return _style(node, given)
        if name == "iframe":
            return self._frame(node, given, depth, frames)
        if name.lower() in _DROPPED:
            return ""
        drawing = svg or name == "svg"
        name = _known(name, drawing)
        start = f"<{name}{_attributes(name, given)}{self._marks(node, given)}>"
        if name in VOID or name in _EMPTY:
            return start + _end_of_empty(name, given)
        waiting.append(f"</{name}>")
        self._push(_children(node), depth, drawing and name != "foreignObject", waiting)
        return start

    def _push(self, children: list[Node], depth: int, svg: bool, waiting: list[Any]) -> None:
        shadow = [child for child in children if child.get("isShadow")]
        light = [child for child in children if not child.get("isShadow")]
        waiting.extend((child, depth + 1, svg) for child in reversed(light))
        if shadow:
            waiting.append("</template>")
            waiting.extend((child, depth + 1, False) for child in reversed(shadow))
            waiting.append('<template shadowrootmode="open">')

    def _frame(self, node: Node, given: Mapping[str, str], depth: int, frames: int) -> str:
        inner = next((one for one in _children(node) if one.get("type") == _DOCUMENT), None)
        drawn = ""
        if inner is not None and frames < MAX_FRAMES_DEEP:
            drawn = self.document(inner, depth + 1, frames + 1)
        written = _attributes("iframe", given) + self._marks(node, given)
        return f'<iframe sandbox{written} srcdoc="{escape(drawn)}"></iframe>'

    def _marks(self, node: Node, given: Mapping[str, str]) -> str:
        marks = ""
        if self._used is not None and node.get("id") == self._used:
            marks += f' {USED}=""'
            self._used = None  # an id that comes twice marks once
        left, top = given.get("rr_scrollLeft", "0"), given.get("rr_scrollTop", "0")
        if (left, top) != ("0", "0") and _is_number(left) and _is_number(top):
            marks += f' {SCROLL}="{left} {top}"'
        if given.get("rr_open_mode") == "modal":
            marks += f' {MODAL}=""'
        if given.get("ec_popover") == "open":
            marks += f' {POPOVER}=""'
        return marks


def _end_of_empty(name: str, given: Mapping[str, str]) -> str:
    """What follows the start of an element whose children are not drawn."""
    if name in VOID:
        return ""
    # A parser drops the first line feed.
    text = "\n" + _text(given.get("value")) if name == "textarea" else ""
    return f"{text}</{name}>"


def _known(name: str, svg: bool) -> str:
    """The element that is written: itself, or one without a meaning of its own."""
    if svg:
        return name if name in SVG else "g"
    if name in HTML or _CUSTOM.fullmatch(name):
        return name
    return "span"


def _given(node: Node) -> dict[str, str]:
    """The attributes as texts; `true` is an attribute without a value."""
    found = node.get("attributes") or {}
    if not isinstance(found, Mapping):
        raise SnapshotError("SNAPSHOT_UNREADABLE")
    return {
        str(name): "" if value is True else str(value)
        for name, value in found.items()
        if isinstance(value, str | int | float) and value is not False
    }


def _attributes(name: str, given: Mapping[str, str]) -> str:
    written = [
        f' {attribute}="{_value(value)}"'
        for attribute, value in given.items()
        if attribute in ATTRIBUTES or _ATTRIBUTE_PATTERN.fullmatch(attribute)
        if not (name == "textarea" and attribute == "value")
    ]
    return "".join([*written, *_addresses(name, given), *_size(given)])


def _addresses(name: str, given: Mapping[str, str]) -> Iterator[str]:
    """What may still name a place: pictures, and parts of the same drawing."""
    href = given.get("href", given.get("xlink:href", ""))
    if name in {"img", "input"} and _IMAGE.fullmatch(given.get("src", "").strip()):
        yield f' src="{_value(given["src"].strip())}"'
    if name == "video" and _IMAGE.fullmatch(given.get("poster", "").strip()):
        yield f' poster="{_value(given["poster"].strip())}"'
    if name in {"a", "area"} and href:
        yield ' href="#"'  # without one it would not look like a link
    elif name == "image" and _IMAGE.fullmatch(href.strip()):
        yield f' href="{_value(href.strip())}"'
    elif _FRAGMENT.fullmatch(href):
        yield f' href="{_value(href)}"'


def _size(given: Mapping[str, str]) -> Iterator[str]:
    """The size of what was masked, in place of its content."""
    width, height = given.get("rr_width", ""), given.get("rr_height", "")
    if "style" not in given and _PIXELS.fullmatch(width) and _PIXELS.fullmatch(height):
        yield f' style="width:{width};height:{height};background:#cbd5e1"'


def _style(node: Node, given: Mapping[str, str]) -> str:
    media = f' media="{_value(given["media"])}"' if "media" in given else ""
    css = given.get("_cssText")
    if css is None and node.get("tagName") == "link":
        href = given.get("href", "").strip()
        if "stylesheet" in given.get("rel", "").lower().split() and _SHEET.fullmatch(href):
            return f'<link rel="stylesheet" href="{_value(href)}"{media}>'
        return ""
    if css is None:
        css = "".join(str(child.get("textContent") or "") for child in _children(node))
    # In a drawing the text of a style sheet is parsed as markup, elsewhere it is not:
    # without any tag in it the two are alike. `\3c ` is `<` to CSS.
    drawn = _DEFINED.sub(":is(*)", css.translate(_CONTROL))
    return f"<style{media}>{_TAG_IN_CSS.sub(_ESCAPED, drawn)}</style>"


def _doctype(node: Node) -> str:
    public = node.get("publicId")
    if isinstance(public, str) and _PUBLIC_ID.fullmatch(public):
        return f'<!DOCTYPE html PUBLIC "{public}">'
    return "<!DOCTYPE html>"


def _children(node: Node) -> list[Node]:
    found = node.get("childNodes") or []
    if not isinstance(found, list) or not all(isinstance(child, Mapping) for child in found):
        raise SnapshotError("SNAPSHOT_UNREADABLE")
    return found


def _text(text: Any) -> str:
    return escape(text.translate(_CONTROL), quote=False) if isinstance(text, str) else ""


def _value(text: str) -> str:
    return escape(text.translate(_CONTROL))


def _is_number(text: str) -> bool:
    return re.fullmatch(r"-?\d{1,7}(?:\.\d{1,10})?", text) is not None
