"""Records as they arrive."""

from __future__ import annotations

import json

import pytest
from google.protobuf.json_format import MessageToJson
from hypothesis import given
from hypothesis import strategies as st

from consumers.errors import UndecodableError
from consumers.record import DeliveredLead, decode, parse_ce_id
from consumers.testing import a_receipt, a_record

PROTOBUF = {"content-type": b"application/protobuf"}
JSON = {"content-type": b"application/json; charset=utf-8"}


def test_both_encodings_are_read_by_their_content_type() -> None:
    """The same record, either way."""
    record = a_record()
    assert decode(record.SerializeToString(), PROTOBUF, "buyer-a") == record
    assert decode(MessageToJson(record).encode(), JSON, "buyer-a") == record


@pytest.mark.parametrize(
    ("value", "headers", "detail"),
    [
        (None, PROTOBUF, "NO_VALUE"),
        (b"x", {}, "CONTENT_TYPE_UNKNOWN"),
        (b"x", {"content-type": b"text/plain"}, "CONTENT_TYPE_UNKNOWN"),
        (b"\xff\xff\xff", PROTOBUF, "BAD_PROTOBUF"),
        (b"{", JSON, "BAD_JSON"),
        (b"\xff", JSON, "BAD_JSON"),
        (b"[" * 100_000, JSON, "BAD_JSON"),
        (b"", PROTOBUF, "NO_DELIVERY"),
        (a_record(attempt=0).SerializeToString(), PROTOBUF, "NO_DELIVERY"),
        (a_record(buyer_id="buyer-b").SerializeToString(), PROTOBUF, "OTHER_BUYER"),
    ],
)
def test_what_cannot_be_read_says_why(
    value: bytes | None, headers: dict[str, bytes], detail: str
) -> None:
    """The detail goes into the dead letter; nothing of the record does."""
    with pytest.raises(UndecodableError) as caught:
        decode(value, headers, "buyer-a")
    assert caught.value.detail == detail


@given(st.binary(max_size=300), st.sampled_from([PROTOBUF, JSON]))
def test_no_bytes_break_the_decoder(value: bytes, headers: dict[str, bytes]) -> None:
    """Hostile bytes are undecodable, and nothing worse."""
    with pytest.raises(UndecodableError):
        decode(value, headers, "buyer-a")


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (b"lead-1.buyer-a.3", ("lead-1.buyer-a", 3)),
        (b"lead-1.buyer-a.0", None),
        (b"lead-1.buyer-a.x", None),
        (b"lead-1.9999999999", None),
        (b".1", None),
        (b"", None),
        (None, None),
        (b"\xff.1", None),
        ("lead.\u0663".encode(), None),
    ],
)
def test_ce_id_gives_delivery_and_attempt(
    header: bytes | None, expected: tuple[str, int] | None
) -> None:
    """What is not readable is no id."""
    assert parse_ce_id(header) == expected


def test_a_delivered_lead_shows_receipts_and_no_share_url() -> None:
    """A share URL is a credential; the buyer's systems get proof instead."""
    lead = DeliveredLead(a_record(), (a_receipt("cdr-lead-1"),))
    shown = json.loads(lead.as_json())
    assert shown["receipts"][0]["cdrId"] == "cdr-lead-1"
    assert "shares" not in shown
    assert "v1/shares" not in lead.as_json()
    assert lead.record.shares, "the record itself is not touched"


def test_the_text_of_a_lead_holds_ids_only() -> None:
    """It may come into a log."""
    assert "example.com" not in repr(DeliveredLead(a_record(), ()))
