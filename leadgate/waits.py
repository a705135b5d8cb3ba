"""Waiting for an event with a time limit, and being cancelled while at it."""

from __future__ import annotations

import asyncio


async def happens(event: asyncio.Event, seconds: float) -> bool:
    """Waits until the event is set, at most `seconds`; returns whether it was.

    Not `asyncio.wait_for`: before Python 3.12 that loses a cancellation that comes
    together with the event (https://github.com/python/cpython/issues/86296), and a loop
    that waits so goes on for ever.
    """
    try:
        async with asyncio.timeout(max(0, seconds)):
            await event.wait()
    except TimeoutError:
        return False
    return True
