"""Reports: gathered, repeated until answered, and each answer understood."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import grpc
import pytest
from google.rpc import code_pb2
from google.rpc.status_pb2 import Status

from consumers.errors import GatewayRefusesCall, GatewayUnavailable
from consumers.gateway import GrpcGateway
from consumers.reports import Reports, Standing
from consumers.testing import API_KEY, FakeGateway, a_receipt, a_record
from leadgate.v1.delivery_service_pb2 import (
    DeliveryOutcome,
    DeliveryReport,
    DeliveryReportResult,
)


def a_report(number: int = 1, *, attempt: int = 1, delivered: bool = True) -> DeliveryReport:
    """A report on delivery `lead-<number>.buyer-a`."""
    lead = f"lead-{number}"
    return DeliveryReport(
        delivery_id=f"{lead}.buyer-a",
        attempt=attempt,
        outcome=DeliveryOutcome.DELIVERY_OUTCOME_DELIVERED
        if delivered
        else DeliveryOutcome.DELIVERY_OUTCOME_FAILED,
        reason="" if delivered else "CDR_INVALID",
        receipts=[a_receipt(f"cdr-{lead}")],
    )


class Memory:
    """A gateway that notes the batches and answers when told to."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.failures: list[Exception] = []
        self.undecided: set[str] = set()
        self.at_once = self.most_at_once = 0
        self.called = asyncio.Event()
        self.open = asyncio.Event()
        self.open.set()

    async def report(self, reports: Sequence[DeliveryReport]) -> Sequence[DeliveryReportResult]:
        """Counts, waits, fails or answers."""
        self.batches.append(len(reports))
        self.called.set()
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await self.open.wait()
        self.at_once -= 1
        if self.failures:
            raise self.failures.pop(0)
        if any(report.delivery_id == "bad" for report in reports):
            raise GatewayRefusesCall("INVALID_ARGUMENT")
        return [self._result(report.delivery_id) for report in reports]

    def _result(self, delivery_id: str) -> DeliveryReportResult:
        if delivery_id not in self.undecided:
            return DeliveryReportResult(delivery_id=delivery_id)
        self.undecided.discard(delivery_id)
        return DeliveryReportResult(
            delivery_id=delivery_id, error=Status(code=code_pb2.UNAVAILABLE)
        )


async def test_all_that_wait_go_with_the_next_call() -> None:
    """The first goes at once; no timer, no call for each."""
    memory = Memory()
    memory.open.clear()
    async with Reports(memory) as reports:
        work = [asyncio.create_task(reports.report(a_report(1)))]
        await memory.called.wait()
        work += [asyncio.create_task(reports.report(a_report(n))) for n in range(700)]
        await asyncio.sleep(0)
        memory.open.set()
        answers = await asyncio.gather(*work)
    assert memory.batches == [1, 500, 200]
    assert memory.most_at_once == 2
    assert {answer.standing for answer in answers} == {Standing.COUNTED}


async def test_a_malformed_report_does_not_hold_up_the_others() -> None:
    """The gateway refuses the whole call; the batch is halved until the bad one is alone."""
    memory = Memory()
    memory.open.clear()
    async with Reports(memory) as reports:
        first = asyncio.create_task(reports.report(a_report(0)))
        good = [asyncio.create_task(reports.report(a_report(n))) for n in range(9)]
        bad = asyncio.create_task(reports.report(DeliveryReport(delivery_id="bad")))
        await asyncio.sleep(0)
        memory.open.set()
        answers = await asyncio.gather(first, *good)
        assert {answer.standing for answer in answers} == {Standing.COUNTED}
        assert (await bad).standing is Standing.REFUSED


async def test_an_item_without_an_answer_is_reported_again_and_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An item's own UNAVAILABLE says nothing of it, and nothing against the others."""
    monkeypatch.setattr("consumers.reports._UNDECIDED_SECONDS", 0.01)
    memory = Memory()
    memory.undecided = {"lead-1.buyer-a"}
    async with Reports(memory) as reports:
        answers = await asyncio.gather(*(reports.report(a_report(n)) for n in range(3)))
    assert {answer.standing for answer in answers} == {Standing.COUNTED}
    assert memory.batches[-1] == 1


