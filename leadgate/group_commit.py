"""Group commit: everybody waiting when the writer is free goes into one batch.

A queue in front of one `run(batch)` on one thread. There is no timer: the first item
starts a batch at once, and whatever arrives while it runs is the next batch, so
batches grow with the load and nobody waits for company. It knows no SQL.

A batch is handed over by the event loop, after as many turns that brought nothing new
as the batch before had items: who was alone is not kept waiting. On a fast disk a commit
is over before the next request has been read. Without the turns every item would be a
batch of its own and pay for a whole commit, and the two threads would spend their time
handing Python's lock to and fro.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
LONGEST_PATIENCE = 16
"""Most turns of the event loop to wait for another item; each takes microseconds."""

_Batch = list[tuple[Item, "asyncio.Future[Result]"]]


class QueueFullError(Exception):
    """The queue holds as many items as it may. Nothing was taken; try again later."""


class ClosedError(Exception):
    """The queue takes nothing more: the process is stopping."""


class GroupCommit(Generic[Item, Result]):
    """Runs items in batches on a thread of its own, in the order they came.

    `run(batch)` returns one result for each item, in order, and stores all of the
    batch or nothing; a result that is an exception is raised to that item's caller. If
    `run` raises, the batch is run again item by item, so that one bad item fails alone.

    Use it as an async context manager: leaving it finishes what is queued.
    """

    def __init__(
        self,
        run: Callable[[Sequence[Item]], Sequence[Result | Exception]],
        *,
        queue_limit: int = 10_000,
        batch_limit: int = 500,
    ) -> None:
        self._run = run
        self._queue_limit = queue_limit
        self._batch_limit = batch_limit
        self._waiting: deque[tuple[Item, asyncio.Future[Result]]] = deque()
        self._batches: SimpleQueue[_Batch[Item, Result] | None] = SimpleQueue()
        self._idle = asyncio.Event()
        self._idle.set()
        self._closing = False
        self._patience = 1
        self._thread = threading.Thread(target=self._work, name="group-commit")

    async def __aenter__(self) -> GroupCommit[Item, Result]:
        self._loop = asyncio.get_running_loop()
        self._thread.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._closing = True
        await self._idle.wait()
        self._batches.put(None)
        await asyncio.to_thread(self._thread.join)

    def submit(self, item: Item) -> asyncio.Future[Result]:
        """Queues one item; the future ends when its batch has been committed.

        A caller that cancels the future does not stop the item: it is stored all the
        same. Raises `QueueFullError` or `ClosedError`, and then nothing was queued.
        """
        return self.submit_many((item,))[0]

    def submit_many(self, items: Sequence[Item]) -> list[asyncio.Future[Result]]:
        """Queues several items, all or none of them; they may fall into two batches."""
        if self._closing:
            raise ClosedError
        if len(self._waiting) + len(items) > self._queue_limit:
            raise QueueFullError
        futures = [self._loop.create_future() for _ in items]
        self._waiting.extend(zip(items, futures, strict=True))
        if items and self._idle.is_set():
            self._idle.clear()
            self._gather(seen=0)
        return futures

    def _gather(self, seen: int, turns: int = 0) -> None:
        """Hands a batch over once it is full, or enough turns in a row brought no more."""
        count = len(self._waiting)
        if count > seen:
            turns = self._patience
        if turns == 0 or count >= self._batch_limit:
            self._hand_over()
        else:
            self._loop.call_soon(self._gather, count, turns - 1)

    def _hand_over(self) -> None:
        count = min(len(self._waiting), self._batch_limit)
        self._patience = min(count, LONGEST_PATIENCE)
        self._batches.put([self._waiting.popleft() for _ in range(count)])

    def _work(self) -> None:
        while batch := self._batches.get():
            results = self._results([item for item, _ in batch])
            self._loop.call_soon_threadsafe(self._done, batch, results)

    def _done(self, batch: _Batch[Item, Result], results: Sequence[Result | Exception]) -> None:
        _answer([future for _, future in batch], results)
        if self._waiting:
            self._gather(seen=0)
        else:
            self._idle.set()

    def _results(self, items: Sequence[Item]) -> Sequence[Result | Exception]:
        try:
            return self._run(items)
        except Exception as error:
            # Whatever broke the batch may be one item's: run alone, the others survive.
            if len(items) == 1:
                return [error]
            return [self._results([item])[0] for item in items]


def _answer(
    futures: Sequence[asyncio.Future[Result]], results: Sequence[Result | Exception]
) -> None:
    for future, result in zip(futures, results, strict=True):
        # A caller that hung up has cancelled its future: to set it would raise
        # InvalidStateError here and leave every later caller of the batch waiting.
        if future.done():
            continue
        if isinstance(result, Exception):
            future.set_exception(result)
        else:
            future.set_result(result)
