"""Filters that listings have in common."""

from __future__ import annotations

from typing import Protocol

from google.protobuf.timestamp_pb2 import Timestamp

from gateway.delivery import State
from gateway.errors import Violation


class Message(Protocol):
    """A request whose fields may be unset."""

    def HasField(self, field_name: str, /) -> bool:  # noqa: N802  (protobuf's name)
        """Whether a field is set."""
        ...


class Ranged(Message, Protocol):
    """A request with a range of accept times."""

    accepted_from: Timestamp
    accepted_until: Timestamp


def accepted_range(request: Ranged, violations: list[Violation]) -> tuple[int | None, int | None]:
    """`accepted_from` and `accepted_until` in microseconds, None where not set."""
    return (
        microseconds(request, "accepted_from", violations),
        microseconds(request, "accepted_until", violations),
    )


def microseconds(request: Message, name: str, violations: list[Violation]) -> int | None:
    """A Timestamp field of a request in microseconds, None where it is not set."""
    if not request.HasField(name):
        return None
    time: Timestamp = getattr(request, name)
    if not (-62_135_596_800 <= time.seconds <= 253_402_300_799 and 0 <= time.nanos < 10**9):
        violations.append(Violation(name, "must be a time from the year 1 to 9999"))
        return None
    return time.seconds * 1_000_000 + time.nanos // 1000


def known_state(number: int, violations: list[Violation]) -> State | None:
    """The state a listing is limited to, None for any."""
    if number == 0:
        return None
    try:
        return State(number)
    except ValueError:
        violations.append(Violation("state", "must be a state of a delivery"))
        return None
