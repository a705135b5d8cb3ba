"""The connection to the gateway: who calls, how long an answer may take, what errors say.

with connect() as gateway:
    gateway.leads.GetLead(request)
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, NamedTuple

import grpc
import grpc.aio

from leadgate.cli.refusal import Refused, explain
from leadgate.cli.settings import ClientSettings
from leadgate.process import ExitCode
from leadgate.settings import SettingsError, load
from leadgate.v1.admin_service_pb2_grpc import AdminServiceStub
from leadgate.v1.delivery_service_pb2_grpc import DeliveryServiceStub
from leadgate.v1.lead_service_pb2_grpc import LeadServiceStub

ANSWER_SECONDS = 30.0
"""How long a unary call may take."""

_OPTIONS = (
    # A dead peer is noticed within a minute, also by a watch that waits for news.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.max_receive_message_length", 16 * 2**20),
)
_HEALTH_SECONDS = 5.0
_HEALTH_CHECK = "/grpc.health.v1.Health/Check"
_SERVING = b"\x08\x01"


class Gateway:
    """The three services of a gateway, called with the caller's key."""

    def __init__(self, channel: Any) -> None:
        self.leads: Any = LeadServiceStub(channel)
        self.deliveries: Any = DeliveryServiceStub(channel)
        self.admin: Any = AdminServiceStub(channel)


@contextmanager
def connect() -> Iterator[Gateway]:
    """Connects to the gateway of the environment.

    A call that fails inside the block raises `Refused`, which says why and what to do.
    """
    settings = _settings()
    with (
        _explained(settings.gateway),
        grpc.insecure_channel(settings.gateway, options=_OPTIONS) as channel,
    ):
        yield Gateway(grpc.intercept_channel(channel, _Caller(_key_of(settings))))


@asynccontextmanager
async def connect_async() -> AsyncIterator[tuple[Gateway, tuple[tuple[str, str], ...]]]:
    """Connects as `connect` does, for streams; yields the gateway and the metadata to send."""
    settings = _settings()
    metadata = (("x-api-key", _key_of(settings)),)
    with _explained(settings.gateway):
        async with grpc.aio.insecure_channel(settings.gateway, options=_OPTIONS) as channel:
            yield Gateway(channel), metadata


def is_serving(service: str, wait_seconds: float) -> bool:
    """Asks `grpc.health.v1.Health` whether the gateway serves; needs no key.

    Where nobody listens yet, tries again for `wait_seconds`.
    Its two messages are small enough to be written here by hand: a request has the
    name of a service as field 1, an answer the number of a state, 1 for SERVING.
    """
    settings = _settings()
    name = service.encode()
    request = b"\x0a" + bytes([len(name)]) + name if name else b""
    with (
        _explained(settings.gateway),
        grpc.insecure_channel(settings.gateway) as channel,
    ):
        check = channel.unary_unary(_HEALTH_CHECK, bytes, bytes)
        seconds = max(wait_seconds, _HEALTH_SECONDS)
        answer = check(request, timeout=seconds, wait_for_ready=wait_seconds > 0)
        return bytes(answer) == _SERVING


def _settings() -> ClientSettings:
    try:
        return load(ClientSettings)
    except SettingsError as error:
        raise Refused(error.problems, ExitCode.SETTINGS) from None


def _key_of(settings: ClientSettings) -> str:
    key = settings.api_key.get_secret_value()
    if not key:
        raise Refused(
            ["LEADGATE_API_KEY: required, and not set", "export the key of who is calling"],
            ExitCode.SETTINGS,
        )
    return key


@contextmanager
def _explained(target: str) -> Iterator[None]:
    try:
        yield
    except grpc.RpcError as error:
        raise explain(error, target) from None


class _Details(NamedTuple):
    """What gRPC reads of a call; its own class cannot be made anew."""

    method: str
    timeout: float | None
    metadata: Any
    credentials: Any
    wait_for_ready: bool | None
    compression: Any


class _Caller(grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor):
    """Sends the key with every call, and a deadline with those that have one answer."""

    def __init__(self, key: str) -> None:
        self._key = key

    def intercept_unary_unary(self, call: Callable[..., Any], details: Any, request: Any) -> Any:
        """Sends the key and the deadline."""
        return call(self._with_key(details, details.timeout or ANSWER_SECONDS), request)

    def intercept_unary_stream(self, call: Callable[..., Any], details: Any, request: Any) -> Any:
        """Sends the key; a stream may last."""
        return call(self._with_key(details, details.timeout), request)

    def _with_key(self, details: Any, timeout: float | None) -> _Details:
        metadata = [*(details.metadata or ()), ("x-api-key", self._key)]
        return _Details(
            details.method,
            timeout,
            metadata,
            details.credentials,
            details.wait_for_ready,
            details.compression,
        )
