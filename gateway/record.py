"""What a buyer receives: the one stored submission, projected for one recipient."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, MutableMapping
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import blake2b
from typing import Final, NamedTuple

from google.protobuf.json_format import MessageToDict

from gateway.delivery import lead_text
from gateway.due import Due
from gateway.market import ANYONE, Buyer, Encoding
from leadgate.v1.delivery_pb2 import LeadRecord, Receipt
from leadgate.v1.lead_pb2 import Cdr, Recipient, Share
from leadgate.v1.lead_service_pb2 import SubmitLeadRequest

MAX_RECORD_BYTES: Final = 900 * 1024
"""A record's value stays below it, so that it fits a broker's default limit of 1 MiB."""

UNPUBLISHABLE: Final = "UNPUBLISHABLE"
"""Reason of a delivery that failed because no record can be made of it or be taken."""

_SPECVERSION = ("ce_specversion", b"1.0")
_TYPE = ("ce_type", b"leadgate.v1.LeadRecord")
_CONTENT_TYPES = {
    Encoding.PROTOBUF: ("content-type", b"application/protobuf"),
    Encoding.JSON: ("content-type", b"application/json"),
}


class RecordTooLargeError(Exception):
    """The encoded record would exceed `MAX_RECORD_BYTES`."""


class Record(NamedTuple):
    """One record for a topic. The key is the lead id as text."""

    key: bytes
    value: bytes
    headers: list[tuple[str, bytes]]


def lead_record(due: Due, buyer_id: str, generator_id: str) -> LeadRecord:
    """Projects a submission for one of its recipients.

    Only its own shares, the CDRs of those shares without their sub-groups, and the
    attributes meant for it: nothing says who else the lead was submitted for. Raises
    `LookupError` for a buyer that is no recipient and `DecodeError` for stored bytes
    that are no submission.
    """
    submission = SubmitLeadRequest.FromString(due.submission)
    recipient = _recipient(submission.recipients, buyer_id)
    _keep_only(submission.lead.attributes, recipient.attribute_keys)
    lead_id = lead_text(due.lead_id)
    record = LeadRecord()
    # One by one: as keywords these cost twice as much.
    record.delivery_id = f"{lead_id}.{buyer_id}"
    record.lead_id = lead_id
    record.buyer_id = buyer_id
    record.generator_id = generator_id
    record.attempt = due.attempt
    record.replay = bool(due.replay)
    seconds, microseconds = divmod(due.accept_time, 1_000_000)
    accept_time = record.accept_time
    accept_time.seconds = seconds
    accept_time.nanos = microseconds * 1000
    record.lead.CopyFrom(submission.lead)
    record.cdrs.extend(_shared(submission.cdrs, recipient.shares))
    record.shares.MergeFrom(recipient.shares)
    if due.receipts:
        record.receipts.extend(map(Receipt.FromString, due.receipts))
    # A field of a newer contract might name another buyer.
    record.DiscardUnknownFields()
    return record


def topic_record(due: Due, buyer: Buyer, generator_id: str) -> Record:
    """Projects, encodes and labels one record for the buyer's topic.

    Raises as `lead_record` does, and `RecordTooLargeError`.
    """
    record = lead_record(due, buyer.buyer_id, generator_id)
    value = _encode(record, buyer.encoding)
    if len(value) > MAX_RECORD_BYTES:
        raise RecordTooLargeError
    return Record(record.lead_id.encode(), value, _headers(record, due, buyer.encoding))


def _recipient(recipients: Iterable[Recipient], buyer_id: str) -> Recipient:
    for recipient in recipients:
        if recipient.buyer_id == buyer_id:
            return recipient
    raise LookupError("the buyer is no recipient of the lead")


def _keep_only(attributes: MutableMapping[str, str], keys: Iterable[str]) -> None:
    wanted = set(keys)
    if ANYONE not in wanted:
        for key in list(attributes):
            if key not in wanted:
                del attributes[key]


def _shared(cdrs: Iterable[Cdr], shares: Iterable[Share]) -> Iterator[Cdr]:
    """The CDRs that a share refers to, stripped of their sub-groups."""
    wanted = [share.cdr_id for share in shares]
    for cdr in cdrs:
        if cdr.cdr_id in wanted:
            cdr.ClearField("sub_group_ids")
            yield cdr


def _encode(record: LeadRecord, encoding: Encoding) -> bytes:
    if encoding is Encoding.PROTOBUF:
        return record.SerializeToString()
    document = MessageToDict(record)
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def _headers(record: LeadRecord, due: Due, encoding: Encoding) -> list[tuple[str, bytes]]:
    """CloudEvents 1.0 in Kafka's binary mode, and the trace (W3C Trace Context).

    All records of a lead are one trace, named by its id; each attempt is a span of it.
    """
    subject = record.delivery_id.encode()
    event_id = b"%b.%d" % (subject, due.attempt)
    seconds, microseconds = divmod(due.accept_time, 1_000_000)
    span = blake2b(event_id, digest_size=8).hexdigest()
    headers = [
        _SPECVERSION,
        ("ce_id", event_id),
        ("ce_source", record.generator_id.encode()),
        _TYPE,
        ("ce_subject", subject),
        ("ce_time", b"%b.%06dZ" % (_to_the_second(seconds), microseconds)),
        _CONTENT_TYPES[encoding],
        ("traceparent", f"00-{due.lead_id.hex()}-{span}-01".encode()),
    ]
    if due.replay:
        headers.append(("leadgate-replay", b"true"))
    return headers


@lru_cache(64)
def _to_the_second(seconds: int) -> bytes:
    """A time in RFC 3339, without zone: many records share a second."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S").encode()
