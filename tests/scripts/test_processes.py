"""The wrapper that every service test leans on: it waits, fails in time and cleans up."""

from __future__ import annotations

import asyncio
import os
import select

import pytest

from tests.processes import running

TALK = 'import json, sys; print(json.dumps({"event": "ready", "port": 7}), file=sys.stderr)'


async def test_an_event_is_found_whether_it_came_before_or_after_the_question() -> None:
    """Waiting for it twice gives the same event."""
    async with running("-c", f"{TALK}; sys.stdin.read()") as process:
        assert (await process.event("ready"))["port"] == 7
        assert await process.event(lambda event: event["port"] == 7) == process.events[0]


async def test_a_process_that_ends_early_fails_the_wait_at_once() -> None:
    """Nobody waits out the timeout for a process that can say nothing more."""
    async with running("-c", f"{TALK}; sys.exit(3)") as process:
        with pytest.raises(AssertionError, match="ended with 3 and no event never"):
            await process.event("never", seconds=50)


async def test_a_wait_that_takes_too_long_fails() -> None:
    """The limit holds while the process lives and is silent."""
    async with running("-c", "import signal; signal.pause()") as process:
        with pytest.raises(TimeoutError):
            await process.event("never", seconds=0.05)


async def test_stop_sends_sigterm_and_returns_the_exit_code() -> None:
    """A process that handles the signal ends as it wants to."""
    program = f"""
import signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))
{TALK}
signal.pause()
"""
    async with running("-c", program) as process:
        await process.event("ready")
        assert await process.stop() == 5


async def test_what_a_process_started_ends_with_the_block() -> None:
    """No test leaves a process behind, not even a child's child."""
    program = """
import signal, subprocess
print(subprocess.Popen(["sleep", "600"]).pid, flush=True)
signal.pause()
"""
    async with running("-c", program) as process:
        sleeper = os.pidfd_open(int(await process.line("")))
    ended, _, _ = await asyncio.to_thread(select.select, [sleeper], [], [], 10)
    os.close(sleeper)
    assert ended
