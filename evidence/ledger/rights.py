"""Claims, shares and collects: facts, verdict and rows, all inside one transaction.

These are what every lead pays for, so their statements are compiled once and run on
the driver's own cursor. Each deed reads what those before it in the same commit have
written: of two claims at once the second is judged on what the first has done.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import and_, bindparam, insert, select, update

from evidence import access
from evidence.access import Basis, Standing, State, Verdict
from evidence.commands import Claim, Claimed, Collect, Collected, Share, Shared
from evidence.custody import Event
from evidence.errors import CdrInvalid, Forbidden, Gone, NotFound
from evidence.ledger import custody
from evidence.ledger.tables import cdrs, charges, domains, shares, standings
from evidence.ledger.transaction import Transaction
from evidence.sharing import event_id, share_ref
from leadgate.sql import Prepared

_mine = standings.alias("mine")
_sharers = standings.alias("sharers")
_CDR = (cdrs.c.number, cdrs.c.cdr_id, domains.c.domain_id, cdrs.c.invalidate_ms)
_MINE = (_mine.c.basis, _mine.c.owner, _mine.c.event_id)

_SHARED = Prepared(
    select(shares.c.org, shares.c.expire_ms, _sharers.c.basis, *_CDR, *_MINE)
    .join_from(shares, cdrs, cdrs.c.number == shares.c.cdr)
    .join(domains, domains.c.number == cdrs.c.domain)
    .join(_sharers, and_(_sharers.c.org == shares.c.org, _sharers.c.cdr == shares.c.cdr))
    .outerjoin(_mine, and_(_mine.c.org == bindparam("org"), _mine.c.cdr == shares.c.cdr))
    .where(shares.c.token_digest == bindparam("token_digest"))
)
_SEEN = Prepared(
    select(*_CDR, *_MINE)
    .join_from(cdrs, domains, domains.c.number == cdrs.c.domain)
    .join(_mine, and_(_mine.c.org == bindparam("org"), _mine.c.cdr == cdrs.c.number))
    .where(cdrs.c.cdr_id == bindparam("cdr_id"))
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


def _claim(tx: Transaction, claim: Claim) -> Claimed:
    row = _SHARED.one(tx.cursor, org=claim.org, token_digest=claim.token_digest)
    if row is None:
        raise NotFound
    sharer, expire_ms, sharer_basis, cdr, cdr_id, domain_id, invalidate_ms, *mine = row
    if invalidate_ms is not None:
        raise CdrInvalid
    if expire_ms <= tx.now_ms:
        raise Gone
    event = event_id(claim.token_digest, claim.org)
    before = _standing(*mine)
    if sharer == claim.org and before is not None:
        verdict = access.claimed_own(before)
    else:
        payer_shares = Standing(Basis(sharer_basis)).is_payer
        verdict = access.claimed(
            before, payer_shares=payer_shares, collect=claim.collect, event_id=event
        )
    _apply(tx, (claim.org, cdr), before, verdict, "claim")
    after = verdict.standing
    if after != before:
        _log_claim(tx, claim, cdr, verdict)
    return Claimed(
        cdr_id,
        domain_id,
        after.event_id or event,
        after.state,
        verdict.repeated,
        custody.anchor(tx, cdr),
    )


def _log_claim(tx: Transaction, claim: Claim, cdr: int, verdict: Verdict) -> None:
    saved = verdict.standing.state is State.PENDING
    detail = {
        "share": share_ref(claim.token_digest),
        "shareEventId": verdict.standing.event_id,
        "billed": verdict.billed,
    }
    custody.append(tx, cdr, Event.SAVED if saved else Event.CLAIMED, claim.org, detail)


def _share(tx: Transaction, share: Share) -> Shared:
    cdr, _, mine = _seen(tx.cursor, share.org, share.cdr_id)
    if not mine.may_share:
        raise Forbidden("a CDR that is only saved cannot be shared; collect it first")
    expire_ms = tx.now_ms + share.expires_in_ms
    _ADD_SHARE.insert(
        tx.cursor,
        token_digest=share.token_digest,
        cdr=cdr,
        org=share.org,
        create_ms=tx.now_ms,
        expire_ms=expire_ms,
    )
    shared = {"share": share_ref(share.token_digest), "expiresAt": expire_ms}
    custody.append(tx, cdr, Event.SHARED, share.org, shared)
    return Shared(share.cdr_id, expire_ms)


def _collect(tx: Transaction, collect: Collect) -> Collected:
    cdr, domain_id, mine = _seen(tx.cursor, collect.org, collect.cdr_id)
    verdict = access.collected(mine)
    _apply(tx, (collect.org, cdr), mine, verdict, "collect")
    if verdict.billed:
        custody.append(tx, cdr, Event.COLLECTED, collect.org, {"billed": True})
    return Collected(collect.cdr_id, domain_id, verdict.repeated)


def _seen(cursor: Any, org: int, cdr_id: str) -> tuple[int, str, Standing]:
    """A valid CDR's number, its domain, and the standing of an org that sees it."""
    row = _SEEN.one(cursor, org=org, cdr_id=cdr_id)
    mine = _standing(*row[4:]) if row else None
    if mine is None:
        raise NotFound
    number, _, domain_id, invalidate_ms, *_ = row
    if invalidate_ms is not None:
        raise CdrInvalid
    return number, domain_id, mine


def _apply(
    tx: Transaction,
    pair: tuple[int, int],
    before: Standing | None,
    verdict: Verdict,
    reason: str,
) -> None:
    org, cdr = pair
    after = verdict.standing
    stored = {"basis": int(after.basis), "event_id": after.event_id, "update_ms": tx.now_ms}
    if before is None:
        _ADD_STANDING.insert(tx.cursor, org=org, cdr=cdr, owner=after.owner, **stored)
    elif before != after:
        _CHANGE_STANDING.run(tx.cursor, of_org=org, of_cdr=cdr, **stored)
    if verdict.billed:
        _ADD_CHARGE.insert(tx.cursor, org=org, cdr=cdr, reason=reason, charge_ms=tx.now_ms)


def _standing(basis: int | None, owner: int, event: str | None) -> Standing | None:
    return None if basis is None else Standing(Basis(basis), bool(owner), event)


WRITERS: Mapping[type, Callable[[Transaction, Any], Any]] = {
    Claim: _claim,
    Share: _share,
    Collect: _collect,
}
"""What this module does, by command: it raises `EvidenceError`, before it has written."""
