"""`SqlLedger`: the ledger in SQLite, written by one thread and read by another."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, cast

from sqlalchemy import Engine

from evidence.clock import Clock
from evidence.commands import Answer, Command, Query
from evidence.custody import AddSigningKey
from evidence.errors import EvidenceError, Overloaded
from evidence.ledger import (
    captures,
    cdrs,
    custody,
    downloads,
    export,
    jobs,
    lists,
    operations,
    orgs,
    packages,
    reads,
    renders,
    retention,
    rights,
    sign_ins,
    snapshots,
    webhooks,
)
from evidence.ledger.transaction import Transaction
from evidence.signing import Vault
from leadgate.group_commit import GroupCommit, QueueFullError
from leadgate.sql import database_file, held, migrate, open_reader, open_writer

_MIGRATIONS = Path(__file__).with_name("migrations")

_Doer = Callable[[Transaction, Any], Any]


def _of(part: Any, name: str) -> Iterable[tuple[type, _Doer]]:
    doers: Mapping[type, _Doer] = getattr(part, name, {})
    return doers.items()


_PARTS: tuple[Any, ...] = (
    captures,
    cdrs,
    custody,
    downloads,
    export,
    jobs,
    lists,
    operations,
    orgs,
    packages,
    reads,
    renders,
    retention,
    rights,
    sign_ins,
    snapshots,
    webhooks,
)
_WRITERS: dict[type, _Doer] = {k: do for part in _PARTS for k, do in _of(part, "WRITERS")}
_READERS: dict[type, _Doer] = {k: do for part in _PARTS for k, do in _of(part, "READERS")}


class SqlLedger:
    """The ledger: `write` answers once its commit is on disk, `read` sees every commit.

    Both group those who wait into one transaction. Raises `Overloaded` where too many
    wait already; then nothing was stored.
    """

    def __init__(
        self, writes: GroupCommit[Any, Any], reads: GroupCommit[Any, Any], news: News
    ) -> None:
        self._writes = writes
        self._reads = reads
        self._news = news

    def news(self, kind: str) -> asyncio.Event:
        """Set after each commit that leaves work of this kind; whoever does it clears it."""
        return self._news.of(kind)

    async def write(self, command: Command[Answer]) -> Answer:
        """Commits one command and answers it; raises what it was refused with."""
        return cast("Answer", await _queued(self._writes, command))

    async def read(self, query: Query[Answer]) -> Answer:
        """Answers one query; raises what it was refused with."""
        return cast("Answer", await _queued(self._reads, query))


@asynccontextmanager
async def opened(url: str, clock: Clock, vault: Vault) -> AsyncIterator[SqlLedger]:
    """Holds the database, migrates it and serves it; leaving finishes what is queued.

    Raises `DatabaseHeldError` or `DatabaseUrlError`.
    """
    file = database_file(url)
    async with AsyncExitStack() as stack:
        stack.enter_context(held(file))
        writer = open_writer(file)
        stack.callback(writer.dispose)
        migrate(writer, _MIGRATIONS)
        reader = open_reader(file)
        stack.callback(reader.dispose)
        reads = await stack.enter_async_context(_reading(reader, clock, vault))
        news = News()
        writes = await stack.enter_async_context(_writing(writer, clock, vault, news))
        ledger = SqlLedger(writes, reads, news)
        await ledger.write(AddSigningKey(vault.signer.key_id, vault.signer.public_key))
        yield ledger


class News:
    """Kinds of work that commits have left, told from the writer's thread to the loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._events: dict[str, asyncio.Event] = {}

    def of(self, kind: str) -> asyncio.Event:
        """The event of one kind."""
        return self._events.setdefault(kind, asyncio.Event())

    def tell(self, kinds: Iterable[str]) -> None:
        """Sets the events of these kinds; from any thread."""
        for kind in kinds:
            self._loop.call_soon_threadsafe(self.of(kind).set)


def _writing(engine: Engine, clock: Clock, vault: Vault, news: News) -> GroupCommit[Any, Any]:
    def run(batch: Sequence[Command[Any]]) -> Sequence[Any]:
        with engine.begin() as connection:
            tx = Transaction(connection, clock(), vault.signer)
            answers = [_done(_WRITERS, tx, command) for command in batch]
        news.tell(tx.news)
        return answers

    return GroupCommit(run)


def _done(
    doers: Mapping[type, Callable[[Transaction, Any], Any]], tx: Transaction, asked: Any
) -> Any:
    """Does what was asked; answers with its answer, or with the error to raise."""
    try:
        return doers[type(asked)](tx, asked)
    except EvidenceError as refusal:
        return refusal


def _reading(engine: Engine, clock: Clock, vault: Vault) -> GroupCommit[Any, Any]:
    def run(batch: Sequence[Query[Any]]) -> Sequence[Any]:
        with engine.begin() as connection:
            tx = Transaction(connection, clock(), vault.signer)
            return [_done(_READERS, tx, query) for query in batch]

    return GroupCommit(run)


async def _queued(queue: GroupCommit[Any, Any], item: object) -> Any:
    try:
        return await queue.submit(item)
    except QueueFullError:
        raise Overloaded from None
