"""Submitting: repeats, conflicts and reuse from many callers; batches, streams, hostile bytes."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from leadgate.v1 import lead_service_pb2 as pb
from leadgate.v1.delivery_pb2 import DELIVERY_STATE_PENDING, DELIVERY_STATE_REJECTED
from leadgate.v1.lead_pb2 import Cdr, Lead
from tests.builders import a_contact, a_recipient, a_share, a_submission
from tests.gateways import Gateway, Refused, a_gateway, item_refusal, numbered, outcome, refused

pytestmark = pytest.mark.asyncio(loop_scope="module")

CALLERS = 50
SUBMIT = "/leadgate.v1.LeadService/SubmitLead"
fresh = numbered()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    """One gateway for all tests of this module."""
    async with a_gateway(tmp_path_factory.mktemp("gateway")) as running:
        yield running


async def test_one_request_from_50_callers_is_one_lead(gateway: Gateway) -> None:
    """All of them get the same answer."""
    submission = fresh("buyer-one", "buyer-two")
    answers = await asyncio.gather(
        *(gateway.forms.leads.SubmitLead(submission) for _ in range(CALLERS))
    )
    assert all(answer == answers[0] for answer in answers)
    assert len(await _stored(gateway, submission.request_id)) == 1


async def test_of_50_contents_for_one_request_id_exactly_one_wins(gateway: Gateway) -> None:
    """The others are ALREADY_EXISTS and leave nothing behind."""
    request_id = fresh().request_id
    submissions = [fresh() for _ in range(CALLERS)]
    for submission in submissions:
        submission.request_id = request_id
    answers = await asyncio.gather(
        *(outcome(gateway.forms.leads.SubmitLead(one)) for one in submissions)
    )
    won = [answer for answer in answers if not isinstance(answer, Refused)]
    lost = [answer for answer in answers if isinstance(answer, Refused)]
    assert len(won) == 1
    assert {(a.code, a.reason) for a in lost} == {("ALREADY_EXISTS", "REQUEST_ID_REUSED")}
    [stored] = await _stored(gateway, request_id)
    assert stored.lead_id == won[0].lead_id
    # The evidence of those that lost was not used up: another person may bring it.
    for submission in submissions:
        submission.request_id = fresh().request_id
        submission.lead.contact.CopyFrom(fresh().lead.contact)
    later = await asyncio.gather(*(gateway.forms.leads.SubmitLead(one) for one in submissions))
    reasons = Counter(answer.deliveries[0].reason for answer in later)
    assert reasons == {"": CALLERS - 1, "CDR_REUSED": 1}


async def test_one_cdr_for_two_persons_from_50_callers_goes_to_one(gateway: Gateway) -> None:
    """Whoever comes first has it; every lead of the other person is refused."""
    cdr = fresh()
    persons = [fresh().lead.contact, fresh().lead.contact]
    submissions = [
        a_submission(
            fresh().request_id,
            lead=Lead(contact=persons[number % 2]),
            cdrs=cdr.cdrs,
            recipients=cdr.recipients,
        )
        for number in range(CALLERS)
    ]
    answers = await asyncio.gather(
        *(gateway.forms.leads.SubmitLead(submission) for submission in submissions)
    )
    decided = [
        {(answer.deliveries[0].state, answer.deliveries[0].reason) for answer in answers[person::2]}
        for person in (0, 1)
    ]
    accepted, rejected = {(DELIVERY_STATE_PENDING, "")}, {(DELIVERY_STATE_REJECTED, "CDR_REUSED")}
    assert decided in ([accepted, rejected], [rejected, accepted])


async def test_a_share_token_for_another_person_is_refused_across_generators(
    gateway: Gateway,
) -> None:
    """The same token under another CDR id, from another generator: CDR_REUSED."""
    first, second = fresh(), fresh()
    await gateway.forms.leads.SubmitLead(first)
    url = first.recipients[0].shares[0].share_url
    second.recipients[0].shares[0].share_url = url
    [decision] = (await gateway.other_forms.leads.SubmitLead(second)).deliveries
    assert decision.reason == "CDR_REUSED"


async def test_a_rule_refuses_one_buyer_and_lets_the_others_have_the_lead(
    gateway: Gateway,
) -> None:
    """An expired share and missing evidence are answers, stored with their reasons."""
    submission = fresh("buyer-one", "buyer-two")
    submission.recipients[0].shares[0].share_expire_time.CopyFrom(Timestamp(seconds=1))
    answer = await gateway.forms.leads.SubmitLead(submission)
    assert [(d.state, d.reason) for d in answer.deliveries] == [
        (DELIVERY_STATE_REJECTED, "SHARE_EXPIRED"),
        (DELIVERY_STATE_PENDING, ""),
    ]
    bare = fresh()
    del bare.recipients[0].shares[:]
    answer = await gateway.forms.leads.SubmitLead(bare)
    assert answer.deliveries[0].reason == "NO_EVIDENCE"
    [stored] = await _stored(gateway, bare.request_id)
    assert stored.deliveries[0].state == DELIVERY_STATE_REJECTED


async def test_every_mistake_is_listed_and_nothing_is_stored(gateway: Gateway) -> None:
    """Phone, email, host, buyer and CDR at once, by the path of each field, and no value."""
    submission = a_submission(
        fresh().request_id,
        lead=Lead(contact=a_contact(phone="canary-phone", email="canary-email")),
        recipients=[
            a_recipient("buyer-unknown"),
            a_recipient(
                "buyer-one",
                shares=[
                    a_share("canary-cdr", share_url="https://canary.test/v1/shares/canary-token")
                ],
            ),
        ],
    )
    answer = await refused(gateway.forms.leads.SubmitLead(submission))
    assert answer.code == "INVALID_ARGUMENT"
    assert set(answer.fields) == {
        "lead.contact.phone",
        "lead.contact.email",
        "recipients[0].buyer_id",
        "recipients[1].shares[0].cdr_id",
        "recipients[1].shares[0].share_url",
    }
    assert "canary" not in repr(answer)
    assert not await _stored(gateway, submission.request_id)


@pytest.mark.parametrize(
    "text", ["[]", "{", '{"uid": NaN}', '{"uid": -Infinity}', '{"a":' * 3000, "9" * 5000, "{}}"]
)
async def test_custom_metadata_that_is_no_json_object_is_refused(
    gateway: Gateway, text: str
) -> None:
    """A buyer in any language must be able to read it."""
    submission = fresh()
    submission.cdrs[0].custom_json = text
    answer = await refused(gateway.forms.leads.SubmitLead(submission))
    assert set(answer.fields) == {"cdrs[0].custom_json"}


async def test_validate_only_explains_and_stores_nothing(gateway: Gateway) -> None:
    """The decisions without ids; afterwards neither lead nor use of the evidence."""
    submission = fresh("buyer-one", "buyer-two")
    submission.recipients[1].shares[0].share_expire_time.CopyFrom(Timestamp(seconds=1))
    submission.validate_only = True
    answer = await gateway.forms.leads.SubmitLead(submission)
    assert not answer.lead_id
    assert [(d.delivery_id, d.reason) for d in answer.deliveries] == [
        ("", ""),
        ("", "SHARE_EXPIRED"),
    ]
    assert not await _stored(gateway, submission.request_id)
    other = fresh("buyer-one", "buyer-two")
    submission.lead.contact.CopyFrom(other.lead.contact)
    submission.validate_only = False
    answer = await gateway.forms.leads.SubmitLead(submission)
    assert answer.lead_id
    assert answer.deliveries[0].reason == ""


async def test_a_batch_answers_each_item_for_itself(gateway: Gateway) -> None:
    """Good, malformed, repeated and conflicting ones side by side, in their order."""
    good, conflicting = fresh(), fresh()
    conflicting.request_id = good.request_id
    malformed = pb.SubmitLeadRequest(request_id="request-malformed")
    requests = [good, malformed, good, conflicting, fresh()]
    batch = pb.BatchSubmitLeadsRequest(requests=requests)
    results = (await gateway.forms.leads.BatchSubmitLeads(batch)).results
    assert [result.WhichOneof("result") for result in results] == [
        "response",
        "error",
        "response",
        "error",
        "response",
    ]
    assert results[0].response == results[2].response
    assert item_refusal(results[1].error).code == "INVALID_ARGUMENT"
    assert set(item_refusal(results[1].error).fields) == {"lead.contact", "recipients"}
    assert item_refusal(results[3].error).reason == "REQUEST_ID_REUSED"


@pytest.mark.parametrize("size", [0, 501])
async def test_a_batch_of_another_size_is_refused_whole(gateway: Gateway, size: int) -> None:
    """None, and more than 500: INVALID_ARGUMENT with the limit, and nothing is stored."""
    requests = [fresh() for _ in range(size)]
    batch = pb.BatchSubmitLeadsRequest(requests=requests)
    answer = await refused(gateway.forms.leads.BatchSubmitLeads(batch))
    assert answer.fields == {"requests": "must have 1 to 500 entries"}
    for request in requests[:1]:
        assert not await _stored(gateway, request.request_id)


async def test_a_batch_of_500_is_stored(gateway: Gateway) -> None:
    """The largest one there may be."""
    batch = pb.BatchSubmitLeadsRequest(requests=[fresh() for _ in range(500)])
    answer = await gateway.forms.leads.BatchSubmitLeads(batch)
    assert len({result.response.lead_id for result in answer.results}) == 500


async def test_a_stream_answers_in_order_with_request_ids(gateway: Gateway) -> None:
    """600 submissions, more than its window, with malformed and repeated ones among them."""
    requests = [fresh() for _ in range(600)]
    requests[100] = pb.SubmitLeadRequest(request_id="malformed-in-stream")
    requests[200] = requests[199]
    calls = (pb.StreamLeadsRequest(request=request) for request in requests)
    answers = [answer async for answer in gateway.forms.leads.StreamLeads(calls)]
    assert [answer.request_id for answer in answers] == [r.request_id for r in requests]
    assert item_refusal(answers[100].result.error).code == "INVALID_ARGUMENT"
    assert answers[199] == answers[200]
    stored = {a.result.response.lead_id for a in answers if a.result.HasField("response")}
    assert len(stored) == 598


async def test_a_stream_ends_with_an_error_at_a_message_that_is_none(gateway: Gateway) -> None:
    """What came before it is answered; the end is INVALID_ARGUMENT, not OK."""
    call: Any = gateway.channel.stream_stream("/leadgate.v1.LeadService/StreamLeads")
    good = pb.StreamLeadsRequest(request=fresh()).SerializeToString()
    stream = call(iter([good, b"\xff\xff"]), metadata=gateway.forms.metadata)
    assert pb.StreamLeadsResponse.FromString(await stream.read()).result.response.lead_id
    assert (await refused(stream)).code == "INVALID_ARGUMENT"


async def test_too_large_a_message_is_refused_with_the_limit(gateway: Gateway) -> None:
    """A submission beyond 256 KiB names its limit, a message beyond 4 MiB the server's."""
    large = fresh()
    large.cdrs.extend(Cdr(cdr_id=f"large-{n}", custom_json="{}" + " " * 16_000) for n in range(18))
    answer = await refused(gateway.forms.leads.SubmitLead(large))
    assert answer.code == "INVALID_ARGUMENT"
    assert "262144" in str(answer.fields)
    call: Any = gateway.channel.unary_unary(SUBMIT)
    answer = await refused(call(b"x" * 5_000_000, metadata=gateway.forms.metadata))
    assert answer.code == "RESOURCE_EXHAUSTED"
    assert "4194304" in answer.message


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
async def test_no_bytes_make_an_internal_error(gateway: Gateway, data: st.DataObject) -> None:
    """Random bytes and damaged submissions get an answer, or a refusal that says so."""
    sound = fresh("buyer-one", "buyer-two").SerializeToString()
    hostile = data.draw(st.binary(max_size=300) | _damaged(sound))
    call: Any = gateway.channel.unary_unary(
        SUBMIT, response_deserializer=pb.SubmitLeadResponse.FromString
    )
    answer = await outcome(call(hostile, metadata=gateway.forms.metadata))
    if isinstance(answer, Refused):
        assert answer.code in ("INVALID_ARGUMENT", "ALREADY_EXISTS")


def _damaged(sound: bytes) -> st.SearchStrategy[bytes]:
    """The bytes with some of them overwritten, and perhaps cut short."""
    edits = st.lists(
        st.tuples(st.integers(0, len(sound) - 1), st.integers(0, 255)), min_size=1, max_size=8
    )

    def apply(edited: list[tuple[int, int]], end: int) -> bytes:
        damaged = bytearray(sound)
        for place, value in edited:
            damaged[place] = value
        return bytes(damaged[:end])

    return st.builds(apply, edits, st.integers(0, len(sound)) | st.just(len(sound)))


async def _stored(gateway: Gateway, request_id: str) -> Any:
    listing = await gateway.forms.leads.ListLeads(pb.ListLeadsRequest(request_id=request_id))
    return listing.leads
