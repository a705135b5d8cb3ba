"""Life of a process: the stop event, exit codes, and the event loop it runs in."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from enum import IntEnum
from typing import Any

import structlog

from leadgate.settings import SettingsError


class ExitCode(IntEnum):
    """How a command ended."""

    OK = 0
    """Done, or stopped by a signal with nothing lost."""
    FAILED = 1
    """An error that was not foreseen; the log says which."""
    USAGE = 2
    """Wrong command-line arguments."""
    UNAVAILABLE = 69
    """A service that is needed could not be reached (EX_UNAVAILABLE)."""
    HELD = 75
    """The database is held by another process (EX_TEMPFAIL)."""
    SETTINGS = 78
    """Settings or a market document cannot be used (EX_CONFIG)."""
    KILLED = 130
    """A second signal arrived before the drain was over."""


class Refusal(Exception):
    """A reason not to start, with what to do; ends the process with `exit_code`."""

    exit_code = ExitCode.FAILED


def run(main: Callable[[asyncio.Event], Coroutine[Any, Any, None]]) -> ExitCode:
    """Runs `main(stop)` to its end and returns the exit code.

    The first SIGTERM or SIGINT sets `stop`, and `main` drains; a second one ends the
    process at once. A crash is logged and is `FAILED`.
    """
    # A call makes hundreds of objects and hardly a cycle: to look for cycles as often as
    # the default does costs a twentieth of the processor.
    gc.set_threshold(50_000, 20, 50)
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_with_signals(main))
    except Exception as error:
        # The last edge: whatever reaches it must be in the log before the process ends.
        return _told(_sole(error))
    return ExitCode.OK


def _told(error: BaseException) -> ExitCode:
    """Logs why the process ends, and says how."""
    log = structlog.get_logger("leadgate.process")
    if isinstance(error, SettingsError):
        for problem in error.problems:
            log.error("settings refused", problem=problem)
        return ExitCode.SETTINGS
    if isinstance(error, Refusal):
        log.error("refused to start", problem=str(error))
        return error.exit_code
    log.error("crashed", exc_info=error)
    return ExitCode.FAILED


def _sole(error: BaseException) -> BaseException:
    """What was raised, where task groups on its way have wrapped it."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


async def _with_signals(main: Callable[[asyncio.Event], Coroutine[Any, Any, None]]) -> None:
    stop = asyncio.Event()

    def on_signal() -> None:
        if stop.is_set():
            os._exit(ExitCode.KILLED)
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    await main(stop)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    if sys.platform == "win32":
        return None
    import uvloop

    return uvloop.new_event_loop
