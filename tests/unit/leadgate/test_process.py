"""The life of a process: exit codes for how it ended, and what the log says."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine, MutableMapping
from typing import Any

import pytest
import structlog

from leadgate.process import ExitCode, Refusal, run
from leadgate.settings import SettingsError

Main = Callable[[asyncio.Event], Coroutine[Any, Any, None]]


class HeldError(Refusal):
    """A refusal with a code of its own."""

    exit_code = ExitCode.HELD


def _raises(error: BaseException) -> Main:
    async def main(_: asyncio.Event) -> None:
        raise error

    return main


def _ended(main: Main) -> tuple[ExitCode, list[MutableMapping[str, Any]]]:
    with structlog.testing.capture_logs() as said:
        return run(main), said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_asks_to_stop(number: signal.Signals) -> None:
    """And the end is a good one."""

    async def main(stop: asyncio.Event) -> None:
        os.kill(os.getpid(), number)
        await stop.wait()

    assert run(main) is ExitCode.OK


def test_every_wrong_setting_is_a_line_of_the_log() -> None:
    """Exit code 78, as of EX_CONFIG."""
    code, said = _ended(_raises(SettingsError(["A: wrong", "B: missing"])))
    assert code is ExitCode.SETTINGS
    assert [event["problem"] for event in said] == ["A: wrong", "B: missing"]


def test_a_refusal_has_its_own_exit_code() -> None:
    """And says why in words."""
    code, [said] = _ended(_raises(HeldError("another process has it")))
    assert (code, said["problem"]) == (ExitCode.HELD, "another process has it")


def test_a_refusal_that_passed_task_groups_is_still_one() -> None:
    """However many have wrapped it."""

    async def main(stop: asyncio.Event) -> None:
        async with asyncio.TaskGroup(), asyncio.TaskGroup():
            raise HeldError("another process has it")

    code, [said] = _ended(main)
    assert (code, said["problem"]) == (ExitCode.HELD, "another process has it")


def test_a_crash_is_logged_and_is_a_failure() -> None:
    """With the exception, of which the log keeps type and place."""
    error = RuntimeError("canary")
    code, [said] = _ended(_raises(error))
    assert (code, said["event"], said["exc_info"]) == (ExitCode.FAILED, "crashed", error)
