"""Uploads of the browser library, read and held to the limits of the capture protocol.

See docs/capture-protocol.md. Everything in an upload is browser-reported, and may come
from anybody. Only what the service judges by is decoded of the snapshot: the rest
of its attributes is skipped where it stands, and looked at by the renderer alone.
"""

from __future__ import annotations

import zlib
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import Meta, Struct

from evidence.errors import InvalidArgument, PayloadTooLarge

MAX_UPLOAD_BYTES = 5 * 1024 * 1024
MAX_ENVELOPE_BYTES = 20 * 1024 * 1024
MAX_CUSTOM_BYTES = 16 * 1024
MAX_NODES = 200_000
MAX_DEPTH = 300
MAX_TIME_MS = 253_402_300_799_999  # the last of year 9999
MAX_SHARE_MS = 63_072_000_000  # 2 years

ELEMENT, TEXT = 2, 3
"""Types of nodes that matter here."""

_UNSEEN = frozenset(["script", "style", "template", "textarea", "select", "option", "title"])
_INLINE = frozenset(
    [
        "a",
        "abbr",
        "b",
        "bdi",
        "bdo",
        "cite",
        "code",
        "em",
        "font",
        "i",
        "ins",
        "kbd",
        "label",
        "mark",
        "q",
        "s",
        "small",
        "span",
        "strong",
        "sub",
        "sup",
        "time",
        "u",
        "var",
        "wbr",
    ]
)

_UUID = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z"
ClientId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.:-]{1,128}\Z")]
Uuid = Annotated[str, Meta(pattern=_UUID)]
_Label = Annotated[str, Meta(pattern=r"^[^\x00]{1,128}\Z")]
_Attribute: TypeAlias = str | int | float | bool | None
_Pixels = Annotated[float, Meta(ge=0)]


class Attributes(Struct, frozen=True, gc=False):
    """The attributes that consent is read from."""

    id: _Attribute = None
    type: _Attribute = None
    for_: _Attribute = msgspec.field(default=None, name="for")
    checked: _Attribute = None
    disclosure: _Attribute = msgspec.field(default=None, name="data-ec-disclosure")
    consent_box: _Attribute = msgspec.field(default=None, name="data-ec-consent-checkbox")
    consent_for: _Attribute = msgspec.field(default=None, name="data-ec-consent-for")
    submit: _Attribute = msgspec.field(default=None, name="data-ec-submit")


_NO_ATTRIBUTES = Attributes()


class Node(Struct, rename="camel", gc=False):
    """A node of the snapshot; `id` is unique in an honest one."""

    type: int
    id: int
    tag_name: str = ""
    attributes: Attributes = _NO_ATTRIBUTES
    text_content: str = ""
    child_nodes: tuple[Node, ...] = ()


class Page(Struct, rename="camel"):
    """The page that was captured."""

    url: Annotated[str, Meta(max_length=8192)]
    title: Annotated[str, Meta(max_length=1000)] = ""
    referrer: Annotated[str, Meta(max_length=8192)] = ""
    language: Annotated[str, Meta(max_length=64)] = ""
    time_zone: Annotated[str, Meta(max_length=64)] = ""


class Viewport(Struct, rename="camel"):
    """CSS pixels."""

    width: _Pixels = 0
    height: _Pixels = 0
    scroll_x: _Pixels = 0
    scroll_y: _Pixels = 0
    document_width: _Pixels = 0
    document_height: _Pixels = 0
    device_pixel_ratio: _Pixels = 1


class Share(Struct, rename="camel"):
    """A share to be made with the CDR."""

    expires_in_ms: Annotated[int, Meta(ge=1, le=MAX_SHARE_MS)] = 30 * 86_400_000


class Claim(Struct, rename="camel"):
    """What the page's script says of a disclosure."""

    key: _Label
    agreed: bool
    language: Annotated[str, Meta(max_length=5000)] = ""
    visible: bool | None = None


class Control(Struct, rename="camel"):
    """What the library saw of a checkable control."""

    node_id: int
    checked: bool | None = None
    default_checked: bool | None = None
    touched: bool = False
    masked: bool = False


class Highlight(Struct, rename="camel"):
    """The control that was used."""

    node_id: int
    label: Annotated[str, Meta(max_length=1000)] | None = None
    source: Annotated[str, Meta(max_length=32)] = ""
    is_trusted: bool | None = None
    event_type: Annotated[str, Meta(max_length=64)] | None = None


