"""Reports in the ledger: where the delivery stands, the verdict, and its rows."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import bindparam, exists, insert, or_, select, update
from sqlalchemy.dialects import sqlite

from gateway import retry
from gateway.bell import EVENTS
from gateway.delivery import UNSETTLED, DeliveryKey, EventKind, State
from gateway.errors import (
    GatewayError,
    InvalidRequestError,
    NotFoundError,
    PreconditionError,
    Violation,
)
from gateway.ledger.tables import deliveries, events, leads, receipts
from gateway.ledger.transaction import Transaction
from gateway.reports import Reported
from gateway.settlement import SETTLED_STATE, Outcome, Receipt, Report, Standing, Verdict, judge
from leadgate.sql import Prepared, PreparedRows
from leadgate.v1.delivery_pb2 import ClaimStatus, DeliveryEvent
from leadgate.v1.delivery_pb2 import Receipt as ReceiptMessage
from leadgate.v1.lead_pb2 import Share
from leadgate.v1.lead_service_pb2 import SubmitLeadRequest

_key = (
    deliveries.c.lead_key == bindparam("lead"),
    deliveries.c.buyer_key == bindparam("buyer"),
)
_FIND = Prepared(
    select(
        leads.c.lead_key,
        leads.c.generator_key,
        leads.c.submission,
        deliveries.c.state,
        deliveries.c.attempt,
        deliveries.c.lease,
        exists()
        .where(
            receipts.c.lead_key == deliveries.c.lead_key,
            receipts.c.buyer_key == deliveries.c.buyer_key,
        )
        .label("has_receipts"),
    )
    .join_from(leads, deliveries)
    .where(leads.c.lead_id == bindparam("lead_id"), deliveries.c.buyer_key == bindparam("buyer"))
)
_RECEIPTS = Prepared(
    select(receipts.c.cdr_id, receipts.c.status).where(
        receipts.c.lead_key == bindparam("lead"), receipts.c.buyer_key == bindparam("buyer")
    )
)
_CLOSED = Prepared(
    select(events.c.reason).where(
        events.c.lead_key == bindparam("lead"),
        events.c.buyer_key == bindparam("buyer"),
        events.c.attempt == bindparam("of_attempt"),
        events.c.kind == bindparam("of_kind"),
    )
)
_HISTORY = Prepared(
    select(events.c.kind, events.c.attempt, events.c.event_time)
    .where(
        events.c.lead_key == bindparam("lead"),
        events.c.buyer_key == bindparam("buyer"),
        or_(
            events.c.kind == int(EventKind.PUBLISHED),
            events.c.kind == int(EventKind.DEFERRED),
            events.c.kind == int(EventKind.RETRIED),
        ),
    )
    .order_by(events.c.event_key)
)
_ADD_RECEIPTS = PreparedRows(sqlite.insert(receipts).prefix_with("OR REPLACE"))
_ADD_EVENTS = PreparedRows(
    insert(events).values(
        {
            name: bindparam(name)
            for name in (
                "lead_key",
                "buyer_key",
                "generator_key",
                "kind",
                "state",
                "attempt",
                "event_time",
                "reason",
                "due_time",
                "receipts",
            )
        }
    )
)
_MOVE = Prepared(
    update(deliveries)
    .where(*_key)
    .values(
        {
            name: bindparam(name)
            for name in ("state", "attempt", "due_time", "reason", "update_time")
        }
        | {"lease": None, "replay": 0}
    )
)
_END_LEASE = Prepared(update(deliveries).where(*_key).values(due_time=None, lease=None, replay=0))

_SETTLED_EVENT = {
    Outcome.DELIVERED: EventKind.DELIVERED,
    Outcome.BUYER_REJECTED: EventKind.BUYER_REJECTED,
    Outcome.DEFERRED: EventKind.DEFERRED,
    Outcome.FAILED: EventKind.FAILED,
}
_REFUSALS = {
    Verdict.ALREADY_SETTLED: "the delivery has ended with another outcome",
    Verdict.STALE_ATTEMPT: "a newer attempt of the delivery was sent",
    Verdict.UNKNOWN_ATTEMPT: "this attempt was never sent",
    Verdict.CLAIM_MISSING: "DELIVERED needs a receipt for every CDR of the record",
    Verdict.NOT_SENT: "the gateway never sent this delivery",
}


@dataclass(frozen=True, slots=True)
class _Delivery:
    """The stored delivery that a report is about."""

    key: DeliveryKey
    generator_key: int
    state: State
    attempt: int
    lease: int | None
    has_receipts: bool
    shares: tuple[Share, ...]


@dataclass(frozen=True, slots=True)
class _Event:
    """What is added to the delivery's history."""

    kind: EventKind
    state: State
    attempt: int
    reason: str = ""
    due_time: int | None = None
    receipts: bytes | None = None


