"""Retention: evidence is deleted when its time is over, unless a legal hold stops it.

What is deleted: the facts of the CDR, its metadata and search entries, its uploads,
images and reports, and the details of its custody log. What stays: that there was a
CDR, its bills, and the chain of its log, which still verifies. The rows go in one
transaction, which leaves a job to delete the blobs: a crash between the two loses no job.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import structlog

from evidence.blobs import Blobs
from evidence.clock import Clock
from evidence.commands import Command, Query
from evidence.jobs import Job, JobLedger, Plan
from leadgate.waits import happens

log = structlog.get_logger("evidence.retention")

PURGE = "purge"
"""Kind of the jobs that delete blobs."""

RELEASED = "released"
"""Kind of the news that a hold has ended."""

PLAN = Plan(delays_seconds=(60, 600, 3600, *[6 * 3600.0] * 28), slots=2)
"""For a week: a blob store that is away must not keep what was to be deleted."""

_AT_ONCE = 100
_LONGEST_SECONDS = 3600.0
_BROKEN_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class HoldCdr(Command[int]):
    """Holds a CDR back from deletion and answers since when.

    The reason is the operator's own and goes to no org. A CDR that is held already
    stays so, with its reason. Refused with `NotFound` without it, or where it was deleted.
    """

    cdr_id: str
    reason: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ReleaseCdr(Command[None]):
    """Ends a hold; where its time was over, it is deleted next. `NotFound` without the CDR."""

    cdr_id: str


@dataclass(frozen=True, slots=True)
class PurgeDue(Command[int]):
    """Deletes up to `limit` CDRs whose time is over and which are not held; answers how many."""

    limit: int


@dataclass(frozen=True, slots=True)
class NextPurge(Query[int | None]):
    """When the next CDR is due to be deleted, in Unix milliseconds; None without one."""


@dataclass(frozen=True, slots=True)
class Keeping:
    """How long a CDR is kept: until when, and since when and why it is held."""

    cdr_id: str
    retain_until_ms: int | None
    hold_ms: int | None
    hold_reason: str | None = field(repr=False)
    purge_ms: int | None


@dataclass(frozen=True, slots=True)
class GetKeeping(Query[Keeping]):
    """How long a CDR is kept; `NotFound` without it."""

    cdr_id: str


class Retention:
    """Deletes what is due: `sweep` the rows, `delete` the blobs of one job."""

    def __init__(self, ledger: JobLedger, blobs: Blobs, clock: Clock) -> None:
        self._ledger = ledger
        self._blobs = blobs
        self._clock = clock

    async def sweep(self) -> int:
        """Deletes everything that is due; answers how many CDRs."""
        count = 0
        while purged := await self._ledger.write(PurgeDue(_AT_ONCE)):
            count += purged
        if count:
            log.info("cdrs deleted", count=count)
        return count

    async def delete(self, job: Job) -> None:
        """Deletes the blobs of a CDR that was deleted."""
        for key in job.payload["keys"]:
            await self._blobs.delete(key)

    async def run(self) -> None:
        """Sweeps whenever something is due, until cancelled."""
        released = self._ledger.news(RELEASED)
        while True:
            released.clear()
            seconds = await self._swept()
            await happens(released, seconds)

    async def _swept(self) -> float:
        """Sweeps once; how long to wait before the next time."""
        try:
            await self.sweep()
            due_ms = await self._ledger.read(NextPurge())
        except Exception as error:
            # The loop must survive a full queue or a full disk.
            log.error("nothing can be deleted", error=type(error).__name__)
            return _BROKEN_SECONDS
        if due_ms is None:
            return _LONGEST_SECONDS
        return min(_LONGEST_SECONDS, max(0.1, (due_ms - self._clock()) / 1000))


@asynccontextmanager
async def sweeping(retention: Retention) -> AsyncIterator[None]:
    """Runs the sweeps in the background of the block."""
    task = asyncio.create_task(retention.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
