"""The loop, with everything around it in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest
from structlog.testing import capture_logs

from consumers.claimer import Claims
from consumers.consumer import BuyerConsumer
from consumers.errors import Defer, Reject
from consumers.outcome import Outcome
from consumers.record import DeliveredLead
from consumers.sinks import HandlerSink
from consumers.source import Handed, Taken, Unreadable
from consumers.testing import a_receipt, a_record
from leadgate.v1.delivery_pb2 import LeadRecord
from leadgate.v1.delivery_service_pb2 import DeliveryReport, DeliveryReportResult
from tests.fakes.reporting import refusal


class MemorySource:
    """Hands out what it is given, and notes what is finished."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[Taken] = asyncio.Queue()
        self.finished: list[Taken] = []
        self.buried: list[Unreadable] = []

    def hand(self, record: LeadRecord) -> Handed:
        """Puts a record up."""
        handed = Handed(record)
        self.queue.put_nowait(handed)
        return handed

    async def take(self) -> Taken:
        """The next."""
        return await self.queue.get()

    def finish(self, taken: Taken) -> None:
        """Notes it."""
        self.finished.append(taken)

    async def bury(self, unreadable: Unreadable) -> None:
        """Notes it."""
        self.buried.append(unreadable)


class GrantingClaimer:
    """Has a receipt for every share."""

    def __init__(self) -> None:
        self.failure: Outcome | None = None
        self.error: Exception | None = None

    async def claim(self, record: LeadRecord) -> Claims:
        """All at once."""
        if self.error is not None:
            raise self.error
        receipts = tuple(a_receipt(share.cdr_id) for share in record.shares)
        return Claims(receipts, receipts, self.failure)


class Desk:
    """A gateway that takes every report, unless told to answer otherwise."""

    def __init__(self) -> None:
        self.reports: list[DeliveryReport] = []
        self.answers: list[str] = []
        self.open = asyncio.Event()
        self.open.set()

    async def report(self, reports: Sequence[DeliveryReport]) -> Sequence[DeliveryReportResult]:
        """Notes and answers."""
        await self.open.wait()
        results = []
        for report in reports:
            self.reports.append(report)
            reason = self.answers.pop(0) if self.answers else ""
            results.append(refusal(report, reason))
        return results

    @property
    def told(self) -> list[tuple[str, int, str, str]]:
        """What was reported: lead, attempt, outcome, reason."""
        return [
            (
                report.delivery_id.split(".")[0],
                report.attempt,
                Outcome(report.outcome).name,
                report.reason,
            )
            for report in self.reports
        ]


class Bench:
    """A consumer with its surroundings."""

    def __init__(self, *, in_flight: int = 4, drain_seconds: float = 5) -> None:
        self.source = MemorySource()
        self.claimer = GrantingClaimer()
        self.desk = Desk()
        self.stop = asyncio.Event()
        self.leads: list[DeliveredLead] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.error: Exception | None = None
        self.consumer = BuyerConsumer(
            self.source,
            self.claimer,
            HandlerSink(self.handle),
            self.desk,
            in_flight=in_flight,
            drain_seconds=drain_seconds,
        )

    async def handle(self, lead: DeliveredLead) -> None:
        """The buyer's handler."""
        self.leads.append(lead)
        await self.gate.wait()
        if self.error is not None:
            raise self.error

    async def until(self, holds: Callable[[], object]) -> None:
        """Waits for a condition without a clock."""
        async with asyncio.timeout(5):
            while not holds():  # noqa: ASYNC110 -- one turn of the loop at a time
                await asyncio.sleep(0)

    async def __aenter__(self) -> Bench:
        self.running = asyncio.create_task(self.consumer.run(self.stop))
        return self

    async def __aexit__(self, *_: object) -> None:
        self.stop.set()
        await self.running


async def test_a_lead_is_claimed_handed_over_reported_and_finished() -> None:
    """In this order, and finished only when the gateway has answered."""
    async with Bench() as bench:
        bench.desk.open.clear()
        handed = bench.source.hand(a_record())
        await bench.until(lambda: bench.leads)
        assert bench.source.finished == []
        bench.desk.open.set()
        await bench.until(lambda: bench.source.finished)
    assert bench.source.finished == [handed]
    assert bench.desk.told == [("lead-1", 1, "DELIVERED", "")]
    assert [each.cdr_id for each in bench.desk.reports[0].receipts] == ["cdr-lead-1"]


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (Reject("duplicate-customer"), ("BUYER_REJECTED", "DUPLICATE_CUSTOMER")),
        (Defer("crm-away"), ("DEFERRED", "CRM_AWAY")),
        (RuntimeError("person42@example.com"), ("DEFERRED", "HANDLER_FAILED")),
        (KeyError("x"), ("DEFERRED", "HANDLER_FAILED")),
    ],
)
async def test_a_handler_says_what_it_wants_by_raising(
    error: Exception, told: tuple[str, str]
) -> None:
    """Its own errors defer, and only their class is logged."""
    with capture_logs() as logs:
        async with Bench() as bench:
            bench.error = error
            bench.source.hand(a_record())
            await bench.until(lambda: bench.source.finished)
    assert bench.desk.told[0][2:] == told
    assert "person42@example.com" not in str(logs)


