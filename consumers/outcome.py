"""What became of a delivery on the buyer's side; pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Self

from leadgate.v1.delivery_service_pb2 import DeliveryOutcome

LONGEST_WAIT = timedelta(hours=24)
"""The longest `retry_delay` a report may carry."""

_LONGEST_REASON = 64
_CODE = re.compile(r"[A-Za-z][A-Za-z0-9]*([_.:-][A-Za-z0-9]+)*", re.ASCII)
_NO_CODE = re.compile(r"[^A-Z0-9]+")
_PERSONAL = re.compile(r"\d{5}")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a delivery ended, or that it has to wait.

    Attributes:
        kind: as it is reported.
        reason: UPPER_SNAKE, 1 to 64 characters; empty for delivered only.
        retry_delay: the shortest wait the other side asked for, up to 24 hours.
    """

    kind: DeliveryOutcome
    reason: str = ""
    retry_delay: timedelta | None = None

    @property
    def delivered(self) -> bool:
        """Whether the buyer's system took the lead."""
        return self.kind == DeliveryOutcome.DELIVERY_OUTCOME_DELIVERED

    @property
    def name(self) -> str:
        """DELIVERED, BUYER_REJECTED, DEFERRED or FAILED."""
        return DeliveryOutcome.Name(self.kind).removeprefix("DELIVERY_OUTCOME_")

    @classmethod
    def rejected(cls, reason: str) -> Self:
        """The buyer decided against the lead; never sent again."""
        return cls(DeliveryOutcome.DELIVERY_OUTCOME_BUYER_REJECTED, code(reason, "REJECTED"))

    @classmethod
    def deferred(cls, reason: str, after: timedelta | None = None) -> Self:
        """Not now; the gateway decides when again, not before `after`."""
        wait = None if after is None else min(max(after, timedelta()), LONGEST_WAIT)
        return cls(DeliveryOutcome.DELIVERY_OUTCOME_DEFERRED, code(reason, "DEFERRED"), wait)

    @classmethod
    def failed(cls, reason: str) -> Self:
        """Never; further tries cannot mend it."""
        return cls(DeliveryOutcome.DELIVERY_OUTCOME_FAILED, code(reason, "FAILED"))


DELIVERED = Outcome(DeliveryOutcome.DELIVERY_OUTCOME_DELIVERED)


def code(reason: str, otherwise: str) -> str:
    """Makes a reason of a text from outside: UPPER_SNAKE, 1 to 64 characters.

    A reason is logged and shown to the generator, so only what is a code already is
    taken: one word of letters and digits, joined by `_`, `.`, `:` or `-`. A sentence may
    name a person, and five digits in a row may be a phone or a postal code: then the
    answer is `otherwise`.
    """
    if not _CODE.fullmatch(reason) or _PERSONAL.search(reason):
        return otherwise
    return _NO_CODE.sub("_", reason.upper())[:_LONGEST_REASON].rstrip("_")
