"""Deliveries that are worked on, and what is known of those that were overtaken; pure."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from consumers.outcome import Outcome
from consumers.source import Handed
from leadgate.v1.delivery_pb2 import LeadRecord, Receipt
from leadgate.v1.delivery_service_pb2 import DeliveryOutcome

_DECIDED = {
    DeliveryOutcome.DELIVERY_OUTCOME_DELIVERED,
    DeliveryOutcome.DELIVERY_OUTCOME_BUYER_REJECTED,
}

Known = tuple[Outcome, tuple[Receipt, ...]]
"""What became of a delivery, and the receipts to report with it."""


@dataclass(slots=True)
class InHand:
    """A delivery that is being worked on, with every copy of it that was handed over."""

    record: LeadRecord
    """The newest of them."""
    handed: list[Handed] = field(default_factory=list)

    def join(self, handed: Handed) -> None:
        """Takes another copy in; that of a newer attempt becomes the record."""
        self.handed.append(handed)
        if handed.record.attempt > self.record.attempt:
            self.record = handed.record

    def leave(self, attempt: int) -> list[Handed]:
        """Takes out the copies that the report of `attempt` has answered for."""
        ended = [each for each in self.handed if each.record.attempt <= attempt]
        self.handed = [each for each in self.handed if each.record.attempt > attempt]
        return ended


class Overtaken:
    """What the buyer's system had decided when the gateway said that the attempt was stale.

    A stream that breaks while reports are on their way gives each of them a newer attempt,
    which is handed out to this very process a moment later. The buyer's decision is as
    true for that one, so it is reported again, and the lead is not handed over twice. A
    failure or deferral is no decision: that attempt is a new try. At most `limit` are
    kept, the newest.
    """

    def __init__(self, limit: int = 1000) -> None:
        self._limit = limit
        self._known: OrderedDict[str, Known] = OrderedDict()

    def remember(self, record: LeadRecord, outcome: Outcome, receipts: tuple[Receipt, ...]) -> None:
        """The report of this outcome was stale."""
        if outcome.kind in _DECIDED:
            self._known[record.delivery_id] = (outcome, receipts)
            if len(self._known) > self._limit:
                self._known.popitem(last=False)

    def recall(self, record: LeadRecord) -> Known | None:
        """What is known of this delivery; it is told once.

        Nothing for a replay: that is asked for so that it is handed over again.
        """
        known = self._known.pop(record.delivery_id, None)
        return None if record.replay else known
