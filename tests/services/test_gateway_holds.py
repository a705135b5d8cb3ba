"""Evidence that comes after its lead: over the wire, across restarts, and on time."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from google.protobuf.duration_pb2 import Duration

from leadgate.v1 import delivery_service_pb2
from leadgate.v1 import lead_service_pb2 as pb
from leadgate.v1.delivery_pb2 import (
    DELIVERY_STATE_AWAITING_EVIDENCE,
    DELIVERY_STATE_PENDING,
    DELIVERY_STATE_REJECTED,
    Delivery,
)
from leadgate.v1.lead_pb2 import Cdr
from tests.builders import a_recipient, a_share, a_submission
from tests.gateways import Caller, Gateway, a_gateway, refused

ON_TIME_SECONDS = 2.0


def held(request_id: str, seconds: int) -> pb.SubmitLeadRequest:
    """A submission whose evidence may come for so long."""
    recipient = a_recipient(shares=[], evidence_wait=Duration(seconds=seconds))
    return a_submission(request_id, cdrs=[], recipients=[recipient])


def evidence(request_id: str) -> pb.AddEvidenceRequest:
    """What that submission waits for."""
    return pb.AddEvidenceRequest(
        request_id=request_id,
        cdrs=[Cdr(cdr_id="cdr-1")],
        recipients=[pb.EvidenceRecipient(buyer_id="buyer-one", shares=[a_share()])],
    )


async def the_delivery(caller: Caller, lead_id: str) -> Delivery:
    """The only delivery of a lead."""
    answer: pb.GetLeadResponse = await caller.leads.GetLead(pb.GetLeadRequest(lead_id=lead_id))
    return answer.lead.deliveries[0]


async def the_rejection(gateway: Gateway) -> pb.WatchDeliveriesResponse:
    """The first event that left a delivery REJECTED, once there is one."""
    watch = gateway.forms.leads.WatchDeliveries(pb.WatchDeliveriesRequest(cursor="0"))
    event: pb.WatchDeliveriesResponse
    async for event in watch:
        if event.state == DELIVERY_STATE_REJECTED:
            watch.cancel()
            return event
    raise AssertionError("the watch ended")


@pytest.mark.timeout(60)
async def test_a_hold_survives_kill_9_and_its_evidence_sends_the_lead(tmp_path: Path) -> None:
    """Held before and after; then the buyer's stream has the lead with its evidence."""
    async with a_gateway(tmp_path) as gateway:
        answer = await gateway.forms.leads.SubmitLead(held("request-1", 3600))
        assert answer.deliveries[0].state == DELIVERY_STATE_AWAITING_EVIDENCE
        await gateway.process.kill()
    async with a_gateway(tmp_path) as gateway:
        lead = pb.GetLeadRequest(lead_id=answer.lead_id)
        found = (await gateway.forms.leads.GetLead(lead)).lead
        assert found.state == pb.LEAD_STATE_IN_PROGRESS
        assert found.deliveries[0].state == DELIVERY_STATE_AWAITING_EVIDENCE
        stream = gateway.buyer_one.deliveries.StreamDeliveries(
            delivery_service_pb2.StreamDeliveriesRequest(buyer_id="buyer-one")
        )
        added = await gateway.forms.leads.AddEvidence(evidence("request-1"))
        assert added.deliveries[0].state == DELIVERY_STATE_PENDING
        got = await asyncio.wait_for(stream.read(), 10)
        stream.cancel()
        assert [share.cdr_id for share in got.record.shares] == ["cdr-1"]
        await gateway.process.kill()
    async with a_gateway(tmp_path) as gateway:
        assert await gateway.forms.leads.AddEvidence(evidence("request-1")) == added
        assert await gateway.forms.leads.SubmitLead(held("request-1", 3600)) == answer


@pytest.mark.timeout(60)
async def test_a_deadline_is_kept_by_a_gateway_that_was_started_again(tmp_path: Path) -> None:
    """Nobody calls; the refusal is told at the deadline, and evidence is too late then."""
    async with a_gateway(tmp_path) as gateway:
        answer = await gateway.forms.leads.SubmitLead(held("request-1", 5))
        await gateway.process.kill()
    async with a_gateway(tmp_path) as gateway:
        delivery = await the_delivery(gateway.forms, answer.lead_id)
        assert delivery.state == DELIVERY_STATE_AWAITING_EVIDENCE
        told = await asyncio.wait_for(the_rejection(gateway), 20)
        assert told.event.reason == "EVIDENCE_TIMEOUT"
        late = told.event.event_time.ToDatetime() - delivery.due_time.ToDatetime()
        assert 0 <= late.total_seconds() < ON_TIME_SECONDS
        why = await refused(gateway.forms.leads.AddEvidence(evidence("request-1")))
        assert (why.code, why.reason) == ("FAILED_PRECONDITION", "NOT_AWAITING")


async def test_evidence_is_added_by_the_leads_own_generator_only(tmp_path: Path) -> None:
    """To others the lead does not exist; an operator submits nothing."""
    async with a_gateway(tmp_path) as gateway:
        await gateway.forms.leads.SubmitLead(held("request-1", 60))
        foreign = await refused(gateway.other_forms.leads.AddEvidence(evidence("request-1")))
        assert foreign.code == "NOT_FOUND"
        operator = await refused(gateway.operator.leads.AddEvidence(evidence("request-1")))
        assert operator.code == "PERMISSION_DENIED"
        await gateway.forms.leads.AddEvidence(evidence("request-1"))
        other = evidence("request-1")
        other.recipients[0].shares[0].share_url += "-other"
        conflict = await refused(gateway.forms.leads.AddEvidence(other))
        assert (conflict.code, conflict.reason) == ("ALREADY_EXISTS", "EVIDENCE_ALREADY_ADDED")
