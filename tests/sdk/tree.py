"""Reading the snapshot of an envelope."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Node = dict[str, Any]


def nodes(root: Node) -> Iterator[Node]:
    """Every node, parents first, in the order of the page."""
    yield root
    for child in root.get("childNodes", ()):
        yield from nodes(child)


def elements(envelope: Mapping[str, Any], tag: str) -> list[Node]:
    """All elements of a tag."""
    return [node for node in nodes(envelope["snapshot"]) if node.get("tagName") == tag]


def element(envelope: Mapping[str, Any], name: str) -> Node:
    """The one element with this `id` attribute."""
    (found,) = (
        node for node in nodes(envelope["snapshot"]) if node.get("attributes", {}).get("id") == name
    )
    return found


def text(node: Node) -> str:
    """All text below a node."""
    return "".join(each["textContent"] for each in nodes(node) if each["type"] == 3)


def css(envelope: Mapping[str, Any]) -> str:
    """All style rules of the snapshot."""
    sheets = (node.get("attributes", {}).get("_cssText") for node in nodes(envelope["snapshot"]))
    return "\n".join(sheet for sheet in sheets if sheet)
