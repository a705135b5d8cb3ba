"""Manifests: what a CDR consists of, each part by its SHA-256, signed as a whole.

Facts come in two kinds that are never mixed: what this server observed, and what the
browser reported. The facts are a JSON document of their own, made from the stored row
alone, so that a row that was changed afterwards no longer has the hash it was signed
with. A sub-group's name may say who else bought a lead, so the facts do not have it;
the upload as received does, and its hash is in the manifest too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from evidence.anchor import Head
from evidence.commands import Command
from leadgate.chain import canonical

CAPTURE, IMAGE, REPORT = "capture", "image", "report"
"""Names of artifacts: the upload as received, the picture of it, the report as PDF."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """A blob that belongs to a CDR.

    Attributes:
        name: CAPTURE, IMAGE or REPORT.
        sha256: of the content, after any decompression.
        size_bytes: of the content, after any decompression.
        blob_key: where the blob store has it.
        encoding: how it is compressed there, `gzip` or nothing.
    """

    name: str
    sha256: bytes
    size_bytes: int
    media_type: str
    blob_key: str
    encoding: str = ""

    def shown(self) -> dict[str, Any]:
        """As manifests list it."""
        return {
            "name": self.name,
            "sha256": self.sha256.hex(),
            "bytes": self.size_bytes,
            "mediaType": self.media_type,
        }


@dataclass(frozen=True, slots=True)
class AddArtifact(Command[Head]):
    """Adds an artifact to a CDR, or replaces it, under a new revision of the manifest.

    Its custody entry is `rendered`. The blob is in the store before. Refused with
    `NotFound` without the CDR.
    """

    cdr_id: str
    artifact: Artifact


def facts(row: Mapping[str, Any]) -> dict[str, Any]:
    """The facts of a CDR; `row` is its stored row, with org_id, domain name and package_id."""
    return {
        "version": 1,
        "cdrId": row["cdr_id"],
        "orgId": row["org_id"],
        "domain": row["domain_name"],
        "packageId": row["package_id"],
        # An operator can enter a CDR over the admin API; nothing of it was observed.
        "source": "upload" if row["capture_id"] is not None else "operator",
        "serverObserved": {
            "receivedAt": row["create_ms"],
            "ip": row["ip"],
            "userAgent": row["user_agent"],
            "disclosures": json.loads(row["disclosures"]),
            "disclosureFlags": json.loads(row["disclosure_flags"]),
        },
        "browserReported": {
            "capturedAt": row["capture_ms"],
            "late": bool(row["late"]),
            "url": row["url"],
            "title": row["title"],
            "browser": json.loads(row["browser"]),
            "customMetadata": json.loads(row["custom"]),
            "disclosureClaims": json.loads(row["disclosure_claims"]),
        },
    }


def facts_hash(row: Mapping[str, Any]) -> bytes:
    """SHA-256 of the facts' canonical JSON."""
    return hashlib.sha256(canonical(facts(row))).digest()


def manifest(cdr_id: str, revision: int, facts_sha256: str, artifacts: Iterable[Artifact]) -> bytes:
    """The canonical JSON of one revision; its SHA-256 is the manifest hash."""
    listed = [
        artifact.shown() for artifact in sorted(artifacts, key=lambda artifact: artifact.name)
    ]
    return canonical(
        {
            "version": 1,
            "cdrId": cdr_id,
            "revision": revision,
            "factsSha256": facts_sha256,
            "artifacts": listed,
        }
    )
