"""SqlLedger: one file, one writer, commits shared by everybody who waits."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any, TypeVar, cast

from sqlalchemy import Engine, func, select

from gateway.bell import Bell
from gateway.errors import GatewayError, OverloadedError, StoppingError
from gateway.intake import Accepted, Submission
from gateway.ledger import market as market_rows
from gateway.ledger import reads, reports, submissions
from gateway.ledger.tables import leads
from gateway.ledger.transaction import Transaction
from gateway.market import Market
from gateway.reports import Reported
from gateway.settlement import Report
from gateway.timeline import DeliveryView, EventView, Filter, LeadView, Place
from leadgate import sql
from leadgate.group_commit import ClosedError, GroupCommit, QueueFullError

T = TypeVar("T")
MIGRATIONS = Path(__file__).parent / "migrations"

_LAST_ACCEPT = sql.Prepared(
    select(leads.c.accept_time).where(
        leads.c.lead_key == select(func.max(leads.c.lead_key)).scalar_subquery()
    )
)


def wall_clock() -> int:
    """Microseconds since 1970 in UTC."""
    return time.time_ns() // 1000


Operation = Callable[[Transaction], Any]
Work = Operation | Submission
"""What is queued: submissions stand as they are, to be decided many at once."""


class SqlLedger:
    """The gateway's memory in one SQLite file, held by this process alone.

    Operations are functions of a `Transaction`. They run on one thread in the order they
    came, many in one commit, so each sees what those before it did. An operation that
    refuses raises `GatewayError` before it writes anything; any other exception rolls
    the batch back, and its operations are run again one by one.
    """

    def __init__(
        self,
        bell: Bell,
        clock: Callable[[], int] = wall_clock,
        *,
        queue_limit: int = 10_000,
    ) -> None:
        self.bell = bell
        self._clock = clock
        self._queue_limit = queue_limit
        self._last = 0

    @asynccontextmanager
    async def opened(self, url: str) -> AsyncIterator[SqlLedger]:
        """Locks, opens and migrates the file; leaving finishes what is queued and closes.

        Raises `DatabaseUrlError` and `DatabaseHeldError` (both end the start-up).
        """
        file = sql.database_file(url)
        async with AsyncExitStack() as stack:
            stack.enter_context(sql.held(file))
            writer = sql.open_writer(file)
            stack.callback(writer.dispose)
            sql.migrate(writer, MIGRATIONS)
            self._connection = _driver(writer)
            self._market = market_rows.load(self._connection.cursor())
            row = _LAST_ACCEPT.one(self._connection.cursor())
            self._last = row[0] if row else 0
            reader = sql.open_reader(file)
            stack.callback(reader.dispose)
            self._reading = _driver(reader)
            self._readers = stack.enter_context(ThreadPoolExecutor(1, "ledger-read"))
            self._loop = asyncio.get_running_loop()
            self._commits = await stack.enter_async_context(
                GroupCommit(self._run, queue_limit=self._queue_limit)
            )
            yield self

    @property
    def market(self) -> Market:
        """The market as last committed."""
        return self._market

    def now(self) -> int:
        """Now in microseconds, by the ledger's clock, which never runs backwards.

        A clock that was set back would put new deliveries in front of older ones.
        """
        return max(self._last, self._clock())

    def commit(self, operation: Callable[[Transaction], T]) -> asyncio.Future[T]:
        """Queues an operation; the future has its result once it is on disk.

        Raises `OverloadedError` or `StoppingError`, and then nothing was queued.
        """
        return self.commit_all((operation,))[0]

    def commit_all(
        self, operations: Sequence[Callable[[Transaction], T]]
    ) -> list[asyncio.Future[T]]:
        """Queues several operations, all or none; each stands for itself."""
        return self._queued(operations)

    def _queued(self, work: Sequence[Work]) -> list[asyncio.Future[Any]]:
        try:
            return self._commits.submit_many(work)
        except QueueFullError:
            raise OverloadedError("too many writes are waiting; repeat the request") from None
        except ClosedError:
            raise StoppingError("the gateway is stopping; repeat the request") from None

    def accept(self, items: Sequence[Submission]) -> list[asyncio.Future[Accepted]]:
        """Decides and stores submissions; see `gateway.intake.Ledger`."""
        return self._queued(items)

    def settle(self, buyer_id: str, items: Sequence[Report]) -> list[asyncio.Future[Reported]]:
        """Judges and stores reports; see `gateway.reports.Ledger`."""
        return self.commit_all(
            [partial(reports.settle, buyer_id=buyer_id, report=item) for item in items]
        )

    async def find_lead(self, lead_id: bytes, generator_id: str) -> LeadView | None:
        """See `gateway.timeline.Ledger`, as of the four that follow."""
        return await self.read(
            lambda cursor: reads.find_lead(cursor, self._market, lead_id, generator_id)
        )

    async def find_delivery(self, lead_id: bytes, buyer_id: str) -> DeliveryView | None:
        """A delivery with its events."""
        return await self.read(
            lambda cursor: reads.find_delivery(cursor, self._market, lead_id, buyer_id)
        )

    async def list_leads(self, matching: Filter, before: int, count: int) -> list[LeadView]:
        """Leads, newest first."""
        return await self.read(
            lambda cursor: reads.list_leads(cursor, self._market, matching, before, count)
        )

    async def list_deliveries(
        self, matching: Filter, before: tuple[int, int], count: int
    ) -> list[DeliveryView]:
        """Deliveries, newest lead first."""
        return await self.read(
            lambda cursor: reads.list_deliveries(cursor, self._market, matching, before, count)
        )

    async def events_after(
        self, place: Place, matching: Filter, count: int
    ) -> tuple[list[EventView], Place]:
        """Events behind a place."""
        return await self.read(
            lambda cursor: reads.events_after(cursor, self._market, place, matching, count)
        )

    async def last_event(self) -> Place:
        """The place behind the newest event."""
        return await self.read(reads.last_event)

    async def read(self, query: Callable[[Any], T]) -> T:
        """Runs `query(cursor)` on the connection that reads: it sees what is committed."""
        return await self._loop.run_in_executor(
            self._readers, lambda: query(self._reading.cursor())
        )

    def _run(self, batch: Sequence[Work]) -> list[Any]:
        cursor = self._connection.cursor()
        market = self._market
        cursor.execute("BEGIN IMMEDIATE")
        try:
            self._last = self.now()
            transaction = Transaction(cursor, self._last, market)
            results: list[Any] = []
            for submitted, work in groupby(batch, key=_is_submission):
                if submitted:
                    together = cast("list[Submission]", list(work))
                    results += submissions.accept_all(transaction, together)
                else:
                    operations = cast("Iterator[Operation]", work)
                    results += [_result(operation, transaction) for operation in operations]
            # Before the commit: who reads right behind it must know every buyer it names.
            self._market = transaction.market
            cursor.execute("COMMIT")
        except BaseException:
            self._market = market
            self._connection.rollback()
            raise
        if self.bell.is_heard(transaction.rings):
            self._loop.call_soon_threadsafe(self.bell.ring, transaction.rings)
        return results


def _driver(engine: Engine) -> Any:
    """The driver's own connection, below SQLAlchemy."""
    return engine.raw_connection().driver_connection


def _is_submission(work: Work) -> bool:
    return isinstance(work, Submission)


def _result(operation: Operation, transaction: Transaction) -> Any:
    try:
        return operation(transaction)
    except GatewayError as refusal:
        return refusal
