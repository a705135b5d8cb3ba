"""Exports of evidence that can be verified offline; see `leadgate.evidence_export`."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from evidence.blobs import BlobMissing, Blobs, content_of
from evidence.commands import Ledger, Query
from evidence.custody import ListSigningKeys
from evidence.manifest import Artifact
from evidence.signing import Vault
from leadgate.evidence_export import EXPORT, record

Json = dict[str, Any]

_PAGE = 50


@dataclass(frozen=True, slots=True)
class Exported:
    """One CDR: its record, but for the artifacts' content. `number` says where to go on."""

    number: int
    record: Json
    artifacts: list[Artifact]


@dataclass(frozen=True, slots=True)
class ExportCdrs(Query[list[Exported]]):
    """The CDRs behind one, in the order they were made, each as one commit left it.

    With `cdr_id` that one alone; `NotFound` without it.
    """

    after: int = 0
    limit: int = _PAGE
    cdr_id: str | None = None


class Exports:
    """Makes exports: of one CDR, or of all."""

    def __init__(self, ledger: Ledger, blobs: Blobs, vault: Vault) -> None:
        self._ledger = ledger
        self._blobs = blobs
        self._vault = vault

    async def lines(
        self, exported_ms: int, cdr_id: str | None = None, *, content: bool = False
    ) -> AsyncIterator[bytes]:
        """The lines of an export; with `content` the artifacts too.

        One that breaks off lacks its signed end, and does not verify.
        """
        page = await self._ledger.read(ExportCdrs(cdr_id=cdr_id))
        hashed, count = hashlib.sha256(), 0
        head = await self._head(exported_ms)
        hashed.update(head)
        yield head
        while page:
            for cdr in page:
                line = record(await self._with_artifacts(cdr, content=content))
                hashed.update(line)
                count += 1
                yield line
            if cdr_id is not None:
                break
            page = await self._ledger.read(ExportCdrs(page[-1].number))
        yield self._end(hashed.digest(), count)

    async def _head(self, exported_ms: int) -> bytes:
        keys = [
            {
                "keyId": key.key_id,
                "publicKey": key.public_key.hex(),
                "createdAt": key.create_ms,
                "retiredAt": key.retire_ms,
            }
            for key in await self._ledger.read(ListSigningKeys())
        ]
        return record({"record": "export", "version": 1, "exportedAt": exported_ms, "keys": keys})

    async def _with_artifacts(self, cdr: Exported, *, content: bool) -> Json:
        if not content:
            return cdr.record
        listed = [
            shown | {"content": await self._content(artifact)}
            for shown, artifact in zip(cdr.record["artifacts"], cdr.artifacts, strict=True)
        ]
        return cdr.record | {"artifacts": listed}

    async def _content(self, artifact: Artifact) -> str | None:
        try:
            blob = await self._blobs.get(artifact.blob_key)
        except BlobMissing:
            return None
        return base64.b64encode(content_of(blob, artifact.encoding)).decode()

    def _end(self, sha256: bytes, count: int) -> bytes:
        signer = self._vault.signer
        return record(
            {
                "record": "end",
                "cdrs": count,
                "sha256": sha256.hex(),
                "keyId": signer.key_id,
                "signature": signer.sign_export(EXPORT, sha256).hex(),
            }
        )
