"""Claims a record's shares over HTTP, and checks the evidence against the lead."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol

from google.protobuf.timestamp_pb2 import Timestamp

from consumers.evidence_api import EvidenceApi, Hindrance, Patience, Reply
from consumers.gate import Gate
from consumers.outcome import Outcome
from consumers.verify import VerifyKeys, verify
from leadgate.outbound import Outbound
from leadgate.share_url import EvidenceHost, ShareUrl, ShareUrlError, UnknownHostError, trusted
from leadgate.v1.delivery_pb2 import ClaimStatus, LeadRecord, Receipt, Verification
from leadgate.v1.lead_pb2 import Share

_CLAIMED = ClaimStatus.CLAIM_STATUS_CLAIMED
_ALREADY = ClaimStatus.CLAIM_STATUS_ALREADY_CLAIMED


@dataclass(frozen=True, slots=True)
class Claims:
    """What claiming a record came to.

    Attributes:
        receipts: every receipt held now, one for each CDR that has one.
        fresh: those to be reported, also where `failure` says that a later one failed.
        failure: why the lead must not reach the sink, or None: then all is claimed.
    """

    receipts: tuple[Receipt, ...]
    fresh: tuple[Receipt, ...] = ()
    failure: Outcome | None = None


class Claimer(Protocol):
    """Gets hold of a record's evidence."""

    async def claim(self, record: LeadRecord) -> Claims:
        """Claims what has no receipt yet. To repeat it is safe, and costs nothing twice."""


@dataclass(frozen=True, slots=True)
class ClaimPolicy:
    """What the buyer wants of its evidence.

    Attributes:
        collect: whether a claim asks to collect, that is to pay where somebody must.
        take_unpaid: whether a lead whose evidence was only saved may reach the sink.
        verify: the keys to check evidence against the lead by, or None to not check.
        limit: how long claims, checks and their quick retries may take for one record
            before it is deferred; time in which the key is refused does not count.
    """

    collect: bool = True
    take_unpaid: bool = False
    verify: VerifyKeys | None = field(default_factory=VerifyKeys)
    limit: timedelta = timedelta(seconds=10)


