"""Who may be handed an artifact, and the log of who was; see `evidence.downloads`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import select

from evidence.access import State
from evidence.custody import Event
from evidence.downloads import LOG_AGAIN_MS, GetArtifact, LogDownload
from evidence.errors import FailedPrecondition, Forbidden, NotFound
from evidence.ledger import custody as log
from evidence.ledger.renders import artifact_of
from evidence.ledger.rights import seen
from evidence.ledger.tables import cdrs, custody
from evidence.ledger.transaction import Transaction
from evidence.manifest import IMAGE, REPORT, Artifact

_STATES = {IMAGE: cdrs.c.image_state, REPORT: cdrs.c.report_state}


def _get(tx: Transaction, query: GetArtifact) -> Artifact:
    return _found(tx, query.org, query.cdr_id, query.name)[1]


def _found(tx: Transaction, org: int, cdr_id: str, name: str) -> tuple[int, Artifact]:
    if name not in _STATES:
        raise NotFound
    found, standing = seen(tx, org, cdr_id)
    if standing.state is not State.COLLECTED:
        raise Forbidden("a CDR that is only saved cannot be downloaded; collect it first")
    artifact = artifact_of(tx, found.number, name)
    if artifact is None:
        this = cdrs.c.number == found.number
        state = tx.connection.scalar(select(_STATES[name]).where(this))
        raise FailedPrecondition(f"{name}: {state}")
    return found.number, artifact


def _log(tx: Transaction, download: LogDownload) -> None:
    cdr, artifact = _found(tx, download.org, download.cdr_id, download.name)
    lately = select(custody.c.detail).where(
        custody.c.cdr == cdr,
        custody.c.event == str(Event.DOWNLOADED),
        custody.c.org == download.org,
        custody.c.at_ms > tx.now_ms - LOG_AGAIN_MS,
    )
    for detail in tx.connection.scalars(lately):
        if json.loads(detail).get("artifact") == download.name:
            return
    what = {"artifact": download.name, "sha256": artifact.sha256.hex()}
    log.append(tx, cdr, Event.DOWNLOADED, download.org, what)


WRITERS: Mapping[type, Callable[[Transaction, Any], Any]] = {LogDownload: _log}
"""What this module does, by command: it raises `EvidenceError`, before it has written."""

READERS: Mapping[type, Callable[[Transaction, Any], Any]] = {GetArtifact: _get}
"""What this module answers, by query."""
