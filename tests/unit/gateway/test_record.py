"""One recipient's record: what it holds, what it never holds, and its labels."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from google.protobuf.json_format import Parse

from gateway.due import Due
from gateway.market import Buyer, Encoding
from gateway.record import MAX_RECORD_BYTES, RecordTooLargeError, lead_record, topic_record
from leadgate.v1.delivery_pb2 import LeadRecord
from leadgate.v1.lead_pb2 import Cdr, Lead
from leadgate.v1.lead_service_pb2 import SubmitLeadRequest
from tests.builders import a_buyer, a_contact, a_receipt, a_recipient, a_share, a_submission

LEAD_ID = bytes.fromhex("0190a1b2c3d47e5f8a9b0c1d2e3f4a5b")
LEAD_TEXT = "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b"


def due(submission: SubmitLeadRequest, **fields: Any) -> Due:
    """The submission as the ledger has it, due for its first attempt."""
    values: dict[str, Any] = {
        "lead_key": 1,
        "generator_key": 1,
        "due_time": 1_700_000_000_123_456,
        "attempt": 1,
        "replay": False,
        "lead_id": LEAD_ID,
        "accept_time": 1_700_000_000_123_456,
        "submission": submission.SerializeToString(),
    }
    return Due(**(values | fields))


def shared_lead() -> SubmitLeadRequest:
    """A lead for two buyers: a CDR of each, one that both have, and one of nobody."""
    return a_submission(
        lead=Lead(contact=a_contact(), attributes={"zip": "07030", "income": "high"}),
        cdrs=[
            Cdr(cdr_id=name, sub_group_ids=[f"group-{name}"])
            for name in ("cdr-1", "cdr-2", "cdr-both", "cdr-none")
        ],
        recipients=[
            a_recipient("buyer-one", "cdr-1", "cdr-both", attribute_keys=["zip", "absent"]),
            a_recipient("buyer-two", "cdr-2", attribute_keys=["income"]),
        ],
    )


def headers(due: Due, buyer: Buyer | None = None) -> dict[str, str]:
    """The headers of the record, as text."""
    record = topic_record(due, buyer or a_buyer(), "forms")
    return {name: value.decode() for name, value in record.headers}


def test_a_record_has_the_buyers_own_shares_and_their_cdrs() -> None:
    """Both of its CDRs are there with their shares, and no other's."""
    record = lead_record(due(shared_lead()), "buyer-one", "forms")
    assert [cdr.cdr_id for cdr in record.cdrs] == ["cdr-1", "cdr-both"]
    assert [share.cdr_id for share in record.shares] == ["cdr-1", "cdr-both"]


def test_the_bytes_of_a_record_hold_nothing_of_another_buyer() -> None:
    """Neither in protobuf nor in JSON, nor in the headers."""
    for encoding in Encoding:
        record = topic_record(due(shared_lead()), a_buyer(encoding=encoding), "forms")
        everything = record.key + record.value + repr(record.headers).encode()
        for other in (b"buyer-two", b"cdr-2", b"cdr-none", b"income", b"group-"):
            assert other not in everything


def test_fields_of_a_newer_contract_are_dropped() -> None:
    """A field that nobody here knows could name another buyer."""
    unknown = b"\xfa\x3e\x09buyer-two"  # field 1007, length-delimited
    lead = Lead.FromString(Lead(contact=a_contact()).SerializeToString() + unknown)
    record = topic_record(due(a_submission(lead=lead)), a_buyer(), "forms")
    assert b"buyer-two" not in record.value


def test_a_buyer_sees_only_the_attributes_named_for_it() -> None:
    """A key that the lead does not have changes nothing."""
    record = lead_record(due(shared_lead()), "buyer-one", "forms")
    assert dict(record.lead.attributes) == {"zip": "07030"}


