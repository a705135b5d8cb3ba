"""Builds the gateway: the one place that names every concrete class."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

import structlog

from gateway.addition import Additions
from gateway.bell import KAFKA, Bell
from gateway.deadlines import Deadlines
from gateway.dispatch import Dispatch
from gateway.errors import GatewayError, InvalidRequestError
from gateway.intake import Intake
from gateway.kafka import KafkaOutlet
from gateway.ledger.admin import MarketAdmin
from gateway.ledger.holds import SqlHolds
from gateway.ledger.leases import SqlLeases
from gateway.ledger.ledger import SqlLedger
from gateway.ledger.outbox import SqlOutbox
from gateway.ledger.resend import SqlResend
from gateway.market import Role
from gateway.person_key import person_key
from gateway.rpc.admin import AdminRpc
from gateway.rpc.delivery import DeliveryRpc
from gateway.rpc.edge import Edge, Room
from gateway.rpc.lead import LeadRpc
from gateway.rpc.server import Server, running
from gateway.settings import GatewaySettings
from gateway.streams import Streams
from gateway.timeline import Timeline
from gateway.topics import Topics, TopicSettings
from leadgate.process import ExitCode, Refusal
from leadgate.settings import shown
from leadgate.sql import database_file
from leadgate.v1 import admin_service_pb2, delivery_service_pb2, lead_service_pb2

_log = structlog.get_logger("gateway")

_LEADS = lead_service_pb2.DESCRIPTOR.services_by_name["LeadService"]
_DELIVERIES = delivery_service_pb2.DESCRIPTOR.services_by_name["DeliveryService"]
_ADMIN = admin_service_pb2.DESCRIPTOR.services_by_name["AdminService"]


class MarketError(Refusal):
    """The market document cannot be applied."""

    exit_code = ExitCode.SETTINGS


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

        topics = _topics(settings)
        outlet = KafkaOutlet(settings.kafka_bootstrap, topics) if topics else None
        dispatch = Dispatch(SqlOutbox(ledger), bell, outlet)
        await stack.enter_async_context(dispatch.running())
        streams = Streams(SqlLeases(ledger), bell)
        await streams.start()

        holds = SqlHolds(ledger)
        await stack.enter_async_context(Deadlines(holds, bell).running())

        intake = Intake(ledger, key, settings.phone_region)
        additions = Additions(holds, intake.person)
        timeline = Timeline(ledger, bell, stop)
        resend = SqlResend(ledger)
        services = [
            (_LEADS, Role.GENERATOR, LeadRpc(intake, additions, ledger, timeline, stop)),
            (_DELIVERIES, Role.BUYER, DeliveryRpc(ledger, streams, resend)),
            (_ADMIN, Role.OPERATOR, AdminRpc(admin, resend, topics)),
        ]
        edge = Edge(lambda: ledger.market, _rooms(settings), stop)
        drain = timedelta(seconds=settings.drain_seconds)
        server = await stack.enter_async_context(running(settings.listen, edge, services, drain))
        stack.callback(streams.stop)
        telling = asyncio.create_task(_tell_kafka(server, dispatch, bell))
        stack.callback(telling.cancel)
        yield server.address


async def _prepare(admin: MarketAdmin, settings: GatewaySettings) -> None:
    """Stores the first operator's key and applies the market document."""
    if settings.operator_key is not None:
        await admin.ensure_operator_key(settings.operator_key.get_secret_value())
    if settings.market is None:
        return
    try:
        changes = await admin.apply_document(settings.market.read_text(), os.environ)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", "it is not UTF-8")
        raise MarketError(f"{settings.market} cannot be read: {reason}") from None
    except InvalidRequestError as error:
        problems = [violation.problem for violation in error.violations]
        raise MarketError("\n".join([f"{settings.market}:", *problems])) from None
    except GatewayError as error:
        raise MarketError(f"{settings.market}: {error}") from None
    _log.info("market applied", changes=changes)


def _topics(settings: GatewaySettings) -> Topics | None:
    """The topics of buyers, or None where no Kafka is served."""
    if not settings.kafka_bootstrap:
        return None
    return Topics(
        settings.kafka_bootstrap,
        TopicSettings(
            settings.kafka_partitions,
            settings.kafka_replication,
            settings.kafka_min_isr,
            timedelta(days=settings.kafka_retention_days),
        ),
    )


async def _tell_kafka(server: Server, dispatch: Dispatch, bell: Bell) -> None:
    """Keeps the health of the part `kafka`; the gateway itself serves without it."""
    with bell.listen(KAFKA) as changed:
        while True:
            changed.clear()
            server.tell(KAFKA, serving=dispatch.kafka_ready)
            await changed.wait()


def _rooms(settings: GatewaySettings) -> dict[str, Room]:
    """Which calls are counted together, and how many of them may run."""
    query, report, admin = Room("query", 500), Room("report", 500), Room("admin", 50)
    rooms = {method.name: admin for method in _ADMIN.methods}
    return rooms | {
        "SubmitLead": Room("submit", settings.submit_limit),
        "BatchSubmitLeads": Room("batch", 100),
        "StreamLeads": Room("submit stream", settings.stream_limit),
        "WatchDeliveries": Room("watch", settings.stream_limit),
        "AddEvidence": Room("add evidence", 100),
        "GetLead": query,
        "ListLeads": query,
        "StreamDeliveries": Room("pull stream", settings.stream_limit),
        "ReportDeliveries": report,
        "GetDelivery": query,
        "ListDeliveries": query,
        "ReplayDeliveries": admin,
    }
