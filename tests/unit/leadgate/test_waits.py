"""Waiting for an event."""

from __future__ import annotations

import asyncio

import pytest

from leadgate.waits import happens


async def test_an_event_that_is_set_ends_the_wait() -> None:
    """Also one that was set before."""
    event = asyncio.Event()
    asyncio.get_running_loop().call_soon(event.set)
    assert await happens(event, 10)
    assert await happens(event, 0)


async def test_the_time_limit_ends_the_wait() -> None:
    """Without an error: the caller looks for itself."""
    assert not await happens(asyncio.Event(), 0.001)


@pytest.mark.parametrize("turns", range(4))
async def test_a_cancellation_together_with_the_event_is_not_lost(turns: int) -> None:
    """A loop that waits so ends when its task is cancelled, in whatever turn that comes."""
    event = asyncio.Event()
    rounds = 0

    async def loop() -> None:
        nonlocal rounds
        while True:
            await happens(event, 10)
            event.clear()
            rounds += 1

    task = asyncio.create_task(loop())
    await asyncio.sleep(0)
    event.set()
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 5)
    assert rounds <= 1
