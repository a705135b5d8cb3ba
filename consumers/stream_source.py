"""The pull transport as a source: one stream of leased deliveries, kept alive for ever."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Protocol, Self

import structlog

from consumers.backoff import Backoff
from consumers.errors import GatewayError, GatewayRefusesCall, GatewayRefusesKey
from consumers.source import Handed, Taken, Unreadable
from leadgate.v1.delivery_pb2 import LeadRecord

_log = structlog.get_logger("consumers.stream_source")


class Deliveries(Protocol):
    """Where deliveries stream from."""

    def stream(self, max_unsettled: int) -> AsyncIterator[LeadRecord]:
        """Yields deliveries until the stream ends or breaks (`GatewayError`)."""


class StreamSource:
    """Takes deliveries from `StreamDeliveries`, and opens it again whenever it ends.

    The gateway keeps no more than `max_unsettled` in these hands, so nothing piles up.
    When a stream ends, what was not taken yet is forgotten: its lease has ended too, and
    the gateway hands it out again with the next attempt. What is in hand goes on.
    """

    def __init__(
        self,
        gateway: Deliveries,
        max_unsettled: int = 64,
        *,
        first_seconds: float = 0.2,
        longest_seconds: float = 15.0,
    ) -> None:
        self._gateway = gateway
        self._max_unsettled = max_unsettled
        self._backoff = Backoff(first_seconds, longest_seconds)
        self._ready: deque[LeadRecord] = deque()
        self._news = asyncio.Event()
        self._reader: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._reader = asyncio.create_task(self._read_for_ever())
        self._reader.add_done_callback(lambda _: self._news.set())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)

    async def take(self) -> Taken:
        """Waits for the next delivery. To cancel the wait loses nothing."""
        while not self._ready:
            self._news.clear()
            if self._reader is not None and self._reader.done():
                self._reader.result()
            await self._news.wait()
        return Handed(self._ready.popleft())

    def finish(self, taken: Taken) -> None:
        """Nothing to do: the report has ended the lease."""

    async def bury(self, unreadable: Unreadable) -> None:
        """Nothing to do: what gRPC cannot decode is never handed out."""

    async def _read_for_ever(self) -> None:
        while True:
            try:
                await self._read()
                _log.info("stream ended by the gateway, opening it again")
            except (GatewayRefusesKey, GatewayRefusesCall) as error:
                _log.error("PAUSED: the gateway refuses to stream deliveries", code=error.code)
            except GatewayError as error:
                _log.warning("stream broken, opening it again", code=error.code)
            self._ready.clear()
            await asyncio.sleep(self._backoff.next_seconds())

    async def _read(self) -> None:
        async for record in self._gateway.stream(self._max_unsettled):
            self._backoff.reset()
            self._ready.append(record)
            self._news.set()
