"""Records as they arrive, and the lead as a sink gets it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf.json_format import MessageToDict, Parse, ParseError
from google.protobuf.message import DecodeError

from consumers.errors import UndecodableError
from leadgate.v1.delivery_pb2 import LeadRecord, Receipt
from leadgate.v1.lead_pb2 import Cdr, Contact

_LONGEST_ID = 512


@dataclass(frozen=True, slots=True)
class DeliveredLead:
    """A lead whose evidence is claimed and checked: what a handler or sink receives.

    The same delivery may come more than once; `delivery_id` is the key to tell by.
    `repr` shows ids only.
    """

    record: LeadRecord
    receipts: tuple[Receipt, ...]
    """Proof of each claim, one for each CDR."""

    def __repr__(self) -> str:
        return f"DeliveredLead({self.delivery_id}, attempt={self.attempt})"

    @property
    def delivery_id(self) -> str:
        """Stable for ever: the idempotency key of the buyer's system."""
        return self.record.delivery_id

    @property
    def lead_id(self) -> str:
        """The lead; equal for every buyer of it."""
        return self.record.lead_id

    @property
    def generator_id(self) -> str:
        """Who submitted the lead."""
        return self.record.generator_id

    @property
    def attempt(self) -> int:
        """Which attempt this is, counted from 1."""
        return self.record.attempt

    @property
    def replay(self) -> bool:
        """Whether the buyer asked for this delivery again."""
        return self.record.replay

    @property
    def contact(self) -> Contact:
        """How to reach the person: phone in E.164, the email's domain in lower case."""
        return self.record.lead.contact

    @property
    def attributes(self) -> Mapping[str, str]:
        """The answers of the form that are meant for this buyer."""
        return self.record.lead.attributes

    @property
    def cdrs(self) -> tuple[Cdr, ...]:
        """The consent evidence the buyer now holds."""
        return tuple(self.record.cdrs)

    def as_dict(self) -> dict[str, Any]:
        """The record in the proto3 JSON mapping, with every receipt, without share URLs.

        A share URL is a credential, and used up once its CDR is claimed.
        """
        shown = LeadRecord()
        shown.CopyFrom(self.record)
        del shown.shares[:]
        del shown.receipts[:]
        shown.receipts.extend(self.receipts)
        return MessageToDict(shown)

    def as_json(self) -> str:
        """`as_dict` as one line of JSON without a line break."""
        return json.dumps(self.as_dict(), ensure_ascii=False, separators=(",", ":"))


def decode(value: bytes | None, headers: Mapping[str, bytes], buyer_id: str) -> LeadRecord:
    """Reads a record by its `content-type` header.

    Raises `UndecodableError` where it cannot be read, lacks what identifies it, or is
    meant for another buyer.
    """
    content_type = headers.get("content-type", b"").split(b";")[0].strip().lower()
    if value is None:
        raise UndecodableError("NO_VALUE")
    if content_type == b"application/protobuf":
        record = _from_protobuf(value)
    elif content_type == b"application/json":
        record = _from_json(value)
    else:
        raise UndecodableError("CONTENT_TYPE_UNKNOWN")
    if not record.delivery_id or record.attempt < 1:
        raise UndecodableError("NO_DELIVERY")
    if record.buyer_id != buyer_id:
        raise UndecodableError("OTHER_BUYER")
    return record


def parse_ce_id(header: bytes | None) -> tuple[str, int] | None:
    """Reads `<delivery_id>.<attempt>` from the `ce_id` header, or returns None."""
    try:
        delivery_id, _, attempt = (header or b"").decode("ascii").rpartition(".")
    except UnicodeDecodeError:
        return None
    readable = 0 < len(delivery_id) <= _LONGEST_ID and delivery_id.isprintable()
    # Nine digits at most: the field is an int32.
    if not readable or not attempt.isdecimal() or len(attempt) > 9 or int(attempt) < 1:
        return None
    return delivery_id, int(attempt)


def _from_protobuf(value: bytes) -> LeadRecord:
    try:
        return LeadRecord.FromString(value)
    except DecodeError:
        raise UndecodableError("BAD_PROTOBUF") from None


def _from_json(value: bytes) -> LeadRecord:
    try:
        return Parse(value.decode(), LeadRecord(), ignore_unknown_fields=True)
    except (ParseError, UnicodeDecodeError, RecursionError):
        raise UndecodableError("BAD_JSON") from None
