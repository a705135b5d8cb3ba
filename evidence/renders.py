"""Pictures and reports of CDRs: the job that makes them, and the states it leads to.

States of the image and of the report: none (entered by an operator, nothing to draw),
pending, ready, failed (a bad page, for good) and unavailable (this service has no
Chromium; drawn once it has). A CDR is complete when its image is ready, or is not
going to be for now: whoever waits for it is told then, and told the state.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from evidence.blobs import BlobMissing, Blobs, key_for
from evidence.commands import Command, GetCdr, Ledger, Query
from evidence.custody import GetCustody
from evidence.errors import CdrInvalid, NotFound
from evidence.jobs import Hopeless, Job, Later, Plan
from evidence.manifest import IMAGE, REPORT, Artifact
from evidence.renderer import DRAW_SECONDS, DrawingFailed, Renderer
from evidence.report import report_html

PLAN = Plan(delays_seconds=(5, 60, 600, 3600), slots=1, limit_seconds=3 * DRAW_SECONDS)
"""Five attempts within 75 minutes: a page that kills its renderer each time is bad."""

UNAVAILABLE, FAILED = "unavailable", "failed"


@dataclass(frozen=True, slots=True)
class ToRender:
    """What a render needs of its CDR: its owner, its upload, and the image if there is one."""

    cdr_id: str
    org: int
    upload: Artifact
    image: Artifact | None


@dataclass(frozen=True, slots=True)
class GetToRender(Query[ToRender]):
    """A CDR by its number; refused with `NotFound` where it is deleted or has no upload."""

    cdr: int


@dataclass(frozen=True, slots=True)
class AddRendered(Command[None]):
    """Adds the image or the report, and sets its state; an image completes the CDR.

    Refused with `NotFound` where the CDR was deleted meanwhile.
    """

    cdr_id: str
    artifact: Artifact


@dataclass(frozen=True, slots=True)
class EndRender(Command[None]):
    """Ends what is not ready as `failed` or `unavailable`, and completes the CDR."""

    cdr: int
    state: str
    error: str


@dataclass(frozen=True, slots=True)
class ResumeRenders(Command[int]):
    """Makes the renders due that ended as `unavailable`; answers how many."""


class Renders:
    """Does render jobs, with a renderer or without."""

    def __init__(self, ledger: Ledger, blobs: Blobs, renderer: Renderer | None) -> None:
        self._ledger = ledger
        self._blobs = blobs
        self._renderer = renderer

    async def do(self, job: Job) -> None:
        """Draws the image and prints the report, what of it is not there yet."""
        if job.cdr is None:
            raise Hopeless("NO_CDR")
        if self._renderer is None:
            await self._ledger.write(EndRender(job.cdr, UNAVAILABLE, "NO_CHROMIUM"))
            return
        try:
            wanted = await self._ledger.read(GetToRender(job.cdr))
            picture = await self._image(self._renderer, wanted)
            await self._report(self._renderer, wanted, picture)
        except (NotFound, CdrInvalid):
            raise Hopeless("CDR_GONE") from None
        except BlobMissing:
            raise Later("BLOB_MISSING") from None
        except DrawingFailed as failed:
            raise (Hopeless if failed.hopeless else Later)(failed.code) from None

    async def failed(self, job: Job, code: str) -> None:
        """Makes a failure visible in the CDR."""
        if job.cdr is not None:
            await self._ledger.write(EndRender(job.cdr, FAILED, code))

    async def _image(self, renderer: Renderer, wanted: ToRender) -> bytes:
        if wanted.image is not None:
            return await self._blobs.get(wanted.image.blob_key)
        upload = await self._blobs.get(wanted.upload.blob_key)
        picture = await renderer.draw(upload, wanted.upload.encoding or "identity")
        await self._keep(wanted.cdr_id, IMAGE, "image/png", picture)
        return picture

    async def _report(self, renderer: Renderer, wanted: ToRender, picture: bytes) -> None:
        view = await self._ledger.read(GetCdr(wanted.org, wanted.cdr_id))
        custody = await self._ledger.read(GetCustody(wanted.org, wanted.cdr_id))
        report = await renderer.printed(report_html(view, custody, picture), picture)
        await self._keep(wanted.cdr_id, REPORT, "application/pdf", report)

    async def _keep(self, cdr_id: str, name: str, media_type: str, content: bytes) -> None:
        sha256 = hashlib.sha256(content).digest()
        key = key_for(cdr_id, name, sha256)
        await self._blobs.put(key, content)
        try:
            artifact = Artifact(name, sha256, len(content), media_type, key)
            await self._ledger.write(AddRendered(cdr_id, artifact))
        except NotFound:
            # Deleted while it was drawn: nobody else knows of this blob.
            await self._blobs.delete(key)
            raise
