"""Submissions in the ledger: facts, decisions and rows of a whole batch, in one transaction.

The facts of all are read first, then each is decided in its turn, seeing what those
before it left, and then all rows are written: a few statements for a batch, whatever
its size.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import bindparam, func, insert, select
from sqlalchemy.dialects import sqlite

from gateway.bell import EVENTS, HOLDS
from gateway.consent import Facts, decide
from gateway.delivery import EventKind, State, began
from gateway.errors import InvalidRequestError, RequestIdReusedError
from gateway.intake import Accepted, Decision, Submission
from gateway.ledger.tables import THE_HOLD, deliveries, events, evidence_uses, holds, leads
from gateway.ledger.transaction import Transaction
from gateway.market import Generator
from leadgate.sql import Prepared, PreparedIn, PreparedRows

_REPEATS = PreparedIn(
    select(leads.c.request_id, leads.c.lead_key, leads.c.lead_id, leads.c.fingerprint).where(
        leads.c.generator_key == bindparam("generator"),
        leads.c.request_id.in_(bindparam("request_ids", expanding=True)),
    )
)
_DECIDED = Prepared(
    select(deliveries.c.buyer_key, deliveries.c.state, deliveries.c.reason, holds.c.lead_key)
    .join_from(deliveries, holds, THE_HOLD, isouter=True)
    .where(deliveries.c.lead_key == bindparam("lead"))
    .order_by(deliveries.c.position)
)
_USES = PreparedIn(
    select(evidence_uses).where(evidence_uses.c.evidence.in_(bindparam("uses", expanding=True)))
)
_LAST_LEAD = Prepared(select(func.max(leads.c.lead_key)))
_ADD_LEADS = PreparedRows(insert(leads))
_ADD_DELIVERIES = PreparedRows(
    insert(deliveries).values(
        {column.name: bindparam(column.name) for column in deliveries.c if column.name != "lease"}
    )
)
_ADD_EVENTS = PreparedRows(
    insert(events).values(
        {
            name: bindparam(name)
            for name in ("lead_key", "generator_key", "kind", "state", "attempt", "event_time")
        }
    )
)
_ADD_HOLDS = PreparedRows(insert(holds))
ADD_USES = PreparedRows(sqlite.insert(evidence_uses).on_conflict_do_nothing())

_PENDING, _ACCEPTED = int(State.PENDING), int(EventKind.ACCEPTED)

Answer = Accepted | RequestIdReusedError | InvalidRequestError


def accept_all(transaction: Transaction, submissions: Sequence[Submission]) -> list[Answer]:
    """Decides submissions, and stores those that do not only validate.

    A repeat gets the first answer, and a request id with other content
    `RequestIdReusedError`, also where the first one is in the same batch. What has
    violations and is no repeat gets `InvalidRequestError`.
    """
    return _Batch(transaction, submissions).answers()


def earlier_uses(cursor: Any, used: Sequence[bytes]) -> dict[bytes, list[tuple[bytes, bytes]]]:
    """Phone and email of each person that evidence was accepted for, by evidence."""
    earlier: dict[bytes, list[tuple[bytes, bytes]]] = {}
    for evidence, phone, email in _USES.all(cursor, used):
        earlier.setdefault(evidence, []).append((phone, email))
    return earlier


class _Batch:
    """Submissions that are decided and stored together."""

    def __init__(self, transaction: Transaction, submissions: Sequence[Submission]) -> None:
        self._transaction = transaction
        self._market = transaction.market
        self._submissions = submissions
        self._fresh: dict[tuple[int, str], tuple[bytes, Accepted]] = {}
        self._leads: list[tuple[Any, ...]] = []
        self._deliveries: list[tuple[Any, ...]] = []
        self._events: list[tuple[Any, ...]] = []
        self._holds: list[tuple[Any, ...]] = []
        self._new_uses: list[tuple[bytes, bytes, bytes]] = []

    def answers(self) -> list[Answer]:
        """Decides all and writes what came of it."""
        self._stored = self._repeats()
        self._uses = self._earlier_uses()
        answers = [self._answer(submission) for submission in self._submissions]
        cursor = self._transaction.cursor
        _ADD_LEADS.run(cursor, self._leads)
        _ADD_DELIVERIES.run(cursor, self._deliveries)
        _ADD_HOLDS.run(cursor, self._holds)
        ADD_USES.run(cursor, self._new_uses)
        _ADD_EVENTS.run(cursor, self._events)
        if self._leads:
            self._transaction.rings.add(EVENTS)
        return answers

    def _repeats(self) -> dict[tuple[int, str], tuple[int, bytes, bytes]]:
        """Stored leads with one of these request ids: key, id and fingerprint."""
        wanted: dict[int, list[str]] = {}
        for submission in self._submissions:
            wanted.setdefault(self._generator(submission).key, []).append(submission.request_id)
        return {
            (generator_key, request_id): (lead_key, lead_id, fingerprint)
            for generator_key, request_ids in wanted.items()
            for request_id, lead_key, lead_id, fingerprint in _REPEATS.all(
                self._transaction.cursor, request_ids, generator=generator_key
            )
        }

    def _earlier_uses(self) -> dict[bytes, list[tuple[bytes, bytes]]]:
        """Whom the evidence of these submissions was accepted for before."""
        used = [
            use
            for submission in self._submissions
            if not submission.violations
            for recipient in submission.recipients
            for use in recipient.uses
        ]
        return earlier_uses(self._transaction.cursor, used)

    def _generator(self, submission: Submission) -> Generator:
        return self._market.generators[submission.generator_id]

    def _answer(self, submission: Submission) -> Answer:
        generator = self._generator(submission)
        name = (generator.key, submission.request_id)
        if name in self._stored:
            lead_key, lead_id, fingerprint = self._stored[name]
            first = Accepted(lead_id, self._first_decisions(lead_key))
        elif name in self._fresh:
            fingerprint, first = self._fresh[name]
        elif submission.violations:
            return InvalidRequestError(submission.violations)
        else:
            return self._decided(submission, generator)
        if fingerprint != submission.fingerprint:
            return RequestIdReusedError("this request_id was used before, with other content")
        return first._replace(lead_id=None) if submission.validate_only else first

    def _first_decisions(self, lead_key: int) -> tuple[Decision, ...]:
        """What was decided when the lead was stored, whatever has happened since."""
        decisions: list[Decision] = []
        for buyer_key, state, reason, held in _DECIDED.all(self._transaction.cursor, lead=lead_key):
            first = began(State(state), held=held is not None)
            why = reason if first is State.REJECTED else ""
            decisions.append(Decision(self._market.buyer_of(buyer_key).buyer_id, first, why))
        return tuple(decisions)

    def _decided(self, submission: Submission, generator: Generator) -> Accepted:
        person = submission.person
        decisions: list[Decision] = []
        for recipient in submission.recipients:
            facts = Facts(
                now=self._transaction.now,
                generator_paused=generator.paused,
                buyer_paused=self._market.buyers[recipient.buyer_id].paused,
                expire_times=recipient.expire_times,
                has_evidence=bool(recipient.uses),
                earlier_uses=self._uses_of(recipient.uses),
                evidence_may_come=recipient.wait > 0,
            )
            refusal = decide(facts, person)
            accepted = State.AWAITING_EVIDENCE if recipient.wait else State.PENDING
            state = State.REJECTED if refusal else accepted
            decisions.append(Decision(recipient.buyer_id, state, refusal or ""))
        if submission.validate_only:
            return Accepted(None, tuple(decisions))
        answer = Accepted(submission.lead_id, tuple(decisions))
        self._store(submission, generator, answer)
        return answer

    def _uses_of(self, evidence: Iterable[bytes]) -> list[tuple[bytes, bytes]]:
        uses = self._uses
        return [use for item in evidence if item in uses for use in uses[item]]

    def _store(self, submission: Submission, generator: Generator, answer: Accepted) -> None:
        now, lead_key = self._transaction.now, self._next_lead_key()
        self._leads.append(
            (
                lead_key,
                submission.lead_id,
                generator.key,
                submission.request_id,
                submission.fingerprint,
                now,
                submission.encoded,
            )
        )
        for position, decision in enumerate(answer.decisions):
            accepted = decision.state is State.PENDING
            buyer_key = self._market.buyers[decision.buyer_id].key
            due_time = now if accepted else None
            state, reason = int(decision.state), decision.reason or None
            self._deliveries.append(
                (lead_key, buyer_key, position, state, 1, due_time, 0, reason, now)
            )
            if accepted:
                self._transaction.rings.add(buyer_key)
                self._use_up(submission, position)
            elif decision.state is State.AWAITING_EVIDENCE:
                wait = submission.recipients[position].wait
                self._holds.append((lead_key, buyer_key, now + wait))
                self._transaction.rings.add(HOLDS)
        # One row for all deliveries of the lead: it is expanded when it is read.
        self._events.append((lead_key, generator.key, _ACCEPTED, _PENDING, 1, now))
        self._fresh[generator.key, submission.request_id] = (submission.fingerprint, answer)

    def _use_up(self, submission: Submission, position: int) -> None:
        """Notes whom evidence is accepted for: what comes behind in the batch sees it too."""
        phone, email = submission.person
        for use in submission.recipients[position].uses:
            self._uses.setdefault(use, []).append((phone, email))
            self._new_uses.append((use, phone, email))

    def _next_lead_key(self) -> int:
        """Keys count up; the ledger has one writer, so nobody else takes them."""
        if self._leads:
            return int(self._leads[-1][0]) + 1
        return int(_LAST_LEAD.one(self._transaction.cursor)[0] or 0) + 1
