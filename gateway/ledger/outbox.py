"""The outbox: what falls due, and the marks of what was sent.

All of it turns on `deliveries.due_time`, through a partial index: what waits costs
nothing while it waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from functools import partial
from typing import Any, Final, NamedTuple, TypeVar

from sqlalchemy import (
    CTE,
    BigInteger,
    and_,
    bindparam,
    case,
    column,
    exists,
    func,
    insert,
    literal_column,
    select,
    tuple_,
    update,
    values,
)

from gateway.bell import EVENTS
from gateway.delivery import UNSETTLED, EventKind, State
from gateway.due import Due, Waiting
from gateway.errors import OverloadedError
from gateway.lane import Sent
from gateway.ledger.ledger import SqlLedger
from gateway.ledger.tables import deliveries, events, leads, receipts
from gateway.ledger.transaction import Transaction
from gateway.market import Market
from leadgate.sql import Prepared, PreparedRows

T = TypeVar("T")

CHUNK_BYTES: Final = 1024 * 1024
"""Submissions are read until they exceed this, whatever the count: memory stays bounded."""

_OVERLOAD_PAUSE_SECONDS = 0.1


def rows_of(*names: str) -> CTE:
    """Rows that a statement is given, as a table of that statement: for `PreparedRows`."""
    row = values(*(column(name, BigInteger) for name in names), name="given")
    return row.data([tuple(bindparam(f"given_{name}") for name in names)]).cte("given")


_row = deliveries.c
_key = (_row.lead_key == bindparam("lead"), _row.buyer_key == bindparam("buyer"))
_as_read = (_row.attempt == bindparam("was_attempt"), _row.due_time == bindparam("was_due"))

_DUE = Prepared(
    select(
        _row.lead_key,
        leads.c.generator_key,
        _row.due_time,
        _row.attempt,
        _row.replay,
        leads.c.lead_id,
        leads.c.accept_time,
        leads.c.submission,
        exists()
        .where(receipts.c.lead_key == _row.lead_key, receipts.c.buyer_key == _row.buyer_key)
        .label("has_receipts"),
        _row.state,
        _row.lease,
    )
    .join_from(deliveries, leads)
    .where(
        _row.buyer_key == bindparam("buyer"),
        _row.due_time <= bindparam("now"),
        tuple_(_row.due_time, _row.lead_key) > tuple_(bindparam("time"), bindparam("lead")),
    )
    .order_by(_row.due_time, _row.lead_key)
    .limit(bindparam("count"))
)
_NEXT_DUE = Prepared(
    select(func.min(_row.due_time)).where(
        _row.buyer_key == bindparam("buyer"), _row.due_time > bindparam("now")
    )
)
_RECEIPTS = Prepared(
    select(receipts.c.receipt).where(
        receipts.c.lead_key == bindparam("lead"), receipts.c.buyer_key == bindparam("buyer")
    )
)
_marked = rows_of("lead", "buyer", "attempt", "due", "now")
_MARK = PreparedRows(
    update(deliveries)
    .where(
        _row.lead_key == _marked.c.lead,
        _row.buyer_key == _marked.c.buyer,
        _row.attempt == _marked.c.attempt,
        _row.due_time == _marked.c.due,
    )
    .values(
        state=case((_row.state == int(State.PENDING), int(State.PUBLISHED)), else_=_row.state),
        due_time=None,
        lease=None,
        replay=0,
        update_time=_marked.c.now,
    )
)
_FAIL = Prepared(
    update(deliveries)
    .where(*_key, *_as_read)
    .values(
        state=int(State.FAILED),
        reason=bindparam("new_reason"),
        due_time=None,
        lease=None,
        replay=0,
        update_time=bindparam("now"),
    )
)
_END_REPLAY = Prepared(
    update(deliveries).where(*_key, *_as_read).values(due_time=None, lease=None, replay=0)
)
_WAITING = Prepared(
    select(func.count()).where(_row.buyer_key == bindparam("buyer"), _row.due_time.is_not(None))
)
_IN_HANDS = Prepared(
    select(func.count()).where(
        _row.lease.is_not(None),
        _row.buyer_key == bindparam("buyer"),
        _row.due_time > bindparam("now"),
    )
)
_OLDEST = Prepared(
    select(leads.c.accept_time)
    .join_from(deliveries, leads)
    .where(
        _row.buyer_key == bindparam("buyer"),
        _row.state.in_([literal_column(str(int(state))) for state in sorted(UNSETTLED)]),
    )
    .order_by(_row.lead_key)
    .limit(1)
)
_told = rows_of(
    *("lead", "buyer", "generator", "kind", "attempt", "now", "reason", "partition", "offset")
)
# The state is read where it stands after the mark: a report may have overtaken it.
_ADD_EVENTS = PreparedRows(
    insert(events).from_select(
        [
            events.c.lead_key,
            events.c.buyer_key,
            events.c.generator_key,
            events.c.kind,
            events.c.state,
            events.c.attempt,
            events.c.event_time,
            events.c.reason,
            events.c.partition,
            events.c.offset,
        ],
        select(
            _told.c.lead,
            _told.c.buyer,
            _told.c.generator,
            _told.c.kind,
            _row.state,
            _told.c.attempt,
            _told.c.now,
            _told.c.reason,
            _told.c.partition,
            _told.c.offset,
        ).join_from(
            _told, deliveries, and_(_row.lead_key == _told.c.lead, _row.buyer_key == _told.c.buyer)
        ),
    )
)


class Scope(NamedTuple):
    """What to read of a buyer's deliveries: due at `now`, and not of a paused generator."""

    buyer_key: int
    now: int
    paused: frozenset[int]


