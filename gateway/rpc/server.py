"""The gRPC server: options, health, reflection, and how it drains."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from grpc_health.v1 import health, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from gateway.market import Role
from gateway.rpc.edge import Edge
from gateway.rpc.health import Health
from leadgate.process import ExitCode, Refusal

OPTIONS = (
    # A second gateway on the same port must fail, not share it.
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", 4 * 1024 * 1024),
    # Of more than these that have arrived and not begun, gRPC cancels some, then all: the edge
    # refuses them in a way that says when to come again.
    ("grpc.server.max_pending_requests", 10_000),
    ("grpc.server.max_pending_requests_hard_limit", 20_000),
    # Finds dead peers: a pull client that vanished must give its deliveries back.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
)

Service = tuple[ServiceDescriptor, Role, object]
"""A service, who calls it, and the object whose methods answer."""


class ListenError(Refusal):
    """The address cannot be listened on."""

    exit_code = ExitCode.UNAVAILABLE


class Server:
    """A server that answers; `address` is where."""

    def __init__(self, address: str, checks: Health) -> None:
        self.address = address
        self._checks = checks

    def tell(self, name: str, *, serving: bool) -> None:
        """Sets the health of a part, which health checks may ask for by name."""
        self._checks.set(name, serving=serving)


@asynccontextmanager
async def running(
    listen: str, edge: Edge, services: Sequence[Service], drain: timedelta
) -> AsyncIterator[Server]:
    """Serves inside the block, with health checks and reflection.

    Leaving it says NOT_SERVING, takes no new call, and lets running ones finish within
    the drain time; streams end by themselves, for they wait for the stop. Raises
    `ListenError`.
    """
    server = grpc.aio.server(options=OPTIONS)
    for service, role, target in services:
        server.add_generic_rpc_handlers((edge.handlers(service, role, target),))
    checks = Health()
    health_pb2_grpc.add_HealthServicer_to_server(checks, server)
    names = [service.full_name for service, _, _ in services]
    reflection.enable_server_reflection(
        [*names, health.SERVICE_NAME, reflection.SERVICE_NAME], server
    )
    try:
        port = server.add_insecure_port(listen)
    except RuntimeError:
        raise ListenError(f"{listen} cannot be listened on; is another gateway there?") from None
    await server.start()
    running_server = Server(f"{listen.rpartition(':')[0]}:{port}", checks)
    try:
        for name in ["", *names]:
            running_server.tell(name, serving=True)
        yield running_server
    finally:
        checks.stop()
        await _quiet(edge)
        await server.stop(drain.total_seconds())


async def _quiet(edge: Edge) -> None:
    """Gives calls that have arrived their turn, for a second at most.

    A stopping server cancels those that it has not begun. The edge refuses them in a way
    that every client takes as a reason to try again.
    """
    still = 0
    for _ in range(40):
        begun = edge.calls
        await asyncio.sleep(0.025)
        still = still + 1 if edge.calls == begun else 0
        if still == 4:
            return