def settle(transaction: Transaction, buyer_id: str, report: Report) -> Reported:
    """Judges a report and stores what follows.

    Receipts are kept whatever the verdict: a claim that was made, and perhaps paid for,
    is a fact.
    """
    delivery = _find(transaction, buyer_id, report)
    if delivery is None:
        return Reported(None, NotFoundError("no such delivery"))
    known = {share.cdr_id for share in delivery.shares}
    if any(receipt.cdr_id not in known for receipt in report.receipts):
        return Reported(
            None,
            InvalidRequestError(
                [Violation("receipts.cdr_id", "must be a CDR of the delivery's record")]
            ),
        )
    held, claimed = _keep_receipts(transaction, delivery, report)
    closed_so = _closed_so(transaction, delivery, report)
    standing = Standing(delivery.state, delivery.attempt, known, held, closed_so)
    verdict = judge(standing, report)
    if verdict is Verdict.SETTLE:
        return _settle(transaction, delivery, report, claimed)
    if verdict is Verdict.DEFER:
        return _defer(transaction, delivery, report, held, claimed)
    _note(transaction, delivery, *claimed)
    if report.attempt == delivery.attempt and verdict is not Verdict.CLAIM_MISSING:
        _end_lease(transaction, delivery)
    return Reported(delivery.state, _refusal(verdict, delivery.state))


def _find(transaction: Transaction, buyer_id: str, report: Report) -> _Delivery | None:
    buyer = transaction.market.buyers.get(buyer_id)
    row = buyer and _FIND.one(transaction.cursor, lead_id=report.lead_id, buyer=buyer.key)
    if not buyer or not row:
        return None
    lead_key, generator_key, submission, state, attempt, lease, has_receipts = row
    recipients = SubmitLeadRequest.FromString(submission).recipients
    shares = next(tuple(r.shares) for r in recipients if r.buyer_id == buyer_id)
    key = DeliveryKey(lead_key, buyer.key)
    return _Delivery(key, generator_key, State(state), attempt, lease, has_receipts, shares)


def _keep_receipts(
    transaction: Transaction, delivery: _Delivery, report: Report
) -> tuple[set[str], list[_Event]]:
    """Stores receipts that are news; returns the CDRs that have one now, and what to note.

    The first receipt of a CDR stands, but one that was only saved gives way to a claim.
    """
    cursor, (lead, buyer) = transaction.cursor, delivery.key
    stored = dict(_RECEIPTS.all(cursor, lead=lead, buyer=buyer)) if delivery.has_receipts else {}
    unpaid = ClaimStatus.CLAIM_STATUS_SAVED_UNPAID
    news = [
        receipt
        for receipt in report.receipts
        if receipt.cdr_id not in stored
        or (stored[receipt.cdr_id] == unpaid and receipt.status != unpaid)
    ]
    held = stored.keys() | {receipt.cdr_id for receipt in news}
    if not news:
        return held, []
    rows = [(lead, buyer, r.cdr_id, r.status, r.encoded) for r in news]
    _ADD_RECEIPTS.run(cursor, rows)
    return held, [
        _Event(
            EventKind.CLAIMED,
            delivery.state,
            min(report.attempt, delivery.attempt),
            receipts=_encoded(news),
        )
    ]


def _encoded(news: Iterable[Receipt]) -> bytes:
    messages = [ReceiptMessage.FromString(receipt.encoded) for receipt in news]
    return DeliveryEvent(receipts=messages).SerializeToString()


def _closed_so(transaction: Transaction, delivery: _Delivery, report: Report) -> bool:
    """Whether the attempt was closed by a report like this one; an open one was by none."""
    if delivery.state in UNSETTLED and report.attempt == delivery.attempt:
        return False
    lead, buyer = delivery.key
    reasons = _CLOSED.all(
        transaction.cursor,
        lead=lead,
        buyer=buyer,
        of_attempt=report.attempt,
        of_kind=int(_SETTLED_EVENT[report.outcome]),
    )
    return any((reason or "") == report.reason for (reason,) in reasons)


