"""What an outlet to Kafka offers to the lanes, and how it fails."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from gateway.market import Buyer
from gateway.record import Record


class OutletError(Exception):
    """The outlet did not take records, and its channel is of no more use.

    OutletError             no answer in time, or lost order: try on a new channel
    ├── AwayError           Kafka cannot be reached
    ├── TopicError          this buyer's topic takes no records
    └── RefusedError        a batch was refused for what is in it
    """


class AwayError(OutletError):
    """Kafka cannot be reached."""


class TopicError(OutletError):
    """The buyer's topic takes no records; the text says why."""


class RefusedError(OutletError):
    """The broker refused a batch for one of its records; a smaller batch tells which."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a record lies. The offset is unknown where the broker had it already."""

    partition: int
    offset: int | None


@dataclass(frozen=True, slots=True)
class Sending:
    """What became of the records of one chunk."""

    places: Sequence[Place | None]
    """For each record: where it lies, or None where that was not confirmed."""
    refused: Collection[int] = ()
    """Records that were refused though alone in their batch, by position."""
    error: OutletError | None = None
    """Why the others were not confirmed."""


class Channel(Protocol):
    """A way to one topic. Good until the first error."""

    async def send(self, records: Sequence[Record]) -> Sending:
        """Publishes records, those of a partition in the order given."""
        ...


class Outlet(Protocol):
    """What publishes records."""

    def channel(self, buyer: Buyer) -> AbstractAsyncContextManager[Channel]:
        """Makes sure of the buyer's topic and opens a way to it; raises `OutletError`."""
        ...
