"""What a report does to a delivery."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from gateway.delivery import State
from gateway.settlement import Outcome, Report, Standing, Verdict, judge

NEVER_SENT = {State.REJECTED, State.AWAITING_EVIDENCE}
STANDING = Standing(
    state=State.PUBLISHED, attempt=2, required={"cdr-1"}, receipts={"cdr-1"}, closed_so=False
)


def a_report(outcome: Outcome = Outcome.DELIVERED, attempt: int = 2) -> Report:
    """A report on the attempt that stands."""
    return Report("id", bytes(16), attempt, outcome, "", (), timedelta())


@pytest.mark.parametrize("state", [State.PUBLISHED, State.PENDING])
@pytest.mark.parametrize(
    ("outcome", "verdict"),
    [
        (Outcome.DELIVERED, Verdict.SETTLE),
        (Outcome.BUYER_REJECTED, Verdict.SETTLE),
        (Outcome.FAILED, Verdict.SETTLE),
        (Outcome.DEFERRED, Verdict.DEFER),
    ],
)
def test_a_report_counts_whether_or_not_its_publication_is_marked(
    state: State, outcome: Outcome, verdict: Verdict
) -> None:
    """A report may overtake the mark, so PENDING takes what PUBLISHED takes."""
    assert judge(replace(STANDING, state=state), a_report(outcome)) is verdict


def test_delivered_needs_a_receipt_for_every_cdr() -> None:
    """One missing is enough."""
    standing = replace(STANDING, required={"cdr-1", "cdr-2"})
    assert judge(standing, a_report()) is Verdict.CLAIM_MISSING


@pytest.mark.parametrize("outcome", [Outcome.BUYER_REJECTED, Outcome.FAILED, Outcome.DEFERRED])
def test_other_outcomes_need_no_receipt(outcome: Outcome) -> None:
    """A buyer may reject before it pays."""
    verdict = judge(replace(STANDING, receipts=()), a_report(outcome))
    assert verdict in (Verdict.SETTLE, Verdict.DEFER)


@pytest.mark.parametrize("state", [State.DELIVERED, State.BUYER_REJECTED, State.FAILED])
@pytest.mark.parametrize("outcome", list(Outcome))
def test_after_the_end_only_the_same_outcome_is_fine(state: State, outcome: Outcome) -> None:
    """The state that stands is not moved by any report."""
    verdict = judge(replace(STANDING, state=state), a_report(outcome))
    same = state.name == outcome.name
    assert verdict is (Verdict.REPEAT if same else Verdict.ALREADY_SETTLED)


@pytest.mark.parametrize("state", sorted(set(State) - NEVER_SENT))
@pytest.mark.parametrize("outcome", list(Outcome))
def test_an_older_attempt_is_stale_unless_it_was_closed_so(state: State, outcome: Outcome) -> None:
    """A repeat of the report that closed an attempt is answered as it was then."""
    standing = replace(STANDING, state=state)
    report = a_report(outcome, attempt=1)
    assert judge(standing, report) is Verdict.STALE_ATTEMPT
    assert judge(replace(standing, closed_so=True), report) is Verdict.REPEAT


def test_the_last_deferral_of_a_failed_delivery_may_be_repeated() -> None:
    """The report that ran out of retries closed its attempt as FAILED."""
    standing = replace(STANDING, state=State.FAILED, closed_so=True)
    assert judge(standing, a_report(Outcome.DEFERRED)) is Verdict.REPEAT


@pytest.mark.parametrize("outcome", list(Outcome))
def test_an_attempt_never_sent_cannot_be_reported(outcome: Outcome) -> None:
    """Attempts count up at the gateway alone."""
    assert judge(STANDING, a_report(outcome, attempt=3)) is Verdict.UNKNOWN_ATTEMPT


@pytest.mark.parametrize("state", sorted(NEVER_SENT))
@pytest.mark.parametrize("outcome", list(Outcome))
def test_what_the_gateway_never_sent_cannot_be_reported(state: State, outcome: Outcome) -> None:
    """It was refused, or still awaits its evidence."""
    verdict = judge(replace(STANDING, state=state), a_report(outcome))
    assert verdict is Verdict.NOT_SENT
