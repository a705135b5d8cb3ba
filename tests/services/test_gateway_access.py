"""Who reaches what: every RPC, every kind of caller, and whose leads and deliveries."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.timestamp_pb2 import Timestamp

from leadgate.v1 import admin_service_pb2 as admin_pb
from leadgate.v1 import delivery_service_pb2 as delivery_pb
from leadgate.v1 import lead_service_pb2 as pb
from tests.builders import a_recipient, a_submission
from tests.gateways import KEYS, Gateway, a_gateway, item_refusal, numbered, refused

pytestmark = pytest.mark.asyncio(loop_scope="module")

SERVICES = {
    pb.DESCRIPTOR.services_by_name["LeadService"]: "forms",
    delivery_pb.DESCRIPTOR.services_by_name["DeliveryService"]: "buyer-one",
    admin_pb.DESCRIPTOR.services_by_name["AdminService"]: "operator",
}
UNKNOWN_LEAD = "01a1fd84-8f8b-76d9-b8ed-e09d81446001"
fresh = numbered()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    """One gateway for all tests of this module."""
    async with a_gateway(tmp_path_factory.mktemp("gateway")) as running:
        yield running


def _methods() -> Iterator[tuple[ServiceDescriptor, MethodDescriptor]]:
    for service in SERVICES:
        for method in service.methods:
            yield service, method


def _call(gateway: Gateway, method: MethodDescriptor, key: str | None) -> Any:
    """Calls an RPC with an empty request."""
    kinds = {
        (False, False): gateway.channel.unary_unary,
        (False, True): gateway.channel.unary_stream,
        (True, True): gateway.channel.stream_stream,
    }
    call: Any = kinds[method.client_streaming, method.server_streaming](
        f"/{method.containing_service.full_name}/{method.name}",
        request_serializer=GetMessageClass(method.input_type).SerializeToString,
    )
    request: Any = GetMessageClass(method.input_type)()
    sent = iter([request]) if method.client_streaming else request
    return call(sent, metadata=(("x-api-key", key),) if key is not None else ())


@pytest.mark.parametrize(
    "key",
    [
        None,
        "",
        "no-key-at-all",
        "unknown.unknown-secret-0123456789",
        "forms.another-secret-0123456789",
        KEYS["forms"] + " ",
        KEYS["forms"].upper(),
        "x" * 4000,
    ],
)
async def test_no_rpc_answers_without_a_key_that_works(gateway: Gateway, key: str | None) -> None:
    """No key, a malformed, an unknown one and a wrong secret: UNAUTHENTICATED everywhere."""
    for _, method in _methods():
        answer = await refused(_call(gateway, method, key))
        assert (answer.code, answer.reason) == ("UNAUTHENTICATED", "API_KEY_INVALID"), method.name
        assert answer.domain == "leadgate"


async def test_an_unknown_key_and_a_wrong_secret_look_alike(gateway: Gateway) -> None:
    """Nobody learns which key ids exist."""
    answers = [
        await refused(gateway.caller(key).leads.ListLeads(pb.ListLeadsRequest()))
        for key in ("unknown.forms-secret-0123456789", "forms.unknown-secret-0123456789")
    ]
    assert answers[0].message == answers[1].message


async def test_no_role_reaches_the_service_of_another(gateway: Gateway) -> None:
    """Generators, buyers and services meet in every wrong combination: PERMISSION_DENIED."""
    for service, method in _methods():
        for name in {"forms", "buyer-one"} - {SERVICES[service]}:
            answer = await refused(_call(gateway, method, KEYS[name]))
            assert (answer.code, answer.reason) == ("PERMISSION_DENIED", "WRONG_ROLE"), method.name


async def test_an_operator_submits_no_leads(gateway: Gateway) -> None:
    """It reaches every RPC, but leads belong to a generator."""
    calls = [
        gateway.operator.leads.SubmitLead(fresh()),
        gateway.operator.leads.BatchSubmitLeads(pb.BatchSubmitLeadsRequest(requests=[fresh()])),
        gateway.operator.leads.StreamLeads(iter([pb.StreamLeadsRequest(request=fresh())])),
    ]
    for call in calls:
        assert (await refused(call)).code == "PERMISSION_DENIED"


async def test_a_lead_of_another_generator_looks_like_none(gateway: Gateway) -> None:
    """Foreign, unknown and malformed ids are answered with the same words."""
    lead_id = (await gateway.forms.leads.SubmitLead(fresh())).lead_id
    asked = [lead_id, UNKNOWN_LEAD, "nonsense", "", "\x00", "9" * 5000]
    answers = [
        await refused(gateway.other_forms.leads.GetLead(pb.GetLeadRequest(lead_id=text)))
        for text in asked
    ]
    assert {(answer.code, answer.message) for answer in answers} == {("NOT_FOUND", "no such lead")}
    for caller in (gateway.forms, gateway.operator):
        found = await caller.leads.GetLead(pb.GetLeadRequest(lead_id=lead_id))
        assert found.lead.lead_id == lead_id


async def test_a_generator_lists_its_own_leads_only(gateway: Gateway) -> None:
    """To name another generator changes nothing; an operator sees them all."""
    submission = fresh()
    await gateway.forms.leads.SubmitLead(submission)
    asked = pb.ListLeadsRequest(request_id=submission.request_id, generator_id="forms")
    assert not (await gateway.other_forms.leads.ListLeads(asked)).leads
    assert len((await gateway.forms.leads.ListLeads(asked)).leads) == 1
    assert len((await gateway.operator.leads.ListLeads(asked)).leads) == 1


async def test_two_generators_may_use_the_same_request_id(gateway: Gateway) -> None:
    """A request id is unique for its generator; no answer tells of another's."""
    submission = fresh()
    first = await gateway.forms.leads.SubmitLead(submission)
    other = await gateway.other_forms.leads.SubmitLead(submission)
    assert first.lead_id != other.lead_id


