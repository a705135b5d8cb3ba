"""Holds in the ledger: deliveries that await evidence, what is added, and what is late."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

from sqlalchemy import bindparam, func, select, update

from gateway.addition import Addition
from gateway.consent import Facts, Person, Refusal, decide
from gateway.delivery import EventKind, State
from gateway.errors import (
    EvidenceAddedError,
    InvalidRequestError,
    NotFoundError,
    PreconditionError,
    Violation,
)
from gateway.intake import Accepted, Decision
from gateway.lead import RecipientEvidence, check_together
from gateway.ledger.ledger import SqlLedger
from gateway.ledger.outbox import Happening, add_events, persist
from gateway.ledger.submissions import ADD_USES, earlier_uses
from gateway.ledger.tables import THE_HOLD, deliveries, holds, leads
from gateway.ledger.transaction import Transaction
from gateway.market import Market
from leadgate.sql import Prepared
from leadgate.v1.lead_pb2 import Cdr, Share
from leadgate.v1.lead_service_pb2 import SubmitLeadRequest

CHUNK: Final = 500
"""Most deliveries that are refused in one transaction, so that nobody waits behind many."""

_LEAD = (leads.c.lead_key, leads.c.lead_id, leads.c.generator_key, leads.c.submission)
_BY_ID = Prepared(
    select(*_LEAD).where(
        leads.c.lead_id == bindparam("lead_id"), leads.c.generator_key == bindparam("generator")
    )
)
_BY_REQUEST = Prepared(
    select(*_LEAD).where(
        leads.c.generator_key == bindparam("generator"),
        leads.c.request_id == bindparam("request_id"),
    )
)
_HELD = Prepared(
    select(holds.c.buyer_key, holds.c.deadline, deliveries.c.state, deliveries.c.reason)
    .join_from(holds, deliveries, THE_HOLD)
    .where(holds.c.lead_key == bindparam("lead"))
)
_REWRITE = Prepared(
    update(leads)
    .where(leads.c.lead_key == bindparam("lead"))
    .values(submission=bindparam("new_submission"))
)
_END_HOLD = Prepared(
    update(holds)
    .where(holds.c.lead_key == bindparam("lead"), holds.c.buyer_key == bindparam("buyer"))
    .values(deadline=None)
)
_MOVE = Prepared(
    update(deliveries)
    .where(deliveries.c.lead_key == bindparam("lead"), deliveries.c.buyer_key == bindparam("buyer"))
    .values(
        state=bindparam("new_state"),
        due_time=bindparam("new_due"),
        reason=bindparam("new_reason"),
        update_time=bindparam("now"),
    )
)
_NEXT = Prepared(select(func.min(holds.c.deadline)).where(holds.c.deadline.is_not(None)))
_LATE = Prepared(
    select(holds.c.lead_key, holds.c.buyer_key, leads.c.generator_key)
    .join_from(holds, leads, holds.c.lead_key == leads.c.lead_key)
    .where(holds.c.deadline <= bindparam("now"))
    .order_by(holds.c.deadline)
    .limit(CHUNK)
)


class _Lead(NamedTuple):
    """The stored lead that evidence is added to."""

    key: int
    lead_id: bytes
    generator_key: int
    submission: SubmitLeadRequest


class _Hold(NamedTuple):
    """A delivery that began without evidence; `deadline` is None once its wait has ended."""

    deadline: int | None
    state: State
    reason: str


def add(transaction: Transaction, addition: Addition) -> Accepted:
    """Decides an addition and stores what follows; see `gateway.addition.Additions`."""
    lead = _find(transaction, addition)
    rows = _HELD.all(transaction.cursor, lead=lead.key)
    held = {
        transaction.market.buyer_of(buyer).buyer_id: _Hold(deadline, State(state), reason or "")
        for buyer, deadline, state, reason in rows
    }
    fresh = _put_in(lead.submission, addition, held, transaction.now)
    if not fresh:
        return Accepted(lead.lead_id, tuple(_first(held, addition)))
    if violations := [*addition.violations, *check_together(lead.submission)]:
        raise InvalidRequestError(violations)
    person = addition.person(lead.submission.lead.contact)
    refusals = _decided(transaction, addition, person, fresh)
    encoded = lead.submission.SerializeToString()
    _REWRITE.run(transaction.cursor, lead=lead.key, new_submission=encoded)
    for given in fresh:
        refusal = refusals[given.buyer_id]
        _settle(transaction, lead, given.buyer_id, refusal)
        held[given.buyer_id] = _Hold(None, _state(refusal), refusal or "")
        if refusal is None:
            uses = [(use, person.phone, person.email) for use in given.uses]
            ADD_USES.run(transaction.cursor, uses)
    return Accepted(lead.lead_id, tuple(_first(held, addition)))


def _find(transaction: Transaction, addition: Addition) -> _Lead:
    cursor = transaction.cursor
    generator = transaction.market.generators[addition.generator_id].key
    if addition.lead_id is None:
        request_id = addition.request.request_id
        row = _BY_REQUEST.one(cursor, generator=generator, request_id=request_id)
    else:
        row = _BY_ID.one(cursor, generator=generator, lead_id=addition.lead_id)
    if row is None:
        raise NotFoundError("no such lead")
    lead_key, lead_id, generator_key, submission = row
    return _Lead(lead_key, lead_id, generator_key, SubmitLeadRequest.FromString(submission))


def _put_in(
    submission: SubmitLeadRequest, addition: Addition, held: dict[str, _Hold], now: int
) -> list[RecipientEvidence]:
    """Puts evidence into a submission as if it had come with it; returns whose is new.

    Raises what refuses the addition. A submission it was refused for is not to be stored.
    """
    stored = {recipient.buyer_id: recipient for recipient in submission.recipients}
    unknown = [
        Violation(f"recipients[{index}].buyer_id", "must be a recipient of the lead")
        for index, recipient in enumerate(addition.request.recipients)
        if recipient.buyer_id not in stored
    ]
    if unknown:
        raise InvalidRequestError(unknown)
    fresh: list[RecipientEvidence] = []
    for recipient, given in zip(addition.request.recipients, addition.recipients, strict=True):
        shares = stored[recipient.buyer_id].shares
        if _is_news(held.get(recipient.buyer_id), shares, recipient.shares, now):
            shares.extend(recipient.shares)
            fresh.append(given)
    _put_cdrs(submission, addition.request.cdrs)
    return fresh


def _is_news(hold: _Hold | None, stored: Iterable[Share], given: Iterable[Share], now: int) -> bool:
    """Whether the shares are awaited; False where just these were added before."""
    if hold is None:
        raise _not_awaiting("the delivery never awaited evidence")
    before = _by_cdr(stored)
    if before:
        if before == _by_cdr(given):
            return False
        raise EvidenceAddedError("other evidence was added to the delivery before")
    # Not refused yet, perhaps, but the time is over all the same.
    if hold.deadline is None or hold.deadline <= now:
        raise _not_awaiting("the time for evidence is over")
    return True


def _by_cdr(shares: Iterable[Share]) -> dict[str, Share]:
    return {share.cdr_id: share for share in shares}


def _not_awaiting(message: str) -> PreconditionError:
    return PreconditionError("NOT_AWAITING", message)


def _put_cdrs(submission: SubmitLeadRequest, cdrs: Iterable[Cdr]) -> None:
    stored = {cdr.cdr_id: cdr for cdr in submission.cdrs}
    for cdr in cdrs:
        known = stored.get(cdr.cdr_id)
        if known is None:
            submission.cdrs.append(cdr)
        elif known != cdr:
            raise EvidenceAddedError("the lead has a CDR of this id with other content")


def _decided(
    transaction: Transaction,
    addition: Addition,
    person: Person,
    fresh: Sequence[RecipientEvidence],
) -> dict[str, Refusal | None]:
    """What the rules say of each recipient, by buyer, from what is stored now."""
    market = transaction.market
    earlier = earlier_uses(transaction.cursor, [use for given in fresh for use in given.uses])
    return {
        given.buyer_id: decide(
            Facts(
                now=transaction.now,
                generator_paused=market.generators[addition.generator_id].paused,
                buyer_paused=market.buyers[given.buyer_id].paused,
                expire_times=given.expire_times,
                has_evidence=True,
                earlier_uses=[use for item in given.uses for use in earlier.get(item, ())],
            ),
            person,
        )
        for given in fresh
    }


def _state(refusal: Refusal | None) -> State:
    return State.REJECTED if refusal else State.PENDING


def _settle(transaction: Transaction, lead: _Lead, buyer_id: str, refusal: Refusal | None) -> None:
    """Ends a hold: the delivery is to be sent now, or refused."""
    buyer = transaction.market.buyers[buyer_id].key
    _end(transaction, lead.key, buyer, refusal)
    kind = EventKind.REJECTED if refusal else EventKind.EVIDENCE_ADDED
    happening = Happening(lead.key, lead.generator_key, 1)
    add_events(transaction, buyer, kind, [happening], refusal)
    if refusal is None:
        transaction.rings.add(buyer)


def _end(transaction: Transaction, lead: int, buyer: int, refusal: Refusal | None) -> None:
    now = transaction.now
    _END_HOLD.run(transaction.cursor, lead=lead, buyer=buyer)
    _MOVE.run(
        transaction.cursor,
        lead=lead,
        buyer=buyer,
        new_state=int(_state(refusal)),
        new_due=None if refusal else now,
        new_reason=refusal and str(refusal),
        now=now,
    )


def _first(held: dict[str, _Hold], addition: Addition) -> Iterator[Decision]:
    """What was decided when evidence was added: what is not REJECTED now was PENDING."""
    for given in addition.recipients:
        hold = held[given.buyer_id]
        if hold.state is State.REJECTED:
            yield Decision(given.buyer_id, State.REJECTED, hold.reason)
        else:
            yield Decision(given.buyer_id, State.PENDING, "")


def expire(transaction: Transaction) -> int:
    """Refuses a chunk of what has awaited evidence for too long; returns how many."""
    late = _LATE.all(transaction.cursor, now=transaction.now)
    by_buyer: dict[int, list[Happening]] = {}
    for lead_key, buyer_key, generator_key in late:
        _end(transaction, lead_key, buyer_key, Refusal.EVIDENCE_TIMEOUT)
        by_buyer.setdefault(buyer_key, []).append(Happening(lead_key, generator_key, 1))
    for buyer_key, happenings in by_buyer.items():
        reason = str(Refusal.EVIDENCE_TIMEOUT)
        add_events(transaction, buyer_key, EventKind.REJECTED, happenings, reason)
    return len(late)


class SqlHolds:
    """Holds in the ledger; see `gateway.addition.Holds` and `gateway.deadlines.Holds`."""

    def __init__(self, ledger: SqlLedger) -> None:
        self._ledger = ledger

    @property
    def market(self) -> Market:
        """The market as last committed."""
        return self._ledger.market

    def now(self) -> int:
        """Now, in microseconds."""
        return self._ledger.now()

    def add(self, addition: Addition) -> asyncio.Future[Accepted]:
        """Decides and stores an addition."""
        return self._ledger.commit(partial(add, addition=addition))

    async def expire(self) -> int:
        """Refuses what is late, at most `CHUNK` deliveries."""
        return await persist(self._ledger, expire)

    async def next_deadline(self) -> int | None:
        """When the next wait for evidence ends."""
        return await self._ledger.read(_next_deadline)


def _next_deadline(cursor: Any) -> int | None:
    deadline: int | None = _NEXT.one(cursor)[0]
    return deadline
