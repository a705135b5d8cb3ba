"""Sending again: replays that buyers ask for, and failed deliveries that operators retry.

In chunks, each a transaction of its own, so that nobody waits behind a large one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

from sqlalchemy import bindparam, select, update

from gateway.delivery import EventKind, State
from gateway.ledger.ledger import SqlLedger
from gateway.ledger.outbox import Happening, add_events, persist
from gateway.ledger.reads import first_lead_at
from gateway.ledger.tables import deliveries, leads
from gateway.ledger.transaction import Transaction
from leadgate.sql import Prepared

CHUNK: Final = 500

_LAST = 2**62
_REPLAYED = frozenset({State.PUBLISHED, State.DELIVERED})

_row = deliveries.c
_COLUMNS = (
    _row.lead_key,
    leads.c.generator_key,
    _row.buyer_key,
    _row.state,
    _row.attempt,
    _row.reason,
    _row.replay,
)
_STRETCH = Prepared(
    select(*_COLUMNS)
    .join_from(deliveries, leads)
    .where(
        _row.buyer_key == bindparam("buyer"),
        _row.lead_key >= bindparam("first"),
        _row.lead_key < bindparam("end"),
    )
    .order_by(_row.lead_key)
    .limit(CHUNK)
)
_FAILED = Prepared(
    select(*_COLUMNS)
    .join_from(deliveries, leads)
    .where(
        _row.buyer_key == bindparam("buyer"),
        _row.lead_key >= bindparam("first"),
        _row.lead_key < bindparam("end"),
        _row.state == int(State.FAILED),
    )
    .order_by(_row.lead_key)
    .limit(CHUNK)
)
_ONE = Prepared(
    select(*_COLUMNS)
    .join_from(deliveries, leads)
    .where(leads.c.lead_id == bindparam("lead_id"), _row.buyer_key == bindparam("buyer"))
)
_REPLAY = Prepared(
    update(deliveries)
    .where(_row.lead_key == bindparam("lead"), _row.buyer_key == bindparam("buyer"))
    .values(due_time=bindparam("now"), replay=1, lease=None, update_time=bindparam("now"))
)
_RETRY = Prepared(
    update(deliveries)
    .where(_row.lead_key == bindparam("lead"), _row.buyer_key == bindparam("buyer"))
    .values(
        state=int(State.PENDING),
        attempt=_row.attempt + 1,
        due_time=bindparam("now"),
        lease=None,
        replay=0,
        reason=None,
        update_time=bindparam("now"),
    )
)


class Delivery(NamedTuple):
    """A stored delivery that may be sent again."""

    lead_key: int
    generator_key: int
    buyer_key: int
    state: int
    attempt: int
    reason: str | None
    replay: int


class Stretch(NamedTuple):
    """What a chunk did: how many deliveries it sent on their way, and where to go on."""

    sent: int
    next_lead: int | None


def replay(transaction: Transaction, buyer_key: int, first: int, end: int) -> Stretch:
    """Sends again what the buyer has or had in hand, of the leads `first` to `end` (exclusive).

    State and attempt stay. What waits to be sent anyway is left alone. So is what ended
    without reaching the buyer's system: were it sent again, that system could take a lead
    whose delivery stands as turned down or failed.
    """
    rows = _rows(transaction, _STRETCH, buyer_key, first, end)
    chosen = [row for row in rows if row.state in _REPLAYED and not row.replay]
    for row in chosen:
        _REPLAY.run(transaction.cursor, lead=row.lead_key, buyer=buyer_key, now=transaction.now)
    return _told(transaction, buyer_key, EventKind.REPLAYED, rows, chosen)


def retry(transaction: Transaction, buyer_key: int, first: int, end: int, reason: str) -> Stretch:
    """Sends FAILED deliveries on their way again with the next attempt.

    Those of the leads `first` to `end` (exclusive); only of one reason unless it is empty.
    """
    rows = _rows(transaction, _FAILED, buyer_key, first, end)
    chosen = [row for row in rows if not reason or row.reason == reason]
    _retry(transaction, chosen)
    return _told(transaction, buyer_key, EventKind.RETRIED, rows, chosen)


def retry_named(transaction: Transaction, names: Sequence[tuple[bytes, str]]) -> int:
    """Retries deliveries named by lead id and buyer id; returns how many were FAILED."""
    retried = 0
    for lead_id, buyer_id in dict.fromkeys(names):
        buyer = transaction.market.buyers.get(buyer_id)
        found = buyer and _ONE.one(transaction.cursor, lead_id=lead_id, buyer=buyer.key)
        if found and (row := Delivery(*found)).state == State.FAILED:
            _retry(transaction, [row])
            _told(transaction, row.buyer_key, EventKind.RETRIED, [row], [row])
            retried += 1
    return retried


def _rows(
    transaction: Transaction, statement: Prepared, buyer_key: int, first: int, end: int
) -> list[Delivery]:
    rows = statement.all(transaction.cursor, buyer=buyer_key, first=first, end=end)
    return [Delivery(*row) for row in rows]


def _retry(transaction: Transaction, rows: Sequence[Delivery]) -> None:
    for row in rows:
        _RETRY.run(transaction.cursor, lead=row.lead_key, buyer=row.buyer_key, now=transaction.now)


def _told(
    transaction: Transaction,
    buyer_key: int,
    kind: EventKind,
    rows: Sequence[Delivery],
    chosen: Sequence[Delivery],
) -> Stretch:
    """Adds the events of those chosen, and says where the next chunk begins."""
    if chosen:
        told = [Happening(row.lead_key, row.generator_key, row.attempt) for row in chosen]
        add_events(transaction, buyer_key, kind, told)
        transaction.rings.add(buyer_key)
    return Stretch(len(chosen), rows[-1].lead_key + 1 if len(rows) == CHUNK else None)


class SqlResend:
    """Replays and retries in the ledger, chunk by chunk. Times in microseconds."""

    def __init__(self, ledger: SqlLedger) -> None:
        self._ledger = ledger

    async def replay(self, buyer_id: str, accepted_from: int, accepted_until: int | None) -> int:
        """Sends a buyer again what was accepted in that time; returns how much.

        Nothing accepted after the call is sent again by it. Raises `StoppingError`.
        """
        until = self._ledger.now() + 1 if accepted_until is None else accepted_until
        return await self._all(replay, buyer_id, accepted_from, until)

    async def retry(self, buyer_id: str, reason: str, accepted_from: int) -> int:
        """Retries a buyer's FAILED deliveries; `reason` empty: whatever the reason."""
        operation = partial(retry, reason=reason)
        return await self._all(operation, buyer_id, accepted_from, self._ledger.now() + 1)

    async def retry_named(self, names: Sequence[tuple[bytes, str]]) -> int:
        """Retries deliveries named by lead id and buyer id; those not FAILED stay."""
        return await persist(self._ledger, partial(retry_named, names=names))

    async def _all(
        self, operation: Callable[..., Stretch], buyer_id: str, time_from: int, time_until: int
    ) -> int:
        buyer_key = self._ledger.market.buyers[buyer_id].key

        def bounds(cursor: Any) -> tuple[int, int]:
            return first_lead_at(cursor, time_from), first_lead_at(cursor, time_until)

        first, end = await self._ledger.read(bounds)
        count = 0
        stretch = Stretch(0, first)
        while stretch.next_lead is not None:
            chunk = partial(operation, buyer_key=buyer_key, first=stretch.next_lead, end=end)
            stretch = await persist(self._ledger, chunk)
            count += stretch.sent
        return count