def _settle(
    transaction: Transaction, delivery: _Delivery, report: Report, claimed: list[_Event]
) -> Reported:
    state = SETTLED_STATE[report.outcome]
    _move(transaction, delivery, state, delivery.attempt, reason=report.reason)
    settled = _Event(_SETTLED_EVENT[report.outcome], state, delivery.attempt, report.reason)
    _note(transaction, delivery, *claimed, settled)
    return Reported(state)


def _defer(
    transaction: Transaction,
    delivery: _Delivery,
    report: Report,
    held: set[str],
    claimed: list[_Event],
) -> Reported:
    attempt = delivery.attempt
    earlier, sent_at = _earlier_deferrals(transaction, delivery)
    step = retry.after_deferral(
        earlier + 1,
        report.retry_delay,
        unclaimed_expired=_has_expired(sent_at, delivery.shares, held),
        jitter=random.random(),
    )
    if isinstance(step, retry.Final):
        deferred = _Event(EventKind.DEFERRED, State.FAILED, attempt, report.reason)
        _move(transaction, delivery, State.FAILED, attempt, reason=step.reason)
        failed = _Event(EventKind.FAILED, State.FAILED, attempt, step.reason)
        _note(transaction, delivery, *claimed, deferred, failed)
        return Reported(State.FAILED)
    due_time = transaction.now + step.delay // timedelta(microseconds=1)
    _move(
        transaction, delivery, State.PENDING, attempt + 1, reason=report.reason, due_time=due_time
    )
    deferred = _Event(EventKind.DEFERRED, State.PENDING, attempt, report.reason, due_time)
    _note(transaction, delivery, *claimed, deferred)
    return Reported(State.PENDING)


def _earlier_deferrals(transaction: Transaction, delivery: _Delivery) -> tuple[int, int]:
    """How often it was deferred since it was last retried, and when this attempt was sent.

    Zero where its publication is not marked yet: the report overtook the mark.
    """
    lead, buyer = delivery.key
    deferrals, sent_at = 0, 0
    for kind, attempt, time in _HISTORY.all(transaction.cursor, lead=lead, buyer=buyer):
        if kind == EventKind.RETRIED:
            deferrals = 0
        elif kind == EventKind.DEFERRED:
            deferrals += 1
        elif attempt == delivery.attempt:
            sent_at = time
    return deferrals, sent_at


def _has_expired(time: int, shares: Iterable[Share], held: set[str]) -> bool:
    """Whether a share whose CDR has no receipt had expired at that time."""
    return any(
        share.HasField("share_expire_time")
        and share.share_expire_time.ToMicroseconds() <= time
        and share.cdr_id not in held
        for share in shares
    )


def _end_lease(transaction: Transaction, delivery: _Delivery) -> None:
    """A replayed delivery that was reported again leaves its stream's hands."""
    if delivery.lease is not None:
        lead, buyer = delivery.key
        _END_LEASE.run(transaction.cursor, lead=lead, buyer=buyer)
        transaction.rings.add(buyer)


def _move(
    transaction: Transaction,
    delivery: _Delivery,
    state: State,
    attempt: int,
    *,
    reason: str,
    due_time: int | None = None,
) -> None:
    lead, buyer = delivery.key
    _MOVE.run(
        transaction.cursor,
        lead=lead,
        buyer=buyer,
        state=int(state),
        attempt=attempt,
        due_time=due_time,
        reason=reason or None,
        update_time=transaction.now,
    )
    transaction.rings.add(buyer)


def _note(transaction: Transaction, delivery: _Delivery, *happened: _Event) -> None:
    lead, buyer = delivery.key
    rows = [
        {
            "lead_key": lead,
            "buyer_key": buyer,
            "generator_key": delivery.generator_key,
            "kind": int(event.kind),
            "state": int(event.state),
            "attempt": event.attempt,
            "event_time": transaction.now,
            "reason": event.reason or None,
            "due_time": event.due_time,
            "receipts": event.receipts,
        }
        for event in happened
    ]
    _ADD_EVENTS.run(transaction.cursor, [[row[n] for n in _ADD_EVENTS.names] for row in rows])
    if rows:
        transaction.rings.add(EVENTS)


def _refusal(verdict: Verdict, state: State) -> GatewayError | None:
    text: Any = _REFUSALS.get(verdict)
    return text and PreconditionError(verdict, text, {"state": state.name})
