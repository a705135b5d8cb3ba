"""The clock, injected wherever time decides something."""

from __future__ import annotations

import time
from collections.abc import Callable

Clock = Callable[[], int]
"""Tells the time in Unix milliseconds, the unit of the whole API."""


def unix_ms() -> int:
    """The system's time in Unix milliseconds."""
    return time.time_ns() // 1_000_000
