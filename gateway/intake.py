"""Intake: the way of one submission, from the request to the answer on disk.

Field rules first; then one operation inside the committing transaction reads the
facts, decides each recipient and stores the lead. Unary, batch and stream submissions
all come through `submit`.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import uuid_utils

from gateway import lead
from gateway.consent import Person
from gateway.delivery import State
from gateway.errors import Violation
from gateway.lead import RecipientEvidence
from gateway.market import Market
from leadgate.v1.lead_pb2 import Contact
from leadgate.v1.lead_service_pb2 import SubmitLeadRequest


class Submission(NamedTuple):
    """A checked submission, ready to be answered.

    One with violations is never stored; it is looked up all the same, because it may be
    the repeat of one that was sound under an earlier market.
    """

    lead_id: bytes
    generator_id: str
    request_id: str
    fingerprint: bytes
    person: Person
    recipients: tuple[RecipientEvidence, ...]
    encoded: bytes
    validate_only: bool
    violations: Sequence[Violation] = ()


class Decision(NamedTuple):
    """What was decided for one recipient. `reason` is empty unless REJECTED."""

    buyer_id: str
    state: State
    reason: str


class Accepted(NamedTuple):
    """The answer to a submission. `lead_id` is None where nothing was stored."""

    lead_id: bytes | None
    decisions: tuple[Decision, ...]


class Ledger(Protocol):
    """What intake needs of the ledger."""

    @property
    def market(self) -> Market:
        """The market as last committed."""
        ...

    def accept(self, submissions: Sequence[Submission]) -> list[asyncio.Future[Accepted]]:
        """Decides and stores submissions; each future ends when its answer is on disk."""
        ...


class Intake:
    """Takes submissions of generators."""

    def __init__(self, ledger: Ledger, person_key: bytes, phone_region: str) -> None:
        self._ledger = ledger
        self._person_mac = hmac.new(person_key, digestmod="sha256")
        self._phone_region = phone_region

    def submit(self, generator_id: str, request: SubmitLeadRequest) -> asyncio.Future[Accepted]:
        """Checks a submission and queues it. The request is the intake's from now on.

        Raises `OverloadedError`; the future may raise `InvalidRequestError` with every
        violation, or `RequestIdReusedError`. In each case nothing was stored.
        """
        return self._ledger.accept((self.checked(generator_id, request),))[0]

    def submit_all(self, submissions: Sequence[Submission]) -> list[asyncio.Future[Accepted]]:
        """Queues checked submissions, all or none of them; each answered as by `submit`."""
        return self._ledger.accept(submissions)

    def checked(self, generator_id: str, request: SubmitLeadRequest) -> Submission:
        """Checks one submission, and notes every violation in it."""
        fingerprint = _fingerprint(request)
        violations, recipients = lead.check(
            request, generator_id, self._ledger.market, self._phone_region
        )
        contact = request.lead.contact
        return Submission(
            lead_id=uuid_utils.uuid7().bytes,
            generator_id=generator_id,
            request_id=request.request_id,
            fingerprint=fingerprint,
            person=self.person(contact),
            recipients=recipients,
            encoded=request.SerializeToString(),
            validate_only=request.validate_only,
            violations=violations,
        )

    def person(self, contact: Contact) -> Person:
        """Who a lead is about, from its normalised contact."""
        return Person(self._mark(contact.phone), self._mark(contact.email.lower()))

    def _mark(self, value: str) -> bytes:
        """What a phone or an email is found by: useless without the key."""
        if not value:
            return b""
        # A keyed copy: `hmac.digest` keys anew, and gives up Python's lock, with every call.
        mac = self._person_mac.copy()
        mac.update(value.encode())
        return mac.digest()[:16]


def _fingerprint(request: SubmitLeadRequest) -> bytes:
    """SHA-256 of the content as received.

    Of normalised data it would change with the phone library, and a retry would become a
    conflict.
    """
    request_id, validate_only = request.request_id, request.validate_only
    request.ClearField("request_id")
    request.ClearField("validate_only")
    # Not stored either: nobody could say which buyer a field that we do not know is for.
    request.DiscardUnknownFields()
    digest = hashlib.sha256(request.SerializeToString(deterministic=True)).digest()
    request.request_id, request.validate_only = request_id, validate_only
    return digest
