"""Pull buyers: hand-out, reports by the table, receipts, and hands that let go."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio
from google.protobuf.timestamp_pb2 import Timestamp

from leadgate.v1 import admin_service_pb2 as admin_pb
from leadgate.v1 import delivery_service_pb2 as pb
from leadgate.v1 import lead_service_pb2
from leadgate.v1.delivery_pb2 import (
    CLAIM_STATUS_SAVED_UNPAID,
    DeliveryEventType,
    DeliveryState,
    LeadRecord,
    Receipt,
)
from tests.builders import a_receipt
from tests.gateways import Caller, Gateway, a_gateway, item_refusal, numbered
from tests.processes import running

pytestmark = pytest.mark.asyncio(loop_scope="module")

STREAM = "/leadgate.v1.DeliveryService/StreamDeliveries"
fresh = numbered()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    """One gateway for most tests of this module."""
    async with a_gateway(tmp_path_factory.mktemp("gateway")) as running_gateway:
        yield running_gateway


async def test_a_delivery_goes_from_record_to_report(gateway: Gateway) -> None:
    """Handed out, claimed, delivered: the generator sees each step with time and attempt."""
    record = await _handed_out(gateway)
    assert record.lead.contact.phone.startswith("+1201555")
    assert [share.cdr_id for share in record.shares] == [cdr.cdr_id for cdr in record.cdrs]
    assert await _report(gateway, record, "DELIVERED", receipts=_receipts(record)) == "DELIVERED"
    asked = lead_service_pb2.GetLeadRequest(lead_id=record.lead_id)
    [delivery] = (await gateway.forms.leads.GetLead(asked)).lead.deliveries
    assert _events(delivery) == ["ACCEPTED 1", "PUBLISHED 1", "CLAIMED 1", "DELIVERED 1"]
    assert delivery.receipts == _receipts(record)


async def test_delivered_without_every_receipt_is_claim_missing(gateway: Gateway) -> None:
    """And stays open: with the receipt it is delivered."""
    record = await _handed_out(gateway)
    assert await _report(gateway, record, "DELIVERED") == "CLAIM_MISSING"
    assert await _state(gateway, record) == "PUBLISHED"
    assert await _report(gateway, record, "DELIVERED", receipts=_receipts(record)) == "DELIVERED"


async def test_the_same_report_again_is_fine(gateway: Gateway) -> None:
    """An answer that was lost may be asked for again, and adds no event."""
    record = await _handed_out(gateway)
    for _ in range(3):
        said = await _report(gateway, record, "BUYER_REJECTED", "DUPLICATE")
        assert said == "BUYER_REJECTED"
    assert (await _delivery(gateway, record)).reason == "DUPLICATE"
    events = _events(await _delivery(gateway, record))
    assert events == ["ACCEPTED 1", "PUBLISHED 1", "BUYER_REJECTED 1"]


async def test_a_contradicting_report_is_told_what_stands(gateway: Gateway) -> None:
    """ALREADY_SETTLED with the state; its receipts are kept all the same."""
    record = await _handed_out(gateway)
    await _report(gateway, record, "FAILED", "SINK_BROKEN")
    receipts = _receipts(record)
    result = await _result(gateway, record, "DELIVERED", receipts=receipts)
    refusal = item_refusal(result.error)
    assert (refusal.code, refusal.reason) == ("FAILED_PRECONDITION", "ALREADY_SETTLED")
    assert refusal.metadata == {"state": "FAILED"}
    assert DeliveryState.Name(result.state) == "DELIVERY_STATE_FAILED"
    assert (await _delivery(gateway, record)).receipts == receipts


async def test_a_stale_report_changes_nothing_but_its_receipts_count(gateway: Gateway) -> None:
    """After a deferral the old attempt is stale; a claim it made holds for the next one."""
    record = await _handed_out(gateway)
    assert await _report(gateway, record, "DEFERRED", "EVIDENCE_DOWN") == "PENDING"
    assert await _report(gateway, record, "DEFERRED", "EVIDENCE_DOWN") == "PENDING"
    said = await _report(gateway, record, "DELIVERED", receipts=_receipts(record))
    assert said == "STALE_ATTEMPT"
    delivery = await _delivery(gateway, record)
    assert (delivery.attempt, delivery.receipts) == (2, _receipts(record))
    record.attempt = 2
    # The next attempt has not been handed out, and yet may be reported: it needs no claim.
    assert await _report(gateway, record, "DELIVERED") == "DELIVERED"
    record.attempt = 3
    assert await _report(gateway, record, "DELIVERED") == "UNKNOWN_ATTEMPT"


async def test_a_claim_takes_the_place_of_an_unpaid_saving(gateway: Gateway) -> None:
    """The first receipt of a CDR stands, but for one that was only saved."""
    record = await _handed_out(gateway)
    [claim] = _receipts(record)
    saved = Receipt()
    saved.CopyFrom(claim)
    saved.status = CLAIM_STATUS_SAVED_UNPAID
    other = Receipt()
    other.CopyFrom(claim)
    other.request_id = "a-later-request"
    for receipt in (saved, claim, other):
        await _report(gateway, record, "DELIVERED", "NOT_EMPTY", receipts=[receipt])
        await _report(gateway, record, "FAILED", "SINK_BROKEN", receipts=[receipt])
    assert (await _delivery(gateway, record)).receipts == [claim]


async def test_a_batch_of_reports_has_a_result_for_each(gateway: Gateway) -> None:
    """Sound, malformed, foreign and unsent ones side by side, in their order."""
    record = await _handed_out(gateway)
    expired = fresh()
    expired.recipients[0].shares[0].share_expire_time.CopyFrom(Timestamp(seconds=1))
    answer = await gateway.forms.leads.SubmitLead(expired)
    rejected = answer.deliveries[0].delivery_id
    reports = [
        _message(record.delivery_id, 1, "DELIVERED", receipts=_receipts(record)),
        _message("nonsense", 0, "UNSPECIFIED"),
        _message(record.delivery_id, 1, "FAILED"),
        _message(f"{record.lead_id}.buyer-two", 1, "FAILED", "X"),
        _message(rejected, 1, "FAILED", "X"),
        _message(record.delivery_id, 1, "FAILED", "X", receipts=[a_receipt("cdr-of-nobody")]),
        _message(record.delivery_id, 1, "DELIVERED", receipts=[Receipt(cdr_id="x")]),
    ]
    request = pb.ReportDeliveriesRequest(reports=reports)
    results = (await gateway.buyer_one.deliveries.ReportDeliveries(request)).results
    assert [result.delivery_id for result in results] == [r.delivery_id for r in reports]
    assert [_said(result) for result in results] == [
        "DELIVERED",
        "INVALID_FIELDS",
        "INVALID_FIELDS",
        "NOT_FOUND",
        "NOT_SENT",
        "INVALID_FIELDS",
        "INVALID_FIELDS",
    ]
    assert set(item_refusal(results[1].error).fields) == {"delivery_id", "attempt", "outcome"}


async def test_a_receipt_with_a_time_out_of_range_is_refused(gateway: Gateway) -> None:
    """Kept, it could be written into no record and no answer in JSON any more."""
    record = await _handed_out(gateway)
    for seconds, nanos in ((1 << 60, 0), (-(1 << 60), 0), (0, -1), (0, 1_000_000_000)):
        [receipt] = _receipts(record)
        receipt.claim_time.CopyFrom(Timestamp(seconds=seconds, nanos=nanos))
        said = await _report(gateway, record, "DELIVERED", receipts=[receipt])
        assert said == "INVALID_FIELDS"


async def test_50_consumers_report_one_delivery_and_it_is_settled_once(gateway: Gateway) -> None:
    """Half say delivered, half failed: one outcome stands, and everybody learns which."""
    record = await _handed_out(gateway)
    ways: list[tuple[str, str]] = [("DELIVERED", ""), ("FAILED", "SINK_BROKEN")]
    said = await asyncio.gather(
        *(_report(gateway, record, *ways[n % 2], receipts=_receipts(record)) for n in range(50))
    )
    assert sorted(set(said)) in (["ALREADY_SETTLED", "DELIVERED"], ["ALREADY_SETTLED", "FAILED"])
    assert said.count("ALREADY_SETTLED") == 25
    assert len(_events(await _delivery(gateway, record))) == 4


async def test_a_failed_delivery_is_retried_by_the_operator(gateway: Gateway) -> None:
    """It is handed out again with the next attempt; the report of the old one is stale."""
    record = await _handed_out(gateway)
    await _report(gateway, record, "FAILED", "SINK_BROKEN")
    request = admin_pb.RetryDeliveriesRequest(delivery_ids=[record.delivery_id])
    assert (await gateway.operator.admin.RetryDeliveries(request)).retried == 1
    assert (await gateway.operator.admin.RetryDeliveries(request)).retried == 0
    again = await _next(gateway, record.lead_id)
    assert (again.delivery_id, again.attempt) == (record.delivery_id, 2)
    assert await _report(gateway, record, "DELIVERED") == "STALE_ATTEMPT"
    said = await _report(gateway, again, "DELIVERED", receipts=_receipts(again))
    assert said == "DELIVERED"


async def test_a_replay_keeps_state_and_attempt(gateway: Gateway) -> None:
    """The record comes once more, marked, with the receipts it has."""
    record = await _handed_out(gateway)
    await _report(gateway, record, "DELIVERED", receipts=_receipts(record))
    request = pb.ReplayDeliveriesRequest(accepted_from=record.accept_time)
    assert (await gateway.buyer_one.deliveries.ReplayDeliveries(request)).replayed >= 1
    again = await _next(gateway, record.lead_id)
    assert (again.replay, again.attempt) == (True, 1)
    assert again.receipts == _receipts(record)
    assert await _report(gateway, again, "DELIVERED") == "DELIVERED"
    assert await _state(gateway, record) == "DELIVERED"


async def test_a_stream_has_no_more_in_its_hands_than_it_asked_for(tmp_path: Path) -> None:
    """A report makes room for the next one."""
    async with a_gateway(tmp_path) as gateway:
        for _ in range(3):
            await gateway.forms.leads.SubmitLead(fresh())
        stream = _stream(gateway.buyer_one, 2)
        first, second = [(await stream.read()).record for _ in range(2)]
        third = asyncio.ensure_future(stream.read())
        other = await gateway.forms.leads.SubmitLead(fresh("buyer-two"))
        await _next(gateway, other.lead_id, gateway.buyer_two)
        assert not third.done()
        await _report(gateway, first, "DELIVERED", receipts=_receipts(first))
        assert (await third).record.lead_id not in (first.lead_id, second.lead_id)
        stream.cancel()


async def test_a_client_killed_with_64_in_its_hands_gives_them_back(tmp_path: Path) -> None:
    """Each is handed out again with attempt 2, and reports of attempt 1 are stale."""
    async with a_gateway(tmp_path) as gateway:
        requests = [fresh() for _ in range(64)]
        batch = lead_service_pb2.BatchSubmitLeadsRequest(requests=requests)
        await gateway.forms.leads.BatchSubmitLeads(batch)
        held = await _killed_client(gateway, 64)
        stream = _stream(gateway.buyer_one, 1000)
        again = [(await stream.read()).record for _ in range(64)]
        assert {r.delivery_id: r.attempt for r in again} == dict.fromkeys(held, 2)
        old = again[0]
        old.attempt = 1
        receipts = _receipts(old)
        assert await _report(gateway, old, "DELIVERED", receipts=receipts) == "STALE_ATTEMPT"
        released = ["ACCEPTED 1", "PUBLISHED 1", "RELEASED 1", "PUBLISHED 2", "CLAIMED 1"]
        assert _events(await _delivery(gateway, old)) == released
        old.attempt = 2
        assert await _report(gateway, old, "DELIVERED") == "DELIVERED"
        stream.cancel()


async def test_a_stream_that_ends_gives_back_what_it_held(tmp_path: Path) -> None:
    """Cancelled in good order, or with a report on the way: attempt 2 at the next stream."""
    async with a_gateway(tmp_path) as gateway:
        await gateway.forms.leads.SubmitLead(fresh())
        for attempt in (1, 2, 3):
            stream = _stream(gateway.buyer_one, 64)
            record = (await stream.read()).record
            assert record.attempt == attempt
            stream.cancel()
        # Nobody holds it, and until the next hand-out its report counts.
        assert await _report(gateway, record, "BUYER_REJECTED", "LATE") == "BUYER_REJECTED"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_a_restart_gives_back_what_streams_held(
    tmp_path: Path, number: signal.Signals
) -> None:
    """After a stop and after a crash: at once, without waiting for leases to run out."""
    async with a_gateway(tmp_path) as gateway:
        await gateway.forms.leads.SubmitLead(fresh())
        stream = _stream(gateway.buyer_one, 64)
        record = (await stream.read()).record
        gateway.process.signal(number)
        with pytest.raises(grpc.aio.AioRpcError, match="UNAVAILABLE"):
            await stream.read()
        await gateway.process.ended()
    async with a_gateway(tmp_path) as gateway:
        again = await _next(gateway, record.lead_id)
        assert (again.delivery_id, again.attempt) == (record.delivery_id, 2)


async def _killed_client(gateway: Gateway, count: int) -> list[str]:
    """Takes that many deliveries in a process of its own and kills it; their ids."""
    program = f"""
