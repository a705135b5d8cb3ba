"""Evidence that comes after its lead, in a real ledger: added once, in time, or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from gateway.addition import Additions
from gateway.deadlines import Deadlines
from gateway.delivery import EventKind, State
from gateway.errors import (
    EvidenceAddedError,
    GatewayError,
    InvalidRequestError,
    PreconditionError,
)
from gateway.intake import Accepted
from gateway.lead import MAX_CDRS
from gateway.ledger.holds import SqlHolds
from gateway.ledger.outbox import SqlOutbox
from gateway.ledger.transaction import Transaction
from gateway.record import topic_record
from gateway.timeline import DeliveryView, EventView, Filter, LeadView, Place
from leadgate.v1.delivery_pb2 import LeadRecord
from leadgate.v1.lead_pb2 import Cdr, Lead, Recipient
from leadgate.v1.lead_service_pb2 import AddEvidenceRequest, EvidenceRecipient, SubmitLeadRequest
from tests.builders import a_buyer, a_contact, a_recipient, a_share, a_submission
from tests.unit.gateway.conftest import Clock, Gateway

WAIT = timedelta(minutes=10)
CDR = Cdr(cdr_id="cdr-1", custom_json='{"uid": "1"}', sub_group_ids=["solar"])
HELD, PENDING = (State.AWAITING_EVIDENCE, ""), (State.PENDING, "")
TIMEOUT = (State.REJECTED, "EVIDENCE_TIMEOUT")


def waiting(buyer_id: str = "buyer-one") -> Recipient:
    """A recipient whose evidence is to come."""
    return a_recipient(
        buyer_id, shares=[], evidence_wait=Duration(seconds=int(WAIT.total_seconds()))
    )


def a_lead(request_id: str = "request-1", *buyer_ids: str, **fields: Any) -> SubmitLeadRequest:
    """A submission without evidence."""
    recipients = [waiting(buyer_id) for buyer_id in buyer_ids or ("buyer-one",)]
    return a_submission(request_id, **{"cdrs": [], "recipients": recipients, **fields})


def evidence(*buyer_ids: str, **fields: Any) -> AddEvidenceRequest:
    """`cdr-1` for those buyers, each with a token of its own."""
    recipients = [
        EvidenceRecipient(buyer_id=buyer_id, shares=[a_share(share_url=_url(buyer_id))])
        for buyer_id in buyer_ids or ("buyer-one",)
    ]
    name = {} if "lead_id" in fields else {"request_id": "request-1"}
    return AddEvidenceRequest(**{**name, "cdrs": [CDR], "recipients": recipients, **fields})


def _url(buyer_id: str) -> str:
    return f"https://evidence.example.com/v1/shares/token-of-{buyer_id}"


@pytest.fixture
def additions(gateway: Gateway) -> Additions:
    """What takes evidence."""
    return Additions(SqlHolds(gateway.ledger), gateway.intake.person)


def decided(answer: Accepted) -> list[tuple[State, str]]:
    """State and reason of each decision."""
    return [(decision.state, decision.reason) for decision in answer.decisions]


async def add(
    additions: Additions, request: AddEvidenceRequest, generator_id: str = "forms"
) -> Accepted:
    """Adds a copy of the evidence."""
    copy = AddEvidenceRequest()
    copy.CopyFrom(request)
    return await additions.add(generator_id, copy)


async def refusal(additions: Additions, request: AddEvidenceRequest, generator_id: str) -> str:
    """The reason an addition is refused with, and the first field."""
    with pytest.raises(GatewayError) as caught:
        await add(additions, request, generator_id)
    fields = [violation.field for violation in caught.value.violations]
    return " ".join([caught.value.reason, *fields[:1]])


async def lead(gateway: Gateway, answer: Accepted) -> LeadView:
    """The lead as it stands."""
    view = await gateway.ledger.find_lead(answer.lead_id or b"", "forms")
    assert view
    return view


async def delivery(gateway: Gateway, answer: Accepted) -> DeliveryView:
    """Its first delivery as it stands."""
    return (await lead(gateway, answer)).deliveries[0]


def standing(view: DeliveryView) -> tuple[State, str]:
    """State and reason."""
    return view.state, view.reason


async def record(gateway: Gateway, buyer_id: str = "buyer-one") -> LeadRecord | None:
    """The record that is due for a buyer, if there is one."""
    buyer = gateway.ledger.market.buyers[buyer_id]
    rows = (await SqlOutbox(gateway.ledger).due(buyer.key, 10, None)).rows
    return LeadRecord.FromString(topic_record(rows[0], buyer, "forms").value) if rows else None


def told(events: list[EventView] | Any) -> list[tuple[EventKind, State, str]]:
    """Kind, state and reason of each event."""
    return [(event.kind, event.state, event.reason) for event in events]


async def test_a_lead_without_evidence_is_held_and_not_sent(gateway: Gateway) -> None:
    """It is on disk, and its delivery says until when evidence is awaited."""
    answer = await gateway.submit(a_lead())
    assert decided(answer) == [HELD]
    view = await delivery(gateway, answer)
    assert standing(view) == HELD
    assert view.due_time == gateway.clock.now + WAIT // timedelta(microseconds=1)
    assert told(view.events) == [(EventKind.ACCEPTED, State.AWAITING_EVIDENCE, "")]
    assert await record(gateway) is None


async def test_without_a_wait_missing_evidence_is_refused(gateway: Gateway) -> None:
    """And with shares, a wait changes nothing."""
    shared = a_recipient("buyer-two", evidence_wait=Duration(seconds=60))
    answer = await gateway.submit(a_submission(recipients=[a_recipient(shares=[]), shared]))
    assert decided(answer) == [(State.REJECTED, "NO_EVIDENCE"), PENDING]


async def test_a_paused_buyer_is_not_waited_for(gateway: Gateway) -> None:
    """Rules that need no evidence are decided at once."""
    await gateway.set_buyer(a_buyer(paused=True))
    assert decided(await gateway.submit(a_lead())) == [(State.REJECTED, "BUYER_PAUSED")]


async def test_validate_only_says_that_a_lead_would_be_held(gateway: Gateway) -> None:
    """And holds nothing."""
    answer = await gateway.submit(a_lead(validate_only=True))
    assert decided(answer) == [HELD]
    assert await SqlHolds(gateway.ledger).next_deadline() is None


async def test_added_evidence_sends_the_lead_with_it(
    gateway: Gateway, additions: Additions
) -> None:
    """The record has the shares and CDRs as if they had come with the lead."""
    answer = await gateway.submit(a_lead())
    gateway.clock.move(60)
    assert decided(await add(additions, evidence())) == [PENDING]
    view = await delivery(gateway, answer)
    assert (standing(view), view.due_time) == (PENDING, gateway.clock.now)
    assert told(view.events)[1:] == [(EventKind.EVIDENCE_ADDED, State.PENDING, "")]
    sent = await record(gateway)
    assert sent
    assert [share.share_url for share in sent.shares] == [_url("buyer-one")]
    assert [cdr.cdr_id for cdr in sent.cdrs] == ["cdr-1"]
    assert not sent.cdrs[0].sub_group_ids
    assert sent.lead.attributes == {"product": "solar"}


async def test_evidence_may_name_the_lead_by_its_id(gateway: Gateway, additions: Additions) -> None:
    """The id that the submission was answered with."""
    view = await lead(gateway, await gateway.submit(a_lead()))
    name = (await add(additions, evidence())).lead_id
    assert name == view.lead_id
    again = evidence(lead_id="-".join(_parts(view.lead_id.hex())))
    assert decided(await add(additions, again)) == [PENDING]


def _parts(digits: str) -> list[str]:
    return [digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]]


async def test_buyers_get_their_evidence_one_by_one(gateway: Gateway, additions: Additions) -> None:
    """The other goes on waiting, and neither sees what the other was given."""
    answer = await gateway.submit(a_lead("request-1", "buyer-one", "buyer-two"))
    await add(additions, evidence("buyer-two"))
    views = (await lead(gateway, answer)).deliveries
    assert [standing(view) for view in views] == [HELD, PENDING]
    assert await record(gateway, "buyer-one") is None
    assert decided(await add(additions, evidence("buyer-two", "buyer-one"))) == [PENDING] * 2
    sent = await record(gateway, "buyer-one")
    assert sent
    assert "buyer-two" not in str(sent)


async def test_a_repeat_of_an_addition_gets_the_first_answer(
    gateway: Gateway, additions: Additions
) -> None:
    """Many at once, and after the deadline too; the delivery is told of it once."""
    answer = await gateway.submit(a_lead())
    answers = await asyncio.gather(*(add(additions, evidence()) for _ in range(20)))
    gateway.clock.move(2 * WAIT.total_seconds())
    await gateway.set_buyer(a_buyer(paused=True))
    assert {tuple(decided(item)) for item in [*answers, await add(additions, evidence())]} == {
        (PENDING,)
    }
    assert len((await delivery(gateway, answer)).events) == 2


async def test_a_repeat_is_answered_although_its_host_is_trusted_no_more(
    gateway: Gateway, additions: Additions
) -> None:
    """The answer was given under an earlier market; new evidence is judged by this one."""
    await gateway.submit(a_lead("request-1", "buyer-one", "buyer-two"))
    first = await add(additions, evidence())

    def trust_nobody(tx: Transaction) -> None:
        tx.market = replace(tx.market, evidence_hosts={})

    await gateway.ledger.commit(trust_nobody)
    assert await add(additions, evidence()) == first
    why = await refusal(additions, evidence("buyer-two"), "forms")
    assert why == "INVALID_FIELDS recipients[0].shares[0].share_url"


async def test_a_repeat_of_the_submission_is_answered_as_at_first(
    gateway: Gateway, additions: Additions
) -> None:
    """Whatever has become of its deliveries; added evidence is no other content."""
    first = await gateway.submit(a_lead("request-1", "buyer-one", "buyer-two"))
    await add(additions, evidence())
    gateway.clock.move(WAIT.total_seconds())
    await SqlHolds(gateway.ledger).expire()
    assert await gateway.submit(a_lead("request-1", "buyer-one", "buyer-two")) == first


async def test_evidence_that_a_rule_refuses_rejects_the_delivery(
    gateway: Gateway, additions: Additions
) -> None:
    """A decision is an answer, also when it is asked for again."""
    answer = await gateway.submit(a_lead())
    request = evidence()
    request.recipients[0].shares[0].share_expire_time.CopyFrom(Timestamp(seconds=1))
    refused = (State.REJECTED, "SHARE_EXPIRED")
    assert decided(await add(additions, request)) == [refused]
    assert decided(await add(additions, request)) == [refused]
    view = await delivery(gateway, answer)
    assert (standing(view), view.due_time) == (refused, None)
    assert told(view.events)[1:] == [(EventKind.REJECTED, *refused)]
    assert await record(gateway) is None


async def test_evidence_of_another_person_is_refused(
    gateway: Gateway, additions: Additions
) -> None:
    """Judged where the addition is stored, so that of two persons one has it."""
    await gateway.submit(a_lead())
    bob = a_contact(phone="+1 201 555 0199", email="bob@example.com")
    await gateway.submit(a_lead("request-2", lead=Lead(contact=bob)))
    answers = await asyncio.gather(
        add(additions, evidence()), add(additions, evidence(request_id="request-2"))
    )
    assert [decided(answer)[0] for answer in answers] == [PENDING, (State.REJECTED, "CDR_REUSED")]
    third = a_submission("request-3", lead=Lead(contact=bob))
    assert decided(await gateway.submit(third)) == [(State.REJECTED, "CDR_REUSED")]


async def test_refused_evidence_is_not_used_up(gateway: Gateway, additions: Additions) -> None:
    """What no buyer was given does not bind the CDR to its person."""
    await gateway.submit(a_lead())
    await gateway.set_buyer(a_buyer(paused=True))
    assert decided(await add(additions, evidence())) == [(State.REJECTED, "BUYER_PAUSED")]
    await gateway.set_buyer(a_buyer())
    bob = a_contact(phone="+1 201 555 0199", email="bob@example.com")
    submission = a_submission("request-2", lead=Lead(contact=bob))
    assert decided(await gateway.submit(submission)) == [PENDING]


async def test_other_evidence_than_was_added_is_a_conflict(
    gateway: Gateway, additions: Additions
) -> None:
    """Other shares for the same buyer, or another CDR of the same id."""
    await gateway.submit(a_lead("request-1", "buyer-one", "buyer-two"))
    await add(additions, evidence())
    other = evidence()
    other.recipients[0].shares[0].share_url += "-other"
    with pytest.raises(EvidenceAddedError):
        await add(additions, other)
    with pytest.raises(EvidenceAddedError):
        await add(additions, evidence("buyer-two", cdrs=[Cdr(cdr_id="cdr-1")]))
    assert decided(await add(additions, evidence("buyer-two"))) == [PENDING]


UNSOUND = {
    "another's lead": (evidence(), "others", "NOT_FOUND"),
    "no lead": (evidence(request_id="request-9"), "forms", "NOT_FOUND"),
    "no lead id": (evidence(lead_id="request-1"), "forms", "NOT_FOUND"),
    "no name": (evidence(request_id=""), "forms", "INVALID_FIELDS lead_id"),
    "no recipients": (evidence(recipients=[], cdrs=[]), "forms", "INVALID_FIELDS recipients"),
    "no shares": (
        evidence(recipients=[EvidenceRecipient(buyer_id="buyer-one")], cdrs=[]),
        "forms",
        "INVALID_FIELDS recipients[0].shares",
    ),
    "a buyer twice": (
        evidence("buyer-one", "buyer-one"),
        "forms",
        "INVALID_FIELDS recipients[1].buyer_id",
    ),
    "no recipient of the lead": (
        evidence("buyer-one", "buyer-three"),
        "forms",
        "INVALID_FIELDS recipients[1].buyer_id",
    ),
    "a share without its CDR": (
        evidence(cdrs=[]),
        "forms",
        "INVALID_FIELDS recipients[0].shares[0].cdr_id",
    ),
    "a CDR for nobody": (
        evidence(cdrs=[CDR, Cdr(cdr_id="cdr-2")]),
        "forms",
        "INVALID_FIELDS cdrs[1].cdr_id",
    ),
    "a foreign host": (
        evidence(
            recipients=[
                EvidenceRecipient(
                    buyer_id="buyer-one",
                    shares=[a_share(share_url="https://elsewhere.example.com/v1/shares/abcdefgh")],
                )
            ]
        ),
        "forms",
        "INVALID_FIELDS recipients[0].shares[0].share_url",
    ),
    "what awaits nothing": (evidence("buyer-one", "buyer-two"), "forms", "NOT_AWAITING"),
}


@pytest.mark.parametrize(
    ("request_", "generator_id", "reason"), UNSOUND.values(), ids=UNSOUND.keys()
)
async def test_an_unsound_addition_changes_nothing(
    gateway: Gateway,
    additions: Additions,
    request_: AddEvidenceRequest,
    generator_id: str,
    reason: str,
) -> None:
    """All or nothing: the sound recipient beside the unsound one goes on waiting."""
    answer = await gateway.submit(
        a_lead(recipients=[waiting(), a_recipient("buyer-two", shares=[])])
    )
    assert await refusal(additions, request_, generator_id) == reason
    assert standing(await delivery(gateway, answer)) == HELD
    assert await record(gateway) is None
    assert decided(await add(additions, evidence())) == [PENDING]


async def test_a_lead_and_its_added_evidence_keep_the_limits_together(
    gateway: Gateway, additions: Additions
) -> None:
    """As many CDRs as one submission may have."""
    cdrs = [Cdr(cdr_id=f"own-{number}") for number in range(MAX_CDRS)]
    await gateway.submit(a_lead(cdrs=cdrs))
    with pytest.raises(InvalidRequestError):
        await add(additions, evidence())


async def test_evidence_is_too_late_from_the_deadline_on(
    gateway: Gateway, additions: Additions
) -> None:
    """Also before anybody has noted that the time is over, and long after."""
    answer = await gateway.submit(a_lead())
    gateway.clock.move(WAIT.total_seconds())
    with pytest.raises(PreconditionError):
        await add(additions, evidence())
    assert await SqlHolds(gateway.ledger).expire() == 1
    with pytest.raises(PreconditionError):
        await add(additions, evidence())
    view = await delivery(gateway, answer)
    assert (standing(view), view.due_time) == (TIMEOUT, None)
    assert told(view.events)[1:] == [(EventKind.REJECTED, *TIMEOUT)]


async def test_lists_and_watches_tell_of_holds(gateway: Gateway, additions: Additions) -> None:
    """By state, and event by event with the state each left the delivery in."""
    await gateway.submit(a_lead())
    await gateway.submit(a_submission("request-2"))
    held = Filter(state=State.AWAITING_EVIDENCE)
    [found] = await gateway.ledger.list_leads(held, 1 << 62, 10)
    assert found.request_id == "request-1"
    [listed] = await gateway.ledger.list_deliveries(held, (1 << 62, 0), 10)
    assert listed.due_time == gateway.clock.now + WAIT // timedelta(microseconds=1)
    await add(additions, evidence())
    events, _ = await gateway.ledger.events_after(Place(0, 0), Filter(), 10)
    assert told(events) == [
        (EventKind.ACCEPTED, State.AWAITING_EVIDENCE, ""),
        (EventKind.ACCEPTED, State.PENDING, ""),
        (EventKind.EVIDENCE_ADDED, State.PENDING, ""),
    ]


@pytest.fixture
async def keeping(gateway: Gateway) -> AsyncIterator[None]:
    """Deadlines are kept."""
    async with Deadlines(SqlHolds(gateway.ledger), gateway.ledger.bell).running():
        yield


async def ended(gateway: Gateway, answer: Accepted) -> DeliveryView:
    """The delivery once its wait has ended."""
    with gateway.ledger.bell.listen("events") as rung:
        while True:
            rung.clear()
            view = await delivery(gateway, answer)
            if view.state is not State.AWAITING_EVIDENCE:
                return view
            await asyncio.wait_for(rung.wait(), 10)


async def test_the_time_ends_though_nobody_calls(
    gateway: Gateway, clock: Clock, keeping: None
) -> None:
    """A hold that began long ago ends as soon as another one wakes the keeper."""
    answer = await gateway.submit(a_lead())
    clock.move(WAIT.total_seconds())
    await gateway.submit(a_lead("request-2"))
    assert standing(await ended(gateway, answer)) == TIMEOUT


async def test_a_hold_that_ended_while_nothing_ran_ends_at_the_start(
    gateway: Gateway, clock: Clock
) -> None:
    """The keeper keeps nothing that the ledger does not have."""
    answer = await gateway.submit(a_lead())
    clock.move(WAIT.total_seconds())
    async with Deadlines(SqlHolds(gateway.ledger), gateway.ledger.bell).running():
        assert standing(await ended(gateway, answer)) == TIMEOUT


async def test_the_open_holds_are_found_by_their_index(gateway: Gateway) -> None:
    """Holds that have ended cost nothing."""
    plan = (
        "EXPLAIN QUERY PLAN SELECT lead_key FROM holds WHERE deadline <= ? ORDER BY deadline",
        (1,),
    )
    rows = await gateway.ledger.read(lambda cursor: cursor.execute(*plan).fetchall())
    assert "holds_open" in str(rows)
