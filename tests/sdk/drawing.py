"""Draws a snapshot again: HTML without scripts, as docs/capture-protocol.md says how.

For trusted snapshots of these tests only; the service's renderer has hostile ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from tests.sdk.tree import Node

_VOID = frozenset(
    ("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr")
)


def drawn(envelope: Mapping[str, Any]) -> str:
    """The page as HTML."""
    return _html(envelope["snapshot"])


def _html(node: Node) -> str:
    match node["type"]:
        case 0:
            return "".join(map(_html, node["childNodes"]))
        case 1:
            return f"<!DOCTYPE {node['name']}>"
        case 2:
            return _element(node)
        case 3:
            return escape(node["textContent"], quote=False)
        case _:
            return ""


def _element(node: Node) -> str:
    attributes = dict(node["attributes"])
    css = attributes.pop("_cssText", None)
    tag = "style" if css is not None else node["tagName"]
    inside = _inside(node, attributes) if css is None else css.replace("</", "<\\/")
    if tag == "iframe" and node["childNodes"]:
        attributes["srcdoc"] = _html(node["childNodes"][0])
    shown = "".join(
        f" {name}" if value is True else f' {name}="{escape(str(value))}"'
        for name, value in attributes.items()
        if not name.startswith(("rr_", "ec_"))
    )
    return f"<{tag}{shown}>" + ("" if tag in _VOID else f"{inside}</{tag}>")


def _inside(node: Node, attributes: dict[str, Any]) -> str:
    if node["tagName"] == "iframe":
        return ""
    if node["tagName"] == "textarea":
        return "\n" + escape(attributes.pop("value", ""), quote=False)
    shadow = [child for child in node["childNodes"] if child.get("isShadow")]
    light = "".join(_html(child) for child in node["childNodes"] if not child.get("isShadow"))
    if not node.get("isShadowHost"):
        return light
    return f'<template shadowrootmode="open">{"".join(map(_html, shadow))}</template>{light}'
