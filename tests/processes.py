"""Real processes in tests: start one, wait for what it logs, stop it, read it all.

    async with running("-m", "gateway", env={...}, cwd=tmp_path) as gateway:
        await gateway.event("listening")
        assert await gateway.stop() == 0

What a process writes also goes to the test's own stderr, so pytest shows it beside a
failure.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

Event = dict[str, Any]
Condition = Callable[[Event], object]

_LINE_BYTES = 16 * 2**20


class Process:
    """A running process, with everything it has said so far."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.errors: list[str] = []
        """Lines of stderr."""
        self.output: list[str] = []
        """Lines of stdout."""
        self._process = process
        self._news = asyncio.Condition()
        self._open_streams = 2
        self._pumps = asyncio.gather(
            self._pump(process.stderr, self.errors), self._pump(process.stdout, self.output)
        )

    @property
    def pid(self) -> int:
        """The process's id; also the id of its group."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """How the process ended, or None while it runs; minus the signal that killed it."""
        return self._process.returncode

    @property
    def events(self) -> list[Event]:
        """The log so far: every line of stderr that is a JSON object."""
        return list(self._events())

    async def event(self, wanted: str | Condition, *, seconds: float = 20) -> Event:
        """The first event, past or to come, of that name or for which `wanted` holds.

        Fails the test after `seconds`, or as soon as the process ends without it.
        """
        fits = _named(wanted) if isinstance(wanted, str) else wanted

        def found() -> Event | None:
            return next((event for event in self._events() if fits(event)), None)

        await self.until(lambda: found() or not self._open_streams, seconds=seconds)
        event = found()
        assert event, f"ended with {await self.ended()} and no event {wanted}"
        return event

    async def line(self, start: str, *, seconds: float = 20) -> str:
        """The first line of stdout, past or to come, that starts so; fails as `event` does."""

        def found() -> str | None:
            return next((line for line in self.output if line.startswith(start)), None)

        await self.until(lambda: found() is not None or not self._open_streams, seconds=seconds)
        line = found()
        assert line is not None, f"ended with {await self.ended()} and no line {start!r}"
        return line

    async def until(self, holds: Callable[[], object], *, seconds: float = 20) -> None:
        """Waits until `holds()`, asked after each line; fails the test after `seconds`."""
        async with asyncio.timeout(seconds), self._news:
            await self._news.wait_for(holds)

    async def ended(self, *, seconds: float = 20) -> int:
        """Waits for the end and everything said until then; returns the exit code."""
        async with asyncio.timeout(seconds):
            await self._pumps
            return await self._process.wait()

    async def stop(self, *, seconds: float = 20) -> int:
        """Sends SIGTERM and waits for the end; returns the exit code."""
        self.signal(signal.SIGTERM)
        return await self.ended(seconds=seconds)

    async def kill(self) -> None:
        """Kills the process, and what it started, as a crash would (SIGKILL)."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        await self.ended()

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal to the process, if it still runs."""
        with suppress(ProcessLookupError):
            self._process.send_signal(number)

    def _events(self) -> Iterator[Event]:
        for line in self.errors:
            if line.startswith("{"):
                with suppress(json.JSONDecodeError):
                    yield json.loads(line)

    async def _pump(self, stream: asyncio.StreamReader | None, lines: list[str]) -> None:
        assert stream is not None
        while line := await stream.readline():
            text = line.decode(errors="replace").rstrip("\n")
            lines.append(text)
            print(f"[{self.pid}] {text}", file=sys.stderr)
            await self._tell()
        self._open_streams -= 1
        await self._tell()

    async def _tell(self) -> None:
        async with self._news:
            self._news.notify_all()


@asynccontextmanager
async def running(
    *arguments: str | Path,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    command: Sequence[str | Path] = (sys.executable,),
) -> AsyncIterator[Process]:
    """Runs `python ARGUMENTS`, or another `command`, and kills it when the block ends.

    `env` is added to the test's own environment.
    """
    child = await asyncio.create_subprocess_exec(
        *command,
        *arguments,
        env=os.environ | {"PYTHONUNBUFFERED": "1"} | dict(env or {}),
        cwd=cwd,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=_LINE_BYTES,
        start_new_session=True,
    )
    process = Process(child)
    try:
        yield process
    finally:
        await process.kill()


def _named(name: str) -> Condition:
    return lambda event: event.get("event") == name