@pytest.mark.parametrize(("keys", "seen"), [(["*"], {"zip", "income"}), ([], set())])
def test_a_star_means_every_attribute_and_nothing_means_none(
    keys: list[str], seen: set[str]
) -> None:
    """The two ends of `attribute_keys`."""
    submission = shared_lead()
    submission.recipients[0].attribute_keys[:] = keys
    record = lead_record(due(submission), "buyer-one", "forms")
    assert set(record.lead.attributes) == seen


def test_a_record_says_what_it_is() -> None:
    """Ids, attempt, time and the mark of a replay."""
    record = lead_record(due(a_submission(), attempt=3, replay=True), "buyer-one", "forms")
    assert record.delivery_id == f"{LEAD_TEXT}.buyer-one"
    assert (record.lead_id, record.buyer_id) == (LEAD_TEXT, "buyer-one")
    assert (record.generator_id, record.attempt, record.replay) == ("forms", 3, True)
    assert record.accept_time.ToMicroseconds() == 1_700_000_000_123_456


def test_a_record_carries_the_receipts_so_far() -> None:
    """So that the next attempt claims nothing twice."""
    receipt = a_receipt()
    row = due(a_submission(), receipts=(receipt.SerializeToString(),))
    assert list(lead_record(row, "buyer-one", "forms").receipts) == [receipt]


def test_headers_are_a_cloud_event_in_binary_mode() -> None:
    """CloudEvents 1.0, Kafka protocol binding."""
    told = headers(due(a_submission(), attempt=2))
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-01", told.pop("traceparent"))
    assert told == {
        "ce_specversion": "1.0",
        "ce_id": f"{LEAD_TEXT}.buyer-one.2",
        "ce_source": "forms",
        "ce_type": "leadgate.v1.LeadRecord",
        "ce_subject": f"{LEAD_TEXT}.buyer-one",
        "ce_time": "2023-11-14T22:13:20.123456Z",
        "content-type": "application/protobuf",
    }


def test_a_lead_is_one_trace_and_each_attempt_a_span_of_it() -> None:
    """W3C Trace Context."""
    spans = [
        headers(due(a_submission(), attempt=attempt), a_buyer(buyer_id))["traceparent"].split("-")
        for attempt, buyer_id in ((1, "buyer-one"), (2, "buyer-one"))
    ]
    assert spans[0][1] == spans[1][1] == LEAD_ID.hex()
    assert spans[0][2] != spans[1][2]


def test_only_a_replay_has_the_header_of_one() -> None:
    """What a consumer filters by without decoding."""
    assert headers(due(a_submission(), replay=True))["leadgate-replay"] == "true"
    assert "leadgate-replay" not in headers(due(a_submission()))


def test_json_is_the_proto3_mapping_of_the_same_record() -> None:
    """And its content type says so."""
    row, buyer = due(shared_lead()), a_buyer(encoding=Encoding.JSON)
    record = topic_record(row, buyer, "forms")
    assert Parse(record.value, LeadRecord()) == lead_record(row, "buyer-one", "forms")
    assert json.loads(record.value)["leadId"] == LEAD_TEXT
    assert headers(row, buyer)["content-type"] == "application/json"


def test_the_key_is_the_lead_id_whoever_the_buyer_is() -> None:
    """So attempts of one lead share a partition."""
    assert topic_record(due(a_submission()), a_buyer(), "forms").key == LEAD_TEXT.encode()


def test_a_record_above_the_limit_is_refused() -> None:
    """It would not fit a broker's default limit with its headers."""
    large = a_submission(cdrs=[Cdr(cdr_id="cdr-1", custom_json="x" * MAX_RECORD_BYTES)])
    with pytest.raises(RecordTooLargeError):
        topic_record(due(large), a_buyer(), "forms")


def test_a_buyer_that_is_no_recipient_gets_no_record() -> None:
    """Never somebody else's."""
    submission = a_submission(recipients=[a_recipient(shares=[a_share()])])
    with pytest.raises(LookupError):
        lead_record(due(submission), "buyer-two", "forms")
