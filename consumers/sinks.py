"""Where leads go in the buyer's house: a Python handler, JSON lines; `webhook` is the third."""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import structlog

from consumers.errors import Decision
from consumers.outcome import DELIVERED, Outcome
from consumers.record import DeliveredLead
from leadgate.group_commit import GroupCommit
from leadgate.process import Refusal

Handler = Callable[[DeliveredLead], Awaitable[None]]
"""A buyer's own function. To return is to have taken the lead; see `Reject` and `Defer`."""

_STEP_BYTES = 64 << 10

_log = structlog.get_logger("consumers.sinks")


class Sink(Protocol):
    """Hands leads to the buyer's system."""

    async def deliver(self, lead: DeliveredLead) -> Outcome:
        """Delivers, and returns only what is certain: DELIVERED once the lead is kept.

        The same delivery may come again; `lead.delivery_id` tells.
        """


class SinkHeld(Refusal):
    """The file is written by another process already."""


class HandlerSink:
    """Awaits a handler for each lead, up to the in-flight limit at once."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler

    async def deliver(self, lead: DeliveredLead) -> Outcome:
        """DELIVERED on return; what `Reject` and `Defer` say; DEFERRED on any other error."""
        try:
            await self._handler(lead)
        except Decision as decision:
            return decision.outcome
        except Exception as error:
            # Whatever the buyer's code raises. Only its class is logged: the message may
            # hold what it was working on.
            _log.error("handler failed", delivery_id=lead.delivery_id, error=type(error).__name__)
            return Outcome.deferred("HANDLER_FAILED")
        return DELIVERED


class JsonLinesSink:
    """Appends one line of JSON for each lead to a file, or to standard output.

    A lead counts as delivered once its line is synced to disk; lines that wait while
    one sync runs share the next. A path `-` is standard output: there a line counts
    once it is written. One process writes a file: a second one refuses to start. A line
    that a crash cut off is removed at the next start; its lead was never reported.
    """

    def __init__(self, path: Path | str) -> None:
        self._path = None if str(path) == "-" else Path(path)
        self._lines: GroupCommit[bytes, None] | None = None
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        write = _to_stdout
        if self._path is not None:
            file = self._stack.enter_context(_opened(self._path))
            write = partial(_append, file)
        self._lines = await self._stack.enter_async_context(GroupCommit(write))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def deliver(self, lead: DeliveredLead) -> Outcome:
        """DELIVERED once the line is durable; DEFERRED while it cannot be written."""
        if self._lines is None:
            raise RuntimeError("use JsonLinesSink as a context manager")
        line = f"{lead.as_json()}\n".encode()
        try:
            await self._lines.submit(line)
        except OSError as error:
            _log.error("sink cannot be written", error=type(error).__name__)
            return Outcome.deferred("SINK_FAILED")
        return DELIVERED


def _append(file: FileIO, lines: Sequence[bytes]) -> list[None]:
    end = file.seek(0, os.SEEK_END)
    rest = memoryview(b"".join(lines))
    try:
        while rest:
            rest = rest[file.write(rest) :]
        os.fsync(file.fileno())
    except OSError:
        # Half a line must not stay in front of the next one.
        file.truncate(end)
        raise
    return [None] * len(lines)


def _to_stdout(lines: Sequence[bytes]) -> list[None]:
    sys.stdout.buffer.write(b"".join(lines))
    sys.stdout.buffer.flush()
    return [None] * len(lines)


def _opened(path: Path) -> FileIO:
    file = FileIO(path, "ab+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise SinkHeld(f"{path} is written by another process: give each its own file") from None
    _cut_torn_line(file)
    _sync_folder(path.absolute().parent)
    return file


def _cut_torn_line(file: FileIO) -> None:
    end = file.seek(0, os.SEEK_END)
    start = end
    while start > 0:
        step = min(start, _STEP_BYTES)
        file.seek(start - step)
        newline = file.read(step).rfind(b"\n")
        if newline >= 0:
            file.truncate(start - step + newline + 1)
            return
        start -= step
    file.truncate(0)


def _sync_folder(folder: Path) -> None:
    """A new file's name must be on disk as well as its lines."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
