"""Claims, shares and collects: facts, verdict and rows, all inside one transaction.

These are what every lead pays for, so their statements are compiled once and run on
the driver's own cursor. Each deed reads what those before it in the same commit have
written: of two claims at once the second is judged on what the first has done.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import and_, bindparam, insert, select, update

from evidence import access
from evidence.access import Basis, Standing, State, Verdict
from evidence.commands import Claim, Claimed, Collect, Collected, Share, Shared
from evidence.custody import Event
from evidence.errors import CdrInvalid, Forbidden, Gone, NotFound
from evidence.ledger import custody
from evidence.ledger.tables import (
    cdrs,
    charges,
    domains,
    package_share_cdrs,
    shares,
    standings,
)
from evidence.ledger.transaction import Transaction
from evidence.sharing import event_id, share_ref
from leadgate.sql import Prepared

_mine = standings.alias("mine")
_sharers = standings.alias("sharers")
_CDR = (
    cdrs.c.number,
    cdrs.c.cdr_id,
    domains.c.number.label("domain"),
    domains.c.domain_id,
    cdrs.c.invalidate_ms,
    cdrs.c.purge_ms,
)
_MINE = (_mine.c.basis, _mine.c.owner, _mine.c.event_id)
_FOUND = (*_CDR, *_MINE)

_SHARED = Prepared(
    select(shares.c.org, shares.c.expire_ms, _sharers.c.basis.label("sharers_basis"), *_FOUND)
    .join_from(shares, cdrs, cdrs.c.number == shares.c.cdr)
    .join(domains, domains.c.number == cdrs.c.domain)
    .join(_sharers, and_(_sharers.c.org == shares.c.org, _sharers.c.cdr == shares.c.cdr))
    .outerjoin(_mine, and_(_mine.c.org == bindparam("org"), _mine.c.cdr == shares.c.cdr))
    .where(shares.c.token_digest == bindparam("token_digest"))
)
_LISTED = Prepared(
    select(_sharers.c.basis.label("sharers_basis"), *_FOUND)
    .join_from(package_share_cdrs, cdrs, cdrs.c.number == package_share_cdrs.c.cdr)
    .join(domains, domains.c.number == cdrs.c.domain)
    .join(_sharers, and_(_sharers.c.org == bindparam("sharer"), _sharers.c.cdr == cdrs.c.number))
    .outerjoin(_mine, and_(_mine.c.org == bindparam("org"), _mine.c.cdr == cdrs.c.number))
    .where(package_share_cdrs.c.share == bindparam("share"))
    .order_by(cdrs.c.number)
)
_SEEN = Prepared(
    select(*_FOUND)
    .join_from(cdrs, domains, domains.c.number == cdrs.c.domain)
    .join(_mine, and_(_mine.c.org == bindparam("org"), _mine.c.cdr == cdrs.c.number))
    .where(cdrs.c.cdr_id == bindparam("cdr_id"))
)
_STANDING = Prepared(
    select(standings.c.basis, standings.c.owner, standings.c.event_id).where(
        standings.c.org == bindparam("org"), standings.c.cdr == bindparam("cdr")
    )
)
_ADD_STANDING = Prepared(insert(standings))
_CHANGE_STANDING = Prepared(
    update(standings)
    .where(standings.c.org == bindparam("of_org"), standings.c.cdr == bindparam("of_cdr"))
    .values(
        basis=bindparam("basis"), event_id=bindparam("event_id"), update_ms=bindparam("update_ms")
    )
)
_ADD_CHARGE = Prepared(insert(charges))
_ADD_SHARE = Prepared(
    insert(shares).values({c: bindparam(c.name) for c in shares.c if c is not shares.c.number})
)


class Found(NamedTuple):
    """A CDR, and what the org that asks has to do with it."""

    number: int
    cdr_id: str
    domain: int
    domain_id: str
    invalidate_ms: int | None
    purge_ms: int | None
    mine: Standing | None

    @classmethod
    def of(cls, row: Sequence[Any]) -> Found:
        """Reads a row of the columns `_FOUND`."""
        basis, owner, event = row[6:9]
        mine = None if basis is None else Standing(Basis(basis), bool(owner), event)
        number, cdr_id, domain, domain_id, invalidate_ms, purge_ms = row[:6]
        return cls(number, cdr_id, domain, domain_id, invalidate_ms, purge_ms, mine)

    def check(self) -> None:
        """Raises `NotFound` where it was deleted, `CdrInvalid` where it was invalidated."""
        if self.purge_ms is not None:
            raise NotFound
        if self.invalidate_ms is not None:
            raise CdrInvalid


class Taking(NamedTuple):
    """A claim of one CDR: by whom, by which share, and who had made that."""

    org: int
    token_digest: bytes
    collect: bool
    sharer: int
    event_id: str

    def judged(self, found: Found, sharers_basis: int) -> Verdict:
        """What the rules say to it."""
        if self.sharer == self.org and found.mine is not None:
            return access.claimed_own(found.mine)
        return access.claimed(
            found.mine,
            payer_shares=Standing(Basis(sharers_basis)).is_payer,
            collect=self.collect,
            event_id=self.event_id,
        )


def _claim(tx: Transaction, claim: Claim) -> Claimed:
    row = _SHARED.one(tx.cursor, org=claim.org, token_digest=claim.token_digest)
    if row is None:
        raise NotFound
    sharer, expire_ms, sharers_basis, *rest = row
    found = Found.of(rest)
    found.check()
    if expire_ms <= tx.now_ms:
        raise Gone
    event = event_id(claim.token_digest, claim.org)
    taking = Taking(claim.org, claim.token_digest, claim.collect, sharer, event)
    return take(tx, taking, found, taking.judged(found, sharers_basis))


def listed(tx: Transaction, share: int, sharer: int, org: int) -> list[tuple[int, Found]]:
    """The CDRs of a package share in order, each with the basis of who shares it."""
    rows = _LISTED.all(tx.cursor, share=share, sharer=sharer, org=org)
    return [(row[0], Found.of(row[1:])) for row in rows]


def take(tx: Transaction, taking: Taking, found: Found, verdict: Verdict) -> Claimed:
    """Writes down what a claim of one CDR has led to, and answers it."""
    _apply(tx, taking.org, found, verdict, "claim")
    after = verdict.standing
    if after != found.mine:
        _log_claim(tx, taking, found.number, verdict)
    return Claimed(
        found.cdr_id,
        found.domain_id,
        after.event_id or taking.event_id,
        after.state,
        verdict.repeated,
        custody.anchor(tx, found.number),
    )


def collect_for_sharer(tx: Transaction, sharer: int, cdr: int) -> None:
    """Marks a CDR as collected with the org that shared it, as the legacy API does."""
    basis, owner, event = _STANDING.one(tx.cursor, org=sharer, cdr=cdr)
    verdict = access.collected_by_partner(Standing(Basis(basis), bool(owner), event))
    if verdict.repeated:
        return
    changed = {"basis": int(verdict.standing.basis), "event_id": event, "update_ms": tx.now_ms}
    _CHANGE_STANDING.run(tx.cursor, of_org=sharer, of_cdr=cdr, **changed)
    custody.append(tx, cdr, Event.COLLECTED, sharer, {"billed": False})


def _log_claim(tx: Transaction, taking: Taking, cdr: int, verdict: Verdict) -> None:
    saved = verdict.standing.state is State.PENDING
    detail = {
        "share": share_ref(taking.token_digest),
        "shareEventId": verdict.standing.event_id,
        "billed": verdict.billed,
    }
    custody.append(tx, cdr, Event.SAVED if saved else Event.CLAIMED, taking.org, detail)


def _share(tx: Transaction, share: Share) -> Shared:
    found, mine = seen(tx, share.org, share.cdr_id)
    if not mine.may_share:
        raise Forbidden("a CDR that is only saved cannot be shared; collect it first")
    expire_ms = tx.now_ms + share.expires_in_ms
    _ADD_SHARE.run(
        tx.cursor,
        token_digest=share.token_digest,
        cdr=found.number,
        org=share.org,
        create_ms=tx.now_ms,
        expire_ms=expire_ms,
    )
    shared = {"share": share_ref(share.token_digest), "expiresAt": expire_ms}
    custody.append(tx, found.number, Event.SHARED, share.org, shared)
    return Shared(share.cdr_id, expire_ms)


def _collect(tx: Transaction, collect: Collect) -> Collected:
    found, mine = seen(tx, collect.org, collect.cdr_id)
    verdict = access.collected(mine)
    _apply(tx, collect.org, found, verdict, "collect")
    if verdict.billed:
        custody.append(tx, found.number, Event.COLLECTED, collect.org, {"billed": True})
    return Collected(collect.cdr_id, found.domain_id, verdict.repeated)


def seen(tx: Transaction, org: int, cdr_id: str) -> tuple[Found, Standing]:
    """A CDR that an org sees; raises `NotFound` or `CdrInvalid`."""
    row = _SEEN.one(tx.cursor, org=org, cdr_id=cdr_id)
    found = Found.of(row) if row else None
    if found is None or found.mine is None:
        raise NotFound
    found.check()
    return found, found.mine


def _apply(tx: Transaction, org: int, found: Found, verdict: Verdict, reason: str) -> None:
    after = verdict.standing
    stored = {"basis": int(after.basis), "event_id": after.event_id, "update_ms": tx.now_ms}
    if found.mine is None:
        _ADD_STANDING.run(
            tx.cursor,
            org=org,
            cdr=found.number,
            domain=found.domain,
            owner=after.owner,
            **stored,
        )
    elif found.mine != after:
        _CHANGE_STANDING.run(tx.cursor, of_org=org, of_cdr=found.number, **stored)
    if verdict.billed:
        _ADD_CHARGE.run(tx.cursor, org=org, cdr=found.number, reason=reason, charge_ms=tx.now_ms)


WRITERS: Mapping[type, Callable[[Transaction, Any], Any]] = {
    Claim: _claim,
    Share: _share,
    Collect: _collect,
}
"""What this module does, by command: it raises `EvidenceError`, before it has written."""
