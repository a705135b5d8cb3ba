"""The loop of a buyer's consumer: take, claim, hand over, report, finish.

A record is finished when the gateway has answered its report, and not before: whatever
kills this process, what was in hand comes again. Delivery is at least once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

import structlog
from google.protobuf.duration_pb2 import Duration

from consumers.claimer import Claimer
from consumers.in_hand import InHand, Overtaken
from consumers.outcome import Outcome
from consumers.record import DeliveredLead
from consumers.reports import Gateway, Reports, Standing
from consumers.sinks import Sink
from consumers.source import Handed, Source, Unreadable
from leadgate.v1.delivery_pb2 import LeadRecord, Receipt
from leadgate.v1.delivery_service_pb2 import DeliveryReport

DRAIN_SECONDS = 20.0

_log = structlog.get_logger("consumers.consumer")


class BuyerConsumer:
    """Works on up to `in_flight` deliveries of one buyer at a time.

    Everything handed in is open already and is closed by whoever opened it, after `run`.
    `drain_seconds` bounds how long a stop waits for what is in hand.
    """

    def __init__(
        self,
        source: Source,
        claimer: Claimer,
        sink: Sink,
        gateway: Gateway,
        *,
        in_flight: int = 64,
        drain_seconds: float = DRAIN_SECONDS,
    ) -> None:
        self._source = source
        self._claimer = claimer
        self._sink = sink
        self._reports = Reports(gateway)
        self._slots = asyncio.Semaphore(in_flight)
        self._drain_seconds = drain_seconds
        self._in_hand: dict[str, InHand] = {}
        self._overtaken = Overtaken()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def in_hand(self) -> int:
        """How many deliveries are being worked on or reported now."""
        return len(self._tasks)

    async def run(self, stop: asyncio.Event) -> None:
        """Consumes until `stop` is set, then finishes what is in hand.

        What is not finished within `drain_seconds` is dropped unreported, and comes
        again. Raises what the source raises, if it breaks for good.
        """
        async with self._reports:
            try:
                await self._take_until(stop)
                await self._drain()
            finally:
                await self._drop()

    async def _take_until(self, stop: asyncio.Event) -> None:
        taking = asyncio.create_task(self._take_for_ever())
        stopped = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({taking, stopped}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopped.cancel()
            taking.cancel()
            # Between a take and the start of its work nothing is awaited: none is lost.
            await asyncio.gather(taking, stopped, return_exceptions=True)
        if not taking.cancelled():
            taking.result()

    async def _take_for_ever(self) -> None:
        while True:
            await self._slots.acquire()
            try:
                taken = await self._source.take()
            except BaseException:
                self._slots.release()
                raise
            if isinstance(taken, Unreadable):
                self._start(self._dismiss(taken))
            else:
                self._accept(taken)

    def _accept(self, handed: Handed) -> None:
        """Starts the work, or joins it to that on the same delivery.

        A delivery may come again while it is in hand: its stream broke, its partition
        moved, somebody asked for a replay. Run beside itself it would reach the sink
        twice at once; so it waits, and shares what becomes of the first.
        """
        in_hand = self._in_hand.get(handed.record.delivery_id)
        if in_hand is not None:
            in_hand.join(handed)
            self._slots.release()
            return
        in_hand = InHand(handed.record, [handed])
        self._in_hand[handed.record.delivery_id] = in_hand
        self._start(self._settle(in_hand))

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._slots.release()
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("work on a delivery broke off", error=type(error).__name__)

    async def _settle(self, in_hand: InHand) -> None:
        try:
            while in_hand.handed:
                await self._settle_once(in_hand)
        finally:
            del self._in_hand[in_hand.record.delivery_id]

    async def _settle_once(self, in_hand: InHand) -> None:
        outcome, receipts = await self._work(in_hand.record)
        # A newer attempt may have joined meanwhile: what was done is as true for that one.
        record = in_hand.record
        if await self._report(record, outcome, receipts):
            self._overtaken.remember(record, outcome, receipts)
        for handed in in_hand.leave(record.attempt):
            self._source.finish(handed)

    async def _work(self, record: LeadRecord) -> tuple[Outcome, tuple[Receipt, ...]]:
        fresh: tuple[Receipt, ...] = ()
        if (known := self._overtaken.recall(record)) is not None:
            return known
        try:
            claims = await self._claimer.claim(record)
            fresh = claims.fresh
            if claims.failure is not None:
                return claims.failure, fresh
            return await self._sink.deliver(DeliveredLead(record, claims.receipts)), fresh
        except Exception as error:
            # One delivery must not stop the others, whatever it trips over. Its class
            # only: the message may hold a person's data.
            _log.error(
                "unforeseen error", delivery_id=record.delivery_id, error=type(error).__name__
            )
            return Outcome.deferred("CONSUMER_ERROR"), fresh

    async def _report(
        self, record: LeadRecord, outcome: Outcome, receipts: tuple[Receipt, ...]
    ) -> bool:
        """Reports until answered; returns whether the attempt was stale.

        A report that the gateway will not take (a receipt is missing or malformed) is
        replaced by FAILED with the gateway's reason, so that somebody sees it; refused
        again, the record is finished with an error in the log, and the delivery stays
        visible at the gateway as unsettled.
        """
        report = _report(record.delivery_id, record.attempt, outcome, receipts)
        answer = await self._reports.report(report)
        if answer.standing is Standing.REFUSED:
            _log.error("report refused", delivery_id=record.delivery_id, reason=answer.reason)
            kept = receipts if answer.reason == "CLAIM_MISSING" else ()
            refusal = Outcome.failed(answer.reason or "REPORT_REFUSED")
            answer = await self._reports.report(
                _report(record.delivery_id, record.attempt, refusal, kept)
            )
        plain = outcome.delivered and answer.standing is Standing.COUNTED
        # A line for each delivered lead would cost as much as a tenth of its claim.
        (_log.debug if plain else _log.info)(
            "reported",
            delivery_id=record.delivery_id,
            attempt=record.attempt,
            outcome=outcome.name,
            reason=outcome.reason,
            answer=answer.standing.name,
        )
        return answer.standing is Standing.STALE

    async def _dismiss(self, unreadable: Unreadable) -> None:
        await self._source.bury(unreadable)
        _log.error(
            "record cannot be decoded, kept as dead letter",
            delivery_id=unreadable.delivery_id,
            detail=unreadable.detail,
        )
        if unreadable.delivery_id:
            outcome = Outcome.failed("UNDECODABLE")
            await self._reports.report(
                _report(unreadable.delivery_id, unreadable.attempt, outcome, ())
            )
        self._source.finish(unreadable)

    async def _drain(self) -> None:
        if self._tasks:
            _log.info("stopping, finishing what is in hand", in_hand=len(self._tasks))
            await asyncio.wait(self._tasks, timeout=self._drain_seconds)

    async def _drop(self) -> None:
        dropped = list(self._tasks)
        if dropped:
            _log.warning("left unfinished, will come again", count=len(dropped))
        for task in dropped:
            task.cancel()
        await asyncio.gather(*dropped, return_exceptions=True)


def _report(
    delivery_id: str, attempt: int, outcome: Outcome, receipts: tuple[Receipt, ...]
) -> DeliveryReport:
    report = DeliveryReport(
        delivery_id=delivery_id,
        attempt=attempt,
        outcome=outcome.kind,
        reason=outcome.reason,
        receipts=receipts,
    )
    if outcome.retry_delay is not None:
        delay = Duration()
        delay.FromTimedelta(outcome.retry_delay)
        report.retry_delay.CopyFrom(delay)
    return report
