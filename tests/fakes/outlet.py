"""An outlet that keeps its topics in memory, told what to refuse and when to wait."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from gateway.market import Buyer
from gateway.outlet import AwayError, OutletError, Place, RefusedError, Sending
from gateway.record import Record
from leadgate.v1.delivery_pb2 import LeadRecord


class FakeOutlet:
    """Topics of one partition each; a batch that holds a refused record is refused whole.

    Attributes:
        away: opening a channel finds nobody.
        failures: what sending to a topic fails with, by topic.
        refuses: whether a record is one that no topic takes.
        gate: closed, sending waits in front of it.
        asked: set whenever a channel is asked for.
        sending: set whenever records are sent.
        lost: how many of the next sends are published and never confirmed.
    """

    def __init__(self) -> None:
        self.topics: defaultdict[str, list[Record]] = defaultdict(list)
        self.opened: defaultdict[str, int] = defaultdict(int)
        self.asked = asyncio.Event()
        self.sending = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()
        self.away = False
        self.failures: dict[str, OutletError] = {}
        self.refuses: Callable[[LeadRecord], bool] = lambda _: False
        self.lost = 0

    @asynccontextmanager
    async def channel(self, buyer: Buyer) -> AsyncIterator[FakeChannel]:
        """Opens a channel to the buyer's topic."""
        self.opened[buyer.topic] += 1
        self.asked.set()
        if self.away:
            raise AwayError("cannot be reached")
        if failure := self.failures.get(buyer.topic):
            raise failure
        yield FakeChannel(self, buyer.topic)

    def records(self, topic: str = "leads.buyer-one") -> list[LeadRecord]:
        """What is on a topic, decoded."""
        return [LeadRecord.FromString(record.value) for record in self.topics[topic]]


class FakeChannel:
    """A way to one topic."""

    def __init__(self, outlet: FakeOutlet, topic: str) -> None:
        self._outlet = outlet
        self._topic = topic

    async def send(self, records: Sequence[Record]) -> Sending:
        """Takes all of the records or none."""
        outlet = self._outlet
        outlet.sending.set()
        await outlet.gate.wait()
        nowhere = [None] * len(records)
        if any(outlet.refuses(LeadRecord.FromString(record.value)) for record in records):
            alone = (0,) if len(records) == 1 else ()
            return Sending(nowhere, alone, RefusedError("refused"))
        topic = outlet.topics[self._topic]
        first = len(topic)
        topic.extend(records)
        if outlet.lost:
            outlet.lost -= 1
            return Sending(nowhere, error=OutletError("no answer in time"))
        return Sending([Place(0, first + number) for number in range(len(records))])
