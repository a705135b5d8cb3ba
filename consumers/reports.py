"""Reports to the gateway: gathered into batches, and repeated until they are answered.

There is no timer: a report goes at once while fewer than two calls are on their way, and
all that wait meanwhile go with the next one.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from enum import Enum, auto
from types import TracebackType
from typing import NamedTuple, Protocol, Self

import structlog
from google.rpc import code_pb2
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

from consumers.backoff import Backoff
from consumers.errors import GatewayError, GatewayUnavailable
from leadgate.v1.delivery_service_pb2 import DeliveryReport, DeliveryReportResult

_CALLS = 2  # while one is being answered the next is filled: nobody waits for two
_BATCH = 500
_BATCH_BYTES = 2 << 20
_LOUD_SECONDS = 30.0
_REFUSED_SECONDS = 5.0
_UNDECIDED_SECONDS = 1.0
_FIRST_WAIT_SECONDS = 0.1
_LONGEST_WAIT_SECONDS = 10.0

_RETRIED = {
    code_pb2.CANCELLED,
    code_pb2.UNKNOWN,
    code_pb2.DEADLINE_EXCEEDED,
    code_pb2.RESOURCE_EXHAUSTED,
    code_pb2.ABORTED,
    code_pb2.INTERNAL,
    code_pb2.UNAVAILABLE,
}

_log = structlog.get_logger("consumers.reports")


class Gateway(Protocol):
    """Where reports go."""

    async def report(self, reports: Sequence[DeliveryReport]) -> Sequence[DeliveryReportResult]:
        """Reports up to 500 deliveries, with a result for each. Raises `GatewayError`."""


class Standing(Enum):
    """How the gateway answered a report. Each of them but REFUSED finishes the record."""

    COUNTED = auto()
    """It counts, or counted before."""
    STALE = auto()
    """A newer attempt of the delivery was sent."""
    SETTLED = auto()
    """The delivery has ended with another outcome, or is not (or no longer) known."""
    REFUSED = auto()
    """The report itself is not acceptable, and would not be the next time."""


class Answer(NamedTuple):
    """The gateway's answer to one report, with its reason unless COUNTED."""

    standing: Standing
    reason: str = ""


_Waiting = tuple[DeliveryReport, "asyncio.Future[Answer]"]


class Reports:
    """Sends reports for as long as its context lives.

    What is still unanswered when the context ends is cancelled: it was never finished,
    so its record comes again.
    """

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._waiting: deque[_Waiting] = deque()
        self._news = asyncio.Event()
        self._backoff = Backoff(_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS)
        self._not_before = 0.0
        self._quiet_until: dict[str, float] = {}
        self._workers: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._workers = [asyncio.create_task(self._work()) for _ in range(_CALLS)]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
        for _report, future in self._waiting:
            future.cancel()

    async def report(self, report: DeliveryReport) -> Answer:
        """Returns once the gateway has answered, however long that takes."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((report, future))
        self._news.set()
        return await future

    async def _work(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            await self._pause_over()
            while batch := self._take():
                await self._send(batch)
                await self._pause_over()

    def _take(self) -> list[_Waiting]:
        batch: list[_Waiting] = []
        size = 0
        while self._waiting and len(batch) < _BATCH:
            size += self._waiting[0][0].ByteSize()
            if batch and size > _BATCH_BYTES:
                break
            entry = self._waiting.popleft()
            if not entry[1].done():
                batch.append(entry)
        return batch

    async def _send(self, batch: list[_Waiting]) -> None:
        try:
            results = await self._gateway.report([report for report, _ in batch])
        except GatewayUnavailable as error:
            self._complain("gateway unavailable, reports wait", error.code)
            self._again(batch, error.retry_seconds)
        except GatewayError as error:
            if error.code == "INVALID_ARGUMENT":
                await self._narrow(batch, error.code)
                return
            self._complain("PAUSED: the gateway refuses reports", error.code)
            self._again(batch, _REFUSED_SECONDS)
        except BaseException:
            # Cancelled: __aexit__ answers those who wait.
            self._waiting.extendleft(reversed(batch))
            raise
        else:
            self._answer(batch, results)

    def _answer(self, batch: list[_Waiting], results: Sequence[DeliveryReportResult]) -> None:
        if len(results) != len(batch):
            self._complain("gateway answered another number of reports", "")
            self._again(batch)
            return
        self._backoff.reset()
        undecided: list[_Waiting] = []
        for entry, result in zip(batch, results, strict=True):
            if result.HasField("error") and result.error.code in _RETRIED:
                undecided.append(entry)
            elif not entry[1].done():
                entry[1].set_result(judge(result))
        if undecided:
            # They alone wait: what is the matter with one is not with the others.
            asyncio.get_running_loop().call_later(_UNDECIDED_SECONDS, self._enqueue, undecided)

    async def _narrow(self, batch: list[_Waiting], code: str) -> None:
        """One bad report must not hold up the others: halves until it stands alone."""
        if len(batch) > 1:
            half = len(batch) // 2
            await self._send(batch[:half])
            await self._send(batch[half:])
        elif not batch[0][1].done():
            batch[0][1].set_result(Answer(Standing.REFUSED, code))

    def _again(self, batch: list[_Waiting], least_seconds: float = 0) -> None:
        """Puts the batch back, and holds every call off for a while."""
        wait = max(self._backoff.next_seconds(), least_seconds)
        self._not_before = max(self._not_before, asyncio.get_running_loop().time() + wait)
        self._enqueue(batch)

    async def _pause_over(self) -> None:
        clock = asyncio.get_running_loop().time
        # Again after each wait: another call may have been held off meanwhile.
        while (wait := self._not_before - clock()) > 0:  # noqa: ASYNC110 -- a time, no event
            await asyncio.sleep(wait)

    def _enqueue(self, batch: list[_Waiting]) -> None:
        self._waiting.extendleft(reversed(batch))
        self._news.set()

    def _complain(self, event: str, code: str) -> None:
        now = time.monotonic()
        if now >= self._quiet_until.get(event, 0):
            self._quiet_until[event] = now + _LOUD_SECONDS
            _log.error(event, code=code, waiting=len(self._waiting))


def judge(result: DeliveryReportResult) -> Answer:
    """What the result of a single report means for its record."""
    if not result.HasField("error"):
        return Answer(Standing.COUNTED)
    reason = _reason(result.error)
    if reason == "STALE_ATTEMPT":
        return Answer(Standing.STALE, reason)
    if result.error.code == code_pb2.NOT_FOUND or reason in ("ALREADY_SETTLED", "NOT_SENT"):
        return Answer(Standing.SETTLED, reason)
    return Answer(Standing.REFUSED, reason)


def _reason(status: Status) -> str:
    info = ErrorInfo()
    for detail in status.details:
        if detail.Is(ErrorInfo.DESCRIPTOR) and detail.Unpack(info):
            return str(info.reason)
    return str(code_pb2.Code.Name(status.code)) if status.code in code_pb2.Code.values() else ""
