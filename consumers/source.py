"""Where deliveries come from: the port that the consumer takes them through."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from leadgate.v1.delivery_pb2 import LeadRecord


@dataclass(frozen=True, slots=True, eq=False)
class Handed:
    """A record in the consumer's hands. `place` is the source's own mark of it."""

    record: LeadRecord
    place: Any = None


@dataclass(frozen=True, slots=True, eq=False)
class Unreadable:
    """A record that cannot be decoded.

    `delivery_id` is empty, and `attempt` 0, where not even its `ce_id` is readable.
    """

    detail: str
    delivery_id: str
    attempt: int
    place: Any = None


Taken = Handed | Unreadable


class Source(Protocol):
    """A source of deliveries. Everything taken is either finished or comes again."""

    async def take(self) -> Taken:
        """Waits for the next delivery. To cancel the wait loses nothing."""

    def finish(self, taken: Taken) -> None:
        """The gateway has answered for this one: it need not come again."""

    async def bury(self, unreadable: Unreadable) -> None:
        """Returns once the record is kept durably where somebody can look at it."""
