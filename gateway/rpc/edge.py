"""The edge: who calls, whether there is room, and how a refusal looks.

Every call of every service comes through here once. Behind it, services are plain
classes with a method per RPC that take a `Caller` and a message and raise
`GatewayError`; they know no gRPC.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Mapping,
)
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import grpc
import structlog
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from gateway.access import Caller, Callers, require
from gateway.errors import (
    GatewayError,
    InvalidRequestError,
    OverloadedError,
    StoppingError,
    Violation,
)
from gateway.market import Market, Role
from gateway.rpc.status import abort
from leadgate.logs import frames

Context = grpc.aio.ServicerContext[Any, Any]

_log = structlog.get_logger("gateway.rpc")
_UNFORESEEN = "an internal error; it is in the gateway's log. Repeat the request"


@dataclass
class Room:
    """How many calls of one class may run at once.

    Streams that wait and calls that work are counted apart: a thousand watches must not
    keep a lead out.
    """

    name: str
    limit: int
    taken: int = field(default=0, init=False)

    def __enter__(self) -> None:
        """Takes a place for a call, or raises `OverloadedError`."""
        if self.taken >= self.limit:
            raise OverloadedError(f"{self.limit} {self.name} calls are running; try again later")
        self.taken += 1

    def __exit__(self, *_: object) -> None:
        self.taken -= 1


class Edge:
    """Turns a service into gRPC handlers."""

    def __init__(
        self, market: Callable[[], Market], rooms: Mapping[str, Room], stop: asyncio.Event
    ) -> None:
        """Takes how to see the market, the room of each RPC by name, and the stop."""
        self.calls = 0
        """How many calls have begun."""
        self._market = market
        self._callers = Callers()
        self._rooms = rooms
        self._stop = stop

    def handlers(
        self, service: ServiceDescriptor, role: Role, target: object
    ) -> grpc.GenericRpcHandler:
        """The handlers of a service whose methods are those of `target`, in snake_case."""
        return grpc.method_handlers_generic_handler(
            service.full_name,
            {
                method.name: self._handler(method, role, getattr(target, _snake(method.name)))
                for method in service.methods
            },
        )

    def _handler(self, method: MethodDescriptor, role: Role, handle: Any) -> Any:
        kinds: dict[tuple[bool, bool], tuple[Any, Any]] = {
            (False, False): (grpc.unary_unary_rpc_method_handler, self._unary),
            (False, True): (grpc.unary_stream_rpc_method_handler, self._stream),
            (True, True): (grpc.stream_stream_rpc_method_handler, self._stream),
        }
        make, wrap = kinds[method.client_streaming, method.server_streaming]
        return make(
            wrap(method, role, handle),
            # Requests come here as bytes: gRPC would answer those it cannot read with UNKNOWN.
            response_serializer=GetMessageClass(method.output_type).SerializeToString,
        )

    def _unary(
        self, method: MethodDescriptor, role: Role, handle: Callable[[Caller, Any], Awaitable[Any]]
    ) -> Callable[[bytes, Context], Awaitable[Any]]:
        room = self._rooms[method.name]
        kind = GetMessageClass(method.input_type)

        async def call(request: bytes, context: Context) -> Any:
            try:
                caller = self._begin(context, role)
                with room:
                    return await handle(caller, _message(kind, request))
            except GatewayError as refusal:
                await abort(context, refusal)
            except Exception as error:
                # The RPC edge must outlive any one call.
                await _abort_unforeseen(context, method.name, error)

        return call

    def _stream(
        self,
        method: MethodDescriptor,
        role: Role,
        handle: Callable[[Caller, Any], AsyncGenerator[Any]],
    ) -> Callable[[Any, Context], AsyncIterator[Any]]:
        room = self._rooms[method.name]
        kind = GetMessageClass(method.input_type)

        async def call(sent: Any, context: Context) -> AsyncIterator[Any]:
            try:
                caller = self._begin(context, role)
                check = self._recheck(context, role)
                streams = method.client_streaming
                request = _messages(kind, sent, check) if streams else _message(kind, sent)
                with room:
                    async with aclosing(handle(caller, request)) as responses:
                        async for response in responses:
                            check()
                            yield response
            except GatewayError as refusal:
                await abort(context, refusal)
            except Exception as error:
                # The RPC edge must outlive any one call.
                await _abort_unforeseen(context, method.name, error)

        return call

    def _recheck(self, context: Context, role: Role) -> Callable[[], None]:
        """A check that refuses to go on with a stream whose key was revoked meanwhile."""
        seen = self._market()

        def check() -> None:
            nonlocal seen
            if self._market() is not seen:
                seen = self._market()
                self._caller(context, role)

        return check

    def _begin(self, context: Context, role: Role) -> Caller:
        self.calls += 1
        if self._stop.is_set():
            raise StoppingError("the gateway is stopping; repeat the request")
        return self._caller(context, role)

    def _caller(self, context: Context, role: Role) -> Caller:
        sent: object = None
        for name, value in context.invocation_metadata() or ():
            if name == "x-api-key":
                sent = value
                break
        caller = self._callers.identify(self._market(), sent if isinstance(sent, str) else None)
        require(caller, role)
        return caller


def _message(kind: type[Message], sent: bytes) -> Message:
    """The message that was sent, or `InvalidRequestError`."""
    try:
        return kind.FromString(sent)
    except DecodeError:
        name = kind.DESCRIPTOR.full_name
        problem = f"must be the encoding of a {name}, with texts in UTF-8"
        raise InvalidRequestError([Violation("request", problem)]) from None


async def _messages(
    kind: type[Message], sent: AsyncIterable[bytes], check: Callable[[], None]
) -> AsyncIterator[Message]:
    async for one in sent:
        check()
        yield _message(kind, one)


async def _abort_unforeseen(context: Context, name: str, error: Exception) -> None:
    # The message of an exception may quote the request: only its type and place are logged.
    _log.error("call failed", rpc=name, error=type(error).__name__, at=frames(error))
    await abort(context, GatewayError(_UNFORESEEN))


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
