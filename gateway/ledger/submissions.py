"""Submissions in the ledger: facts, decision and rows, in one transaction."""

from __future__ import annotations

from typing import Any

from sqlalchemy import bindparam, insert, select
from sqlalchemy.dialects import sqlite

from gateway.bell import EVENTS
from gateway.consent import Facts, decide
from gateway.delivery import EventKind, State
from gateway.errors import RequestIdReusedError
from gateway.intake import Accepted, Decision, RecipientEvidence, Submission
from gateway.ledger.tables import deliveries, events, evidence_uses, leads
from gateway.ledger.transaction import Transaction
from gateway.market import Generator
from leadgate.sql import Prepared

_FIND = Prepared(
    select(leads.c.lead_key, leads.c.lead_id, leads.c.fingerprint).where(
        leads.c.generator_key == bindparam("generator"),
        leads.c.request_id == bindparam("request_id"),
    )
)
_DECIDED = Prepared(
    select(deliveries.c.buyer_key, deliveries.c.state, deliveries.c.reason)
    .where(deliveries.c.lead_key == bindparam("lead"))
    .order_by(deliveries.c.position)
)
_USES = Prepared(
    select(evidence_uses.c.phone, evidence_uses.c.email).where(
        evidence_uses.c.evidence == bindparam("evidence")
    )
)
_ADD_LEAD = Prepared(
    insert(leads).values(
        {
            name: bindparam(name)
            for name in (
                "lead_id",
                "generator_key",
                "request_id",
                "fingerprint",
                "accept_time",
                "submission",
            )
        }
    )
)
_ADD_DELIVERY = Prepared(
    insert(deliveries).values(
        {
            name: bindparam(name)
            for name in (
                "lead_key",
                "buyer_key",
                "position",
                "state",
                "attempt",
                "due_time",
                "replay",
                "reason",
                "update_time",
            )
        }
    )
)
_ADD_EVENT = Prepared(
    insert(events).values(
        {
            name: bindparam(name)
            for name in ("lead_key", "generator_key", "kind", "state", "attempt", "event_time")
        }
    )
)
_ADD_USE = Prepared(sqlite.insert(evidence_uses).on_conflict_do_nothing())


def accept(transaction: Transaction, submission: Submission) -> Accepted:
    """Decides a submission, and stores it unless it only validates.

    A repeat gets the first answer. Raises `RequestIdReusedError` for a request id with
    other content.
    """
    generator = transaction.market.generators[submission.generator_id]
    found = _FIND.one(transaction.cursor, generator=generator.key, request_id=submission.request_id)
    if found is None:
        decisions = tuple(
            _decide(transaction, submission, recipient, generator)
            for recipient in submission.recipients
        )
        if submission.validate_only:
            return Accepted(None, decisions)
        _store(transaction, submission, generator, decisions)
        return Accepted(submission.lead_id, decisions)
    lead_key, lead_id, fingerprint = found
    if fingerprint != submission.fingerprint:
        raise RequestIdReusedError("this request_id was used before, with other content")
    decisions = _first_decisions(transaction, lead_key)
    return Accepted(None if submission.validate_only else lead_id, decisions)


def _decide(
    transaction: Transaction,
    submission: Submission,
    recipient: RecipientEvidence,
    generator: Generator,
) -> Decision:
    cursor = transaction.cursor
    facts = Facts(
        now=transaction.now,
        generator_paused=generator.paused,
        buyer_paused=transaction.market.buyers[recipient.buyer_id].paused,
        expire_times=recipient.expire_times,
        has_evidence=bool(recipient.uses),
        earlier_uses=[
            use for evidence in recipient.uses for use in _USES.all(cursor, evidence=evidence)
        ],
    )
    refusal = decide(facts, submission.person)
    if refusal:
        return Decision(recipient.buyer_id, State.REJECTED, refusal)
    return Decision(recipient.buyer_id, State.PENDING, "")


def _first_decisions(transaction: Transaction, lead_key: int) -> tuple[Decision, ...]:
    """What was decided when the lead was stored: what is not REJECTED was PENDING."""
    return tuple(
        Decision(
            transaction.market.buyer_of(buyer_key).buyer_id,
            State.REJECTED if state == State.REJECTED else State.PENDING,
            reason if state == State.REJECTED else "",
        )
        for buyer_key, state, reason in _DECIDED.all(transaction.cursor, lead=lead_key)
    )


def _store(
    transaction: Transaction,
    submission: Submission,
    generator: Generator,
    decisions: tuple[Decision, ...],
) -> None:
    cursor, now = transaction.cursor, transaction.now
    lead_key = _ADD_LEAD.insert(
        cursor,
        lead_id=submission.lead_id,
        generator_key=generator.key,
        request_id=submission.request_id,
        fingerprint=submission.fingerprint,
        accept_time=now,
        submission=submission.encoded,
    )
    uses: set[tuple[bytes, bytes, bytes]] = set()
    person = submission.person
    rows: list[tuple[Any, ...]] = []
    for position, decision in enumerate(decisions):
        buyer_key = transaction.market.buyers[decision.buyer_id].key
        accepted = decision.state is State.PENDING
        due_time = now if accepted else None
        reason = decision.reason or None
        state = int(decision.state)
        rows.append((lead_key, buyer_key, position, state, 1, due_time, 0, reason, now))
        if accepted:
            transaction.rings.add(buyer_key)
            evidence = submission.recipients[position].uses
            uses.update((use, person.phone, person.email) for use in evidence)
    _ADD_DELIVERY.many(cursor, rows)
    _ADD_USE.many(cursor, uses)
    # One row for all deliveries of the lead: it is expanded when it is read.
    _ADD_EVENT.run(
        cursor,
        lead_key=lead_key,
        generator_key=generator.key,
        kind=int(EventKind.ACCEPTED),
        state=int(State.PENDING),
        attempt=1,
        event_time=now,
    )
    transaction.rings.add(EVENTS)
