"""The words of a delivery: its states, what can happen to it, and its id."""

from __future__ import annotations

import uuid
from enum import IntEnum
from typing import NamedTuple


class State(IntEnum):
    """Where a delivery stands; numbered as `leadgate.v1.DeliveryState`."""

    REJECTED = 1
    PENDING = 2
    PUBLISHED = 3
    DELIVERED = 4
    BUYER_REJECTED = 5
    FAILED = 6
    AWAITING_EVIDENCE = 7


class EventKind(IntEnum):
    """What happened to a delivery; numbered as `leadgate.v1.DeliveryEventType`."""

    ACCEPTED = 1
    REJECTED = 2
    PUBLISHED = 3
    CLAIMED = 4
    DEFERRED = 5
    DELIVERED = 6
    BUYER_REJECTED = 7
    FAILED = 8
    RETRIED = 9
    REPLAYED = 10
    RELEASED = 11
    EVIDENCE_ADDED = 12


UNSETTLED = frozenset({State.PENDING, State.PUBLISHED})


def began(state: State, *, held: bool) -> State:
    """The state a delivery was stored in, from the one it is in now.

    What began without evidence was held; REJECTED is final; all the rest was PENDING.
    """
    if held:
        return State.AWAITING_EVIDENCE
    return State.REJECTED if state is State.REJECTED else State.PENDING


class DeliveryKey(NamedTuple):
    """A delivery in the ledger: the integer keys of its lead and its buyer."""

    lead_key: int
    buyer_key: int


def delivery_id(lead_id: bytes, buyer_id: str) -> str:
    """The id of a delivery, derived so that no repeat can mint a second one."""
    return delivery_name(lead_text(lead_id), buyer_id)


def delivery_name(lead: str, buyer_id: str) -> str:
    """The id of a delivery, for whoever has the lead's id as text."""
    return f"{lead}.{buyer_id}"


def parse_delivery_id(text: str) -> tuple[bytes, str] | None:
    """The lead id and buyer id in a delivery id, or None where it is none."""
    lead, dot, buyer_id = text.partition(".")
    lead_id = parse_lead_id(lead)
    return (lead_id, buyer_id) if lead_id and dot and buyer_id else None


def lead_text(lead_id: bytes) -> str:
    """A lead id as text: the lower-case form of a UUID."""
    digits = lead_id.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def parse_lead_id(text: str) -> bytes | None:
    """The 16 bytes of a lead id, or None where the text is none."""
    try:
        return uuid.UUID(text).bytes if len(text) == 36 else None
    except ValueError:
        return None
