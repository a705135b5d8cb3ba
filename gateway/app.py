"""Builds the gateway: the one place that names every concrete class."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import grpc
import structlog
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from gateway.bell import Bell
from gateway.errors import GatewayError, InvalidRequestError
from gateway.intake import Intake
from gateway.ledger.admin import MarketAdmin
from gateway.ledger.ledger import SqlLedger
from gateway.market import Role
from gateway.person_key import person_key
from gateway.rpc.edge import Edge, Room
from gateway.rpc.lead import LeadRpc
from gateway.settings import GatewaySettings
from gateway.timeline import Timeline
from leadgate.process import ExitCode, Refusal
from leadgate.settings import shown
from leadgate.sql import database_file
from leadgate.v1 import lead_service_pb2

_log = structlog.get_logger("gateway")

_SERVER_OPTIONS = (
    # A second gateway on the same port must fail, not share it.
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", 4 * 1024 * 1024),
    # Finds dead peers: a pull client that vanished must give its deliveries back.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
)


async def serve(settings: GatewaySettings, stop: asyncio.Event) -> None:
    """Runs the gateway until `stop`, then drains it."""
    async with gateway(settings, stop) as address:
        _log.info("serving", address=address, **shown(settings))
        await stop.wait()
        _log.info("draining", limit_seconds=settings.drain_seconds)
    _log.info("stopped")


@asynccontextmanager
async def gateway(settings: GatewaySettings, stop: asyncio.Event) -> AsyncIterator[str]:
    """Opens everything in order and yields the bound address; closes in reverse order."""
    async with AsyncExitStack() as stack:
        bell = Bell()
        ledger = await stack.enter_async_context(
            SqlLedger(bell, queue_limit=settings.queue_limit).opened(settings.database_url)
        )
        admin = MarketAdmin(ledger)
        await _prepare(admin, settings)
        key = person_key(settings.person_key, database_file(settings.database_url))
        intake = Intake(ledger, key, settings.phone_region)
        timeline = Timeline(ledger, bell, stop)
        edge = Edge(lambda: ledger.market, _rooms(settings))
        services = {
            lead_service_pb2.DESCRIPTOR.services_by_name["LeadService"]: (
                Role.GENERATOR,
                LeadRpc(intake, ledger, timeline, stop),
            ),
        }
        server = grpc.aio.server(options=_SERVER_OPTIONS)
        for service, (role, target) in services.items():
            server.add_generic_rpc_handlers((edge.handlers(service, role, target),))
        names = [service.full_name for service in services]
        checks = health.aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(checks, server)
        reflection.enable_server_reflection(
            [*names, health.SERVICE_NAME, reflection.SERVICE_NAME], server
        )
        port = server.add_insecure_port(settings.listen)
        await server.start()
        stack.push_async_callback(_drain, server, checks, settings.drain_seconds)
        for name in ["", *names]:
            await checks.set(name, health_pb2.HealthCheckResponse.SERVING)
        yield f"{settings.listen.rpartition(':')[0]}:{port}"


class MarketError(Refusal):
    """The market document cannot be applied."""

    exit_code = ExitCode.SETTINGS


async def _prepare(admin: MarketAdmin, settings: GatewaySettings) -> None:
    """Stores the first operator's key and applies the market document."""
    if settings.operator_key is not None:
        await admin.ensure_operator_key(settings.operator_key.get_secret_value())
    if settings.market is None:
        return
    try:
        changes = await admin.apply_document(settings.market.read_text(), os.environ)
    except OSError as error:
        raise MarketError(f"{settings.market} cannot be read: {error.strerror}") from None
    except InvalidRequestError as error:
        problems = [violation.problem for violation in error.violations]
        raise MarketError("\n".join([f"{settings.market}:", *problems])) from None
    except GatewayError as error:
        raise MarketError(f"{settings.market}: {error}") from None
    _log.info("market applied", changes=changes)


async def _drain(
    server: grpc.aio.Server, checks: health.aio.HealthServicer, drain_seconds: float
) -> None:
    """Says NOT_SERVING, takes no new call, and lets running ones finish within the limit.

    Streams end by themselves: they wait for the stop event.
    """
    await checks.enter_graceful_shutdown()
    await server.stop(drain_seconds)


def _rooms(settings: GatewaySettings) -> dict[str, Room]:
    """Which calls are counted together, and how many of them may run."""
    submit = Room("submit", settings.submit_limit)
    query = Room("query", 500)
    report = Room("report", 500)
    return {
        "SubmitLead": submit,
        "BatchSubmitLeads": Room("batch", 100),
        "StreamLeads": Room("submit stream", settings.stream_limit),
        "WatchDeliveries": Room("watch", settings.stream_limit),
        "GetLead": query,
        "ListLeads": query,
        "StreamDeliveries": Room("pull stream", settings.stream_limit),
        "ReportDeliveries": report,
        "GetDelivery": query,
        "ListDeliveries": query,
        "ReplayDeliveries": Room("replay", 10),
    }
