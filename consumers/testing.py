"""For tests of a buyer's own code: a gateway in memory, over real gRPC.

    async with FakeGateway() as gateway:
        gateway.add(a_record())
        ...run a consumer against gateway.target...
        await gateway.settled(1)
        assert gateway.states() == {"lead-1.buyer-a": "DELIVERED"}

`FakeGateway` keeps the rules of reports (attempts, repeats, final states, receipts) but
no schedule: what is deferred waits until `resend`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import grpc
import grpc.aio
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc import code_pb2
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from leadgate.v1.delivery_pb2 import ClaimStatus, DeliveryState, LeadRecord, Receipt
from leadgate.v1.delivery_service_pb2 import (
    DeliveryOutcome,
    DeliveryReport,
    DeliveryReportResult,
    ReportDeliveriesRequest,
    ReportDeliveriesResponse,
    StreamDeliveriesRequest,
    StreamDeliveriesResponse,
)
from leadgate.v1.delivery_service_pb2_grpc import (
    DeliveryServiceServicer,
    add_DeliveryServiceServicer_to_server,
)
from leadgate.v1.lead_pb2 import Cdr, Contact, Lead, Share

API_KEY = "buyer-a.0123456789abcdef"
"""The key that a `FakeGateway` accepts."""

_STATE_AFTER = {
    DeliveryOutcome.DELIVERY_OUTCOME_DELIVERED: DeliveryState.DELIVERY_STATE_DELIVERED,
    DeliveryOutcome.DELIVERY_OUTCOME_BUYER_REJECTED: DeliveryState.DELIVERY_STATE_BUYER_REJECTED,
    DeliveryOutcome.DELIVERY_OUTCOME_FAILED: DeliveryState.DELIVERY_STATE_FAILED,
    DeliveryOutcome.DELIVERY_OUTCOME_DEFERRED: DeliveryState.DELIVERY_STATE_PENDING,
}


def a_record(
    lead_id: str = "lead-1",
    *,
    buyer_id: str = "buyer-a",
    attempt: int = 1,
    share_urls: dict[str, str] | None = None,
    receipts: tuple[Receipt, ...] = (),
    phone: str = "+12015550123",
    email: str = "person42@example.com",
) -> LeadRecord:
    """A whole record with one CDR for each of `share_urls` (by cdr_id; one by default)."""
    urls = share_urls or {f"cdr-{lead_id}": "https://evidence.example.com/v1/shares/token-0123456"}
    return LeadRecord(
        delivery_id=f"{lead_id}.{buyer_id}",
        lead_id=lead_id,
        buyer_id=buyer_id,
        generator_id="generator-a",
        attempt=attempt,
        lead=Lead(contact=Contact(first_name="Test", phone=phone, email=email)),
        cdrs=[Cdr(cdr_id=cdr_id) for cdr_id in urls],
        shares=[Share(cdr_id=cdr_id, share_url=url) for cdr_id, url in urls.items()],
        receipts=receipts,
    )


def a_receipt(cdr_id: str, status: ClaimStatus = ClaimStatus.CLAIM_STATUS_CLAIMED) -> Receipt:
    """A whole receipt of a claim that collected."""
    return Receipt(
        cdr_id=cdr_id,
        status=status,
        host="evidence.example.com",
        http_status=200,
        collect=True,
        body_sha256=bytes(32),
    )


@dataclass
class _Delivery:
    record: LeadRecord
    state: DeliveryState = DeliveryState.DELIVERY_STATE_PUBLISHED
    reason: str = ""
    leased: bool = False
    receipts: dict[str, Receipt] = field(default_factory=dict)


class FakeGateway(DeliveryServiceServicer):
    """DeliveryService of one buyer in memory, served on a free port of 127.0.0.1."""

    def __init__(self, port: int = 0) -> None:
        self.reports: list[DeliveryReport] = []
        """Every report that was answered, in the order they came."""
        self.failures: list[tuple[grpc.StatusCode, float]] = []
        """Codes, each with the seconds of a RetryInfo or 0, that answer the next calls."""
        self.calls = 0
        """How many calls of ReportDeliveries there were."""
        self.hold = asyncio.Event()
        """Cleared: ReportDeliveries answers nobody until it is set again."""
        self.hold.set()
        self.deliveries: dict[str, _Delivery] = {}
        self._due: deque[str] = deque()
        self._ended: set[str] = set()
        self._news = asyncio.Condition()
        self._port = port
        self._server: grpc.aio.Server | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def target(self) -> str:
        """Where it listens, `host:port`; the same after a restart."""
        return f"127.0.0.1:{self._port}"

    async def start(self) -> None:
        """Starts serving."""
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        add_DeliveryServiceServicer_to_server(self, self._server)
        self._port = self._server.add_insecure_port(self.target)
        await self._server.start()

    async def stop(self) -> None:
        """Breaks every call and stops serving, as a crash would."""
        if self._server is not None:
            await self._server.stop(grace=None)

    def add(self, *records: LeadRecord) -> None:
        """Puts deliveries up for the next stream, or for reports alone."""
        for record in records:
            self.deliveries[record.delivery_id] = _Delivery(record)
            self._due.append(record.delivery_id)
        self._tell()

    def resend(self, delivery_id: str) -> LeadRecord:
        """Makes a delivery due again with its next attempt and the receipts so far."""
        delivery = self.deliveries[delivery_id]
        delivery.record.attempt += 1
        del delivery.record.receipts[:]
        delivery.record.receipts.extend(delivery.receipts.values())
        delivery.state, delivery.leased = DeliveryState.DELIVERY_STATE_PUBLISHED, False
        self._ended.discard(delivery_id)
        self._due.append(delivery_id)
        self._tell()
        return delivery.record

    def states(self) -> dict[str, str]:
        """The state of each delivery, such as `DELIVERED`."""
        return {key: _name(each.state) for key, each in self.deliveries.items()}

    def reason(self, delivery_id: str) -> str:
        """Why a delivery stands where it stands."""
        return self.deliveries[delivery_id].reason

    async def until(self, holds: Callable[[], object], *, seconds: float = 20) -> None:
        """Waits until `holds()`, asked whenever something happens here."""
        async with asyncio.timeout(seconds), self._news:
            await self._news.wait_for(holds)

    async def settled(self, count: int, *, seconds: float = 20) -> None:
        """Waits until so many deliveries have reached a final state."""
        await self.until(lambda: len(self._ended) >= count, seconds=seconds)

    async def ReportDeliveries(  # noqa: N802 -- named by the contract
        self, request: ReportDeliveriesRequest, context: Any
    ) -> ReportDeliveriesResponse:
        """Answers as the gateway does, or with the next of `failures`."""
        self.calls += 1
        self._tell()
        await self._admit(context)
        await self.hold.wait()
        results = [self._settle(report) for report in request.reports]
        self._tell()
        return ReportDeliveriesResponse(results=results)

    async def StreamDeliveries(  # noqa: N802 -- named by the contract
        self, request: StreamDeliveriesRequest, context: Any
    ) -> AsyncIterator[StreamDeliveriesResponse]:
        """Leases deliveries, at most `max_unsettled`; its end releases them."""
        await self._admit(context)
        mine: list[_Delivery] = []
        try:
            while True:
                delivery = await self._next(mine, request.max_unsettled or 64)
                mine.append(delivery)
                yield StreamDeliveriesResponse(record=delivery.record)
        finally:
            for delivery in mine:
                if delivery.leased and not _is_final(delivery.state):
                    self.resend(delivery.record.delivery_id)

    async def _next(self, mine: list[_Delivery], limit: int) -> _Delivery:
        def free() -> bool:
            mine[:] = [each for each in mine if each.leased]
            while self._due and not _is_due(self.deliveries[self._due[0]]):
                self._due.popleft()
            return bool(self._due) and len(mine) < limit

        async with self._news:
            await self._news.wait_for(free)
        delivery = self.deliveries[self._due.popleft()]
        delivery.leased = True
        self._tell()
        return delivery

    async def _admit(self, context: Any) -> None:
        if dict(context.invocation_metadata()).get("x-api-key") != API_KEY:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "no such key")
        if not self.failures:
            return
        code, retry_seconds = self.failures.pop(0)
        self._tell()
        if retry_seconds:
            status = Status(
                code=code.value[0], message="overloaded", details=[_packed_delay(retry_seconds)]
            )
            context.set_trailing_metadata(
                (("grpc-status-details-bin", status.SerializeToString()),)
            )
        await context.abort(code, "told to fail")

    def _settle(self, report: DeliveryReport) -> DeliveryReportResult:
        self.reports.append(report)
        delivery = self.deliveries.get(report.delivery_id)
        if delivery is None:
            return _refused(report, code_pb2.NOT_FOUND, "DELIVERY_NOT_FOUND")
        for receipt in report.receipts:
            delivery.receipts[receipt.cdr_id] = receipt
        after = _STATE_AFTER[report.outcome]
        if _is_final(delivery.state) and delivery.state != after:
            return _refused(report, code_pb2.FAILED_PRECONDITION, "ALREADY_SETTLED", delivery.state)
        if report.attempt < delivery.record.attempt:
            return _refused(report, code_pb2.FAILED_PRECONDITION, "STALE_ATTEMPT", delivery.state)
        cdr_ids = {share.cdr_id for share in delivery.record.shares}
        held = delivery.receipts.keys() | {each.cdr_id for each in delivery.record.receipts}
        if after == DeliveryState.DELIVERY_STATE_DELIVERED and not cdr_ids <= held:
            return _refused(report, code_pb2.FAILED_PRECONDITION, "CLAIM_MISSING", delivery.state)
        delivery.state, delivery.reason, delivery.leased = after, report.reason, False
        if _is_final(after):
            self._ended.add(report.delivery_id)
        return DeliveryReportResult(delivery_id=report.delivery_id, state=after)

    def _tell(self) -> None:
        async def notify() -> None:
            async with self._news:
                self._news.notify_all()

        task = asyncio.ensure_future(notify())
        self._telling = task  # kept, so that it is not collected before it has run


def _is_final(state: DeliveryState) -> bool:
    return state in (
        DeliveryState.DELIVERY_STATE_DELIVERED,
        DeliveryState.DELIVERY_STATE_BUYER_REJECTED,
        DeliveryState.DELIVERY_STATE_FAILED,
    )


def _is_due(delivery: _Delivery) -> bool:
    return delivery.state == DeliveryState.DELIVERY_STATE_PUBLISHED and not delivery.leased


def _name(state: DeliveryState) -> str:
    return DeliveryState.Name(state).removeprefix("DELIVERY_STATE_")


def _refused(
    report: DeliveryReport,
    code: int,
    reason: str,
    state: DeliveryState = DeliveryState.DELIVERY_STATE_UNSPECIFIED,
) -> DeliveryReportResult:
    detail = AnyMessage()
    detail.Pack(ErrorInfo(reason=reason, domain="leadgate"))
    error = Status(code=code, message=reason, details=[detail])
    return DeliveryReportResult(delivery_id=report.delivery_id, state=state, error=error)


def _packed_delay(seconds: float) -> AnyMessage:
    info = RetryInfo()
    info.retry_delay.FromMilliseconds(int(seconds * 1000))
    detail = AnyMessage()
    detail.Pack(info)
    return detail