async def test_a_failed_claim_never_reaches_the_sink() -> None:
    """The receipts that there are go along all the same."""
    async with Bench() as bench:
        bench.claimer.failure = Outcome.failed("EVIDENCE_MISMATCH")
        bench.source.hand(a_record())
        await bench.until(lambda: bench.source.finished)
    assert bench.leads == []
    assert bench.desk.told == [("lead-1", 1, "FAILED", "EVIDENCE_MISMATCH")]
    assert len(bench.desk.reports[0].receipts) == 1


async def test_a_bug_defers_one_lead_and_stops_nobody() -> None:
    """Whatever the claimer trips over, the next lead goes on."""
    async with Bench() as bench:
        bench.claimer.error = RuntimeError("person42@example.com")
        bench.source.hand(a_record("lead-1"))
        await bench.until(lambda: bench.source.finished)
        bench.claimer.error = None
        bench.source.hand(a_record("lead-2"))
        await bench.until(lambda: len(bench.source.finished) == 2)
    assert [told[2:] for told in bench.desk.told] == [
        ("DEFERRED", "CONSUMER_ERROR"),
        ("DELIVERED", ""),
    ]


async def test_no_more_than_the_limit_is_in_flight() -> None:
    """Also while the gateway does not answer: nothing further is claimed."""
    async with Bench(in_flight=3) as bench:
        bench.desk.open.clear()
        for number in range(10):
            bench.source.hand(a_record(f"lead-{number}"))
        await bench.until(lambda: len(bench.leads) == 3)
        for _ in range(50):
            await asyncio.sleep(0)
        assert len(bench.leads) == bench.consumer.in_hand == 3
        bench.desk.open.set()
        await bench.until(lambda: len(bench.source.finished) == 10)


@pytest.mark.parametrize("reason", ["STALE_ATTEMPT", "ALREADY_SETTLED", "DELIVERY_NOT_FOUND"])
async def test_an_answer_that_changes_nothing_finishes_the_record(reason: str) -> None:
    """Somebody else has settled it, or nobody knows it."""
    async with Bench() as bench:
        bench.desk.answers = [reason]
        bench.source.hand(a_record())
        await bench.until(lambda: bench.source.finished)
    assert len(bench.desk.reports) == 1


@pytest.mark.parametrize(("reason", "kept"), [("CLAIM_MISSING", 1), ("INVALID", 0)])
async def test_a_report_that_is_refused_becomes_a_failure(reason: str, kept: int) -> None:
    """Reported once more as FAILED; refused again, it is logged and finished, not looped."""
    async with Bench() as bench:
        bench.desk.answers = [reason, reason]
        bench.source.hand(a_record())
        await bench.until(lambda: bench.source.finished)
    assert [told[2:] for told in bench.desk.told] == [("DELIVERED", ""), ("FAILED", reason)]
    assert len(bench.desk.reports[1].receipts) == kept


async def test_a_copy_of_what_is_in_hand_shares_its_fate() -> None:
    """A partition that came back brings the same attempt again: handled once."""
    async with Bench() as bench:
        bench.gate.clear()
        first = bench.source.hand(a_record())
        second = bench.source.hand(a_record())
        await bench.until(lambda: bench.leads and bench.source.queue.empty())
        bench.gate.set()
        await bench.until(lambda: len(bench.source.finished) == 2)
    assert len(bench.leads) == 1
    assert set(bench.source.finished) == {first, second}
    assert len(bench.desk.reports) == 1


async def test_a_newer_attempt_takes_over_the_work_of_the_older() -> None:
    """The stream broke, the lease ran out: what was done in between is reported for both."""
    async with Bench() as bench:
        bench.gate.clear()
        bench.source.hand(a_record(attempt=1))
        await bench.until(lambda: bench.leads)
        bench.source.hand(a_record(attempt=2))
        await bench.until(bench.source.queue.empty)
        bench.gate.set()
        await bench.until(lambda: len(bench.source.finished) == 2)
    assert len(bench.leads) == 1
    assert bench.desk.told == [("lead-1", 2, "DELIVERED", "")]


