"""What pages in browsers use: the upload endpoint and the script; docs/capture-protocol.md.

Anybody can send an upload: there is no key. So it is refused as early as it can be, by
rate, then by client id and origin, then by size, before anything of it is parsed. An
Origin is what a browser says; outside of one it proves nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from fastapi import FastAPI
from starlette.datastructures import MutableHeaders, QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from evidence import disclosures, sharing
from evidence.blobs import Blobs, key_for
from evidence.capture import AddCapture, FindPlace, Found
from evidence.commands import Added, Cdr, Ledger, Upload
from evidence.errors import CaptureDisabled, Forbidden, InvalidArgument, TooSlow
from evidence.http.body import read
from evidence.http.envelope import ok
from evidence.ids import mint_id
from evidence.manifest import CAPTURE, Artifact
from evidence.peers import Peers, neighbourhood
from evidence.rates import Rate, Room
from evidence.snapshot import (
    MAX_UPLOAD_BYTES,
    Envelope,
    Node,
    unpacked,
)
from evidence.snapshot import (
    read as read_envelope,
)

log = structlog.get_logger("evidence.capture")

PATH = "/v1/captures"
SDK_PATH = "/sdk/v1/sdk.js"
SDK_FILE = Path(__file__).parent.parent / "static" / "sdk.js"

_INLINE_BYTES = 128 * 1024  # larger bodies are read on a thread: the loop goes on meanwhile
_BODY_SECONDS = 120  # the longest that the library waits for a call
_HEAVY_AT_ONCE = 2  # a body at every limit becomes some hundred megabytes of nodes
_SCRIPT_SECONDS = 3600
_OPEN = {"access-control-allow-origin": "*", "access-control-expose-headers": "Retry-After"}
_ID = re.compile(r"[A-Za-z0-9_.:-]{1,128}", re.ASCII)
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.ASCII)
_ORIGIN = re.compile(r"https?://(?P<host>[a-z0-9.-]{1,253}|\[[0-9a-f:.]+\])(?::\d{1,5})?", re.ASCII)
_ENCODINGS = {"gzip", "identity"}


@dataclass(frozen=True, slots=True)
class Limits:
    """What one caller, and all of them together, may upload."""

    per_address: Rate
    per_client: Rate
    room: Room


@dataclass(frozen=True, slots=True)
class _Sent:
    """What stands outside the body of an upload."""

    client_id: str
    capture_id: str
    encoding: str
    attempt: int
    late: bool
    host: str
    address: str
    user_agent: str


class Captures:
    """The endpoints, over a ledger and the blob store."""

    def __init__(
        self,
        ledger: Ledger,
        blobs: Blobs,
        limits: Limits,
        peers: Peers,
        token_key: bytes,
        public_url: str,
    ) -> None:
        self._ledger = ledger
        self._blobs = blobs
        self._limits = limits
        self._peers = peers
        self._token_key = token_key
        self._public_url = public_url
        self._heavy = asyncio.Semaphore(_HEAVY_AT_ONCE)

    async def receive(self, request: Request) -> Response:
        """Takes an upload: `data` is cdrId, packageData and, with autoShare, the share.

        It is answered once the blob and the commit are on disk. The same capture id
        with the same bytes is answered alike, however often and whenever it comes.
        """
        sent = self._admitted(request)
        found = await self._ledger.read(FindPlace(sent.client_id, sent.host, sent.capture_id))
        if found.disabled and not found.known:
            raise CaptureDisabled
        with self._limits.room.reserved(neighbourhood(sent.address), _announced(request)):
            body = await _received(request)
            upload = await self._read(body, sent)
            return await self._keep(found, sent, body, upload)

    async def script(self, request: Request) -> Response:
        """The browser library, for any page; a page may pin it by its integrity."""
        content = await asyncio.to_thread(SDK_FILE.read_bytes)
        etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
        headers = {
            "etag": etag,
            "cache-control": f"public, max-age={_SCRIPT_SECONDS}",
            "access-control-allow-origin": "*",
            "cross-origin-resource-policy": "cross-origin",
            "x-content-type-options": "nosniff",
        }
        if _matches(request.headers.get("if-none-match", ""), etag):
            return Response(status_code=304, headers=headers)
        return Response(content, headers=headers, media_type="text/javascript")

    def _admitted(self, request: Request) -> _Sent:
        """Judges what is known before the body; raises `Overloaded`, `InvalidArgument`."""
        peer = request.client.host if request.client else ""
        address = self._peers.client(peer, request.headers.getlist("x-forwarded-for"))
        self._limits.per_address.admit(neighbourhood(address))
        sent = _sent(request.query_params, request.headers, address)
        self._limits.per_client.admit(sent.client_id)
        return sent

    async def _read(self, body: bytes, sent: _Sent) -> _Read:
        if len(body) <= _INLINE_BYTES:
            return _opened(body, sent)
        async with self._heavy:
            return await asyncio.to_thread(_opened, body, sent)

    async def _keep(self, found: Found, sent: _Sent, body: bytes, upload: _Read) -> Response:
        org = found.place.org
        body_sha256 = hashlib.sha256(body).digest()
        artifact = Artifact(
            name=CAPTURE,
            sha256=upload.sha256,
            size_bytes=upload.size_bytes,
            media_type="application/json",
            blob_key=key_for(f"{org}/{sent.capture_id}", CAPTURE, body_sha256),
            encoding="gzip" if sent.encoding == "gzip" else "",
        )
        await self._blobs.put(artifact.blob_key, body)
        share_ms = upload.envelope.share_ms
        token = None
        if share_ms is not None:
            token = sharing.derived_token(self._token_key, org, sent.capture_id)
        add = AddCapture(
            place=found.place,
            capture_id=sent.capture_id,
            upload_sha256=body_sha256,
            cdr=_cdr(sent, upload, body_sha256),
            artifact=artifact,
            token_digest=sharing.digest(token) if token else None,
            expires_in_ms=share_ms or 0,
        )
        return ok(self._answered(await self._ledger.write(add), token))

    def _answered(self, added: Added, token: str | None) -> Mapping[str, Any]:
        packages = {"packageId": added.package_id, "subGroupIdMap": added.sub_groups}
        data: dict[str, Any] = {"cdrId": added.cdr_id, "packageData": packages}
        if token is not None and added.share_expire_ms is not None:
            data |= {
                "shareUrl": sharing.share_url(self._public_url, token),
                "shareToken": token,
                "shareExpiresAt": added.share_expire_ms,
            }
        return data


class OpenToPages:
    """ASGI middleware: every answer of the upload endpoint can be read by the page.

    Refusals and failures too: without the header the library sees a broken network.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        if scope["type"] != "http" or scope["path"] != PATH:
            await self._app(scope, receive, send)
            return

        async def opening(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_OPEN)
            await send(message)

        await self._app(scope, receive, opening)


