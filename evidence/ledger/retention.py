"""Retention in the ledger: holds, and what is left of a CDR that was deleted."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import and_, delete, func, select, update

from evidence.custody import Event
from evidence.errors import NotFound
from evidence.ledger import custody as log
from evidence.ledger import jobs as queue
from evidence.ledger.tables import (
    artifacts,
    cdrs,
    custody,
    jobs,
    metadata_index,
    webhook_deliveries,
)
from evidence.ledger.transaction import Transaction
from evidence.metadata import entries
from evidence.retention import (
    PURGE,
    RELEASED,
    GetKeeping,
    HoldCdr,
    Keeping,
    NextPurge,
    PurgeDue,
    ReleaseCdr,
)

_NOTHING: Mapping[str, Any] = {
    "ip": None,
    "user_agent": None,
    "capture_ms": None,
    "url": None,
    "title": None,
    "browser": "{}",
    "sub_group_ids": "[]",
    "custom": "{}",
    "disclosures": "[]",
    "disclosure_claims": "{}",
    "disclosure_flags": "[]",
    "image_state": "none",
    "report_state": "none",
    "image_error": None,
    "hold_reason": None,
}
_due = and_(
    cdrs.c.purge_ms.is_(None), cdrs.c.hold_ms.is_(None), cdrs.c.retain_until_ms.is_not(None)
)


def _hold(tx: Transaction, hold: HoldCdr) -> int:
    row = _kept(tx, hold.cdr_id)
    if row.hold_ms is not None:
        return int(row.hold_ms)
    this = update(cdrs).where(cdrs.c.number == row.number)
    tx.connection.execute(this.values(hold_ms=tx.now_ms, hold_reason=hold.reason))
    log.append(tx, row.number, Event.HELD, None, {})
    return tx.now_ms


def _release(tx: Transaction, release: ReleaseCdr) -> None:
    row = _kept(tx, release.cdr_id)
    if row.hold_ms is None:
        return
    this = update(cdrs).where(cdrs.c.number == row.number)
    tx.connection.execute(this.values(hold_ms=None, hold_reason=None))
    log.append(tx, row.number, Event.RELEASED, None, {})
    tx.news.add(RELEASED)


def _kept(tx: Transaction, cdr_id: str) -> Any:
    this = and_(cdrs.c.cdr_id == cdr_id, cdrs.c.purge_ms.is_(None))
    row = tx.connection.execute(select(cdrs).where(this)).one_or_none()
    if row is None:
        raise NotFound
    return row


def _purge_due(tx: Transaction, purge: PurgeDue) -> int:
    over = and_(_due, cdrs.c.retain_until_ms <= tx.now_ms)
    columns = (cdrs.c.number, cdrs.c.cdr_id, cdrs.c.domain, cdrs.c.custom)
    wanted = select(*columns).where(over).order_by(cdrs.c.retain_until_ms).limit(purge.limit)
    rows = tx.connection.execute(wanted).all()
    for row in rows:
        _purge(tx, row)
    return len(rows)


def _purge(tx: Transaction, row: Any) -> None:
    mine = artifacts.c.cdr == row.number
    keys = list(tx.connection.scalars(select(artifacts.c.blob_key).where(mine)))
    _forget_entries(tx, row)
    _end_work(tx, row.number)
    tx.connection.execute(delete(artifacts).where(mine))
    details = update(custody).where(custody.c.cdr == row.number)
    tx.connection.execute(details.values(detail=None, salt=None))
    this = update(cdrs).where(cdrs.c.number == row.number)
    tx.connection.execute(this.values(**_NOTHING, purge_ms=tx.now_ms))
    log.append(tx, row.number, Event.PURGED, None, {})
    if keys:
        queue.add(tx, PURGE, row.cdr_id, payload={"keys": keys})


def _forget_entries(tx: Transaction, row: Any) -> None:
    # The index begins with the domain and the entry: by the CDR alone it would be read whole.
    for entry in entries(json.loads(row.custom)):
        this = and_(
            metadata_index.c.domain == row.domain,
            metadata_index.c.digest == entry,
            metadata_index.c.cdr == row.number,
        )
        tx.connection.execute(delete(metadata_index).where(this))


def _end_work(tx: Transaction, cdr: int) -> None:
    waiting = and_(jobs.c.cdr == cdr, jobs.c.due_ms.is_not(None))
    ended = {"state": "failed", "due_ms": None, "error": "PURGED", "finish_ms": tx.now_ms}
    tx.connection.execute(update(jobs).where(waiting).values(ended))
    untold = and_(webhook_deliveries.c.cdr == cdr, webhook_deliveries.c.state == "waiting")
    failed = {"state": "failed", "finish_ms": tx.now_ms}
    tx.connection.execute(update(webhook_deliveries).where(untold).values(failed))


def _next_purge(tx: Transaction, _: NextPurge) -> int | None:
    first = tx.connection.scalar(select(func.min(cdrs.c.retain_until_ms)).where(_due))
    return None if first is None else int(first)


def _get_keeping(tx: Transaction, query: GetKeeping) -> Keeping:
    columns = (
        cdrs.c.cdr_id,
        cdrs.c.retain_until_ms,
        cdrs.c.hold_ms,
        cdrs.c.hold_reason,
        cdrs.c.purge_ms,
    )
    wanted = select(*columns).where(cdrs.c.cdr_id == query.cdr_id)
    row = tx.connection.execute(wanted).one_or_none()
    if row is None:
        raise NotFound
    return Keeping(*row)


WRITERS: Mapping[type, Callable[[Transaction, Any], Any]] = {
    HoldCdr: _hold,
    ReleaseCdr: _release,
    PurgeDue: _purge_due,
}
"""What this module does, by command: it raises `EvidenceError`, before it has written."""

READERS: Mapping[type, Callable[[Transaction, Any], Any]] = {
    NextPurge: _next_purge,
    GetKeeping: _get_keeping,
}
"""What this module answers, by query."""
