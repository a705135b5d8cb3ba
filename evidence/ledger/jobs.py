"""The durable queue in the ledger; see `evidence.jobs`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import func, insert, select, update

from evidence.jobs import (
    AddJob,
    CountJobs,
    FailJob,
    FinishJob,
    Job,
    ReleaseJobs,
    RestartJobs,
    RetryJob,
    TakeJobs,
    Taken,
    payload_text,
)
from evidence.ledger.tables import jobs
from evidence.ledger.transaction import Transaction

_FREE = {"error": None, "finish_ms": None}


def add(
    tx: Transaction,
    kind: str,
    dedupe: str,
    *,
    cdr: int | None = None,
    payload: Mapping[str, Any] | None = None,
) -> None:
    """Adds a job that is due now; nothing happens where there was one of this name ever."""
    known = select(jobs.c.number).where(jobs.c.kind == kind, jobs.c.dedupe == dedupe)
    if tx.connection.scalar(known) is not None:
        return
    row = {
        "kind": kind,
        "dedupe": dedupe,
        "cdr": cdr,
        "payload": payload_text(payload or {}),
        "state": "waiting",
        "due_ms": tx.now_ms,
        "create_ms": tx.now_ms,
    }
    tx.connection.execute(insert(jobs), row)
    tx.news.add(kind)


def finish(tx: Transaction, job: Job) -> None:
    """Marks a job as done in the transaction of the deed; see `FinishJob`."""
    _end(tx, job, state="done", due_ms=None, error=None, finish_ms=tx.now_ms)


def _add(tx: Transaction, job: AddJob) -> None:
    add(tx, job.kind, job.dedupe, payload=job.payload)


def _take(tx: Transaction, take: TakeJobs) -> Taken:
    # The constant condition is what the partial index is found by.
    mine = (jobs.c.kind == take.kind) & jobs.c.due_ms.is_not(None)
    due = select(jobs).where(mine, jobs.c.due_ms <= tx.now_ms).order_by(jobs.c.due_ms)
    free = due.limit(take.limit).with_for_update(skip_locked=True)
    taken = [_taken(tx, row, take.lease_ms) for row in tx.connection.execute(free).all()]
    next_due_ms = tx.connection.scalar(select(func.min(jobs.c.due_ms)).where(mine))
    return Taken(taken, next_due_ms)


def _taken(tx: Transaction, row: Any, lease_ms: int) -> Job:
    attempts = row.attempts + 1
    leased = {"state": "running", "attempts": attempts, "due_ms": tx.now_ms + lease_ms}
    tx.connection.execute(update(jobs).where(jobs.c.number == row.number).values(leased))
    return Job(row.number, row.kind, row.dedupe, row.cdr, json.loads(row.payload), attempts)


def _retry(tx: Transaction, retry: RetryJob) -> None:
    due_ms = tx.now_ms + retry.delay_ms
    _end(tx, retry.job, state="waiting", due_ms=due_ms, error=retry.error)
    tx.news.add(retry.job.kind)


def _finish(tx: Transaction, done: FinishJob) -> None:
    finish(tx, done.job)


def _fail(tx: Transaction, fail: FailJob) -> None:
    _end(tx, fail.job, state="failed", due_ms=None, error=fail.error, finish_ms=tx.now_ms)


def _end(tx: Transaction, job: Job, **values: Any) -> None:
    """Ends an attempt, unless its lease had run out and another has begun."""
    this = (jobs.c.number == job.number) & (jobs.c.attempts == job.attempts)
    tx.connection.execute(update(jobs).where(this, jobs.c.state == "running").values(values))


def _release(tx: Transaction, _: ReleaseJobs) -> int:
    orphans = update(jobs).where(jobs.c.state == "running")
    return tx.connection.execute(orphans.values(state="waiting", due_ms=tx.now_ms)).rowcount


def _restart(tx: Transaction, restart: RestartJobs) -> int:
    failed = update(jobs).where(jobs.c.kind == restart.kind, jobs.c.state == "failed")
    fresh = {"state": "waiting", "attempts": 0, "due_ms": tx.now_ms, **_FREE}
    tx.news.add(restart.kind)
    return tx.connection.execute(failed.values(fresh)).rowcount


def _count(tx: Transaction, _: CountJobs) -> dict[tuple[str, str], int]:
    counted = select(jobs.c.kind, jobs.c.state, func.count()).group_by(jobs.c.kind, jobs.c.state)
    return {(kind, state): count for kind, state, count in tx.connection.execute(counted)}


WRITERS: Mapping[type, Callable[[Transaction, Any], Any]] = {
    AddJob: _add,
    TakeJobs: _take,
    FinishJob: _finish,
    RetryJob: _retry,
    FailJob: _fail,
    ReleaseJobs: _release,
    RestartJobs: _restart,
}
"""What this module does, by command."""

READERS: Mapping[type, Callable[[Transaction, Any], Any]] = {CountJobs: _count}
"""What this module answers, by query."""
