"""Group commit: who waits together is stored together, and nobody hurts the others."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import pytest

from leadgate.group_commit import ClosedError, GroupCommit, QueueFullError


class Store:
    """A store that notes its batches, and can be held up in the first of them."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.entered = threading.Event()
        self.released = threading.Event()

    def run(self, batch: Sequence[int]) -> list[int | Exception]:
        """Refuses 13 as a result, and breaks on 666."""
        self.entered.set()
        self.released.wait(10)
        if 666 in batch:
            raise RuntimeError
        self.batches.append(list(batch))
        return [ValueError(item) if item == 13 else item * 2 for item in batch]


@pytest.fixture
def store() -> Store:
    """A store that is not held up."""
    store = Store()
    store.released.set()
    return store


async def test_a_lone_item_is_stored_at_once(store: Store) -> None:
    """No timer: the first item does not wait for company."""
    async with GroupCommit(store.run) as commits:
        assert await commits.submit(21) == 42


async def test_items_that_wait_for_the_writer_share_one_batch() -> None:
    """What arrives during a batch is the next one."""
    store = Store()
    async with GroupCommit(store.run) as commits:
        first = commits.submit(1)
        await asyncio.to_thread(store.entered.wait, 10)
        others = [commits.submit(number) for number in (2, 3, 4)]
        store.released.set()
        assert await asyncio.gather(first, *others) == [2, 4, 6, 8]
    assert store.batches == [[1], [2, 3, 4]]


async def test_a_refusal_reaches_its_own_caller_only(store: Store) -> None:
    """A result that is an exception is raised to the caller whose item it is of."""
    async with GroupCommit(store.run) as commits:
        results = await asyncio.gather(*commits.submit_many([1, 13, 2]), return_exceptions=True)
    assert results[0] == 2
    assert isinstance(results[1], ValueError)
    assert results[2] == 4


async def test_a_broken_batch_is_run_again_item_by_item(store: Store) -> None:
    """The item that breaks the batch fails alone."""
    async with GroupCommit(store.run) as commits:
        results = await asyncio.gather(*commits.submit_many([1, 666, 2]), return_exceptions=True)
    assert results[0] == 2
    assert isinstance(results[1], RuntimeError)
    assert results[2] == 4
    assert store.batches == [[1], [2]]


async def test_a_caller_that_hangs_up_does_not_hurt_the_others() -> None:
    """Its future is cancelled while the batch commits; the item is stored all the same."""
    store = Store()
    async with GroupCommit(store.run) as commits:
        gone, stays = commits.submit_many([1, 2])
        await asyncio.to_thread(store.entered.wait, 10)
        gone.cancel()
        store.released.set()
        assert await stays == 4
        assert await commits.submit(3) == 6
    assert store.batches[0] == [1, 2]


async def test_a_full_queue_refuses_and_takes_nothing() -> None:
    """All or none of a call's items are queued, so memory has a bound."""
    store = Store()
    async with GroupCommit(store.run, queue_limit=2) as commits:
        first = commits.submit(1)
        await asyncio.to_thread(store.entered.wait, 10)
        second = commits.submit(2)
        with pytest.raises(QueueFullError):
            commits.submit_many([3, 4])
        store.released.set()
        assert [await first, await second] == [2, 4]
    assert store.batches == [[1], [2]]


async def test_leaving_finishes_what_is_queued() -> None:
    """A drain answers everybody who was let in, and lets nobody in after that."""
    store = Store()
    async with GroupCommit(store.run, batch_limit=2) as commits:
        futures = commits.submit_many([1, 2, 3, 4, 5])
        store.released.set()
    assert await asyncio.gather(*futures) == [2, 4, 6, 8, 10]
    with pytest.raises(ClosedError):
        commits.submit(6)
