"""DeliveryService: what a buyer calls."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from gateway import paging, wire
from gateway.access import Caller
from gateway.delivery import State, parse_delivery_id
from gateway.errors import GatewayError, InvalidRequestError, NotFoundError, Violation
from gateway.market import Buyer, Market, Role
from gateway.reports import Ledger as ReportLedger
from gateway.rpc.filters import accepted_range, known_state
from gateway.rpc.status import status
from gateway.settlement import Report
from gateway.timeline import Filter
from gateway.timeline import Ledger as TimelineLedger
from leadgate.v1 import delivery_service_pb2 as pb
from leadgate.v1.delivery_pb2 import LeadRecord

MAX_REPORTS = 500
MAX_UNSETTLED = 1_000
DEFAULT_UNSETTLED = 64
_FIRST_PAGE = ((1 << 63) - 1, 0)
_STATE_STANDS = ("ALREADY_SETTLED", "STALE_ATTEMPT")


class Ledger(ReportLedger, TimelineLedger, Protocol):
    """What this service needs of the ledger."""

    @property
    def market(self) -> Market:
        """The market as last committed."""
        ...


class Streams(Protocol):
    """Hands out the deliveries of pull buyers; see `gateway.streams`."""

    def opened(
        self, buyer: Buyer, max_unsettled: int
    ) -> AbstractAsyncContextManager[AsyncIterator[LeadRecord]]:
        """Opens a stream of deliveries, each leased before it is handed out."""
        ...


class Replays(Protocol):
    """Sends deliveries again; see `gateway.ledger.resend`."""

    async def replay(self, buyer_id: str, accepted_from: int, accepted_until: int | None) -> int:
        """Sends again what was accepted in a range of time; returns how many."""
        ...


class DeliveryRpc:
    """Hands out deliveries of the calling buyer, and takes its reports."""

    def __init__(self, ledger: Ledger, streams: Streams, replays: Replays) -> None:
        self._ledger = ledger
        self._streams = streams
        self._replays = replays

    async def stream_deliveries(
        self, caller: Caller, request: pb.StreamDeliveriesRequest
    ) -> AsyncIterator[pb.StreamDeliveriesResponse]:
        """See the proto, as of all below."""
        buyer = self._buyer(caller, request.buyer_id)
        most = request.max_unsettled or DEFAULT_UNSETTLED
        if not 1 <= most <= MAX_UNSETTLED:
            problem = f"must be from 1 to {MAX_UNSETTLED}, or 0 for {DEFAULT_UNSETTLED}"
            raise InvalidRequestError([Violation("max_unsettled", problem)])
        async with self._streams.opened(buyer, most) as records:
            async for record in records:
                yield pb.StreamDeliveriesResponse(record=record)

    async def report_deliveries(
        self, caller: Caller, request: pb.ReportDeliveriesRequest
    ) -> pb.ReportDeliveriesResponse:
        """Judges each sound report in as few commits as may be."""
        buyer = self._buyer(caller, request.buyer_id)
        if not 1 <= len(request.reports) <= MAX_REPORTS:
            problem = f"must have 1 to {MAX_REPORTS} entries"
            raise InvalidRequestError([Violation("reports", problem)])
        checked = [_checked(message, buyer.buyer_id) for message in request.reports]
        sound = [item for item in checked if isinstance(item, Report)]
        answers = iter(self._ledger.settle(buyer.buyer_id, sound))
        results = []
        for message, item in zip(request.reports, checked, strict=True):
            if isinstance(item, GatewayError):
                results.append(_result(message.delivery_id, None, item))
                continue
            reported = await next(answers)
            results.append(_result(message.delivery_id, reported.state, reported.refusal))
        return pb.ReportDeliveriesResponse(results=results)

    async def get_delivery(
        self, caller: Caller, request: pb.GetDeliveryRequest
    ) -> pb.GetDeliveryResponse:
        """One delivery with its events."""
        parsed = parse_delivery_id(request.delivery_id)
        view = None
        if parsed and caller.scope(Role.BUYER, parsed[1]) == parsed[1]:
            view = await self._ledger.find_delivery(*parsed)
        if view is None:
            raise NotFoundError("no such delivery")
        return pb.GetDeliveryResponse(delivery=wire.delivery(view))

    async def list_deliveries(
        self, caller: Caller, request: pb.ListDeliveriesRequest
    ) -> pb.ListDeliveriesResponse:
        """A page of deliveries, newest lead first."""
        violations: list[Violation] = []
        accepted_from, accepted_until = accepted_range(request, violations)
        matching = Filter(
            buyer_id=caller.scope(Role.BUYER, request.buyer_id),
            request_id=request.request_id,
            state=known_state(request.state, violations),
            accepted_from=accepted_from,
            accepted_until=accepted_until,
        )
        scope = ("deliveries", repr(matching))
        page = paging.page(request.page_size, request.page_token, scope, _FIRST_PAGE, violations)
        if violations:
            raise InvalidRequestError(violations)
        views = await self._ledger.list_deliveries(matching, page.start, page.size + 1)
        shown = views[: page.size]
        more = len(views) > page.size
        return pb.ListDeliveriesResponse(
            deliveries=map(wire.delivery, shown),
            next_page_token=paging.encode(scope, shown[-1].position) if more else "",
        )

    async def replay_deliveries(
        self, caller: Caller, request: pb.ReplayDeliveriesRequest
    ) -> pb.ReplayDeliveriesResponse:
        """Sends deliveries once more."""
        buyer = self._buyer(caller, request.buyer_id)
        violations: list[Violation] = []
        accepted_from, accepted_until = accepted_range(request, violations)
        if accepted_from is None and not violations:
            violations.append(Violation("accepted_from", "must be set"))
        if violations or accepted_from is None:
            raise InvalidRequestError(violations)
        replayed = await self._replays.replay(buyer.buyer_id, accepted_from, accepted_until)
        return pb.ReplayDeliveriesResponse(replayed=replayed)

    def _buyer(self, caller: Caller, named: str) -> Buyer:
        buyer_id = caller.scope(Role.BUYER, named)
        if not buyer_id:
            raise InvalidRequestError([Violation("buyer_id", "must be named by an operator")])
        buyer = self._ledger.market.buyers.get(buyer_id)
        if buyer is None:
            raise NotFoundError("no such buyer")
        return buyer


def _checked(message: pb.DeliveryReport, buyer_id: str) -> Report | GatewayError:
    try:
        return wire.report(message, buyer_id)
    except GatewayError as refusal:
        return refusal


def _result(
    delivery_id: str, state: State | None, refusal: GatewayError | None
) -> pb.DeliveryReportResult:
    result = pb.DeliveryReportResult(delivery_id=delivery_id)
    if refusal is not None:
        result.error.CopyFrom(status(refusal))
    if state is not None and (refusal is None or refusal.reason in _STATE_STANDS):
        result.state = int(state)  # type: ignore[assignment]
    return result
