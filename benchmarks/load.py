"""Load: sends prepared requests and measures how fast the answers come.

The same code loads the echo and the gateway. Nothing is built while the clock runs.
"""

from __future__ import annotations

import gc
import statistics
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter

from benchmarks.frames import DATA, END_STREAM, CallError, Connection

SERVICE = "/leadgate.v1.LeadService"


@dataclass(frozen=True)
class Target:
    """Who is loaded: an address, and the key to call with."""

    address: str
    api_key: str

    def connect(self, method: str) -> Connection:
        """A connection that calls a method of LeadService."""
        return Connection(self.address, f"{SERVICE}/{method}", {"x-api-key": self.api_key})


@dataclass(frozen=True)
class Measured:
    """What a load showed. An answer is a message that the server sent for a request."""

    answers: int
    seconds: float
    latencies: Sequence[float] = ()

    @property
    def rate(self) -> float:
        """Answers in a second."""
        return self.answers / self.seconds

    @property
    def p50_seconds(self) -> float:
        """The median time from sending a request to having its answer."""
        return statistics.median(self.latencies)


def calls(target: Target, method: str, bodies: Sequence[bytes], in_flight: int) -> Measured:
    """Calls a unary method with each body, so many calls at a time, on one connection.

    Raises `CallError` for a call that was answered with an error.
    """
    with target.connect(method) as connection, _undisturbed():
        waiting = iter(bodies)
        answered: set[int] = set()
        sent: dict[int, float] = {}
        latencies: list[float] = []
        begin = perf_counter()
        for _ in range(in_flight):
            _call(connection, waiting, sent)
        while sent:
            for frame in connection.frames():
                if frame.kind == DATA:
                    answered.add(frame.stream)
                if not frame.flags & END_STREAM:
                    continue
                if frame.stream not in answered:
                    raise CallError(f"a call of {method} failed: {frame.payload!r}")
                latencies.append(perf_counter() - sent.pop(frame.stream))
                connection.close(frame.stream)
                _call(connection, waiting, sent)
        return Measured(len(answered), perf_counter() - begin, latencies)


def stream(target: Target, method: str, bodies: Sequence[bytes], in_flight: int) -> Measured:
    """Sends each body on one bidirectional stream, so many unanswered at a time."""
    with target.connect(method) as connection, _undisturbed():
        begin = perf_counter()
        call = connection.open()
        connection.send(call, b"".join(bodies[:in_flight]), end=len(bodies) <= in_flight)
        sent, answers, rest = in_flight, 0, b""
        while True:
            came = 0
            for frame in connection.frames():
                if frame.kind == DATA:
                    count, rest = _messages(rest + frame.payload)
                    came += count
                elif frame.flags & END_STREAM:
                    if answers + came < len(bodies):
                        raise CallError(f"{method} ended early: {frame.payload!r}")
                    return Measured(answers + came, perf_counter() - begin)
            answers += came
            if came and sent < len(bodies):
                more = bodies[sent : sent + came]
                sent += came
                connection.send(call, b"".join(more), end=sent >= len(bodies))


def message(body: bytes) -> bytes:
    """A message as gRPC frames it: not compressed, length, bytes."""
    return b"\0" + len(body).to_bytes(4, "big") + body


def _call(connection: Connection, waiting: Iterator[bytes], sent: dict[int, float]) -> None:
    body = next(waiting, None)
    if body is not None:
        call = connection.open()
        connection.send(call, body, end=True)
        sent[call] = perf_counter()


def _messages(data: bytes) -> tuple[int, bytes]:
    """How many whole messages there are, and what is left of one that is not whole."""
    count, at = 0, 0
    while len(data) - at >= 5:
        size = int.from_bytes(data[at + 1 : at + 5], "big")
        if len(data) - at - 5 < size:
            break
        at += 5 + size
        count += 1
    return count, data[at:]


@contextmanager
def _undisturbed() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