class HttpClaimer:
    """Claims with the buyer's key, which goes to the buyer's own hosts only.

    `hosts` is keyed by authority (`share_url.by_authority`), and the same that
    `outbound` was given.
    """

    def __init__(
        self,
        outbound: Outbound,
        hosts: Mapping[str, EvidenceHost],
        api_key: str,
        policy: ClaimPolicy | None = None,
        gate: Gate | None = None,
    ) -> None:
        self._api = EvidenceApi(outbound, api_key, gate or Gate())
        self._hosts = hosts
        self._policy = policy or ClaimPolicy()

    async def claim(self, record: LeadRecord) -> Claims:
        """Claims one share after the other; the first that cannot be had ends it."""
        work = _Work(record, Patience(self._policy.limit.total_seconds()))
        try:
            # No money is spent on a record of which one share cannot be trusted.
            shares = self._trusted(record)
            for cdr_id, share in shares.items():
                await self._settle(work, cdr_id, share)
        except Hindrance as hindrance:
            return work.claims(hindrance.outcome)
        finally:
            self._api.leave()
        return work.claims(None)

    def _trusted(self, record: LeadRecord) -> dict[str, ShareUrl]:
        if not record.shares:
            raise Hindrance(Outcome.failed("NO_EVIDENCE"))
        return {share.cdr_id: self._trust(share) for share in record.shares}

    def _trust(self, share: Share) -> ShareUrl:
        try:
            return trusted(share.share_url, self._hosts)
        except UnknownHostError:
            raise Hindrance(Outcome.failed("HOST_NOT_ALLOWED")) from None
        except ShareUrlError:
            raise Hindrance(Outcome.failed("SHARE_URL_INVALID")) from None

    async def _settle(self, work: _Work, cdr_id: str, share: ShareUrl) -> None:
        """Ends with the CDR claimed and checked, or raises `Hindrance`."""
        held = work.receipts.get(cdr_id)
        cdr: Reply | None = None
        if held is None or not self._suffices(held):
            held, cdr = await self._claim(work, cdr_id, share)
            work.keep(held)
        await self._verify(work, held, cdr, share)
        if not self._suffices(held):
            raise Hindrance(Outcome.failed("EVIDENCE_UNPAID"))

    def _suffices(self, receipt: Receipt) -> bool:
        unpaid = receipt.status == ClaimStatus.CLAIM_STATUS_SAVED_UNPAID
        return self._policy.take_unpaid or not unpaid

    async def _claim(
        self, work: _Work, cdr_id: str, share: ShareUrl
    ) -> tuple[Receipt, Reply | None]:
        """The receipt of a claim, and the CDR where it had to be read for that."""
        collect = self._policy.collect
        reply = await self._api.claim(work.patience, share, cdr_id, collect=collect)
        if not reply.found:
            return await self._still_held(work, cdr_id, share, reply.reason)
        status = _ALREADY if reply.data.get("alreadyClaimed") is True else _CLAIMED
        if collect:
            return self._receipt(cdr_id, share, status, reply), None
        cdr = await self._read(work, cdr_id, share)
        if cdr.data.get("state") != "collected":
            status = ClaimStatus.CLAIM_STATUS_SAVED_UNPAID
        return self._receipt(cdr_id, share, status, reply), cdr

    async def _still_held(
        self, work: _Work, cdr_id: str, share: ShareUrl, reason: str
    ) -> tuple[Receipt, Reply]:
        """An expired share: what the buyer holds all the same counts as claimed."""
        cdr = await self._api.read(work.patience, share, cdr_id)
        pending = cdr.data.get("state") == "pending"
        if not cdr.found or (pending and self._policy.collect):
            # Saved under an earlier policy is not paid, and nothing is left to pay by.
            raise Hindrance(Outcome.failed(reason))
        status = ClaimStatus.CLAIM_STATUS_ACCESS_CONFIRMED
        if pending:
            status = ClaimStatus.CLAIM_STATUS_SAVED_UNPAID
        return self._receipt(cdr_id, share, status, cdr), cdr

    async def _verify(self, work: _Work, held: Receipt, cdr: Reply | None, share: ShareUrl) -> None:
        """Checks the evidence against the lead, once for each CDR."""
        if self._policy.verify is None:
            return
        if held.verification == Verification.VERIFICATION_UNSPECIFIED:
            cdr = cdr or await self._read(work, held.cdr_id, share)
            custom = cdr.data.get("customMetadata")
            held.verification = verify(
                work.record.lead.contact,
                custom if isinstance(custom, dict) else {},
                self._policy.verify,
            )
            work.keep(held)
        if held.verification == Verification.VERIFICATION_MISMATCHED:
            raise Hindrance(Outcome.failed("EVIDENCE_MISMATCH"))

    async def _read(self, work: _Work, cdr_id: str, share: ShareUrl) -> Reply:
        """The CDR that was just claimed. Not there yet: a later try may find it."""
        reply = await self._api.read(work.patience, share, cdr_id)
        if not reply.found:
            raise Hindrance(Outcome.deferred(reply.reason))
        return reply

    def _receipt(self, cdr_id: str, share: ShareUrl, status: ClaimStatus, reply: Reply) -> Receipt:
        now = Timestamp()
        now.FromDatetime(datetime.now(UTC))
        return Receipt(
            cdr_id=cdr_id,
            status=status,
            host=share.host.authority,
            http_status=reply.status,
            request_id=reply.request_id,
            share_event_id=reply.text("shareEventId"),
            collect=self._policy.collect,
            claim_time=now,
            body_sha256=hashlib.sha256(reply.body).digest(),
        )


class _Work:
    """What is known of one record while it is worked on."""

    def __init__(self, record: LeadRecord, patience: Patience) -> None:
        self.record = record
        self.patience = patience
        self.receipts: dict[str, Receipt] = {}
        self._fresh: dict[str, Receipt] = {}
        for receipt in record.receipts:
            mine = Receipt()
            mine.CopyFrom(receipt)
            self.receipts[receipt.cdr_id] = mine

    def keep(self, receipt: Receipt) -> None:
        """Holds a receipt that the gateway does not know in this form."""
        self.receipts[receipt.cdr_id] = self._fresh[receipt.cdr_id] = receipt

    def claims(self, failure: Outcome | None) -> Claims:
        return Claims(tuple(self.receipts.values()), tuple(self._fresh.values()), failure)
