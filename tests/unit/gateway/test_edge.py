"""The edge: rooms, callers and refusals, with the services and gRPC's context as fakes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

from gateway.access import Caller
from gateway.errors import OverloadedError
from gateway.market import ApiKey, Market, Role
from gateway.rpc.edge import Edge, Room
from leadgate import keys
from leadgate.v1 import lead_service_pb2 as pb

SERVICE = pb.DESCRIPTOR.services_by_name["LeadService"]
KEY = keys.mint()
MARKET = Market(api_keys={KEY.key_id: ApiKey(KEY.key_id, KEY.digest, Role.GENERATOR, "forms", 0)})
SUBMIT = pb.SubmitLeadRequest(request_id="r").SerializeToString()


class Aborted(Exception):
    """What gRPC raises to end a call."""


class FakeContext:
    """A call's context that keeps how the call was ended."""

    def __init__(self, key: str | bytes | None = str(KEY)) -> None:
        self.code: grpc.StatusCode | None = None
        self.message = ""
        self.reason = ""
        self._metadata = (("x-api-key", key),) if key is not None else None

    def invocation_metadata(self) -> Any:
        """What the client sent."""
        return self._metadata

    async def abort(self, code: grpc.StatusCode, message: str, trailing: Any) -> None:
        """Ends the call."""
        info = ErrorInfo()
        Status.FromString(dict(trailing)["grpc-status-details-bin"]).details[0].Unpack(info)
        self.code, self.message, self.reason = code, message, info.reason
        raise Aborted


class Service:
    """LeadService with what a test gives it; an RPC that is not given is not called."""

    def __init__(self, **rpcs: Any) -> None:
        self._rpcs = rpcs

    def __getattr__(self, name: str) -> Any:
        return self._rpcs.get(name)


class Bench:
    """An edge, and how to call what is behind it."""

    def __init__(self, **rpcs: Any) -> None:
        self.market = MARKET
        self.stop = asyncio.Event()
        self.room = Room("submit", 1)
        rooms = {method.name: self.room for method in SERVICE.methods}
        edge = Edge(lambda: self.market, rooms, self.stop)
        self._handlers = edge.handlers(SERVICE, Role.GENERATOR, Service(**rpcs))

    def call(self, method: str) -> Any:
        """The handler of an RPC: bytes and a context in, the answer out."""
        details: Any = SimpleNamespace(method=f"/{SERVICE.full_name}/{method}")
        handler: Any = self._handlers.service(details)
        return handler.unary_unary or handler.unary_stream or handler.stream_stream

    async def refusal(self, context: FakeContext, sent: bytes = SUBMIT) -> FakeContext:
        """How SubmitLead is refused."""
        with pytest.raises(Aborted):
            await self.call("SubmitLead")(sent, context)
        return context


async def _answer(caller: Caller, request: pb.SubmitLeadRequest) -> pb.SubmitLeadResponse:
    return pb.SubmitLeadResponse(lead_id=f"{caller.subject} {request.request_id}")


async def test_a_call_reaches_its_service_with_caller_and_message() -> None:
    """The message is read from the bytes, the caller from the key."""
    answer = await Bench(submit_lead=_answer).call("SubmitLead")(SUBMIT, FakeContext())
    assert answer.lead_id == "forms r"


@pytest.mark.parametrize("key", [None, "", "nonsense", f"{KEY.key_id}.{'x' * 20}", b"\xff"])
async def test_without_a_key_that_works_nothing_is_read(key: str | bytes | None) -> None:
    """Bytes that are no message make no difference to somebody unknown."""
    context = await Bench(submit_lead=_answer).refusal(FakeContext(key), b"\xff")
    assert context.code is grpc.StatusCode.UNAUTHENTICATED


async def test_bytes_that_are_no_message_are_the_callers_mistake() -> None:
    """INVALID_ARGUMENT, not UNKNOWN, which would ask for the same bytes again."""
    context = await Bench(submit_lead=_answer).refusal(FakeContext(), b"\xff")
    assert (context.code, context.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELDS")


async def test_an_unforeseen_error_ends_its_call_and_shows_nothing() -> None:
    """INTERNAL without the message of the exception, which may quote the request."""

    async def broken(caller: Caller, request: Any) -> Any:
        raise RuntimeError("canary")

    bench = Bench(submit_lead=broken)
    context = await bench.refusal(FakeContext())
    assert context.code is grpc.StatusCode.INTERNAL
    assert "canary" not in context.message
    assert bench.room.taken == 0


async def test_a_stopping_gateway_begins_no_call() -> None:
    """UNAVAILABLE: the client comes again."""
    bench = Bench(submit_lead=_answer)
    bench.stop.set()
    assert (await bench.refusal(FakeContext())).code is grpc.StatusCode.UNAVAILABLE


async def test_a_full_room_refuses_and_an_ended_call_makes_room() -> None:
    """Also where the call was cancelled."""
    entered = asyncio.Event()

    async def waits(caller: Caller, request: Any) -> Any:
        entered.set()
        await asyncio.Event().wait()

    bench = Bench(submit_lead=waits)
    held = asyncio.create_task(bench.call("SubmitLead")(SUBMIT, FakeContext()))
    await entered.wait()
    assert (await bench.refusal(FakeContext())).reason == "OVERLOADED"
    held.cancel()
    with pytest.raises(asyncio.CancelledError):
        await held
    assert bench.room.taken == 0


async def test_a_stream_that_is_closed_closes_its_service_at_once() -> None:
    """What the service holds is let go then, not when memory is tidied up."""
    closed = asyncio.Event()

    async def watches(caller: Caller, request: Any) -> AsyncIterator[Any]:
        try:
            while True:
                yield pb.WatchDeliveriesResponse(cursor="0")
        finally:
            closed.set()

    bench = Bench(watch_deliveries=watches)
    stream = bench.call("WatchDeliveries")(b"", FakeContext())
    assert (await anext(stream)).cursor == "0"
    await stream.aclose()
    assert closed.is_set()
    assert bench.room.taken == 0


async def test_a_stream_of_a_revoked_key_gets_nothing_more() -> None:
    """Neither what is sent after the revocation, nor what is received."""
    seen: list[str] = []

    async def submits(caller: Caller, requests: Any) -> AsyncIterator[Any]:
        async for request in requests:
            seen.append(request.request.request_id)
            yield pb.StreamLeadsResponse()

    async def sent() -> AsyncIterator[bytes]:
        for request_id in ("1", "2", "3"):
            submission = pb.SubmitLeadRequest(request_id=request_id)
            yield pb.StreamLeadsRequest(request=submission).SerializeToString()

    bench, context = Bench(stream_leads=submits), FakeContext()
    stream = bench.call("StreamLeads")(sent(), context)
    await anext(stream)
    bench.market = Market()
    with pytest.raises(Aborted):
        await anext(stream)
    assert context.code is grpc.StatusCode.UNAUTHENTICATED
    assert seen == ["1"]


def test_a_room_without_a_place_refuses() -> None:
    """With the limit in the message, and a delay."""
    room = Room("report", 1)
    with room, pytest.raises(OverloadedError, match="1 report") as refused, room:
        pass
    assert refused.value.retry_delay
    assert room.taken == 0
