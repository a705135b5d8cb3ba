"""Submissions in a real ledger: stored once, decided from what is stored."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy import func, select, text

from gateway.delivery import State
from gateway.errors import InvalidRequestError, RequestIdReusedError
from gateway.intake import Accepted
from gateway.ledger.transaction import Transaction
from leadgate.sql import fetch
from leadgate.v1.lead_pb2 import Lead
from leadgate.v1.lead_service_pb2 import SubmitLeadRequest
from tests.builders import (
    a_buyer,
    a_contact,
    a_recipient,
    a_share,
    a_submission,
    another_submission,
)
from tests.unit.gateway.conftest import Gateway


def reasons(answer: Accepted) -> list[str]:
    """The reason of each decision, in order; empty for what was accepted."""
    return [decision.reason for decision in answer.decisions]


def of_another_person(request_id: str = "request-2") -> SubmitLeadRequest:
    """The builders' submission for somebody else, with the same evidence."""
    contact = a_contact(phone="+1 201 555 0199", email="bob@example.com")
    return a_submission(request_id, lead=Lead(contact=contact, attributes={"product": "solar"}))


async def count(gateway: Gateway, table: str) -> int:
    """Rows of a table."""
    rows = await gateway.ledger.read(
        lambda cursor: fetch(cursor, select(func.count()).select_from(text(table)))[0]
    )
    return int(rows[0])


async def test_a_repeat_gets_the_first_answer(gateway: Gateway) -> None:
    """The same lead id, and the states decided then, whatever has changed since."""
    first = await gateway.submit(a_submission())
    await gateway.set_buyer(a_buyer(paused=True))
    assert await gateway.submit(a_submission()) == first
    assert await count(gateway, "leads") == 1


async def test_a_repeat_of_a_refused_delivery_gets_the_first_answer(gateway: Gateway) -> None:
    """A refusal stands, also after its reason has gone."""
    await gateway.set_buyer(a_buyer(paused=True))
    first = await gateway.submit(a_submission())
    await gateway.set_buyer(a_buyer(paused=False))
    assert reasons(await gateway.submit(a_submission())) == reasons(first) == ["BUYER_PAUSED"]


async def test_a_request_id_with_other_content_is_refused(gateway: Gateway) -> None:
    """And nothing of it is stored."""
    await gateway.submit(a_submission())
    with pytest.raises(RequestIdReusedError):
        await gateway.submit(of_another_person("request-1"))
    assert await count(gateway, "leads") == 1


async def test_a_repeat_gets_the_first_answer_though_the_market_has_changed(
    gateway: Gateway,
) -> None:
    """What was accepted is accepted, also where it would break a field rule today."""
    first = await gateway.submit(a_submission())
    await gateway.set_buyer(a_buyer(accepts=("others",)))
    assert await gateway.submit(a_submission()) == first
    with pytest.raises(RequestIdReusedError):
        await gateway.submit(of_another_person("request-1"))
    with pytest.raises(InvalidRequestError) as refused:
        await gateway.submit(of_another_person("request-2"))
    assert [violation.field for violation in refused.value.violations] == ["recipients[0].buyer_id"]
    assert await count(gateway, "leads") == 1


async def test_a_request_id_belongs_to_its_generator(gateway: Gateway) -> None:
    """Two generators may use the same one."""
    first = await gateway.submit(another_submission(1))
    second = await gateway.submit(another_submission(1), "others")
    assert first.lead_id != second.lead_id


async def test_unknown_fields_and_order_do_not_make_other_content(gateway: Gateway) -> None:
    """What a newer client adds, and how a map is ordered, is no conflict."""
    request = a_submission(
        lead=Lead(contact=a_contact(), attributes={"a": "1", "product": "solar"})
    )
    first = await gateway.submit(request)
    unknown_field = b"\x9a\x06\x01x"  # number 99, a string
    newer = SubmitLeadRequest.FromString(request.SerializeToString() + unknown_field)
    assert await gateway.submit(newer) == first


async def test_the_same_person_written_otherwise_is_other_content(gateway: Gateway) -> None:
    """Content is what was received, never what was made of it."""
    await gateway.submit(a_submission())
    contact = a_contact(phone="+12015550123")
    with pytest.raises(RequestIdReusedError):
        await gateway.submit(
            a_submission(lead=Lead(contact=contact, attributes={"product": "solar"}))
        )


async def test_each_recipient_is_decided_for_itself(gateway: Gateway) -> None:
    """A refusal for one buyer does not touch the other."""
    await gateway.set_buyer(a_buyer("buyer-two", paused=True))
    answer = await gateway.submit(another_submission(1, "buyer-one", "buyer-two"))
    assert [decision.state for decision in answer.decisions] == [State.PENDING, State.REJECTED]
    assert reasons(answer) == ["", "BUYER_PAUSED"]


