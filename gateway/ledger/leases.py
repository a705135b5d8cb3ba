"""Leases: deliveries in the hands of streams, durable before they are handed out.

While a delivery is leased, `lease` names the stream that holds it and `due_time` is the
lease's end. A lease that ends without a report leaves its stream's number behind: by it
the next hand-out knows that it is a new attempt.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import Final

from sqlalchemy import bindparam, func, select, update

from gateway.delivery import UNSETTLED, EventKind, State
from gateway.due import Due, Waiting
from gateway.errors import OverloadedError, StoppingError
from gateway.ledger.ledger import SqlLedger
from gateway.ledger.outbox import Happening, Scope, add_events, fail, persist, rows_of, scan
from gateway.ledger.tables import deliveries
from gateway.ledger.transaction import Transaction
from gateway.market import Market
from leadgate.sql import Prepared, PreparedRows

LEASE: Final = timedelta(seconds=60)
"""How long a delivery stays with a stream that shows no sign of life."""

_row = deliveries.c
_HELD = Prepared(select(func.count()).where(_row.lease == bindparam("stream")))
_handed = rows_of("lead", "buyer", "state", "attempt", "lease_end", "stream", "now")
_HAND_OUT = PreparedRows(
    update(deliveries)
    .where(_row.lead_key == _handed.c.lead, _row.buyer_key == _handed.c.buyer)
    .values(
        state=_handed.c.state,
        attempt=_handed.c.attempt,
        due_time=_handed.c.lease_end,
        lease=_handed.c.stream,
        update_time=_handed.c.now,
    )
)
_RENEW = Prepared(
    update(deliveries)
    .where(_row.lease == bindparam("stream"), _row.due_time.is_not(None))
    .values(due_time=bindparam("lease_end"))
)
_RELEASE = Prepared(
    update(deliveries)
    .where(_row.lease == bindparam("stream"), _row.due_time > bindparam("now"))
    .values(due_time=bindparam("now"))
)
_RELEASE_ALL = Prepared(
    update(deliveries)
    .where(_row.lease.is_not(None), _row.due_time > bindparam("now"))
    .values(due_time=bindparam("now"))
)


def take(
    transaction: Transaction, buyer_key: int, stream: int, count: int, max_unsettled: int
) -> Waiting:
    """Leases due deliveries to a stream, at most `count` and never above its limit.

    The rows come back as they are now: with the attempt that is handed out, and the end
    of the lease as `due_time`.
    """
    held: int = _HELD.one(transaction.cursor, stream=stream)[0]
    room = min(count, max_unsettled - held)
    if room <= 0:
        return Waiting((), more=False, next_time=None)
    now = transaction.now
    scope = Scope(buyer_key, now, transaction.market.paused_generators)
    waiting, standings = scan(transaction.cursor, scope, room)
    lease_end = _end_of_lease(now)
    handed: list[Due] = []
    changes: list[tuple[int, ...]] = []
    released: list[Happening] = []
    for due, (state, lease) in zip(waiting.rows, standings, strict=True):
        attempt = due.attempt
        if _is_new_attempt(state, lease):
            released.append(Happening(due.lead_key, due.generator_key, attempt))
            attempt += 1
        handed.append(due._replace(attempt=attempt, due_time=lease_end))
        after = int(State.PUBLISHED if state == State.PENDING else state)
        changes.append((due.lead_key, buyer_key, after, attempt, lease_end, stream, now))
    _HAND_OUT.run(transaction.cursor, changes)
    _tell(transaction, buyer_key, EventKind.RELEASED, released)
    published = [Happening(due.lead_key, due.generator_key, due.attempt) for due in handed]
    _tell(transaction, buyer_key, EventKind.PUBLISHED, published)
    return Waiting(handed, waiting.more, waiting.next_time)


def _tell(
    transaction: Transaction, buyer_key: int, kind: EventKind, rows: Sequence[Happening]
) -> None:
    if rows:
        add_events(transaction, buyer_key, kind, rows)


def _is_new_attempt(state: int, lease: int | None) -> bool:
    """Whether an earlier lease ended without a report; what is settled keeps its attempt."""
    return lease is not None and state in UNSETTLED


def renew(transaction: Transaction, stream: int) -> None:
    """Gives a living stream's leases their full length again."""
    _RENEW.run(transaction.cursor, stream=stream, lease_end=_end_of_lease(transaction.now))


def release(transaction: Transaction, stream: int, buyer_key: int) -> None:
    """Lets go of what a stream still held when it ended: it is due at once."""
    if _RELEASE.run(transaction.cursor, stream=stream, now=transaction.now):
        transaction.rings.add(buyer_key)


def release_all(transaction: Transaction) -> int:
    """Lets go of every lease, at start: no stream outlives the process; returns how many."""
    return _RELEASE_ALL.run(transaction.cursor, now=transaction.now)


def _end_of_lease(now: int) -> int:
    return now + LEASE // timedelta(microseconds=1)


class SqlLeases:
    """Leases in the ledger, as streams see them; see `gateway.streams.Leases`."""

    def __init__(self, ledger: SqlLedger) -> None:
        self._ledger = ledger

    @property
    def market(self) -> Market:
        """The market as last committed."""
        return self._ledger.market

    def now(self) -> int:
        """Now, in microseconds."""
        return self._ledger.now()

    async def release_all(self) -> None:
        """Lets go of every lease: to be called once, before the first stream."""
        await persist(self._ledger, release_all)

    async def take(self, buyer_key: int, stream: int, count: int, max_unsettled: int) -> Waiting:
        """Leases due deliveries to a stream; they are on disk when this returns."""
        operation = partial(
            take, buyer_key=buyer_key, stream=stream, count=count, max_unsettled=max_unsettled
        )
        return await persist(self._ledger, operation)

    async def renew(self, stream: int) -> None:
        """Gives a living stream's leases their full length again."""
        await persist(self._ledger, partial(renew, stream=stream))

    async def fail(self, buyer_key: int, due: Due, reason: str) -> None:
        """Gives a delivery up that cannot be handed out."""
        await persist(self._ledger, partial(fail, buyer_key=buyer_key, due=due, reason=reason))

    def release(self, stream: int, buyer_key: int) -> None:
        """Queues the release of what a stream held, without waiting.

        So it works in a call that is being cancelled. If the queue takes nothing, the
        leases run out, or end with the process.
        """
        try:
            done = self._ledger.commit(partial(release, stream=stream, buyer_key=buyer_key))
        except (OverloadedError, StoppingError):
            return
        done.add_done_callback(lambda future: future.cancelled() or future.exception())