async def test_an_attempt_that_turns_stale_on_the_way_is_reported_anew() -> None:
    """The newer one arrives while the older one's report is being answered."""
    async with Bench() as bench:
        bench.desk.open.clear()
        bench.desk.answers = ["STALE_ATTEMPT"]
        bench.source.hand(a_record(attempt=1))
        await bench.until(lambda: bench.leads)
        await asyncio.sleep(0)
        bench.source.hand(a_record(attempt=2))
        await bench.until(bench.source.queue.empty)
        bench.desk.open.set()
        await bench.until(lambda: len(bench.source.finished) == 2)
    assert len(bench.leads) == 1
    assert [told[1] for told in bench.desk.told] == [1, 2]


@pytest.mark.parametrize(("replay", "handovers"), [(False, 1), (True, 2)])
async def test_an_attempt_that_follows_a_stale_report_is_not_handed_over_again(
    replay: bool, handovers: int
) -> None:
    """The stream broke while the report was on its way; only a replay goes out again."""
    async with Bench() as bench:
        bench.desk.answers = ["STALE_ATTEMPT"]
        bench.source.hand(a_record(attempt=1))
        await bench.until(lambda: bench.source.finished)
        newer = a_record(attempt=2)
        newer.replay = replay
        bench.source.hand(newer)
        await bench.until(lambda: len(bench.source.finished) == 2)
    assert len(bench.leads) == handovers
    assert [told[1:3] for told in bench.desk.told] == [(1, "DELIVERED"), (2, "DELIVERED")]
    assert [len(report.receipts) for report in bench.desk.reports] == [1, 1]


async def test_a_stale_deferral_leaves_the_newer_attempt_to_be_tried() -> None:
    """A deferral decides nothing."""
    async with Bench() as bench:
        bench.desk.answers = ["STALE_ATTEMPT"]
        bench.error = Defer("LATER")
        bench.source.hand(a_record(attempt=1))
        await bench.until(lambda: bench.source.finished)
        bench.error = None
        bench.source.hand(a_record(attempt=2))
        await bench.until(lambda: len(bench.source.finished) == 2)
    assert [told[1:3] for told in bench.desk.told] == [(1, "DEFERRED"), (2, "DELIVERED")]


async def test_an_attempt_that_follows_a_counted_report_is_worked_on_anew() -> None:
    """Deferred, counted, and sent again before the answer was here: that is another try."""
    async with Bench() as bench:
        bench.desk.open.clear()
        bench.error = Defer("LATER")
        bench.source.hand(a_record(attempt=1))
        await bench.until(lambda: bench.leads)
        for _ in range(5):
            await asyncio.sleep(0)
        bench.source.hand(a_record(attempt=2))
        await bench.until(bench.source.queue.empty)
        bench.error = None
        bench.desk.open.set()
        await bench.until(lambda: len(bench.source.finished) == 2)
    assert [told[1:3] for told in bench.desk.told] == [(1, "DEFERRED"), (2, "DELIVERED")]


async def test_an_undecodable_record_is_buried_before_it_is_finished() -> None:
    """And reported by its id where that is readable."""
    async with Bench() as bench:
        known = Unreadable("BAD_JSON", "lead-1.buyer-a", 3)
        unknown = Unreadable("BAD_JSON", "", 0)
        bench.source.queue.put_nowait(known)
        bench.source.queue.put_nowait(unknown)
        bench.source.hand(a_record("lead-2"))
        await bench.until(lambda: len(bench.source.finished) == 3)
    assert bench.source.buried == [known, unknown]
    assert ("lead-1", 3, "FAILED", "UNDECODABLE") in bench.desk.told
    assert len(bench.desk.told) == 2


async def test_a_stop_finishes_what_is_in_hand_and_takes_no_more() -> None:
    """Reported and finished, not dropped."""
    async with Bench(in_flight=1) as bench:
        bench.gate.clear()
        bench.source.hand(a_record("lead-1"))
        bench.source.hand(a_record("lead-2"))
        await bench.until(lambda: bench.leads)
        bench.stop.set()
        for _ in range(50):
            await asyncio.sleep(0)
        assert not bench.running.done()
        bench.gate.set()
    assert [told[0] for told in bench.desk.told] == ["lead-1"]
    assert bench.source.queue.qsize() == 1


async def test_a_stop_ends_in_time_although_work_hangs() -> None:
    """What is dropped was not finished, and comes again."""
    async with Bench(drain_seconds=0.05) as bench:
        bench.gate.clear()
        bench.source.hand(a_record())
        await bench.until(lambda: bench.leads)
    assert bench.source.finished == []
    assert bench.desk.reports == []


async def test_a_source_that_breaks_for_good_ends_the_run() -> None:
    """Loudly: a consumer that only looks alive helps nobody."""
    bench = Bench()

    async def broken() -> Taken:
        raise RuntimeError("broken")

    bench.source.take = broken  # type: ignore[method-assign]
    with pytest.raises(RuntimeError, match="broken"):
        await bench.consumer.run(asyncio.Event())