async def test_no_evidence_and_a_paused_generator_are_reasons(gateway: Gateway) -> None:
    """Decided, stored and answered with OK."""
    without = a_submission(recipients=[a_recipient(shares=[])])
    assert reasons(await gateway.submit(without)) == ["NO_EVIDENCE"]
    await gateway.set_generator("forms", paused=True)
    assert reasons(await gateway.submit(another_submission(2))) == ["GENERATOR_PAUSED"]


async def test_a_share_that_has_expired_refuses_its_recipient(gateway: Gateway) -> None:
    """By the time of the commit; one of several is enough."""
    past, future = Timestamp(), Timestamp()
    past.FromMicroseconds(gateway.clock.now)
    future.FromMicroseconds(gateway.clock.now + 1)
    dead = a_submission(recipients=[a_recipient(shares=[a_share(share_expire_time=past)])])
    live = a_submission(
        "request-2", recipients=[a_recipient(shares=[a_share(share_expire_time=future)])]
    )
    assert reasons(await gateway.submit(dead)) == ["SHARE_EXPIRED"]
    assert reasons(await gateway.submit(live)) == [""]


async def test_evidence_accepted_for_one_person_is_refused_for_another(gateway: Gateway) -> None:
    """From any generator; the same person may come again."""
    assert reasons(await gateway.submit(a_submission())) == [""]
    assert reasons(await gateway.submit(of_another_person(), "others")) == ["CDR_REUSED"]
    assert reasons(await gateway.submit(a_submission("request-3"))) == [""]


async def test_refused_evidence_is_not_used_up(gateway: Gateway) -> None:
    """What no buyer was given does not bind the CDR to its person."""
    await gateway.set_buyer(a_buyer(paused=True))
    await gateway.submit(a_submission())
    await gateway.set_buyer(a_buyer(paused=False))
    assert reasons(await gateway.submit(of_another_person())) == [""]


async def test_one_cdr_for_many_persons_at_once_is_accepted_for_one(gateway: Gateway) -> None:
    """The rule is judged where the lead is stored: no two can both pass."""
    people = [
        a_submission(
            f"request-{number}",
            lead=Lead(contact=a_contact(phone="", email=f"p{number}@example.com")),
        )
        for number in range(50)
    ]
    answers = await asyncio.gather(*map(gateway.submit, people))
    assert sorted(reasons(answer)[0] for answer in answers) == ["", *["CDR_REUSED"] * 49]


async def test_one_request_id_from_many_callers_at_once_is_stored_once(gateway: Gateway) -> None:
    """Equal ones are answered alike; of different ones, one wins."""
    same = await asyncio.gather(*(gateway.submit(another_submission(1)) for _ in range(50)))
    assert len({answer.lead_id for answer in same}) == 1
    contents = [another_submission(number) for number in range(2, 52)]
    for request in contents:
        request.request_id = "contended"
    outcomes = await asyncio.gather(*map(gateway.submit, contents), return_exceptions=True)
    assert sum(isinstance(outcome, Accepted) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, RequestIdReusedError) for outcome in outcomes) == 49
    assert await count(gateway, "leads") == 2


async def test_validate_only_explains_and_stores_nothing(gateway: Gateway) -> None:
    """Not the lead, not its evidence, not its request id."""
    answer = await gateway.submit(a_submission(validate_only=True))
    assert answer.lead_id is None
    assert reasons(answer) == [""]
    assert await count(gateway, "leads") == 0
    assert reasons(await gateway.submit(of_another_person("request-1"))) == [""]


async def test_the_ledgers_clock_never_runs_backwards(gateway: Gateway) -> None:
    """A clock that was set back does not put a new lead in front of older ones."""
    await gateway.submit(another_submission(1))
    gateway.clock.move(-timedelta(hours=1).total_seconds())
    await gateway.submit(another_submission(2))
    times = await gateway.ledger.read(
        lambda cursor: cursor.execute("SELECT accept_time FROM leads ORDER BY lead_key").fetchall()
    )
    assert times[0] <= times[1]


async def test_what_fails_halfway_leaves_nothing(gateway: Gateway) -> None:
    """An operation that breaks after its first row is rolled back whole, alone."""

    def breaks(tx: Transaction) -> None:
        tx.cursor.execute("INSERT INTO generators (generator_id, paused) VALUES ('half', 0)")
        raise RuntimeError

    broken, fine = await asyncio.gather(
        gateway.ledger.commit(breaks), gateway.submit(another_submission(1)), return_exceptions=True
    )
    assert isinstance(broken, RuntimeError)
    assert isinstance(fine, Accepted)
    assert await count(gateway, "generators") == 2
