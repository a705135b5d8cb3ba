"""The demo's processes: started, listened to, and stopped whatever happens."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, cast

# prctl(PR_SET_PDEATHSIG, SIGTERM), then what was asked for.
_TIED = (
    "import ctypes, os, sys; ctypes.CDLL(None).prctl(1, 15); "
    "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
)

START_SECONDS = 30.0
STOP_SECONDS = 30.0


class DemoError(Exception):
    """The demo cannot go on; the text says why."""


class Child:
    """A running process. Its log goes to a file line by line, and can be waited for."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, log: Path) -> None:
        self.name = name
        self.log = log
        self.ended = False
        self._process = process
        self._events: list[dict[str, Any]] = []
        self._last: deque[str] = deque(maxlen=5)
        self._news = asyncio.Condition()
        self._pump = asyncio.create_task(self._read())

    async def event(self, name: str) -> dict[str, Any]:
        """The first log event of that name, past or to come.

        Raises `DemoError` if the process ends first, or takes too long.
        """
        try:
            async with asyncio.timeout(START_SECONDS), self._news:
                await self._news.wait_for(lambda: self._find(name) or self.ended)
        except TimeoutError:
            raise DemoError(f"{self.name} is not up after {START_SECONDS:g} s") from None
        if event := self._find(name):
            return event
        last = "\n  ".join(self._last)
        raise DemoError(f"{self.name} ended before it was up; it said last:\n  {last}")

    async def stop(self) -> None:
        """Asks the process to drain, and kills it if it does not end in time."""
        with suppress(ProcessLookupError):
            self._process.terminate()
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await self._process.wait()
        finally:
            # Reached by a second Ctrl-C too: nothing of the demo may outlive it.
            with suppress(ProcessLookupError):
                self._process.kill()
        await self._pump

    def _find(self, name: str) -> dict[str, Any] | None:
        return next((event for event in self._events if event.get("event") == name), None)

    async def _read(self) -> None:
        stderr = cast(asyncio.StreamReader, self._process.stderr)
        with self.log.open("ab") as log:
            async for line in stderr:
                log.write(line)
                log.flush()
                self._last.append(line.decode(errors="replace").rstrip())
                with suppress(json.JSONDecodeError):
                    event = json.loads(line)
                    self._events += [event] if isinstance(event, dict) else []
                await self._tell()
        self.ended = True
        await self._tell()

    async def _tell(self) -> None:
        async with self._news:
            self._news.notify_all()


@asynccontextmanager
async def running(
    name: str, module: str, settings: Mapping[str, str], folder: Path
) -> AsyncIterator[Child]:
    """Runs `python -m MODULE` with these settings and no others; stops it after the block.

    It works in `folder`, and logs to NAME.log there.
    """
    inherited = {key: value for key, value in os.environ.items() if not _is_ours(key)}
    with (folder / f"{name}.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            *_python("-m", module),
            env=inherited | {"PYTHONUNBUFFERED": "1"} | dict(settings),
            cwd=folder,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=asyncio.subprocess.PIPE,
            limit=2**20,
            # Ctrl-C goes to the demo alone, which then stops everybody in order.
            start_new_session=True,
        )
    child = Child(name, process, folder / f"{name}.log")
    try:
        yield child
    finally:
        await child.stop()


def _python(*arguments: str) -> list[str]:
    """The command of a Python that, on Linux, is asked to end when the demo dies.

    A demo that is killed (SIGKILL, out of memory) can stop nobody any more.
    """
    tied = ["-c", _TIED] if sys.platform == "linux" else []
    return [sys.executable, *tied, *arguments]


def _is_ours(name: str) -> bool:
    return name.startswith("LEADGATE_") or name.lower().endswith("_proxy")
