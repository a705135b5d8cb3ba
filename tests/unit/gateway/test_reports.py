"""Reports in a real ledger: judged, stored, and receipts kept whatever the verdict."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from gateway.delivery import EventKind, State, delivery_id
from gateway.lane import Sent
from gateway.ledger.outbox import SqlOutbox
from gateway.ledger.transaction import Transaction
from gateway.reports import Reported
from gateway.retry import DEFERRAL_LIMIT
from gateway.settlement import Outcome, Receipt, Report
from gateway.timeline import DeliveryView
from leadgate.v1.delivery_pb2 import CLAIM_STATUS_CLAIMED, CLAIM_STATUS_SAVED_UNPAID
from tests.builders import a_receipt, a_recipient, a_share, a_submission
from tests.unit.gateway.conftest import Gateway


def receipt(cdr_id: str = "cdr-1", status: int = CLAIM_STATUS_CLAIMED) -> Receipt:
    """A claim of a CDR."""
    message = a_receipt(cdr_id, status=status)
    return Receipt(cdr_id, status, message.SerializeToString())


async def a_report(gateway: Gateway, **fields: object) -> Report:
    """A report DELIVERED with its receipt, on a lead that is submitted for it."""
    answer = await gateway.submit(a_submission())
    assert answer.lead_id
    report = Report(
        delivery_id(answer.lead_id, "buyer-one"),
        answer.lead_id,
        1,
        Outcome.DELIVERED,
        "",
        (receipt(),),
        timedelta(),
    )
    return replace(report, **fields)  # type: ignore[arg-type]


async def settle(gateway: Gateway, report: Report, buyer_id: str = "buyer-one") -> Reported:
    """Reports, and waits for the answer."""
    return await gateway.ledger.settle(buyer_id, [report])[0]


async def view(gateway: Gateway, report: Report) -> DeliveryView:
    """The delivery as it stands."""
    found = await gateway.ledger.find_delivery(report.lead_id, "buyer-one")
    assert found
    return found


def kinds(delivery: DeliveryView) -> list[EventKind]:
    """What has happened, oldest first."""
    return [event.kind for event in delivery.events]


async def test_delivered_with_every_receipt_settles(gateway: Gateway) -> None:
    """The claim is an event of its own, before the outcome."""
    report = await a_report(gateway)
    assert await settle(gateway, report) == Reported(State.DELIVERED)
    delivery = await view(gateway, report)
    assert (delivery.state, delivery.due_time, len(delivery.receipts)) == (State.DELIVERED, None, 1)
    assert kinds(delivery) == [EventKind.ACCEPTED, EventKind.CLAIMED, EventKind.DELIVERED]


async def test_delivered_without_its_receipt_is_refused(gateway: Gateway) -> None:
    """And the delivery goes on."""
    report = await a_report(gateway, receipts=())
    answer = await settle(gateway, report)
    assert answer.refusal is not None
    assert answer.refusal.reason == "CLAIM_MISSING"
    assert (await view(gateway, report)).state is State.PENDING


async def test_receipts_of_earlier_attempts_count(gateway: Gateway) -> None:
    """Claims are facts: one made before a deferral need not be made again."""
    report = await a_report(gateway)
    deferred = replace(report, outcome=Outcome.DEFERRED, reason="SINK_HTTP_503")
    assert (await settle(gateway, deferred)).state is State.PENDING
    delivered = replace(report, attempt=2, receipts=())
    assert (await settle(gateway, delivered)).state is State.DELIVERED


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.BUYER_REJECTED, Outcome.DEFERRED])
async def test_receipts_are_kept_whatever_the_outcome(gateway: Gateway, outcome: Outcome) -> None:
    """A paid claim is never forgotten."""
    report = await a_report(gateway, outcome=outcome, reason="WHY")
    await settle(gateway, report)
    assert len((await view(gateway, report)).receipts) == 1


async def test_receipts_of_a_stale_report_are_kept_too(gateway: Gateway) -> None:
    """The report does not count, the claim does."""
    report = await a_report(gateway)
    await settle(gateway, replace(report, outcome=Outcome.DEFERRED, reason="LATER", receipts=()))
    stale = await settle(gateway, report)
    assert stale.refusal is not None
    assert stale.refusal.reason == "STALE_ATTEMPT"
    assert len((await view(gateway, report)).receipts) == 1


async def test_a_saved_receipt_gives_way_to_a_claim_and_not_back(gateway: Gateway) -> None:
    """What was paid for later is what counts."""
    report = await a_report(gateway, outcome=Outcome.DEFERRED, reason="LATER")
    unpaid, paid = receipt(status=CLAIM_STATUS_SAVED_UNPAID), receipt()
    for attempt, made in enumerate((unpaid, paid, unpaid), 1):
        await settle(gateway, replace(report, attempt=attempt, receipts=(made,)))
    assert (await view(gateway, report)).receipts == [paid.encoded]


async def test_a_receipt_for_a_foreign_cdr_is_refused(gateway: Gateway) -> None:
    """Nothing of such a report is stored."""
    report = await a_report(gateway, receipts=(receipt("cdr-9"),))
    answer = await settle(gateway, report)
    assert answer.refusal is not None
    assert answer.refusal.code == "INVALID_ARGUMENT"
    assert (await view(gateway, report)).receipts == ()


async def test_a_report_on_another_buyers_delivery_is_not_found(gateway: Gateway) -> None:
    """As one on a delivery that does not exist."""
    report = await a_report(gateway)
    answer = await settle(gateway, report, "buyer-two")
    assert answer.refusal is not None
    assert answer.refusal.code == "NOT_FOUND"


async def test_a_deferral_is_due_later_with_the_next_attempt(gateway: Gateway) -> None:
    """After the delay that `retry` decides, at least what was asked for."""
    wish = timedelta(minutes=10)
    report = await a_report(
        gateway, outcome=Outcome.DEFERRED, reason="LATER", receipts=(), retry_delay=wish
    )
    await settle(gateway, report)
    delivery = await view(gateway, report)
    assert (delivery.state, delivery.attempt, delivery.reason) == (State.PENDING, 2, "LATER")
    assert delivery.due_time == gateway.clock.now + 600 * 1_000_000


async def test_a_repeat_of_the_closing_report_is_fine(gateway: Gateway) -> None:
    """Settled or deferred: the consumer may not have heard the answer."""
    report = await a_report(gateway, outcome=Outcome.DEFERRED, reason="LATER", receipts=())
    first = await settle(gateway, report)
    assert await settle(gateway, report) == first
    delivered = replace(
        report, attempt=2, outcome=Outcome.DELIVERED, reason="", receipts=(receipt(),)
    )
    await settle(gateway, delivered)
    events = kinds(await view(gateway, report))
    assert await settle(gateway, delivered) == Reported(State.DELIVERED)
    assert kinds(await view(gateway, report)) == events


async def test_a_contradiction_after_the_end_is_refused(gateway: Gateway) -> None:
    """With the state that stands."""
    report = await a_report(gateway)
    await settle(gateway, report)
    answer = await settle(gateway, replace(report, outcome=Outcome.FAILED, reason="BROKEN"))
    assert answer.state is State.DELIVERED
    assert answer.refusal is not None
    assert answer.refusal.reason == "ALREADY_SETTLED"
    assert answer.refusal.metadata == {"state": "DELIVERED"}


async def test_a_failure_after_the_last_deferral_says_why_and_may_be_repeated(
    gateway: Gateway,
) -> None:
    """The deferral that ran out is in the history, and then the end."""
    report = await a_report(gateway, outcome=Outcome.DEFERRED, reason="SINK_HTTP_503", receipts=())
    for attempt in range(1, DEFERRAL_LIMIT):
        assert (await settle(gateway, replace(report, attempt=attempt))).state is State.PENDING
    last = replace(report, attempt=DEFERRAL_LIMIT)
    assert (await settle(gateway, last)).state is State.FAILED
    delivery = await view(gateway, report)
    assert (delivery.reason, kinds(delivery)[-2:]) == (
        "RETRIES_EXHAUSTED",
        [EventKind.DEFERRED, EventKind.FAILED],
    )
    assert await settle(gateway, last) == Reported(State.FAILED)


async def test_attempts_that_nobody_deferred_are_no_retries(gateway: Gateway) -> None:
    """A client that lost its leases again and again has not used up the buyer's retries."""
    report = await a_report(gateway, outcome=Outcome.DEFERRED, reason="LATER", receipts=())

    def leases_were_lost(tx: Transaction) -> None:
        tx.cursor.execute("UPDATE deliveries SET attempt = ?", (DEFERRAL_LIMIT,))

    await gateway.ledger.commit(leases_were_lost)
    deferred = replace(report, attempt=DEFERRAL_LIMIT)
    assert (await settle(gateway, deferred)).state is State.PENDING
    due_time = (await view(gateway, report)).due_time
    assert due_time is not None
    assert due_time - gateway.clock.now < 6 * 1_000_000


@pytest.mark.parametrize(("receipts", "state"), [((), State.FAILED), ((receipt(),), State.PENDING)])
async def test_an_expired_share_ends_retries_of_the_claim_only(
    gateway: Gateway, receipts: tuple[Receipt, ...], state: State
) -> None:
    """One attempt after the end may find that a claim got through; then it is over.

    Once all is claimed, the sink is tried to the end.
    """
    expires = Timestamp()
    expires.FromMicroseconds(gateway.clock.now + 1_000_000)
    request = a_submission(recipients=[a_recipient(shares=[a_share(share_expire_time=expires)])])
    answer = await gateway.submit(request)
    assert answer.lead_id
    report = Report("", answer.lead_id, 1, Outcome.DEFERRED, "LATER", receipts, timedelta())
    gateway.clock.move(seconds=2)
    assert (await settle(gateway, report)).state is State.PENDING
    outbox = SqlOutbox(gateway.ledger)
    gateway.clock.move(seconds=60)
    buyer_key = gateway.ledger.market.buyers["buyer-one"].key
    [due] = (await outbox.due(buyer_key, 10, None)).rows
    await outbox.mark(buyer_key, [Sent(due, partition=0, offset=0)])
    assert (await settle(gateway, replace(report, attempt=2))).state is state
