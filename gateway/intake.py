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
from gateway.errors import InvalidRequestError
from gateway.market import Market
from leadgate.v1.lead_pb2 import Recipient
from leadgate.v1.lead_service_pb2 import SubmitLeadRequest


class RecipientEvidence(NamedTuple):
    """One recipient of a submission, as the decision needs it.

    Attributes:
        buyer_id: the buyer.
        uses: 16 bytes for each CDR and each share token it is given.
        expire_times: when its shares expire, in microseconds, where they say so.
    """

    buyer_id: str
    uses: tuple[bytes, ...]
    expire_times: tuple[int, ...]


class Submission(NamedTuple):
    """A checked submission, ready to be decided and stored."""

    lead_id: bytes
    generator_id: str
    request_id: str
    fingerprint: bytes
    person: Person
    recipients: tuple[RecipientEvidence, ...]
    encoded: bytes
    validate_only: bool


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

        Raises `InvalidRequestError` with every violation, or `OverloadedError`; the
        future may raise `RequestIdReusedError`. In each case nothing was stored.
        """
        return self._ledger.accept((self.checked(generator_id, request),))[0]

    def submit_all(self, submissions: Sequence[Submission]) -> list[asyncio.Future[Accepted]]:
        """Queues checked submissions, all or none of them."""
        return self._ledger.accept(submissions)

    def checked(self, generator_id: str, request: SubmitLeadRequest) -> Submission:
        """Checks one submission, or raises `InvalidRequestError` with every violation."""
        fingerprint = _fingerprint(request)
        violations = lead.check(request, generator_id, self._ledger.market, self._phone_region)
        if violations:
            raise InvalidRequestError(violations)
        contact = request.lead.contact
        return Submission(
            lead_id=uuid_utils.uuid7().bytes,
            generator_id=generator_id,
            request_id=request.request_id,
            fingerprint=fingerprint,
            person=Person(self._mark(contact.phone), self._mark(contact.email.lower())),
            recipients=tuple(map(_evidence, request.recipients)),
            encoded=request.SerializeToString(),
            validate_only=request.validate_only,
        )

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
    content = SubmitLeadRequest()
    content.CopyFrom(request)
    content.ClearField("request_id")
    content.ClearField("validate_only")
    content.DiscardUnknownFields()
    return hashlib.sha256(content.SerializeToString(deterministic=True)).digest()


def _evidence(recipient: Recipient) -> RecipientEvidence:
    uses: list[bytes] = []
    expire_times: list[int] = []
    for share in recipient.shares:
        token = share.share_url.rpartition("/")[2]
        uses.append(hashlib.sha256(b"cdr " + share.cdr_id.encode()).digest()[:16])
        uses.append(hashlib.sha256(b"share " + token.encode()).digest()[:16])
        if share.HasField("share_expire_time"):
            time = share.share_expire_time
            expire_times.append(time.seconds * 1_000_000 + time.nanos // 1000)
    return RecipientEvidence(recipient.buyer_id, tuple(uses), tuple(expire_times))
