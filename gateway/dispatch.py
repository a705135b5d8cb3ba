"""Dispatch: a lane for each buyer on Kafka, for as long as the gateway runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import structlog

from gateway.bell import MARKET, Bell
from gateway.lane import Lane, Outage, Outbox
from gateway.market import Transport
from gateway.outlet import Outlet

log = structlog.get_logger("gateway.dispatch")


class Dispatch:
    """Sends to every buyer on Kafka what is due, also to buyers added while it runs.

    Without an outlet nothing is sent to them, and what they are owed waits.
    """

    def __init__(
        self,
        outbox: Outbox,
        bell: Bell,
        outlet: Outlet | None,
        drain: timedelta = timedelta(seconds=10),
    ) -> None:
        self._outbox = outbox
        self._bell = bell
        self._outlet = outlet
        self._drain_seconds = drain.total_seconds()
        self._outage = Outage(bell)
        self._stop = asyncio.Event()
        self._lanes: dict[int, asyncio.Task[None]] = {}

    @property
    def kafka_ready(self) -> bool:
        """Whether Kafka answered when it was last asked, or is not used."""
        return not self._outage.away

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Dispatch]:
        """Sends inside the block.

        Leaving it takes nothing new, waits within the drain time for what is being sent,
        and closes; what is then unconfirmed is sent again after the next start.
        """
        async with asyncio.TaskGroup() as group:
            if self._outlet:
                group.create_task(self._supervise(group, self._outlet))
            try:
                yield self
            finally:
                await self._drain()

    async def _supervise(self, group: asyncio.TaskGroup, outlet: Outlet) -> None:
        """Gives a lane to each buyer that needs one, whenever the market changes."""
        with self._bell.listen(MARKET) as changed:
            while not self._stop.is_set():
                changed.clear()
                for buyer in self._outbox.market.buyers.values():
                    lane = self._lanes.get(buyer.key)
                    if buyer.transport is Transport.KAFKA and (lane is None or lane.done()):
                        self._lanes[buyer.key] = group.create_task(self._lane(buyer.key, outlet))
                await changed.wait()

    async def _lane(self, buyer_key: int, outlet: Outlet) -> None:
        lane = Lane(buyer_key, self._outbox, outlet, self._bell, self._outage, self._stop)
        await lane.run()

    async def _drain(self) -> None:
        self._stop.set()
        self._bell.ring((MARKET,))
        if not self._lanes:
            return
        _, late = await asyncio.wait(self._lanes.values(), timeout=self._drain_seconds)
        for lane in late:
            lane.cancel()
        if late:
            log.warning("records left unconfirmed", buyers=len(late))
