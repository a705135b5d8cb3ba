"""Evidence that comes later than its lead: the way of one addition to its answer on disk.

The field rules are those of a submission. Whether the recipients await evidence, and
what is decided for them, is found inside the committing transaction.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from gateway import lead
from gateway.consent import Person
from gateway.delivery import parse_lead_id
from gateway.errors import InvalidRequestError, NotFoundError, Violation
from gateway.intake import Accepted
from gateway.lead import RecipientEvidence
from gateway.market import Market
from leadgate.v1.lead_pb2 import Contact
from leadgate.v1.lead_service_pb2 import AddEvidenceRequest


class Addition(NamedTuple):
    """Checked evidence for a lead that is stored.

    Attributes:
        generator_id: whose lead it is.
        lead_id: the lead, or None where `request.request_id` names it.
        request: what is added.
        recipients: what each recipient is given, in the order of the request.
        person: says who a lead is about, from its normalised contact.
        violations: share URLs that the market does not trust. With any, nothing is stored,
            but it may be the repeat of what was sound under an earlier market.
    """

    generator_id: str
    lead_id: bytes | None
    request: AddEvidenceRequest
    recipients: tuple[RecipientEvidence, ...]
    person: Callable[[Contact], Person]
    violations: Sequence[Violation] = ()


class Holds(Protocol):
    """What additions need of the ledger."""

    @property
    def market(self) -> Market:
        """The market as last committed."""
        ...

    def add(self, addition: Addition) -> asyncio.Future[Accepted]:
        """Decides and stores an addition; the future ends when its answer is on disk."""
        ...


class Additions:
    """Takes evidence for leads that await it."""

    def __init__(self, holds: Holds, person: Callable[[Contact], Person]) -> None:
        self._holds = holds
        self._person = person

    def add(self, generator_id: str, request: AddEvidenceRequest) -> asyncio.Future[Accepted]:
        """Checks an addition and queues it. The request is not the caller's any more.

        Raises `InvalidRequestError` with every violation, `NotFoundError` or
        `OverloadedError`. The future may raise the first two as well,
        `EvidenceAddedError` for other evidence than was added before, and
        `PreconditionError` (NOT_AWAITING). In each case nothing was stored.
        """
        # Not stored: nobody could say which buyer a field that we do not know is for.
        request.DiscardUnknownFields()
        violations, recipients = lead.check_addition(request, generator_id, self._holds.market)
        if not all(violation.field.endswith(".share_url") for violation in violations):
            raise InvalidRequestError(violations)
        lead_id = parse_lead_id(request.lead_id)
        if request.lead_id and lead_id is None:
            raise NotFoundError("no such lead")
        return self._holds.add(
            Addition(generator_id, lead_id, request, recipients, self._person, violations)
        )
