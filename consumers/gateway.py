"""The gateway over gRPC: the one module here that knows grpc."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

import grpc
import grpc.aio
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from consumers.errors import (
    GatewayError,
    GatewayRefusesCall,
    GatewayRefusesKey,
    GatewayUnavailable,
)
from leadgate.v1.delivery_pb2 import LeadRecord
from leadgate.v1.delivery_service_pb2 import (
    DeliveryReport,
    DeliveryReportResult,
    ReportDeliveriesRequest,
    StreamDeliveriesRequest,
)
from leadgate.v1.delivery_service_pb2_grpc import DeliveryServiceStub

_REPORT_SECONDS = 15.0
_REFUSED_KEY = {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED}
_REFUSED_CALL = {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.FAILED_PRECONDITION}
_OPTIONS = [
    # A peer that is gone without a word is found within 30 s, also while nothing is sent:
    # a stream may have nothing to say for hours.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 5_000),
    ("grpc.max_receive_message_length", 4 << 20),
    # A proxy variable must not lead the buyer's key elsewhere.
    ("grpc.enable_http_proxy", 0),
]


class GrpcGateway:
    """One channel to the gateway, in plaintext; an async context manager.

    `target` is `host:port`, `api_key` a buyer's key.
    """

    def __init__(self, target: str, api_key: str) -> None:
        self._target = target
        self._metadata = (("x-api-key", api_key),)
        self._channel: grpc.aio.Channel | None = None
        self._stub: Any = None

    async def __aenter__(self) -> Self:
        # Inside the running loop: a channel belongs to the loop it was made in.
        self._channel = grpc.aio.insecure_channel(self._target, options=_OPTIONS)
        self._stub = DeliveryServiceStub(self._channel)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if self._channel is not None:
            await self._channel.close()

    async def report(self, reports: Sequence[DeliveryReport]) -> Sequence[DeliveryReportResult]:
        """Reports up to 500 deliveries, with a result for each. Raises `GatewayError`."""
        request = ReportDeliveriesRequest(reports=reports)
        with _translated():
            answer = await self._stub.ReportDeliveries(
                request, metadata=self._metadata, timeout=_REPORT_SECONDS
            )
        results: Sequence[DeliveryReportResult] = answer.results
        return results

    async def stream(self, max_unsettled: int) -> AsyncIterator[LeadRecord]:
        """Yields deliveries until the stream ends or breaks (`GatewayError`)."""
        request = StreamDeliveriesRequest(max_unsettled=max_unsettled)
        call = self._stub.StreamDeliveries(request, metadata=self._metadata)
        try:
            with _translated():
                async for response in call:
                    yield response.record
        finally:
            call.cancel()


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except grpc.aio.AioRpcError as error:
        raise _gateway_error(error) from None


def _gateway_error(error: grpc.aio.AioRpcError) -> GatewayError:
    # What is no plain refusal is tried again, also UNIMPLEMENTED: something else may
    # answer at the gateway's address for a while.
    code = error.code()
    if code in _REFUSED_KEY:
        return GatewayRefusesKey(code.name)
    if code in _REFUSED_CALL:
        return GatewayRefusesCall(code.name)
    return GatewayUnavailable(code.name, _retry_seconds(error))


def _retry_seconds(error: grpc.aio.AioRpcError) -> float:
    """The delay of `RetryInfo` in the status details, or 0."""
    trailers = dict(error.trailing_metadata() or ())
    details = trailers.get("grpc-status-details-bin", b"")
    info = RetryInfo()
    try:
        status = Status.FromString(details)
        found = any(each.Unpack(info) for each in status.details)
    except Exception:
        # Whatever a gateway sends here, the retry must go on.
        return 0
    return max(info.retry_delay.ToTimedelta().total_seconds(), 0) if found else 0