class Envelope(Struct, rename="camel"):
    """One upload. Fields that are not named here are ignored."""

    v: Literal[1]
    capture_id: Uuid
    cid: ClientId
    session_id: Uuid
    capture_time: Annotated[int, Meta(ge=0, le=MAX_TIME_MS)]
    page: Page
    viewport: Viewport
    snapshot: Node
    sdk_version: Annotated[str, Meta(max_length=32)] = ""
    custom: dict[str, Any] = {}
    sub_group_ids: Annotated[list[_Label], Meta(max_length=5)] = []
    auto_share: Share | bool = False
    disclosures: Annotated[list[Claim], Meta(max_length=100)] = []
    highlight: Highlight | None = None
    controls: Annotated[list[Control], Meta(max_length=10_000)] = []
    inline_assets: bool = False

    @property
    def share_ms(self) -> int | None:
        """How long the share lasts that is to be made at once, or None for no share."""
        if isinstance(self.auto_share, Share):
            return self.auto_share.expires_in_ms
        return Share().expires_in_ms if self.auto_share else None


class _Stored(Struct):
    snapshot: msgspec.Raw


_ENVELOPE = msgspec.json.Decoder(Envelope)
_STORED = msgspec.json.Decoder(_Stored)


def unpacked(body: bytes, encoding: str) -> bytes:
    """The envelope's bytes; never more than the limit is held of a bomb.

    Raises `InvalidArgument` for what is not one gzip member, `PayloadTooLarge`.
    """
    if encoding == "identity":
        return body
    member = zlib.decompressobj(31)
    try:
        content = member.decompress(body, MAX_ENVELOPE_BYTES + 1)
    except zlib.error:
        raise InvalidArgument("the body is not gzip") from None
    if len(content) > MAX_ENVELOPE_BYTES:
        raise PayloadTooLarge(f"the envelope may have at most {MAX_ENVELOPE_BYTES} bytes")
    if not member.eof or member.unused_data:
        raise InvalidArgument("the body must be one gzip member, whole")
    return content


def read(content: bytes) -> tuple[Envelope, list[Node]]:
    """The envelope, and the nodes of its snapshot from the root down, level by level.

    Raises `InvalidArgument`, which names the field and never a value.
    """
    try:
        envelope = _ENVELOPE.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidArgument(_named(error)) from None
    except RecursionError:
        raise InvalidArgument("the envelope is nested too deeply") from None
    if len(msgspec.json.encode(envelope.custom)) > MAX_CUSTOM_BYTES:
        raise InvalidArgument(f"custom: must be at most {MAX_CUSTOM_BYTES} bytes of JSON")
    if len(set(envelope.sub_group_ids)) != len(envelope.sub_group_ids):
        raise InvalidArgument("subGroupIds: must be unique")
    return envelope, _bounded(envelope.snapshot)


def stored_snapshot(content: bytes) -> dict[str, Any]:
    """The snapshot as the library sent it, of an upload that was taken."""
    raw = _STORED.decode(content).snapshot
    found: dict[str, Any] = msgspec.json.decode(raw)
    return found


def text_of(node: Node) -> str:
    """The text below a node as the library reads it: words of different blocks stay apart."""
    parts: list[str] = []
    waiting: list[Node | str] = [node]
    while waiting:
        here = waiting.pop()
        if isinstance(here, str):
            parts.append(here)
        elif here.type == TEXT:
            parts.append(here.text_content)
        elif here.type == ELEMENT and here.tag_name not in _UNSEEN:
            edge = [] if here.tag_name in _INLINE else [" "]
            waiting += [*edge, *reversed(here.child_nodes), *edge]
    return " ".join("".join(parts).split())


def _bounded(root: Node) -> list[Node]:
    nodes, level, depth = [root], [root], 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise InvalidArgument(f"snapshot: must be at most {MAX_DEPTH} nodes deep")
        level = [child for node in level for child in node.child_nodes]
        nodes += level
        if len(nodes) > MAX_NODES:
            raise InvalidArgument(f"snapshot: must have at most {MAX_NODES} nodes")
    return nodes


def _named(error: Exception) -> str:
    """Where it is wrong: the library's messages have the path, and no value."""
    if not isinstance(error, msgspec.ValidationError):
        return "the envelope is not JSON"
    text, _, path = str(error).partition(" - at `$.")
    return f"{path.rstrip('`')}: {text}" if path else text
