"""The durable queue: work that waits in the ledger until somebody has done it.

A job is added in the transaction of the deed that causes it, and taken under a lease:
whoever dies over it, however, leaves a lease that ends, and the job is due again. So
work is done at least once and must bear repetition. A job that fails is due later and
later, and in the end stays in the ledger as failed, with a code that says why.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import structlog

from evidence.clock import Clock
from evidence.commands import Command, Ledger, Query
from leadgate.waits import happens

log = structlog.get_logger("evidence.jobs")

RENDER, WEBHOOK = "render", "webhook"
"""Kinds of jobs: the picture and the report of a CDR, and a webhook on its way."""

_POLL_SECONDS = 30.0  # the longest wait: the system's clock may be set forward meanwhile
_BROKEN_SECONDS = 5.0
_LEASE_MARGIN_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Job:
    """A job that was taken. `attempts` counts this one, from 1."""

    number: int
    kind: str
    dedupe: str
    cdr: int | None
    payload: Mapping[str, Any] = field(repr=False)
    attempts: int


@dataclass(frozen=True, slots=True)
class Taken:
    """Answer to `TakeJobs`. `next_due_ms`: when the next of the kind is due, if there is one."""

    jobs: list[Job]
    next_due_ms: int | None


@dataclass(frozen=True, slots=True)
class AddJob(Command[None]):
    """Adds a job that is due now; nothing happens where there was one of this name ever.

    A deed that causes a job adds it in its own transaction instead.
    """

    kind: str
    dedupe: str
    payload: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class TakeJobs(Command[Taken]):
    """Takes up to `limit` jobs of a kind that are due, the oldest first, for `lease_ms`."""

    kind: str
    limit: int
    lease_ms: int


@dataclass(frozen=True, slots=True)
class FinishJob(Command[None]):
    """Marks a job as done. Nothing happens where a later attempt has it, or it has ended."""

    job: Job


@dataclass(frozen=True, slots=True)
class RetryJob(Command[None]):
    """Makes a job due again after `delay_ms`, with the code of what went wrong."""

    job: Job
    delay_ms: int
    error: str


@dataclass(frozen=True, slots=True)
class FailJob(Command[None]):
    """Ends a job as failed, with the code of what went wrong."""

    job: Job
    error: str


@dataclass(frozen=True, slots=True)
class ReleaseJobs(Command[int]):
    """Makes the jobs due that a process which is no more had taken; answers how many."""


@dataclass(frozen=True, slots=True)
class RestartJobs(Command[int]):
    """Makes failed jobs of a kind due again, from their first attempt; answers how many."""

    kind: str


@dataclass(frozen=True, slots=True)
class CountJobs(Query[dict[tuple[str, str], int]]):
    """How many jobs there are, by (kind, state)."""


class Later(Exception):
    """Raised by work that may succeed later. `after_seconds`: not before, whatever the plan."""

    def __init__(self, code: str, after_seconds: float | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.after_seconds = after_seconds


class Hopeless(Exception):
    """Raised by work that will not succeed, however often it is tried."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class News(Protocol):
    """A ledger that tells of new work."""

    def news(self, kind: str) -> asyncio.Event:
        """Set after each commit that leaves work of this kind."""
        ...


class JobLedger(Ledger, News, Protocol):
    """What a runner needs of the ledger."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How jobs of one kind are run.

    Attributes:
        delays_seconds: wait before the second attempt, the third, …; then it has failed.
        slots: how many are run at once.
        limit_seconds: how long one attempt may take, then it counts as failed.
    """

    delays_seconds: Sequence[float]
    slots: int = 1
    limit_seconds: float = 120.0


async def nothing(_: Job, __: str) -> None:
    """Does nothing more about a job that has failed."""


class Runner:
    """Runs the jobs of one kind: `work` does one, `failed` is told of one given up.

    `work` returns when the job is done, and raises `Later` or `Hopeless`; anything else
    it raises is logged and tried again. A `work` that commits the job's end together with
    its deed is the better one: finishing it here again then changes nothing.
    """

    def __init__(
        self,
        ledger: JobLedger,
        kind: str,
        work: Callable[[Job], Awaitable[None]],
        plan: Plan,
        *,
        clock: Clock,
        failed: Callable[[Job, str], Awaitable[None]] = nothing,
    ) -> None:
        self._ledger = ledger
        self._kind = kind
        self._work = work
        self._plan = plan
        self._clock = clock
        self._failed = failed
        self._news = ledger.news(kind)
        self._free = plan.slots

    async def run(self) -> None:
        """Runs until it is cancelled; jobs in hand are then due again at the next start."""
        async with asyncio.TaskGroup() as group:
            while True:
                self._news.clear()
                await happens(self._news, await self._take(group))

    async def _take(self, group: asyncio.TaskGroup) -> float:
        """Starts what is due and there is room for; how long to wait for more."""
        if not self._free:
            return _POLL_SECONDS
        lease_ms = int((self._plan.limit_seconds + _LEASE_MARGIN_SECONDS) * 1000)
        try:
            taken = await self._ledger.write(TakeJobs(self._kind, self._free, lease_ms))
        except Exception as error:
            # The loop must survive a full queue or a full disk.
            log.error("jobs cannot be taken", kind=self._kind, error=type(error).__name__)
            return _BROKEN_SECONDS
        for job in taken.jobs:
            self._free -= 1
            group.create_task(self._run(job))
        if taken.next_due_ms is None or not self._free:
            return _POLL_SECONDS
        return min(_POLL_SECONDS, (taken.next_due_ms - self._clock()) / 1000)

    async def _run(self, job: Job) -> None:
        try:
            await self._done(job)
        except Exception as error:
            # Its lease ends, and it is due again.
            log.error("job left alone", kind=job.kind, job=job.number, error=type(error).__name__)
        finally:
            self._free += 1
            self._news.set()

    async def _done(self, job: Job) -> None:
        try:
            async with asyncio.timeout(self._plan.limit_seconds):
                await self._work(job)
        except Later as later:
            await self._again(job, later)
        except Hopeless as hopeless:
            await self._give_up(job, hopeless.code)
        except TimeoutError:
            await self._again(job, Later("TIMEOUT"))
        except Exception as error:
            # Whatever it was, other jobs go on. The message may quote somebody's data.
            log.error("job broke", kind=job.kind, job=job.number, error=type(error).__name__)
            await self._again(job, Later("INTERNAL"))
        else:
            await self._ledger.write(FinishJob(job))

    async def _again(self, job: Job, later: Later) -> None:
        if job.attempts > len(self._plan.delays_seconds):
            await self._give_up(job, later.code)
            return
        planned = self._plan.delays_seconds[job.attempts - 1]
        delay_ms = int(max(planned, later.after_seconds or 0) * 1000)
        log.info("job again", kind=job.kind, job=job.number, error=later.code, delay_ms=delay_ms)
        await self._ledger.write(RetryJob(job, delay_ms, later.code))

    async def _give_up(self, job: Job, code: str) -> None:
        log.warning("job failed", kind=job.kind, job=job.number, error=code)
        await self._failed(job, code)
        await self._ledger.write(FailJob(job, code))


@asynccontextmanager
async def running(*runners: Runner) -> AsyncIterator[None]:
    """Runs runners in the background of the block; leaving cancels what they have in hand."""
    tasks = [asyncio.create_task(runner.run()) for runner in runners]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def payload_text(payload: Mapping[str, Any]) -> str:
    """A payload as it is stored."""
    return json.dumps(payload, separators=(",", ":"))