async def test_a_generator_watches_its_own_deliveries_only(gateway: Gateway) -> None:
    """A watch from the very first event shows nothing that is somebody else's."""
    mine = await gateway.forms.leads.SubmitLead(fresh())
    theirs = await gateway.other_forms.leads.SubmitLead(fresh())
    asked = pb.WatchDeliveriesRequest(cursor="0", generator_id="other-forms")
    watch = gateway.forms.leads.WatchDeliveries(asked)
    seen = set()
    async for message in watch:
        seen.add(message.lead_id)
        if message.lead_id == mine.lead_id:
            break
    watch.cancel()
    assert theirs.lead_id not in seen


async def test_a_page_token_does_not_open_anothers_listing(gateway: Gateway) -> None:
    """It is bound to what its caller may see."""
    for _ in range(2):
        await gateway.forms.leads.SubmitLead(fresh())
    page = await gateway.forms.leads.ListLeads(pb.ListLeadsRequest(page_size=1))
    asked = pb.ListLeadsRequest(page_size=1, page_token=page.next_page_token)
    assert (await gateway.forms.leads.ListLeads(asked)).leads
    answer = await refused(gateway.other_forms.leads.ListLeads(asked))
    assert answer.code == "INVALID_ARGUMENT"
    assert list(answer.fields) == ["page_token"]


async def test_a_buyer_that_does_not_take_my_leads_looks_like_none(gateway: Gateway) -> None:
    """Its existence is nobody's business."""
    answers = [
        await refused(
            gateway.forms.leads.SubmitLead(a_submission(recipients=[a_recipient(buyer_id)]))
        )
        for buyer_id in ("buyer-private", "buyer-unknown")
    ]
    assert answers[0].code == "INVALID_ARGUMENT"
    assert (
        answers[0].fields
        == answers[1].fields
        == {"recipients[0].buyer_id": "must be a buyer that takes your leads"}
    )
    submission = fresh("buyer-private")
    assert (await gateway.other_forms.leads.SubmitLead(submission)).deliveries


async def test_a_delivery_of_another_buyer_looks_like_none(gateway: Gateway) -> None:
    """Foreign, unknown and malformed ids are answered with the same words."""
    answer = await gateway.forms.leads.SubmitLead(fresh("buyer-one", "buyer-two"))
    foreign = answer.deliveries[0].delivery_id
    asked = [
        foreign,
        f"{UNKNOWN_LEAD}.buyer-two",
        f"{answer.lead_id}.buyer-private",
        f"{answer.lead_id}.",
        answer.lead_id,
        "",
        "x" * 5000,
    ]
    answers = [
        await refused(
            gateway.buyer_two.deliveries.GetDelivery(delivery_pb.GetDeliveryRequest(delivery_id=it))
        )
        for it in asked
    ]
    assert {(a.code, a.message) for a in answers} == {("NOT_FOUND", "no such delivery")}
    for caller in (gateway.buyer_one, gateway.operator):
        request = delivery_pb.GetDeliveryRequest(delivery_id=foreign)
        assert (await caller.deliveries.GetDelivery(request)).delivery.buyer_id == "buyer-one"


async def test_a_buyer_lists_its_own_deliveries_only(gateway: Gateway) -> None:
    """To name another buyer changes nothing; an operator sees them all."""
    submission = fresh("buyer-one", "buyer-two")
    await gateway.forms.leads.SubmitLead(submission)

    async def listed(caller: Any, buyer_id: str) -> set[str]:
        asked = delivery_pb.ListDeliveriesRequest(
            request_id=submission.request_id, buyer_id=buyer_id
        )
        found = await caller.deliveries.ListDeliveries(asked)
        return {delivery.buyer_id for delivery in found.deliveries}

    assert await listed(gateway.buyer_two, "buyer-one") == {"buyer-two"}
    assert await listed(gateway.operator, "buyer-one") == {"buyer-one"}
    assert await listed(gateway.operator, "") == {"buyer-one", "buyer-two"}


