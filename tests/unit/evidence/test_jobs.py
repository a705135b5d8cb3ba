"""The durable queue: taken under a lease, tried again, given up, and never lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import TypeVar

import pytest

from evidence import jobs
from evidence.jobs import (
    AddJob,
    CountJobs,
    FinishJob,
    Hopeless,
    Job,
    Later,
    Plan,
    ReleaseJobs,
    RestartJobs,
    Runner,
    TakeJobs,
)
from evidence.ledger.ledger import SqlLedger, opened
from evidence.signing import Vault
from tests.builders_evidence import ATime

Answer = TypeVar("Answer")

PLAN = Plan(delays_seconds=(10, 60), slots=2, limit_seconds=5)


@pytest.fixture
def clock() -> ATime:
    """A clock that stands still."""
    return ATime()


@pytest.fixture
async def ledger(tmp_path: Path, clock: ATime) -> AsyncIterator[SqlLedger]:
    """An empty ledger."""
    url = f"sqlite:///{tmp_path / 'evidence.db'}"
    async with opened(url, clock, Vault(tmp_path / "keys")) as ledger:
        yield ledger


async def test_a_job_is_taken_once_while_its_lease_lasts(ledger: SqlLedger, clock: ATime) -> None:
    """Then it is due again, and the answer of the first attempt counts no more."""
    await ledger.write(AddJob("render", "cdr_1"))
    (first,) = (await ledger.write(TakeJobs("render", 9, 1000))).jobs
    assert (await ledger.write(TakeJobs("render", 9, 1000))).jobs == []
    clock.now_ms += 1000
    (second,) = (await ledger.write(TakeJobs("render", 9, 1000))).jobs
    assert (first.attempts, second.attempts) == (1, 2)
    await ledger.write(FinishJob(first))
    assert await ledger.read(CountJobs()) == {("render", "running"): 1}
    await ledger.write(FinishJob(second))
    assert await ledger.read(CountJobs()) == {("render", "done"): 1}


async def test_a_name_is_a_job_once_for_ever(ledger: SqlLedger) -> None:
    """The same deed twice does not do the work twice; another kind is another job."""
    for kind in ("render", "render", "webhook"):
        await ledger.write(AddJob(kind, "cdr_1"))
    assert await ledger.read(CountJobs()) == {("render", "waiting"): 1, ("webhook", "waiting"): 1}


async def test_what_a_dead_process_had_taken_is_due_at_the_next_start(tmp_path: Path) -> None:
    """Nobody waits for the lease: the process that holds the database is the only one."""
    url, clock, vault = f"sqlite:///{tmp_path / 'e.db'}", ATime(), Vault(tmp_path / "keys")
    async with opened(url, clock, vault) as ledger:
        await ledger.write(AddJob("render", "cdr_1"))
        await ledger.write(TakeJobs("render", 1, 3_600_000))
    async with opened(url, clock, vault) as ledger:
        assert await ledger.write(ReleaseJobs()) == 1
        (job,) = (await ledger.write(TakeJobs("render", 1, 1000))).jobs
        assert job.attempts == 2


async def test_work_is_done_as_it_comes(ledger: SqlLedger, clock: ATime) -> None:
    """What waited before the start, and what is added later, without a poll."""
    done: asyncio.Queue[str] = asyncio.Queue()

    async def work(job: Job) -> None:
        await done.put(job.dedupe)

    await ledger.write(AddJob("render", "before"))
    async with jobs.running(Runner(ledger, "render", work, PLAN, clock=clock)):
        assert await soon(done.get()) == "before"
        await ledger.write(AddJob("render", "after"))
        assert await soon(done.get()) == "after"


async def test_work_is_tried_again_at_its_time_and_then_given_up(
    ledger: SqlLedger, clock: ATime
) -> None:
    """Twice more, 10 and 60 s later; the failure is told once and stays visible."""
    tried, given_up = asyncio.Queue[int](), asyncio.Queue[str]()

    async def work(job: Job) -> None:
        await tried.put(job.attempts)
        raise Later("NOT_YET")

    async def failed(_: Job, code: str) -> None:
        await given_up.put(code)

    runner = Runner(ledger, "render", work, PLAN, clock=clock, failed=failed)
    await ledger.write(AddJob("render", "cdr_1"))
    async with jobs.running(runner):
        for attempt, delay_ms in ((1, 10_000), (2, 60_000)):
            assert await soon(tried.get()) == attempt
            await until(ledger, ("render", "waiting"))
            clock.now_ms += delay_ms - 1
            assert (await ledger.write(TakeJobs("render", 1, 1))).jobs == []
            clock.now_ms += 1
            ledger.news("render").set()
        assert await soon(tried.get()) == 3
        assert await soon(given_up.get()) == "NOT_YET"
        await until(ledger, ("render", "failed"))


async def test_failed_jobs_can_be_started_over(ledger: SqlLedger, clock: ATime) -> None:
    """An operator who mended the cause gets every failed job of the kind done."""
    mended = False

    async def work(_: Job) -> None:
        if not mended:
            raise Hopeless("BROKEN")

    await ledger.write(AddJob("render", "cdr_1"))
    async with jobs.running(Runner(ledger, "render", work, PLAN, clock=clock)):
        await until(ledger, ("render", "failed"))
        mended = True
        assert await ledger.write(RestartJobs("render")) == 1
        await until(ledger, ("render", "done"))


@pytest.mark.parametrize(
    "trouble", [Later("NOT_YET", 3600), RuntimeError("secret"), TimeoutError()]
)
async def test_one_bad_job_does_not_hold_up_the_others(
    ledger: SqlLedger, clock: ATime, trouble: Exception
) -> None:
    """Whatever its work raises; it waits for its next attempt."""

    async def work(job: Job) -> None:
        if job.dedupe == "bad":
            raise trouble

    for name in ("bad", "good"):
        await ledger.write(AddJob("render", name))
    async with jobs.running(Runner(ledger, "render", work, PLAN, clock=clock)):
        await until(ledger, ("render", "done"))
        await until(ledger, ("render", "waiting"))


async def test_no_more_than_the_slots_run_at_once(ledger: SqlLedger, clock: ATime) -> None:
    """Two of five; the others start as slots come free."""
    running, most = 0, 0
    go_on = asyncio.Event()

    async def work(_: Job) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        if running == PLAN.slots:
            go_on.set()
        await go_on.wait()
        running -= 1

    for number in range(5):
        await ledger.write(AddJob("render", str(number)))
    async with jobs.running(Runner(ledger, "render", work, PLAN, clock=clock)):
        await until(ledger, ("render", "done"), 5)
    assert most == PLAN.slots


async def until(ledger: SqlLedger, what: tuple[str, str], count: int = 1) -> None:
    """Waits until so many jobs are in a state."""

    async def reached() -> None:
        while (await ledger.read(CountJobs())).get(what, 0) < count:
            pass

    await soon(reached())


async def soon(waiting: Awaitable[Answer]) -> Answer:
    """Bounds a wait."""
    return await asyncio.wait_for(waiting, 10)