def scan(
    cursor: Any, scope: Scope, count: int, after: Due | None = None
) -> tuple[Waiting, list[tuple[int, int | None]]]:
    """Reads what is due for a buyer, oldest first: at most `count` rows and about 1 MiB.

    Only what stands behind `after`, if that is given. Beside the rows: the state and
    lease each of them has.
    """
    buyer_key, now, paused = scope
    time, lead = (after.due_time, after.lead_key) if after else (-1, -1)
    # What a paused generator submitted is passed over, however much there is of it.
    limit = -1 if paused else count + 1
    place = {"buyer": buyer_key, "now": now, "count": limit, "time": time, "lead": lead}
    rows: list[Due] = []
    standings: list[tuple[int, int | None]] = []
    size = 0
    # A cursor of its own: closed early, it ends the read, which would hold back checkpoints.
    with closing(cursor.connection.cursor()) as reading:
        reading.execute(_DUE.sql, [place[name] for name in _DUE.names])
        for *row, has_receipts, state, lease in reading:
            if len(rows) == count or size > CHUNK_BYTES:
                return Waiting(rows, more=True, next_time=now), standings
            due = Due(*row)
            if due.generator_key in paused:
                continue
            if has_receipts:
                due = due._replace(receipts=_receipts(cursor, due.lead_key, buyer_key))
            rows.append(due)
            standings.append((state, lease))
            size += len(due.submission)
    next_time = _NEXT_DUE.one(cursor, buyer=buyer_key, now=now)[0]
    return Waiting(rows, more=False, next_time=next_time), standings


def _receipts(cursor: Any, lead_key: int, buyer_key: int) -> tuple[bytes, ...]:
    with closing(cursor.connection.cursor()) as reading:
        return tuple(held for (held,) in _RECEIPTS.all(reading, lead=lead_key, buyer=buyer_key))


def mark(transaction: Transaction, buyer_key: int, sent: Sequence[Sent]) -> None:
    """Notes that records were sent, and where each of them is.

    A delivery that changed since it was read, because a report overtook the mark, stays
    as it is: only the event of that attempt is added.
    """
    now = transaction.now
    marks = [(due.lead_key, buyer_key, due.attempt, due.due_time, now) for due, _, _ in sent]
    _MARK.run(transaction.cursor, marks)
    happenings = (
        Happening(due.lead_key, due.generator_key, due.attempt, partition, offset)
        for due, partition, offset in sent
    )
    add_events(transaction, buyer_key, EventKind.PUBLISHED, happenings)


