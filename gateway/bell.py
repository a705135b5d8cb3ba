"""Wakes those who wait for something to happen in the ledger."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator
from contextlib import contextmanager

EVENTS = "events"
"""The topic that rings when an event was committed."""

MARKET = "market"
"""The topic that rings when the market changed."""

HOLDS = "holds"
"""The topic that rings when a delivery began to await evidence."""

KAFKA = "kafka"
"""The topic that rings when Kafka went away or came back."""


class Bell:
    """A bell for each topic: those above, and each buyer's key (something fell due).

    Waiters read the ledger first and wait only then; a ring that comes between the two
    is kept in their event, so none is missed. All calls on the event loop.
    """

    def __init__(self) -> None:
        self._listeners: defaultdict[Hashable, set[asyncio.Event]] = defaultdict(set)

    @contextmanager
    def listen(self, *topics: Hashable) -> Iterator[asyncio.Event]:
        """Gives an event that each ring of one of the topics sets; the listener clears it."""
        event = asyncio.Event()
        for topic in topics:
            self._listeners[topic].add(event)
        try:
            yield event
        finally:
            for topic in topics:
                self._listeners[topic].discard(event)

    def is_heard(self, topics: Iterable[Hashable]) -> bool:
        """Whether anybody listens to one of the topics; may be asked from any thread.

        Who begins to listen only now has yet to read the ledger, and misses nothing.
        """
        return any(self._listeners.get(topic) for topic in topics)

    def ring(self, topics: Iterable[Hashable]) -> None:
        """Sets the events of everyone who listens to one of the topics."""
        for topic in topics:
            for event in self._listeners.get(topic, ()):
                event.set()
