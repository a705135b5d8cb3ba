"""Waits that double up to a cap, each shortened at random so that callers spread."""

from __future__ import annotations

import random


class Backoff:
    """The waits between tries: from half of `first_seconds` up to `longest_seconds`."""

    def __init__(self, first_seconds: float, longest_seconds: float) -> None:
        self._first_seconds = first_seconds
        self._longest_seconds = longest_seconds
        self._next_seconds = first_seconds

    def next_seconds(self) -> float:
        """How long to wait now: between half and the whole of the current step."""
        step = self._next_seconds
        self._next_seconds = min(step * 2, self._longest_seconds)
        return step * random.uniform(0.5, 1.0)

    def reset(self) -> None:
        """Starts anew, after a success."""
        self._next_seconds = self._first_seconds
