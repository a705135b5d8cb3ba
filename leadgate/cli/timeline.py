"""What happened to a delivery, as a person reads it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from leadgate.cli.output import moment, say, state, table


def show_delivery(delivery: Any) -> None:
    """Prints where a delivery stands, and its events, oldest first."""
    from leadgate.v1 import delivery_pb2 as pb

    word = state(pb.DeliveryState, delivery.state)
    reason = f" ({delivery.reason})" if delivery.reason else ""
    due = f", due {moment(delivery.due_time)}" if moment(delivery.due_time) else ""
    say(f"{delivery.delivery_id}: {word}{reason}, attempt {delivery.attempt}{due}")
    table(
        ["time", "attempt", "event", "detail"],
        (
            [
                moment(event.event_time),
                str(event.attempt),
                state(pb.DeliveryEventType, event.type),
                ", ".join(_details(event)),
            ]
            for event in delivery.events
        ),
    )


def delivery_row(delivery: Any) -> list[str]:
    """A delivery as a row: id, state, reason, attempt, accepted, last change, next due."""
    from leadgate.v1 import delivery_pb2 as pb

    return [
        delivery.delivery_id,
        state(pb.DeliveryState, delivery.state),
        delivery.reason,
        str(delivery.attempt),
        moment(delivery.accept_time),
        moment(delivery.update_time),
        moment(delivery.due_time),
    ]


DELIVERY_COLUMNS = ["delivery", "state", "reason", "attempt", "accepted", "changed", "due"]


def _details(event: Any) -> Iterator[str]:
    if event.reason:
        yield event.reason
    if event.topic:
        yield f"{event.topic}[{event.partition}]@{event.offset}"
    if due := moment(event.due_time):
        yield f"next try {due}"
    for receipt in event.receipts:
        yield _receipt(receipt)


def _receipt(receipt: Any) -> str:
    from leadgate.v1 import delivery_pb2 as pb

    word = state(pb.ClaimStatus, receipt.status).lower()
    text = f"{receipt.cdr_id} {word} at {receipt.host}"
    if receipt.verification:
        text += f", evidence {state(pb.Verification, receipt.verification).lower()}"
    return text
