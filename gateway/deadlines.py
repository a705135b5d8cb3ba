"""Deadlines: ends the wait for evidence on time, though nobody calls."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Protocol

import structlog

from gateway.bell import HOLDS, Bell
from gateway.errors import StoppingError
from leadgate.waits import happens

_LONGEST_WAIT_SECONDS = 3600.0
_PAUSE_SECONDS = 5.0

log = structlog.get_logger("gateway.deadlines")


class Holds(Protocol):
    """What deadlines need of the ledger."""

    def now(self) -> int:
        """Now, in microseconds."""
        ...

    async def expire(self) -> int:
        """Refuses what has awaited evidence for too long; returns how many deliveries.

        Not necessarily all of them at once. Raises `StoppingError`.
        """
        ...

    async def next_deadline(self) -> int | None:
        """When the next wait for evidence ends, in microseconds, or None."""
        ...


class Deadlines:
    """Refuses deliveries whose evidence did not come in time.

    Keeps nothing that the ledger does not have: what fell due while no gateway ran is
    refused at the next start.
    """

    def __init__(self, holds: Holds, bell: Bell) -> None:
        self._holds = holds
        self._bell = bell

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Deadlines]:
        """Keeps the deadlines inside the block."""
        keeping = asyncio.create_task(self._run())
        try:
            yield self
        finally:
            keeping.cancel()
            with suppress(asyncio.CancelledError):
                await keeping

    async def _run(self) -> None:
        with self._bell.listen(HOLDS) as rung:
            while True:
                try:
                    await self._keep(rung)
                except StoppingError:
                    return
                except Exception:
                    # Nobody else would ever end these waits before the next start.
                    log.exception("deadlines held up")
                    await asyncio.sleep(_PAUSE_SECONDS)

    async def _keep(self, rung: asyncio.Event) -> None:
        """Refuses what is late, and waits for the next deadline or the bell."""
        rung.clear()
        deadline = await self._holds.next_deadline()
        left = _LONGEST_WAIT_SECONDS if deadline is None else self._left(deadline)
        if left <= 0:
            log.info("evidence did not come", deliveries=await self._holds.expire())
            return
        await happens(rung, min(left, _LONGEST_WAIT_SECONDS))

    def _left(self, deadline: int) -> float:
        return (deadline - self._holds.now()) / 1_000_000
