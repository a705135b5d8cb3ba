"""Whether a recipient may get a lead: decided once, from stored facts. Pure.

The facts are read inside the transaction that stores the answer. Decided outside it,
two submissions of one CDR for two persons could both pass.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple


class Refusal(StrEnum):
    """Why a recipient does not get a lead: the reason of a REJECTED delivery."""

    GENERATOR_PAUSED = "GENERATOR_PAUSED"
    BUYER_PAUSED = "BUYER_PAUSED"
    NO_EVIDENCE = "NO_EVIDENCE"
    SHARE_EXPIRED = "SHARE_EXPIRED"
    CDR_REUSED = "CDR_REUSED"
    EVIDENCE_TIMEOUT = "EVIDENCE_TIMEOUT"
    """No evidence came while it was awaited: never decided here, it is what time does."""


class Person(NamedTuple):
    """Who a lead is about: 16 bytes of an HMAC of phone and of email, or empty bytes."""

    phone: bytes
    email: bytes

    def is_other_than(self, phone: bytes, email: bytes) -> bool:
        """Whether neither phone nor email is the same; what is missing is never the same."""
        same_phone = self.phone != b"" and self.phone == phone
        same_email = self.email != b"" and self.email == email
        return not same_phone and not same_email


class Facts(NamedTuple):
    """What the ledger knows when one recipient is decided. Times in microseconds."""

    now: int
    generator_paused: bool
    buyer_paused: bool
    expire_times: tuple[int, ...]
    """When those shares expire that say so."""
    has_evidence: bool
    earlier_uses: Iterable[tuple[bytes, bytes]]
    """Phone and email of each person that any of the evidence was accepted for before."""
    evidence_may_come: bool = False
    """Whether the recipient is held until it has evidence, so that its lack is no reason."""


def decide(facts: Facts, person: Person) -> Refusal | None:
    """Returns why the recipient is refused, the first reason that holds, or None."""
    if facts.generator_paused:
        return Refusal.GENERATOR_PAUSED
    if facts.buyer_paused:
        return Refusal.BUYER_PAUSED
    if not facts.has_evidence and not facts.evidence_may_come:
        return Refusal.NO_EVIDENCE
    if facts.expire_times and min(facts.expire_times) <= facts.now:
        return Refusal.SHARE_EXPIRED
    for phone, email in facts.earlier_uses:
        if person.is_other_than(phone, email):
            return Refusal.CDR_REUSED
    return None
