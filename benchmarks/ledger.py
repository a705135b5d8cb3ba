"""What a gateway has stored, counted in its SQLite file by a connection that only reads."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway.delivery import State

_LOOK_SECONDS = 0.05


class CountError(Exception):
    """Stored rows and answers differ: whatever was measured does not count."""


@dataclass(frozen=True)
class Ledger:
    """The ledger of a gateway that may be running."""

    file: Path

    def leads(self) -> int:
        """Leads that are stored."""
        return self._number("SELECT count(*) FROM leads")

    def waiting(self) -> int:
        """Deliveries that are due to be sent."""
        return self._number("SELECT count(*) FROM deliveries WHERE due_time IS NOT NULL")

    def in_state(self, state: State) -> int:
        """Deliveries in a state."""
        return self._number("SELECT count(*) FROM deliveries WHERE state = ?", int(state))

    def receipts(self) -> int:
        """Claims that are proved."""
        return self._number("SELECT count(*) FROM receipts")

    @contextmanager
    def grows_by(self, state: State, deliveries_per_lead: int) -> Iterator[list[int]]:
        """Checks that the block stored as many leads as it appends to the list.

        Each must have its deliveries, all in the state. Raises `CountError`.
        """
        leads, deliveries = self.leads(), self.in_state(state)
        answers: list[int] = []
        yield answers
        stored, made = self.leads() - leads, self.in_state(state) - deliveries
        if stored != sum(answers) or made != stored * deliveries_per_lead:
            found = f"{stored} leads and {made} deliveries {state.name} are stored"
            raise CountError(f"{found} where {sum(answers)} submissions were answered")

    def _number(self, query: str, *values: int) -> int:
        with closing(sqlite3.connect(f"file:{self.file}?mode=ro", uri=True)) as connection:
            return int(connection.execute(query, values).fetchone()[0])


def drained(remaining: Callable[[], int], *, limit_seconds: float) -> tuple[int, float]:
    """Waits until `remaining()` is 0; returns how many there were and how long it took.

    The clock starts at the last look before the first progress. Raises `CountError` if
    it takes longer than the limit.
    """
    begin, first = time.monotonic(), remaining()
    deadline = begin + limit_seconds
    while (left := remaining()) > 0:
        if left == first:
            begin = time.monotonic()
        if time.monotonic() > deadline:
            raise CountError(f"{left} of {first} were left after {limit_seconds:.0f} s")
        time.sleep(_LOOK_SECONDS)
    return first, time.monotonic() - begin
