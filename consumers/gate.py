"""The gate that shuts when the evidence service refuses the buyer's key.

While it is shut nobody claims: one record waits and asks again, the others wait for the
gate to open. Nothing is decided about any record meanwhile.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import structlog

from consumers.backoff import Backoff

_LOUD_SECONDS = 30.0

_log = structlog.get_logger("consumers.gate")


class Gate:
    """Open at first; one task at a time probes while it is shut.

    `first_seconds` and `longest_seconds` bound the waits between probes.
    """

    def __init__(
        self,
        first_seconds: float = 1.0,
        longest_seconds: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._backoff = Backoff(first_seconds, longest_seconds)
        self._clock = clock
        self._open = asyncio.Event()
        self._open.set()
        self._prober: asyncio.Task[object] | None = None
        self._loud_again = 0.0

    @property
    def shut(self) -> bool:
        """Whether the consumer is paused."""
        return not self._open.is_set()

    @property
    def probing(self) -> bool:
        """Whether the current task is the one that asks again."""
        return self._prober is not None and self._prober is asyncio.current_task()

    async def passed(self) -> None:
        """Waits until the gate is open; the prober passes always."""
        if not self.probing:
            await self._open.wait()

    async def refused(self, reason: str) -> None:
        """Shuts the gate, and returns when the caller is to ask again.

        The first caller becomes the prober and waits its backoff; every other one waits
        until the gate is open.
        """
        if self._prober is None:
            self._prober = asyncio.current_task()
            self._open.clear()
        self._complain(reason)
        if not self.probing:
            await self._open.wait()
            return
        await asyncio.sleep(self._backoff.next_seconds())

    def accepted(self) -> None:
        """The key was good for this call: opens the gate, if the caller is its prober.

        An answer to another call may be older than the refusal, and proves nothing.
        """
        if self.probing:
            self._reopen()
            self._backoff.reset()
            self._loud_again = 0.0
            _log.info("evidence service accepts the key again, claiming goes on")

    def leave(self) -> None:
        """The caller asks no more. A prober that leaves lets the others ask for themselves."""
        if self.probing:
            self._reopen()

    def _reopen(self) -> None:
        self._prober = None
        self._open.set()

    def _complain(self, reason: str) -> None:
        now = self._clock()
        if now >= self._loud_again:
            self._loud_again = now + _LOUD_SECONDS
            _log.error(
                "PAUSED: the evidence service refuses LEADGATE_EVIDENCE_API_KEY; nothing is "
                "claimed, failed or lost until it accepts it",
                reason=reason,
            )
