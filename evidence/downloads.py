"""Signed links: short-lived, for one artifact and one org, checked in constant time.

A link is a credential: never log it. The signature covers the path, the org and the
end, so none of it can be taken to another artifact, another org or a later day. It may be
used until it ends. Who was handed the bytes is in the custody log, once an hour for each
org and artifact: a page that is loaded again does not fill the log.
"""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from evidence.clock import Clock
from evidence.commands import Command, Query
from evidence.errors import NotFound
from evidence.manifest import Artifact

SHORT_MS = 15 * 60 * 1000
"""How long a link lasts that a person or a webhook is given."""

LOG_AGAIN_MS = 60 * 60 * 1000
"""How long a download of the same artifact by the same org is one entry of the log."""

_NUMBER = re.compile(r"[1-9]\d{0,15}", re.ASCII)


class Download(NamedTuple):
    """What a good link stands for."""

    org: int
    cdr_id: str
    artifact: str


@dataclass(frozen=True, slots=True)
class GetArtifact(Query[Artifact]):
    """The image or the report of a CDR, for an org with access to it.

    Refused with `NotFound`, `CdrInvalid`, `Forbidden` where the CDR was only saved, and
    `FailedPrecondition` with the state where the artifact is not ready.
    """

    org: int
    cdr_id: str
    name: str


@dataclass(frozen=True, slots=True)
class LogDownload(Command[None]):
    """Appends `downloaded` to the custody log; refused as `GetArtifact` is."""

    org: int
    cdr_id: str
    name: str


class Downloads:
    """Makes and checks links under `<public_url>/v1/downloads/<cdrId>/<artifact>`."""

    def __init__(self, key: bytes, public_url: str, clock: Clock) -> None:
        self._key = key
        self._public_url = public_url
        self._clock = clock

    def url(self, org: int, cdr_id: str, artifact: str, lasts_ms: int = SHORT_MS) -> str:
        """A link for this org that lasts so long from now."""
        end = self._clock() + lasts_ms
        signature = self._signature(org, cdr_id, artifact, end)
        path = f"/v1/downloads/{cdr_id}/{artifact}"
        return f"{self._public_url}{path}?org={org}&expires={end}&signature={signature}"

    def check(self, cdr_id: str, artifact: str, query: Mapping[str, str]) -> Download:
        """What a link stands for; raises `NotFound` for all that is not one of ours, or over."""
        org, end = query.get("org", ""), query.get("expires", "")
        if not (_NUMBER.fullmatch(org) and _NUMBER.fullmatch(end)):
            raise NotFound
        wanted = self._signature(int(org), cdr_id, artifact, int(end))
        given = query.get("signature", "")
        same = hmac.compare_digest(wanted.encode(), given.encode(errors="replace"))
        if not same or int(end) <= self._clock():
            raise NotFound
        return Download(int(org), cdr_id, artifact)

    def _signature(self, org: int, cdr_id: str, artifact: str, end: int) -> str:
        # Each part has its length before it: no two links have the same text.
        parts = [str(org), cdr_id, artifact, str(end)]
        text = "".join(f"{len(part)}:{part}" for part in parts)
        digest = hmac.digest(self._key, text.encode(errors="surrogatepass"), "sha256")
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
