"""Submits many leads over one stream: pipelined, and safe to interrupt and to repeat.

Safe because every line has a request id that is the same in every run: the gateway
answers a repeat with what it decided first.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio
from google.protobuf import json_format

from leadgate.cli.refusal import Refused, code_of, describe, name_of, retry_seconds_of
from leadgate.process import ExitCode
from leadgate.v1 import lead_service_pb2 as pb

UNKNOWN_OUTCOMES = frozenset(
    ["CANCELLED", "UNKNOWN", "DEADLINE_EXCEEDED", "INTERNAL", "UNAVAILABLE", "RESOURCE_EXHAUSTED"]
)
"""Codes after which the same line is sent again; the others are the gateway's last word."""

_BUSY = frozenset(["RESOURCE_EXHAUSTED", "UNAVAILABLE"])
_MOST_TRIES = 5


class LineError(Exception):
    """A line that is no SubmitLeadRequest; `problem` may quote the line."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem


@dataclass
class Line:
    """One line of a file: its number from 1, its text, and the offset behind it in bytes."""

    number: int
    text: str
    end: int
    request: pb.SubmitLeadRequest
    tries: int = 0


def read_line(number: int, raw: bytes, end: int) -> Line:
    """Reads one SubmitLeadRequest in the proto3 JSON mapping.

    A line without a request id is named after its content, so the same line has the
    same id in every run, wherever it stands. Raises `LineError`.
    """
    try:
        text = raw.decode("utf-8").strip()
        request = json_format.Parse(text, pb.SubmitLeadRequest())
    except (UnicodeDecodeError, json_format.ParseError) as error:
        raise LineError(str(error)) from None
    if not text.startswith("{"):
        raise LineError("not a JSON object")
    if not request.request_id:
        request.request_id = f"line-{hashlib.sha256(text.encode()).hexdigest()[:40]}"
    return Line(number, text, end, request)


class Tally:
    """Tells leads that are new from repeats.

    `newest` is the generator's newest lead before the run: ids are UUIDv7 and rise, so
    an id that is not above it was stored by an earlier run.
    """

    def __init__(self, newest: str) -> None:
        self._newest = newest
        self._seen: set[str] = set()

    def is_new(self, lead_id: str) -> bool:
        """Whether this answer is the first that names a lead stored in this run."""
        if lead_id <= self._newest or lead_id in self._seen:
            return False
        self._seen.add(lead_id)
        return True


class Submission:
    """Sends lines and hands each, with what became of it, to `settle`, once.

    At most `in_flight` lines are unanswered at a time. A line whose outcome is unknown,
    or that met a busy gateway, is sent again; after five tries its last error stands.
    A stream that breaks is opened again, with growing waits, as long as it gets on.
    """

    def __init__(
        self,
        open_stream: Callable[[], Any],
        settle: Callable[[Line, pb.SubmitLeadResult], None],
        in_flight: int = 256,
        wait_seconds: float = 0.25,
    ) -> None:
        self._open_stream = open_stream
        self._settle = settle
        self._in_flight = in_flight
        self._wait_seconds = wait_seconds

    async def run(self, lines: Iterable[Line]) -> None:
        """Submits every line. Raises the error of a stream that cannot be had."""
        todo = iter(lines)
        failures = 0
        while True:
            stream = _Stream(self._open_stream(), self._in_flight, self._settle)
            await stream.run(todo)
            if stream.finished:
                return
            failures = 0 if stream.settled else failures + 1
            if not stream.may_be_repeated or failures >= _MOST_TRIES:
                raise stream.failure()
            await asyncio.sleep(max(self._wait_seconds * 2**failures, stream.retry_seconds))
            todo = itertools.chain(stream.left(), todo)


class _Stream:
    """One StreamLeads call, from its opening to its end."""

    def __init__(
        self, call: Any, in_flight: int, settle: Callable[[Line, pb.SubmitLeadResult], None]
    ) -> None:
        self.settled = 0
        self.retry_seconds = 0.0
        self._call = call
        self._settle = settle
        self._room = asyncio.Semaphore(in_flight)
        self._sent: deque[Line] = deque()
        self._again: list[Line] = []
        self._drained = False
        self._busy: Any = None
        self._error: grpc.aio.AioRpcError | None = None

    @property
    def finished(self) -> bool:
        """Whether every line there was is settled."""
        return self._drained and not self._sent and not self._again

    @property
    def may_be_repeated(self) -> bool:
        """Whether another stream may fare better than this one."""
        return self._error is None or code_of(self._error) in UNKNOWN_OUTCOMES

    def left(self) -> list[Line]:
        """Lines that were sent and are not settled."""
        return [*self._again, *self._sent]

    def failure(self) -> Exception:
        """Why this stream did not get on."""
        if self._error is not None:
            return self._error
        lines = describe(self._busy) if self._busy else ["the gateway ended the stream"]
        return Refused(lines, ExitCode.UNAVAILABLE)

    async def run(self, todo: Iterator[Line]) -> None:
        """Sends from `todo` until it is empty, the gateway is busy, or the stream ends."""
        feeding = asyncio.create_task(self._feed(todo))
        try:
            async for answer in self._call:
                self._take(self._sent.popleft(), answer.result)
                self._room.release()
        except grpc.aio.AioRpcError as error:
            self._error = error
        finally:
            feeding.cancel()
            with suppress(asyncio.CancelledError, grpc.aio.AioRpcError, asyncio.InvalidStateError):
                await feeding
            self._call.cancel()

    async def _feed(self, todo: Iterator[Line]) -> None:
        while True:
            # First room, then the line: a stream that breaks while this waits has then
            # taken no line out of `todo`.
            await self._room.acquire()
            line = None if self._busy else next(todo, None)
            if line is None:
                self._drained = not self._busy
                await self._call.done_writing()
                return
            self._sent.append(line)
            await self._call.write(pb.StreamLeadsRequest(request=line.request))

    def _take(self, line: Line, result: pb.SubmitLeadResult) -> None:
        line.tries += 1
        code = name_of(result.error.code) if result.HasField("error") else "OK"
        if code in _BUSY:
            self._busy = result.error
            self.retry_seconds = max(self.retry_seconds, retry_seconds_of(result.error))
        if code in UNKNOWN_OUTCOMES and line.tries < _MOST_TRIES:
            self._again.append(line)
            return
        self.settled += 1
        self._settle(line, result)
