"""Protobuf ⇄ domain, both ways, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import timedelta

from google.protobuf.timestamp_pb2 import Timestamp

from gateway.delivery import State, delivery_id, delivery_name, lead_text, parse_delivery_id
from gateway.errors import InvalidRequestError, Violation
from gateway.intake import Accepted
from gateway.settlement import Outcome, Receipt, Report
from gateway.timeline import DeliveryView, EventView, LeadView, Moment
from leadgate.v1 import delivery_pb2, delivery_service_pb2, lead_service_pb2

_REASON = re.compile(r"[A-Z][A-Z0-9_]{0,63}", re.ASCII)
_MAX_RECEIPTS = 20
_LONGEST_WISH = timedelta(hours=24)
_LAST_SECOND = 253_402_300_799  # 9999-12-31T23:59:59Z, the end of a Timestamp
_SETTLED = {State.DELIVERED, State.BUYER_REJECTED, State.FAILED, State.REJECTED}


def timestamp(microseconds: int) -> Timestamp:
    """A time of the ledger as a Timestamp."""
    seconds, rest = divmod(microseconds, 1_000_000)
    return Timestamp(seconds=seconds, nanos=rest * 1000)


def accepted(answer: Accepted) -> lead_service_pb2.SubmitLeadResponse:
    """The answer to a submission."""
    lead = lead_text(answer.lead_id) if answer.lead_id else ""
    return lead_service_pb2.SubmitLeadResponse(lead_id=lead, deliveries=_decisions(lead, answer))


def evidence_added(answer: Accepted) -> lead_service_pb2.AddEvidenceResponse:
    """The answer to added evidence."""
    lead = lead_text(answer.lead_id or b"")
    return lead_service_pb2.AddEvidenceResponse(lead_id=lead, deliveries=_decisions(lead, answer))


def _decisions(lead: str, answer: Accepted) -> list[lead_service_pb2.DeliveryDecision]:
    return [
        lead_service_pb2.DeliveryDecision(
            buyer_id=decision.buyer_id,
            delivery_id=delivery_name(lead, decision.buyer_id) if lead else "",
            state=int(decision.state),  # type: ignore[arg-type]
            reason=decision.reason,
        )
        for decision in answer.decisions
    ]


def lead_status(view: LeadView) -> lead_service_pb2.LeadStatus:
    """A lead with its deliveries."""
    return lead_service_pb2.LeadStatus(
        lead_id=lead_text(view.lead_id),
        request_id=view.request_id,
        generator_id=view.generator_id,
        accept_time=timestamp(view.accept_time),
        state=_roll_up([delivery.state for delivery in view.deliveries]),
        deliveries=map(delivery, view.deliveries),
    )


def _roll_up(states: Sequence[State]) -> lead_service_pb2.LeadState:
    if any(state not in _SETTLED for state in states):
        return lead_service_pb2.LEAD_STATE_IN_PROGRESS
    delivered = states.count(State.DELIVERED)
    if delivered == len(states):
        return lead_service_pb2.LEAD_STATE_DELIVERED
    if delivered:
        return lead_service_pb2.LEAD_STATE_PARTIALLY_DELIVERED
    return lead_service_pb2.LEAD_STATE_NOT_DELIVERED


def delivery(view: DeliveryView) -> delivery_pb2.Delivery:
    """A delivery, with its events where the view has them."""
    message = delivery_pb2.Delivery(
        delivery_id=delivery_id(view.lead_id, view.buyer_id),
        lead_id=lead_text(view.lead_id),
        buyer_id=view.buyer_id,
        generator_id=view.generator_id,
        state=int(view.state),  # type: ignore[arg-type]
        reason=view.reason,
        attempt=view.attempt,
        accept_time=timestamp(view.accept_time),
        update_time=timestamp(view.update_time),
        receipts=map(delivery_pb2.Receipt.FromString, view.receipts),
        events=map(event, view.events),
    )
    if view.due_time is not None:
        message.due_time.CopyFrom(timestamp(view.due_time))
    return message


def event(view: EventView) -> delivery_pb2.DeliveryEvent:
    """One event."""
    message = delivery_pb2.DeliveryEvent.FromString(view.receipts or b"")
    message.event_time.CopyFrom(timestamp(view.time))
    message.type = int(view.kind)  # type: ignore[assignment]
    message.attempt = view.attempt
    message.reason = view.reason
    if view.partition is not None and view.offset is not None:
        message.topic = f"leads.{view.buyer_id}"
        message.partition = view.partition
        message.offset = view.offset
    if view.due_time is not None:
        message.due_time.CopyFrom(timestamp(view.due_time))
    return message


def moment(step: Moment) -> lead_service_pb2.WatchDeliveriesResponse:
    """A step of a watch."""
    if step.event is None:
        return lead_service_pb2.WatchDeliveriesResponse(cursor=step.cursor)
    return lead_service_pb2.WatchDeliveriesResponse(
        cursor=step.cursor,
        event=event(step.event),
        delivery_id=delivery_id(step.event.lead_id, step.event.buyer_id),
        lead_id=lead_text(step.event.lead_id),
        buyer_id=step.event.buyer_id,
        state=int(step.event.state),  # type: ignore[arg-type]
    )


def report(message: delivery_service_pb2.DeliveryReport, buyer_id: str) -> Report:
    """A checked report. Raises `InvalidRequestError` with every violation.

    A delivery id of another buyer is left to be not found.
    """
    parsed = parse_delivery_id(message.delivery_id)
    violations = list(_report_violations(message, parsed is None))
    if violations:
        raise InvalidRequestError(violations)
    lead_id, buyer = parsed or (b"", "")
    return Report(
        delivery_id=message.delivery_id,
        lead_id=lead_id if buyer == buyer_id else b"",
        attempt=message.attempt,
        outcome=Outcome(message.outcome),
        reason=message.reason,
        receipts=tuple(
            Receipt(item.cdr_id, int(item.status), item.SerializeToString())
            for item in message.receipts
        ),
        retry_delay=min(timedelta(seconds=min(message.retry_delay.seconds, 86_400)), _LONGEST_WISH),
    )


def _report_violations(
    message: delivery_service_pb2.DeliveryReport, malformed_id: bool
) -> Iterable[Violation]:
    if malformed_id:
        yield Violation("delivery_id", "must be the delivery_id of a record")
    if message.attempt < 1:
        yield Violation("attempt", "must be the attempt of the record, from 1")
    outcome = int(message.outcome)
    if outcome not in tuple(Outcome):
        yield Violation("outcome", "must say what became of the delivery")
    elif outcome == Outcome.DELIVERED and message.reason:
        yield Violation("reason", "must be empty for DELIVERED")
    elif outcome != Outcome.DELIVERED and not _REASON.fullmatch(message.reason):
        yield Violation("reason", "must have 1 to 64 characters of UPPER_SNAKE")
    if message.retry_delay.seconds < 0 or message.retry_delay.nanos < 0:
        yield Violation("retry_delay", "must not be negative")
    if len(message.receipts) > _MAX_RECEIPTS:
        yield Violation("receipts", f"must have at most {_MAX_RECEIPTS} entries")
    seen: set[str] = set()
    for index, receipt in enumerate(message.receipts):
        if receipt.cdr_id in seen:
            yield Violation(f"receipts[{index}].cdr_id", "must have one receipt")
        seen.add(receipt.cdr_id)
        yield from _receipt_violations(f"receipts[{index}]", receipt)


def _receipt_violations(path: str, receipt: delivery_pb2.Receipt) -> Iterable[Violation]:
    if receipt.status not in delivery_pb2.ClaimStatus.values() or not receipt.status:
        yield Violation(f"{path}.status", "must say how the claim ended")
    if not 1 <= len(receipt.host) <= 300:
        yield Violation(f"{path}.host", "must have 1 to 300 characters")
    if len(receipt.request_id) > 128 or len(receipt.share_event_id) > 128:
        yield Violation(path, "request_id and share_event_id must have at most 128 characters")
    if len(receipt.body_sha256) != 32:
        yield Violation(f"{path}.body_sha256", "must have 32 bytes")
    # A time out of range is set, and yet no record in JSON could hold it.
    time = receipt.claim_time
    in_range = 0 <= time.seconds <= _LAST_SECOND and 0 <= time.nanos < 1_000_000_000
    if not receipt.HasField("claim_time") or not in_range:
        yield Violation(f"{path}.claim_time", "must be a time from 1970 to 9999")
