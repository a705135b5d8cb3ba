"""Limits against floods: a bucket of tokens per caller, and room for bodies in memory."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

from evidence.clock import Clock
from evidence.errors import Overloaded

_MINUTE_MS = 60_000


class Rate:
    """Lets `per_minute` requests of one name through, half of them at once at most.

    Remembers the names that were seen last, in bounded memory: who floods is seen often.
    """

    def __init__(self, per_minute: int, clock: Clock, remembered: int = 100_000) -> None:
        self._per_ms = per_minute / _MINUTE_MS
        self._most = max(1.0, per_minute / 2)
        self._clock = clock
        self._remembered = remembered
        self._buckets: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def admit(self, name: str) -> None:
        """Takes a token; raises `Overloaded` with the seconds until there is one again."""
        now = self._clock()
        tokens, since = self._buckets.pop(name, (self._most, now))
        tokens = min(self._most, tokens + max(0, now - since) * self._per_ms)
        taken = tokens >= 1
        self._buckets[name] = (tokens - 1 if taken else tokens), now
        if len(self._buckets) > self._remembered:
            self._buckets.popitem(last=False)
        if not taken:
            seconds = math.ceil((1 - tokens) / self._per_ms / 1000)
            raise Overloaded("too many uploads; try again later", max(1, seconds))


class Room:
    """Room in memory for what is being read; no single name can have more than an eighth."""

    def __init__(self, most_bytes: int) -> None:
        self._free = most_bytes
        self._most_each = most_bytes // 8
        self._held: dict[str, int] = {}

    @contextmanager
    def reserved(self, name: str, size_bytes: int) -> Iterator[None]:
        """Holds room until the block ends; raises `Overloaded` where there is none."""
        held = self._held.get(name, 0) + size_bytes
        if size_bytes > self._free or held > self._most_each:
            raise Overloaded("too many uploads at once; try again")
        self._free -= size_bytes
        self._held[name] = held
        try:
            yield
        finally:
            self._free += size_bytes
            self._held[name] -= size_bytes
            if not self._held[name]:
                del self._held[name]
