"""Deliveries whose time has come, as the ledger hands them to the outlets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple


class Due(NamedTuple):
    """One delivery to be sent. Times in microseconds."""

    lead_key: int
    generator_key: int
    due_time: int
    """As read: who marks it later finds by it whether the row was changed meanwhile."""
    attempt: int
    replay: bool
    """Whether this sending was asked for again."""
    lead_id: bytes
    accept_time: int
    submission: bytes
    """The whole SubmitLeadRequest, serialised."""
    receipts: tuple[bytes, ...] = ()
    """Each a serialised Receipt of this buyer's."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits for one buyer: the oldest first, as much as was asked for."""

    rows: Sequence[Due]
    more: bool
    """Whether others are due behind them."""
    next_time: int | None
    """When the next delivery falls due that is not due yet."""