async def test_a_buyer_reports_on_its_own_deliveries_only(gateway: Gateway) -> None:
    """A report on another buyer's delivery is NOT_FOUND, whatever buyer it names."""
    answer = await gateway.forms.leads.SubmitLead(fresh())
    [delivery] = answer.deliveries
    report = delivery_pb.DeliveryReport(
        delivery_id=delivery.delivery_id,
        attempt=1,
        outcome=delivery_pb.DELIVERY_OUTCOME_FAILED,
        reason="STOLEN",
    )
    for named in ("", "buyer-one"):
        request = delivery_pb.ReportDeliveriesRequest(reports=[report], buyer_id=named)
        [result] = (await gateway.buyer_two.deliveries.ReportDeliveries(request)).results
        assert item_refusal(result.error).code == "NOT_FOUND"
        assert not result.state
    found = await gateway.forms.leads.GetLead(pb.GetLeadRequest(lead_id=answer.lead_id))
    assert [event.type for event in found.lead.deliveries[0].events] == [1]


async def test_a_buyer_is_handed_and_replays_its_own_deliveries_only(gateway: Gateway) -> None:
    """To name another buyer in StreamDeliveries or ReplayDeliveries changes nothing."""
    answer = await gateway.forms.leads.SubmitLead(fresh("buyer-one", "buyer-two"))
    asked = delivery_pb.StreamDeliveriesRequest(buyer_id="buyer-one", max_unsettled=1000)
    stream = gateway.buyer_two.deliveries.StreamDeliveries(asked)
    async for message in stream:
        assert message.record.buyer_id == "buyer-two"
        if message.record.lead_id == answer.lead_id:
            break
    stream.cancel()
    replay = delivery_pb.ReplayDeliveriesRequest(
        accepted_from=Timestamp(seconds=0), buyer_id="buyer-one"
    )
    await gateway.buyer_two.deliveries.ReplayDeliveries(replay)
    found = await gateway.forms.leads.GetLead(pb.GetLeadRequest(lead_id=answer.lead_id))
    assert [event.type for event in found.lead.deliveries[0].events] == [1]


async def test_an_operator_names_the_buyer_it_acts_for(gateway: Gateway) -> None:
    """None named is INVALID_ARGUMENT, an unknown one NOT_FOUND."""
    for buyer_id, code in (("", "INVALID_ARGUMENT"), ("buyer-unknown", "NOT_FOUND")):
        asked = delivery_pb.StreamDeliveriesRequest(buyer_id=buyer_id)
        answer = await refused(gateway.operator.deliveries.StreamDeliveries(asked))
        assert answer.code == code


async def test_a_revoked_key_opens_nothing_and_its_streams_end(gateway: Gateway) -> None:
    """Calls, watches, submit streams and pull streams are refused from the moment on."""
    key = await _new_key(gateway, "ROLE_GENERATOR", "forms")
    buyer = await _new_key(gateway, "ROLE_BUYER", "buyer-two")
    watch = gateway.caller(key).leads.WatchDeliveries(pb.WatchDeliveriesRequest())
    await watch.read()
    submits = gateway.caller(key).leads.StreamLeads()
    await submits.write(pb.StreamLeadsRequest(request=fresh()))
    await submits.read()
    pull = gateway.caller(buyer).deliveries.StreamDeliveries(
        delivery_pb.StreamDeliveriesRequest(max_unsettled=1000)
    )
    await gateway.forms.leads.SubmitLead(fresh("buyer-two"))
    await pull.read()
    for text in (key, buyer):
        request = admin_pb.RevokeApiKeyRequest(key_id=text.partition(".")[0])
        await gateway.operator.admin.RevokeApiKey(request)
    late = fresh()
    await submits.write(pb.StreamLeadsRequest(request=late))
    after = await gateway.forms.leads.SubmitLead(fresh("buyer-two"))
    for call in (gateway.caller(key).leads.SubmitLead(fresh()), watch, submits, pull):
        async with asyncio.timeout(20):
            assert (await refused(call)).code == "UNAUTHENTICATED"
    listing = await gateway.forms.leads.ListLeads(pb.ListLeadsRequest(request_id=late.request_id))
    assert not listing.leads
    stream = gateway.buyer_two.deliveries.StreamDeliveries(
        delivery_pb.StreamDeliveriesRequest(max_unsettled=1000)
    )
    async for message in stream:
        if message.record.lead_id == after.lead_id:
            break
    stream.cancel()


async def _new_key(gateway: Gateway, role: str, subject: str) -> str:
    request = admin_pb.CreateApiKeyRequest(role=role, subject=subject)
    answer: admin_pb.CreateApiKeyResponse = await gateway.operator.admin.CreateApiKey(request)
    return answer.secret


async def test_the_table_of_services_is_whole() -> None:
    """A new service joins these tests."""
    folder = Path(__file__).parents[2] / "protos/leadgate/v1"
    assert {f"{s.name}" for s in SERVICES} == {
        line.split()[1]
        for f in folder.glob("*.proto")
        for line in f.read_text().splitlines()
        if line.startswith("service ")
    }
