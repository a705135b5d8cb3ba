"""The consumer put together: the one place that names every concrete class."""

from __future__ import annotations

import asyncio
import importlib
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import structlog

from consumers.claimer import ClaimPolicy, HttpClaimer
from consumers.consumer import BuyerConsumer
from consumers.gateway import GrpcGateway
from consumers.kafka_source import KafkaSource
from consumers.settings import Collect, ConsumerSettings
from consumers.sinks import Handler, HandlerSink, JsonLinesSink, Sink
from consumers.source import Source
from consumers.stream_source import StreamSource
from consumers.webhook import WebhookSink, WebhookTarget
from leadgate import logs, process
from leadgate.outbound import Outbound
from leadgate.process import ExitCode
from leadgate.settings import SettingsError, load, shown
from leadgate.share_url import by_authority

_log = structlog.get_logger("consumers.app")


def run(handler: Handler | None = None) -> ExitCode:
    """Runs a consumer with the settings of the environment until SIGTERM or SIGINT.

    Leads go to `handler`, or without one to `LEADGATE_SINK`. Returns how it ended.
    """
    logs.configure("consumers")

    async def main(stop: asyncio.Event) -> None:
        settings = load(ConsumerSettings)
        _log.info("settings", **shown(settings) | {"sink": repr(settings.webhook or settings.sink)})
        async with consuming(settings, handler) as consumer:
            _log.info("consuming", buyer=settings.buyer)
            await consumer.run(stop)
        _log.info("stopped")

    return process.run(main)


@asynccontextmanager
async def consuming(
    settings: ConsumerSettings, handler: Handler | None = None
) -> AsyncIterator[BuyerConsumer]:
    """Opens everything a consumer needs, and closes it in reverse order."""
    async with AsyncExitStack() as stack:
        gateway = await stack.enter_async_context(
            GrpcGateway(settings.gateway, settings.api_key.get_secret_value())
        )
        claimer = HttpClaimer(
            await stack.enter_async_context(
                Outbound(settings.evidence_hosts, connections=settings.in_flight)
            ),
            by_authority(settings.evidence_hosts),
            settings.evidence_api_key.get_secret_value(),
            policy(settings),
        )
        sink = HandlerSink(handler) if handler else await _sink(settings, stack)
        source = await _source(settings, gateway, stack)
        yield BuyerConsumer(
            source,
            claimer,
            sink,
            gateway,
            in_flight=settings.in_flight,
            drain_seconds=settings.drain_seconds,
        )


def policy(settings: ConsumerSettings) -> ClaimPolicy:
    """What the settings want of the evidence."""
    return ClaimPolicy(
        collect=settings.collect is Collect.COLLECT,
        take_unpaid=settings.collect is Collect.SAVE_AND_DELIVER_UNPAID,
        verify=settings.verify_keys,
    )


async def _source(
    settings: ConsumerSettings, gateway: GrpcGateway, stack: AsyncExitStack
) -> Source:
    if not settings.kafka_bootstrap:
        # Twice what is worked on: a slot that falls free has the next one at hand while
        # the gateway hands out more.
        return await stack.enter_async_context(StreamSource(gateway, 2 * settings.in_flight))
    return await stack.enter_async_context(
        KafkaSource(settings.kafka_bootstrap, settings.buyer, prefetch=settings.in_flight)
    )


async def _sink(settings: ConsumerSettings, stack: AsyncExitStack) -> Sink:
    if settings.webhook is not None:
        return await _webhook(settings.webhook, settings, stack)
    if settings.sink == "stdout":
        return await stack.enter_async_context(JsonLinesSink("-"))
    kind, _, rest = settings.sink.partition(":")
    if kind == "jsonl":
        return await stack.enter_async_context(JsonLinesSink(Path(rest)))
    return HandlerSink(_function(rest))


async def _webhook(
    target: WebhookTarget, settings: ConsumerSettings, stack: AsyncExitStack
) -> Sink:
    outbound = await stack.enter_async_context(
        Outbound([target.host], connections=settings.in_flight)
    )
    try:
        return WebhookSink(target, settings.sink_secret.get_secret_value(), outbound)
    except ValueError:
        problem = "LEADGATE_SINK_SECRET: must be whsec_<base64>, or base64 alone"
        raise SettingsError([problem]) from None


def _function(path: str) -> Handler:
    """Imports `module:function`, also from the working directory."""
    module_name, _, name = path.partition(":")
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        function: Handler = getattr(importlib.import_module(module_name), name)
    except (ImportError, AttributeError) as error:
        raise SettingsError([f"LEADGATE_SINK: cannot load {path}: {error}"]) from None
    if not callable(function):
        raise SettingsError([f"LEADGATE_SINK: {path} is no function"])
    return function