def add_routes(app: FastAPI, captures: Captures) -> None:
    """Adds the paths that pages use."""
    app.post(PATH)(captures.receive)
    app.get(SDK_PATH)(captures.script)
    app.head(SDK_PATH, include_in_schema=False)(captures.script)


@dataclass(frozen=True, slots=True)
class _Read:
    """An upload that was read, with what the service derived from it."""

    envelope: Envelope
    nodes: list[Node]
    derived: disclosures.Derived
    sha256: bytes
    size_bytes: int


def _opened(body: bytes, sent: _Sent) -> _Read:
    content = unpacked(body, sent.encoding)
    envelope, nodes = read_envelope(content)
    if (envelope.cid, envelope.capture_id) != (sent.client_id, sent.capture_id):
        raise InvalidArgument("cid and captureId: must be those of the query")
    derived = disclosures.derive(envelope, nodes)
    return _Read(envelope, nodes, derived, hashlib.sha256(content).digest(), len(content))


def _sent(query: QueryParams, headers: Mapping[str, str], address: str) -> _Sent:
    client_id, capture_id = query.get("cid", ""), query.get("captureId", "")
    encoding, attempt = query.get("encoding", ""), query.get("attempt", "1")
    if not _ID.fullmatch(client_id):
        raise InvalidArgument("cid: must be a client id")
    if not _UUID.fullmatch(capture_id):
        raise InvalidArgument("captureId: must be a UUID in lower case")
    if encoding not in _ENCODINGS:
        raise InvalidArgument("encoding: must be gzip or identity")
    if not (attempt.isdecimal() and len(attempt) <= 3 and 1 <= int(attempt) <= 100):
        raise InvalidArgument("attempt: must be a number from 1 to 100")
    origin = _ORIGIN.fullmatch(headers.get("origin", "").lower())
    if origin is None:
        raise Forbidden("no client id of this page")
    return _Sent(
        client_id,
        capture_id,
        encoding,
        int(attempt),
        query.get("deferred", "0") == "1",
        origin["host"].rstrip("."),
        address,
        headers.get("user-agent", "")[:1024],
    )


def _cdr(sent: _Sent, upload: _Read, body_sha256: bytes) -> Cdr:
    envelope, derived = upload.envelope, upload.derived
    return Cdr(
        cdr_id=mint_id("cdr"),
        capture_ms=envelope.capture_time,
        package_id=mint_id("pkg"),
        sub_group_ids=envelope.sub_group_ids,
        custom=envelope.custom,
        disclosures=derived.disclosures,
        session_id=envelope.session_id,
        upload=Upload(
            capture_id=sent.capture_id,
            sha256=body_sha256,
            ip=sent.address,
            user_agent=sent.user_agent,
            late=sent.late,
            url=_plain(envelope.page.url),
            title=_plain(envelope.page.title),
            browser=_browser(sent, envelope),
            disclosure_claims={claim.key: claim.agreed for claim in envelope.disclosures},
            disclosure_flags=derived.flags,
        ),
    )


def _browser(sent: _Sent, envelope: Envelope) -> dict[str, Any]:
    """Whatever else the browser reports, as the API shows it."""
    page, view, used = envelope.page, envelope.viewport, envelope.highlight
    highlight = used and {
        "label": used.label,
        "source": used.source,
        "isTrusted": used.is_trusted,
        "eventType": used.event_type,
    }
    return {
        "sdkVersion": envelope.sdk_version,
        "attempt": sent.attempt,
        "referrer": page.referrer,
        "language": page.language,
        "timeZone": page.time_zone,
        "viewport": {
            "width": view.width,
            "height": view.height,
            "scrollX": view.scroll_x,
            "scrollY": view.scroll_y,
            "documentWidth": view.document_width,
            "documentHeight": view.document_height,
            "devicePixelRatio": view.device_pixel_ratio,
        },
        "highlight": highlight,
    }


def _plain(text: str) -> str:
    """Text without NUL, which PostgreSQL does not keep."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")


async def _received(request: Request) -> bytes:
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            return await read(request, MAX_UPLOAD_BYTES)
    except TimeoutError:
        raise TooSlow from None


def _announced(request: Request) -> int:
    """How large the body will be at most: what it says, or the limit where it says nothing."""
    length = request.headers.get("content-length", "")
    known = length.isdecimal() and len(length) < 10
    return min(int(length), MAX_UPLOAD_BYTES) if known else MAX_UPLOAD_BYTES


def _matches(wanted: str, etag: str) -> bool:
    tags = [tag.strip().removeprefix("W/") for tag in wanted.split(",")]
    return etag in tags or "*" in tags
