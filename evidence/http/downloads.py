"""Images and reports over HTTP: where to get one, and the signed links that lead to it.

All paths are ours. Whoever has a link has the file, until it ends; a link also ends with
the org's access, with the CDR, and with nothing else.
"""

from __future__ import annotations

import hashlib

import structlog
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from evidence.blobs import BlobMissing, Blobs, content_of
from evidence.callers import Callers
from evidence.clock import Clock
from evidence.commands import Ledger
from evidence.downloads import SHORT_MS, Downloads, GetArtifact, LogDownload
from evidence.errors import Internal
from evidence.http.envelope import ok
from evidence.manifest import IMAGE, REPORT, Artifact

log = structlog.get_logger("evidence.downloads")

_FILES = {IMAGE: ("inline", "png"), REPORT: ("attachment", "pdf")}
_HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; sandbox",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


class Shelf:
    """Hands out artifacts: checks access, logs who got what, and what it hands out."""

    def __init__(self, ledger: Ledger, blobs: Blobs) -> None:
        self._ledger = ledger
        self._blobs = blobs

    async def find(self, org: int, cdr_id: str, name: str) -> Artifact:
        """An artifact that this org may have; raises `EvidenceError`."""
        return await self._ledger.read(GetArtifact(org, cdr_id, name))

    async def hand(self, org: int, cdr_id: str, name: str) -> Response:
        """The artifact as a file, logged before it goes out; raises `EvidenceError`."""
        artifact = await self.find(org, cdr_id, name)
        content = await self._content(cdr_id, artifact)
        await self._ledger.write(LogDownload(org, cdr_id, name))
        how, ending = _FILES[name]
        # An id has no character that would have to be quoted; file systems dislike colons.
        file = f"{cdr_id.replace(':', '_')}-{name}.{ending}"
        named = {"content-disposition": f'{how}; filename="{file}"'}
        return Response(content, headers=_HEADERS | named, media_type=artifact.media_type)

    async def _content(self, cdr_id: str, artifact: Artifact) -> bytes:
        try:
            content = content_of(await self._blobs.get(artifact.blob_key), artifact.encoding)
        except BlobMissing:
            log.error("blob missing", cdr_id=cdr_id, artifact=artifact.name)
            raise Internal from None
        if hashlib.sha256(content).digest() != artifact.sha256:
            # Better no evidence than another one.
            log.error("blob is not what the manifest says", cdr_id=cdr_id, artifact=artifact.name)
            raise Internal
        return content


class DownloadsApi:
    """The endpoints, over the shelf and the signed links."""

    def __init__(self, callers: Callers, shelf: Shelf, links: Downloads, clock: Clock) -> None:
        self._callers = callers
        self._shelf = shelf
        self._links = links
        self._clock = clock

    async def image(self, request: Request) -> Response:
        """Where to get a CDR's image: `data` is url, expiresAt, sha256, bytes, mediaType."""
        return await self._link(request, IMAGE)

    async def report(self, request: Request) -> Response:
        """Where to get a CDR's report (PDF): `data` is url, expiresAt, sha256, bytes, mediaType."""
        return await self._link(request, REPORT)

    async def download(self, request: Request) -> Response:
        """The file behind a signed link. What is not one of ours, or is over, is NOT_FOUND."""
        parts = request.path_params
        given = self._links.check(parts["cdr_id"], parts["artifact"], request.query_params)
        return await self._shelf.hand(*given)

    async def _link(self, request: Request, name: str) -> Response:
        org = self._callers.org(request.headers.get("x-api-key"))
        cdr_id = request.path_params["cdr_id"]
        artifact = await self._shelf.find(org.number, cdr_id, name)
        return ok(
            {
                "cdrId": cdr_id,
                "url": self._links.url(org.number, cdr_id, name),
                "expiresAt": self._clock() + SHORT_MS,
                "sha256": artifact.sha256.hex(),
                "bytes": artifact.size_bytes,
                "mediaType": artifact.media_type,
            }
        )


def add_routes(app: FastAPI, api: DownloadsApi) -> None:
    """Adds the paths of images, reports and links."""
    app.get("/v1/cdrs/{cdr_id}/image")(api.image)
    app.get("/v1/cdrs/{cdr_id}/report")(api.report)
    app.get("/v1/downloads/{cdr_id}/{artifact}")(api.download)
