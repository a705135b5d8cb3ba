"""Images and reports in the ledger; see `evidence.renders`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import select, update

from evidence.errors import NotFound
from evidence.jobs import RENDER
from evidence.ledger import custody
from evidence.ledger.tables import artifacts, cdrs, jobs
from evidence.ledger.transaction import Transaction
from evidence.ledger.webhooks import completed
from evidence.manifest import CAPTURE, IMAGE, REPORT, Artifact
from evidence.renders import (
    UNAVAILABLE,
    AddRendered,
    EndRender,
    GetToRender,
    ResumeRenders,
    ToRender,
)

_STATES = {IMAGE: cdrs.c.image_state, REPORT: cdrs.c.report_state}


def _get(tx: Transaction, query: GetToRender) -> ToRender:
    this = (cdrs.c.number == query.cdr) & cdrs.c.purge_ms.is_(None)
    row = tx.connection.execute(select(cdrs.c.cdr_id, cdrs.c.org).where(this)).one_or_none()
    found = {name: artifact_of(tx, query.cdr, name) for name in (CAPTURE, IMAGE)}
    upload = found[CAPTURE]
    if row is None or upload is None:
        raise NotFound
    return ToRender(row.cdr_id, row.org, upload, found[IMAGE])


def artifact_of(tx: Transaction, cdr: int, name: str) -> Artifact | None:
    """An artifact of a CDR by its name, if it is there."""
    this = (artifacts.c.cdr == cdr) & (artifacts.c.name == name)
    columns = (
        artifacts.c.name,
        artifacts.c.sha256,
        artifacts.c.size_bytes,
        artifacts.c.media_type,
        artifacts.c.blob_key,
        artifacts.c.encoding,
    )
    row = tx.connection.execute(select(*columns).where(this)).one_or_none()
    return None if row is None else Artifact(*row)


def _add(tx: Transaction, add: AddRendered) -> None:
    this = (cdrs.c.cdr_id == add.cdr_id) & cdrs.c.purge_ms.is_(None)
    number = tx.connection.scalar(select(cdrs.c.number).where(this))
    if number is None:
        raise NotFound
    custody.attach(tx, number, add.cdr_id, add.artifact)
    ready = {_STATES[add.artifact.name]: "ready", cdrs.c.image_error: None}
    tx.connection.execute(update(cdrs).where(this).values(ready))
    if add.artifact.name == IMAGE:
        completed(tx, number)


def _end(tx: Transaction, end: EndRender) -> None:
    this = (cdrs.c.number == end.cdr) & cdrs.c.purge_ms.is_(None)
    for state in _STATES.values():
        unfinished = update(cdrs).where(this, state.not_in(("ready", "none")))
        tx.connection.execute(unfinished.values({state: end.state, cdrs.c.image_error: end.error}))
    completed(tx, end.cdr)


def _resume(tx: Transaction, _: ResumeRenders) -> int:
    waiting = select(cdrs.c.number).where(
        cdrs.c.image_state == UNAVAILABLE, cdrs.c.purge_ms.is_(None)
    )
    numbers = list(tx.connection.scalars(waiting))
    ended = update(jobs).where(jobs.c.kind == RENDER, jobs.c.cdr.in_(waiting))
    tx.connection.execute(
        ended.values(state="waiting", attempts=0, due_ms=tx.now_ms, finish_ms=None)
    )
    for state in _STATES.values():
        again = update(cdrs).where(state == UNAVAILABLE, cdrs.c.purge_ms.is_(None))
        tx.connection.execute(again.values({state: "pending", cdrs.c.image_error: None}))
    tx.news.add(RENDER)
    return len(numbers)


WRITERS: Mapping[type, Callable[[Transaction, Any], Any]] = {
    AddRendered: _add,
    EndRender: _end,
    ResumeRenders: _resume,
}
"""What this module does, by command."""

READERS: Mapping[type, Callable[[Transaction, Any], Any]] = {GetToRender: _get}
"""What this module answers, by query."""
