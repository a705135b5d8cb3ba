"""What a report does to a delivery: the state table, as data. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from enum import IntEnum, StrEnum

from gateway.delivery import State


class Outcome(IntEnum):
    """What a report says; numbered as `leadgate.v1.DeliveryOutcome`."""

    DELIVERED = 1
    BUYER_REJECTED = 2
    DEFERRED = 3
    FAILED = 4


class Verdict(StrEnum):
    """What becomes of a report. All but the first three are refusals, by reason."""

    SETTLE = "SETTLE"
    """It ends the attempt."""
    DEFER = "DEFER"
    """It asks for a later try."""
    REPEAT = "REPEAT"
    """It says what is known already: fine, and nothing changes."""
    ALREADY_SETTLED = "ALREADY_SETTLED"
    STALE_ATTEMPT = "STALE_ATTEMPT"
    UNKNOWN_ATTEMPT = "UNKNOWN_ATTEMPT"
    CLAIM_MISSING = "CLAIM_MISSING"
    NOT_SENT = "NOT_SENT"


@dataclass(frozen=True, slots=True)
class Receipt:
    """A claim that was made. `encoded` is the whole `leadgate.v1.Receipt`."""

    cdr_id: str
    status: int
    encoded: bytes


@dataclass(frozen=True, slots=True)
class Report:
    """What a buyer's side says of a delivery, its fields checked."""

    delivery_id: str
    lead_id: bytes
    attempt: int
    outcome: Outcome
    reason: str
    receipts: tuple[Receipt, ...]
    retry_delay: timedelta


@dataclass(frozen=True, slots=True)
class Standing:
    """Where the delivery stands when a report arrives."""

    state: State
    attempt: int
    required: Collection[str]
    """CDRs that need a receipt before the lead counts as delivered."""
    receipts: Collection[str]
    """CDRs that have one, those of this report included."""
    closed_so: bool
    """Whether an event says that the report's attempt was closed in just this way."""


# A report may overtake the mark that its record was published, so what is valid in
# PUBLISHED is valid in PENDING for the same attempt.
_SAME_ATTEMPT: dict[State, dict[Outcome, Verdict]] = {
    State.PENDING: {
        Outcome.DELIVERED: Verdict.SETTLE,
        Outcome.BUYER_REJECTED: Verdict.SETTLE,
        Outcome.DEFERRED: Verdict.DEFER,
        Outcome.FAILED: Verdict.SETTLE,
    },
    State.DELIVERED: {Outcome.DELIVERED: Verdict.REPEAT},
    State.BUYER_REJECTED: {Outcome.BUYER_REJECTED: Verdict.REPEAT},
    State.FAILED: {Outcome.FAILED: Verdict.REPEAT},
}
_SAME_ATTEMPT[State.PUBLISHED] = _SAME_ATTEMPT[State.PENDING]

_NEVER_SENT = frozenset({State.REJECTED, State.AWAITING_EVIDENCE})

SETTLED_STATE = {
    Outcome.DELIVERED: State.DELIVERED,
    Outcome.BUYER_REJECTED: State.BUYER_REJECTED,
    Outcome.FAILED: State.FAILED,
}


def judge(standing: Standing, report: Report) -> Verdict:
    """Says what becomes of a report, from where the delivery stands."""
    if standing.state in _NEVER_SENT:
        return Verdict.NOT_SENT
    if report.attempt > standing.attempt:
        return Verdict.UNKNOWN_ATTEMPT
    if report.attempt < standing.attempt:
        return Verdict.REPEAT if standing.closed_so else Verdict.STALE_ATTEMPT
    verdict = _SAME_ATTEMPT[standing.state].get(report.outcome)
    if verdict is None:
        return Verdict.REPEAT if standing.closed_so else Verdict.ALREADY_SETTLED
    if verdict is Verdict.SETTLE and report.outcome is Outcome.DELIVERED:
        missing = any(cdr_id not in standing.receipts for cdr_id in standing.required)
        return Verdict.CLAIM_MISSING if missing else verdict
    return verdict