async def test_a_caller_that_hangs_up_hurts_nobody() -> None:
    """Its future is gone; the batch is answered all the same."""
    memory = Memory()
    memory.open.clear()
    async with Reports(memory) as reports:
        gone = asyncio.create_task(reports.report(a_report(1)))
        stays = asyncio.create_task(reports.report(a_report(2)))
        await memory.called.wait()
        gone.cancel()
        memory.open.set()
        assert (await stays).standing is Standing.COUNTED


async def test_those_who_wait_at_the_end_are_let_go() -> None:
    """Leaving the context answers nobody, and leaves nobody hanging."""
    memory = Memory()
    memory.failures = [GatewayUnavailable("UNAVAILABLE", 3600)]
    async with Reports(memory) as reports:
        waiting = asyncio.create_task(reports.report(a_report(1)))
        await memory.called.wait()
    with pytest.raises(asyncio.CancelledError):
        await waiting


@pytest.mark.parametrize(
    "code",
    [
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.UNIMPLEMENTED,
    ],
)
async def test_a_call_without_an_answer_is_repeated(code: grpc.StatusCode) -> None:
    """Over real gRPC: the report counts once the gateway is well again."""
    async with (
        FakeGateway() as fake,
        GrpcGateway(fake.target, API_KEY) as gateway,
        Reports(gateway) as reports,
    ):
        fake.add(a_record())
        fake.failures = [(code, 0), (code, 0)]
        answer = await reports.report(a_report())
    assert answer.standing is Standing.COUNTED
    assert fake.calls == 3


async def test_retry_info_is_heeded() -> None:
    """The gateway says when; nobody comes before."""
    async with FakeGateway() as fake, GrpcGateway(fake.target, API_KEY) as gateway:
        fake.failures = [(grpc.StatusCode.RESOURCE_EXHAUSTED, 7.5)]
        with pytest.raises(GatewayUnavailable) as caught:
            await gateway.report([a_report()])
    assert caught.value.retry_seconds == 7.5


async def test_a_refused_key_waits_and_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """PERMISSION_DENIED is somebody's mistake, to be mended while the report waits."""
    monkeypatch.setattr("consumers.reports._REFUSED_SECONDS", 0.01)
    async with (
        FakeGateway() as fake,
        GrpcGateway(fake.target, API_KEY) as gateway,
        Reports(gateway) as reports,
    ):
        fake.add(a_record())
        fake.failures = [
            (grpc.StatusCode.PERMISSION_DENIED, 0),
            (grpc.StatusCode.UNAUTHENTICATED, 0),
        ]
        assert (await reports.report(a_report())).standing is Standing.COUNTED


async def test_each_error_of_an_item_is_understood() -> None:
    """Stale, settled and unknown finish a record; a missing claim does not pass for that."""
    async with (
        FakeGateway() as fake,
        GrpcGateway(fake.target, API_KEY) as gateway,
        Reports(gateway) as reports,
    ):
        fake.add(a_record("lead-1"), a_record("lead-2", attempt=2), a_record("lead-3"))
        bare = a_report(3)
        del bare.receipts[:]
        assert (await reports.report(a_report(1))).standing is Standing.COUNTED
        assert (await reports.report(a_report(1))).standing is Standing.COUNTED
        contradiction = await reports.report(a_report(1, delivered=False))
        assert contradiction == (Standing.SETTLED, "ALREADY_SETTLED")
        assert await reports.report(a_report(2)) == (Standing.STALE, "STALE_ATTEMPT")
        assert (await reports.report(a_report(9))).standing is Standing.SETTLED
        assert await reports.report(bare) == (Standing.REFUSED, "CLAIM_MISSING")