import sys, grpc
from leadgate.v1 import delivery_service_pb2 as pb, delivery_service_pb2_grpc
stub = delivery_service_pb2_grpc.DeliveryServiceStub(grpc.insecure_channel("{gateway.address}"))
request = pb.StreamDeliveriesRequest(max_unsettled={count})
for message in stub.StreamDeliveries(request, metadata={gateway.buyer_one.metadata!r}):
    print(message.record.delivery_id, flush=True)
"""
    root = Path(__file__).parents[2]
    async with running("-c", program, env={"PYTHONPATH": str(root)}) as client:
        await client.until(lambda: len(client.output) == count)
        await client.kill()
        return client.output


async def _handed_out(gateway: Gateway) -> LeadRecord:
    """Submits a lead for buyer-one and takes its record."""
    answer = await gateway.forms.leads.SubmitLead(fresh())
    return await _next(gateway, answer.lead_id)


async def _next(gateway: Gateway, lead_id: str, buyer: Caller | None = None) -> LeadRecord:
    """Takes the record of a lead; other records go back."""
    stream = _stream(buyer or gateway.buyer_one, 1000)
    async with asyncio.timeout(20):
        record: LeadRecord = (await stream.read()).record
        while record.lead_id != lead_id:
            record = (await stream.read()).record
    stream.cancel()
    return record


def _stream(buyer: Caller, most: int) -> Any:
    return buyer.deliveries.StreamDeliveries(pb.StreamDeliveriesRequest(max_unsettled=most))


async def _report(
    gateway: Gateway, record: LeadRecord, outcome: str, reason: str = "", **fields: Any
) -> str:
    """Reports as buyer-one; the state that stands, or the reason of the refusal."""
    return _said(await _result(gateway, record, outcome, reason, **fields))


async def _result(
    gateway: Gateway, record: LeadRecord, outcome: str, reason: str = "", **fields: Any
) -> pb.DeliveryReportResult:
    report = _message(record.delivery_id, record.attempt, outcome, reason, **fields)
    request = pb.ReportDeliveriesRequest(reports=[report])
    result: pb.DeliveryReportResult
    [result] = (await gateway.buyer_one.deliveries.ReportDeliveries(request)).results
    return result


def _message(
    delivery_id: str, attempt: int, outcome: str, reason: str = "", **fields: Any
) -> pb.DeliveryReport:
    return pb.DeliveryReport(
        delivery_id=delivery_id,
        attempt=attempt,
        outcome=f"DELIVERY_OUTCOME_{outcome}",
        reason=reason,
        **fields,
    )


def _said(result: pb.DeliveryReportResult) -> str:
    if result.HasField("error"):
        return item_refusal(result.error).reason
    return DeliveryState.Name(result.state).removeprefix("DELIVERY_STATE_")


def _receipts(record: LeadRecord) -> list[Receipt]:
    return [a_receipt(cdr.cdr_id) for cdr in record.cdrs]


async def _delivery(gateway: Gateway, record: LeadRecord) -> Any:
    request = pb.GetDeliveryRequest(delivery_id=record.delivery_id)
    return (await gateway.buyer_one.deliveries.GetDelivery(request)).delivery


async def _state(gateway: Gateway, record: LeadRecord) -> str:
    delivery = await _delivery(gateway, record)
    return DeliveryState.Name(delivery.state).removeprefix("DELIVERY_STATE_")


def _events(delivery: Any) -> list[str]:
    """What happened, with the attempt it happened to."""
    return [
        f"{DeliveryEventType.Name(event.type).removeprefix('DELIVERY_EVENT_TYPE_')} {event.attempt}"
        for event in delivery.events
    ]
