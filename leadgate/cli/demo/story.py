"""What the demo submits, good and bad, and what must become of each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count, islice
from typing import NamedTuple

from leadgate.cli.demo.buyer_system import REJECTION
from leadgate.cli.demo.evidence import Evidence
from leadgate.cli.demo.people import Person
from leadgate.v1 import lead_pb2, lead_service_pb2


class Fate(NamedTuple):
    """Where a delivery ends, and why."""

    state: str
    reason: str = ""

    def __str__(self) -> str:
        """As a table shows it."""
        return f"{self.state} {self.reason}".rstrip()


DELIVERED = Fate("DELIVERED")


@dataclass(frozen=True)
class Case:
    """One submission, and what must become of it.

    `fates` by buyer; or `refusal`, the reason of the error where nothing may be stored;
    `repeats` is the request id of an earlier case that this one is a repeat of.
    """

    title: str
    request: lead_service_pb2.SubmitLeadRequest
    fates: dict[str, Fate] = field(default_factory=dict)
    refusal: str = ""
    repeats: bool = False


class Story:
    """Makes the cases, with fresh people and their evidence."""

    def __init__(self, evidence: Evidence, one: str, two: str) -> None:
        self._evidence = evidence
        self._one = one
        self._two = two
        self._people: Iterator[Person] = map(Person, count())

    async def cases(self, ordinary: int) -> list[Case]:
        """So many ordinary leads, then one case of each kind that is not."""
        plain = [await self._ordinary(number) for number in range(ordinary)]
        return [
            *plain,
            self._duplicate(plain[0]),
            await self._other_content(plain[0]),
            await self._bad_phone(),
            await self._no_evidence(),
            await self._expired(),
            await self._expired_unnoticed(),
            await self._reused(plain[1]),
            await self._turned_down(),
            await self._invalidated(),
            await self._of_another_person(),
        ]

    async def more(self, number: int, *buyers: str) -> list[lead_service_pb2.SubmitLeadRequest]:
        """Ordinary leads for these buyers that nobody has submitted yet."""
        people = list(islice(self._people, number))
        captured = [(person, await self._evidence.capture(person)) for person in people]
        return [await self._request(person, cdr, *buyers) for person, cdr in captured]

    async def _ordinary(self, number: int) -> Case:
        person = next(self._people)
        cdr = await self._evidence.capture(person)
        if number % 2:
            return Case(
                "co-registration: both buyers, a share each",
                await self._request(person, cdr, self._one, self._two),
                {self._one: DELIVERED, self._two: DELIVERED},
            )
        buyer = self._one if number % 4 else self._two
        return Case("for one buyer", await self._request(person, cdr, buyer), {buyer: DELIVERED})

    def _duplicate(self, first: Case) -> Case:
        return Case("sent a second time", first.request, first.fates, repeats=True)

    async def _other_content(self, first: Case) -> Case:
        request = lead_service_pb2.SubmitLeadRequest()
        request.CopyFrom(first.request)
        request.lead.attributes["roof_age"] = "99"
        return Case("its request id, other content", request, refusal="REQUEST_ID_REUSED")

    async def _bad_phone(self) -> Case:
        person = next(self._people)
        request = await self._request(person, await self._evidence.capture(person), self._one)
        request.lead.contact.phone = "+1 201 555"
        return Case("a phone number that is none", request, refusal="lead.contact.phone")

    async def _no_evidence(self) -> Case:
        person = next(self._people)
        request = await self._request(person, await self._evidence.capture(person), self._one)
        request.recipients.add(buyer_id=self._two, attribute_keys=["*"])
        fates = {self._one: DELIVERED, self._two: Fate("REJECTED", "NO_EVIDENCE")}
        return Case("a share for one buyer, none for the other", request, fates)

    async def _expired(self) -> Case:
        person = next(self._people)
        cdr = await self._evidence.capture(person)
        request = await self._request(person, cdr, self._one)
        share = await self._evidence.share(cdr, timedelta(milliseconds=1))
        request.recipients.append(_recipient(self._two, share))
        fates = {self._one: DELIVERED, self._two: Fate("REJECTED", "SHARE_EXPIRED")}
        return Case("one of two shares has expired", request, fates)

    async def _expired_unnoticed(self) -> Case:
        person = next(self._people)
        cdr = await self._evidence.capture(person)
        share = await self._evidence.share(cdr, timedelta(milliseconds=1), say_when=False)
        request = _submission(person, cdr, _recipient(self._one, share))
        return Case(
            "expired, and only the evidence service knows",
            request,
            {self._one: Fate("FAILED", "SHARE_GONE")},
        )

    async def _reused(self, first: Case) -> Case:
        cdr = first.request.cdrs[0]
        share = await self._evidence.share(cdr)
        request = _submission(next(self._people), cdr, _recipient(self._one, share))
        fates = {self._one: Fate("REJECTED", "CDR_REUSED")}
        return Case("evidence that served for another person", request, fates)

    async def _turned_down(self) -> Case:
        person = next(self._people)
        cdr = await self._evidence.capture(person)
        request = await self._request(person, cdr, self._two)
        request.lead.CopyFrom(person.lead(homeowner=False))
        fates = {self._two: Fate("BUYER_REJECTED", REJECTION)}
        return Case("a lead the buyer turns down", request, fates)

    async def _invalidated(self) -> Case:
        person = next(self._people)
        cdr = await self._evidence.capture(person)
        request = await self._request(person, cdr, self._one)
        await self._evidence.invalidate(cdr)
        fates = {self._one: Fate("FAILED", "CDR_INVALID")}
        return Case("evidence that was taken back", request, fates)

    async def _of_another_person(self) -> Case:
        cdr = await self._evidence.capture(next(self._people))
        person = next(self._people)
        request = await self._request(person, cdr, self._two)
        request.cdrs[0].custom_json = ""
        fates = {self._two: Fate("FAILED", "EVIDENCE_MISMATCH")}
        return Case("evidence of another person", request, fates)

    async def _request(
        self, person: Person, cdr: lead_pb2.Cdr, *buyers: str
    ) -> lead_service_pb2.SubmitLeadRequest:
        shares = [await self._evidence.share(cdr) for _ in buyers]
        recipients = map(_recipient, buyers, shares)
        return _submission(person, cdr, *recipients)


def _submission(
    person: Person, cdr: lead_pb2.Cdr, *recipients: lead_pb2.Recipient
) -> lead_service_pb2.SubmitLeadRequest:
    return lead_service_pb2.SubmitLeadRequest(
        request_id=f"form-{person.number:04}",
        lead=person.lead(),
        cdrs=[cdr],
        recipients=recipients,
    )


def _recipient(buyer: str, share: lead_pb2.Share) -> lead_pb2.Recipient:
    return lead_pb2.Recipient(buyer_id=buyer, shares=[share], attribute_keys=["*"])