def fail(transaction: Transaction, buyer_key: int, due: Due, reason: str) -> None:
    """Gives a delivery up that cannot be sent, unless it changed since it was read.

    One that was asked for again keeps its state: only the replay ends.
    """
    was = _as_it_was(transaction, buyer_key, due)
    if due.replay:
        _END_REPLAY.run(transaction.cursor, **was)
    elif _FAIL.run(transaction.cursor, new_reason=reason, **was):
        failed = Happening(due.lead_key, due.generator_key, due.attempt)
        add_events(transaction, buyer_key, EventKind.FAILED, [failed], reason)


class Happening(NamedTuple):
    """One thing that happened to a delivery: which, in what attempt, and where."""

    lead_key: int
    generator_key: int
    attempt: int
    partition: int | None = None
    offset: int | None = None


def add_events(
    transaction: Transaction,
    buyer_key: int,
    kind: EventKind,
    rows: Iterable[Happening],
    reason: str | None = None,
) -> None:
    """Adds an event of one kind for each row, with the state its delivery is in now."""
    now = transaction.now
    _ADD_EVENTS.run(
        transaction.cursor,
        [
            (lead, buyer_key, generator, int(kind), attempt, now, reason, partition, offset)
            for lead, generator, attempt, partition, offset in rows
        ],
    )
    transaction.rings.add(EVENTS)


def count_waiting(cursor: Any, buyer_key: int, now: int) -> int:
    """How many deliveries wait to be sent to a buyer, now or later; leased ones do not."""
    waiting: int = _WAITING.one(cursor, buyer=buyer_key)[0]
    leased: int = _IN_HANDS.one(cursor, buyer=buyer_key, now=now)[0]
    return waiting - leased


def oldest_unsettled(cursor: Any, buyer_key: int) -> int | None:
    """When the oldest delivery without a final state was accepted, in microseconds."""
    row = _OLDEST.one(cursor, buyer=buyer_key)
    return row[0] if row else None


class SqlOutbox:
    """The outbox in the ledger, as lanes see it; see `gateway.lane.Outbox`."""

    def __init__(self, ledger: SqlLedger) -> None:
        self._ledger = ledger

    @property
    def market(self) -> Market:
        """The market as last committed."""
        return self._ledger.market

    def now(self) -> int:
        """Now, in microseconds."""
        return self._ledger.now()

    async def due(self, buyer_key: int, count: int, after: Due | None) -> Waiting:
        """What is due for a buyer, the oldest first, behind `after` if that is given."""
        scope = Scope(buyer_key, self._ledger.now(), self.market.paused_generators)
        waiting, _ = await self._ledger.read(lambda cursor: scan(cursor, scope, count, after))
        return waiting

    async def mark(self, buyer_key: int, sent: Sequence[Sent]) -> None:
        """Notes what was sent."""
        await persist(self._ledger, partial(mark, buyer_key=buyer_key, sent=sent))

    async def fail(self, buyer_key: int, due: Due, reason: str) -> None:
        """Gives a delivery up."""
        await persist(self._ledger, partial(fail, buyer_key=buyer_key, due=due, reason=reason))


async def persist(ledger: SqlLedger, operation: Callable[[Transaction], T]) -> T:
    """Commits an operation of the gateway's own: it waits while the queue is full.

    Raises `StoppingError`.
    """
    while True:
        try:
            return await ledger.commit(operation)
        except OverloadedError:
            await asyncio.sleep(_OVERLOAD_PAUSE_SECONDS)


def _as_it_was(transaction: Transaction, buyer_key: int, due: Due) -> dict[str, Any]:
    return {
        "lead": due.lead_key,
        "buyer": buyer_key,
        "was_attempt": due.attempt,
        "was_due": due.due_time,
        "now": transaction.now,
    }
