"""Claims, shares and collects: the facts of a whole batch, the verdicts, the rows.

A batch costs a handful of statements however many callers wait: two or three reads
bring every fact, the rules of `evidence.access` judge one command after the other on
these facts in memory, and two or three writes store what became of them. So of two
claims in one batch the second sees what the first has done.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, tuple_, update

from evidence import access
from evidence.access import Basis, Standing, Verdict
from evidence.commands import Claim, Claimed, Collect, Collected, Share, Shared
from evidence.errors import CdrInvalid, Forbidden, Gone, NotFound
from evidence.ledger.tables import cdrs, charges, domains, shares, standings
from evidence.sharing import event_id

Deed = Claim | Share | Collect
"""A command that these rules judge."""

_CDR = (cdrs.c.number, cdrs.c.cdr_id, domains.c.domain_id, cdrs.c.invalidate_ms)
_BY_TOKEN = (
    select(shares.c.token_digest, shares.c.org, shares.c.expire_ms, *_CDR)
    .join_from(shares, cdrs)
    .join(domains)
    .where(shares.c.token_digest.in_(bindparam("digests", expanding=True)))
)
_BY_ID = (
    select(*_CDR)
    .join_from(cdrs, domains)
    .where(cdrs.c.cdr_id.in_(bindparam("ids", expanding=True)))
)
_STANDINGS = select(
    standings.c.org, standings.c.cdr, standings.c.basis, standings.c.owner, standings.c.event_id
).where(tuple_(standings.c.org, standings.c.cdr).in_(bindparam("pairs", expanding=True)))
_ADD_STANDINGS = insert(standings)
_ADD_CHARGES = insert(charges)
_ADD_SHARES = insert(shares)
_CHANGE_STANDINGS = (
    update(standings)
    .where(standings.c.org == bindparam("of_org"), standings.c.cdr == bindparam("of_cdr"))
    .values(
        basis=bindparam("basis"), event_id=bindparam("event_id"), update_ms=bindparam("update_ms")
    )
)


@dataclass(frozen=True, slots=True)
class _Cdr:
    number: int
    cdr_id: str
    domain_id: str
    invalid: bool


@dataclass(frozen=True, slots=True)
class _Share:
    sharer: int
    expire_ms: int
    cdr: _Cdr


Pair = tuple[int, int]
"""The numbers of an org and a CDR."""


class Rights:
    """The facts that one batch of deeds needs, and what the deeds add to them."""

    def __init__(self, connection: Connection, deeds: Sequence[Deed], now_ms: int) -> None:
        self._connection = connection
        self._now_ms = now_ms
        self._shares = self._read_shares({d.token_digest for d in deeds if isinstance(d, Claim)})
        self._cdrs = self._read_cdrs({d.cdr_id for d in deeds if not isinstance(d, Claim)})
        self._standings = self._read_standings({pair for d in deeds for pair in self._pairs(d)})
        self._stored = set(self._standings)
        self._touched: set[Pair] = set()
        self._charges: list[dict[str, Any]] = []
        self._new_shares: list[dict[str, Any]] = []

    def judge(self, deed: Deed) -> Claimed | Shared | Collected:
        """Does one deed on the facts in memory; raises `EvidenceError` where it is refused."""
        match deed:
            case Claim():
                return self._claim(deed)
            case Share():
                return self._share(deed)
            case Collect():
                return self._collect(deed)

    def store(self) -> None:
        """Writes what the deeds have changed."""
        added = [self._row(pair) for pair in self._touched - self._stored]
        changed = [self._change(pair) for pair in self._touched & self._stored]
        for statement, rows in (
            (_ADD_STANDINGS, added),
            (_CHANGE_STANDINGS, changed),
            (_ADD_CHARGES, self._charges),
            (_ADD_SHARES, self._new_shares),
        ):
            if rows:
                self._connection.execute(statement, rows)

    def _claim(self, claim: Claim) -> Claimed:
        share = self._shares.get(claim.token_digest)
        if share is None:
            raise NotFound
        if share.cdr.invalid:
            raise CdrInvalid
        if share.expire_ms <= self._now_ms:
            raise Gone
        pair = claim.org, share.cdr.number
        event = event_id(claim.token_digest, claim.org)
        verdict = self._claim_verdict(claim, share, event)
        self._apply(pair, verdict, "claim")
        return Claimed(
            cdr_id=share.cdr.cdr_id,
            domain_id=share.cdr.domain_id,
            event_id=verdict.standing.event_id or event,
            state=verdict.standing.state,
            repeated=verdict.repeated,
        )

    def _claim_verdict(self, claim: Claim, share: _Share, event: str) -> Verdict:
        mine = self._standings.get((claim.org, share.cdr.number))
        if share.sharer == claim.org and mine is not None:
            return access.claimed_own(mine)
        sharer = self._standings.get((share.sharer, share.cdr.number))
        return access.claimed(
            mine,
            payer_shares=sharer is not None and sharer.is_payer,
            collect=claim.collect,
            event_id=event,
        )

    def _share(self, share: Share) -> Shared:
        cdr, mine = self._visible(share.org, share.cdr_id)
        if not mine.may_share:
            raise Forbidden("a CDR that is only saved cannot be shared; collect it first")
        expire_ms = self._now_ms + share.expires_in_ms
        self._new_shares.append(
            {
                "token_digest": share.token_digest,
                "cdr": cdr.number,
                "org": share.org,
                "create_ms": self._now_ms,
                "expire_ms": expire_ms,
            }
        )
        return Shared(cdr.cdr_id, expire_ms)

    def _collect(self, collect: Collect) -> Collected:
        cdr, mine = self._visible(collect.org, collect.cdr_id)
        verdict = access.collected(mine)
        self._apply((collect.org, cdr.number), verdict, "collect")
        return Collected(cdr.cdr_id, cdr.domain_id, verdict.repeated)

    def _visible(self, org: int, cdr_id: str) -> tuple[_Cdr, Standing]:
        cdr = self._cdrs.get(cdr_id)
        mine = self._standings.get((org, cdr.number)) if cdr else None
        if cdr is None or mine is None:
            raise NotFound
        if cdr.invalid:
            raise CdrInvalid
        return cdr, mine

    def _apply(self, pair: Pair, verdict: Verdict, reason: str) -> None:
        if self._standings.get(pair) != verdict.standing:
            self._standings[pair] = verdict.standing
            self._touched.add(pair)
        if verdict.billed:
            org, cdr = pair
            self._charges.append(
                {"org": org, "cdr": cdr, "reason": reason, "charge_ms": self._now_ms}
            )

    def _pairs(self, deed: Deed) -> list[Pair]:
        if isinstance(deed, Claim):
            share = self._shares.get(deed.token_digest)
            orgs = (deed.org, share.sharer) if share else ()
            return [(org, share.cdr.number) for org in orgs if share]
        cdr = self._cdrs.get(deed.cdr_id)
        return [(deed.org, cdr.number)] if cdr else []

    def _read_shares(self, digests: set[bytes]) -> dict[bytes, _Share]:
        if not digests:
            return {}
        rows = self._connection.execute(_BY_TOKEN, {"digests": list(digests)})
        return {
            digest: _Share(org, expire_ms, _Cdr(number, cdr_id, domain_id, invalid is not None))
            for digest, org, expire_ms, number, cdr_id, domain_id, invalid in rows
        }

    def _read_cdrs(self, ids: set[str]) -> dict[str, _Cdr]:
        if not ids:
            return {}
        rows = self._connection.execute(_BY_ID, {"ids": list(ids)})
        return {
            cdr_id: _Cdr(number, cdr_id, domain_id, invalid is not None)
            for number, cdr_id, domain_id, invalid in rows
        }

    def _read_standings(self, pairs: set[Pair]) -> dict[Pair, Standing]:
        if not pairs:
            return {}
        rows = self._connection.execute(_STANDINGS, {"pairs": list(pairs)})
        return {
            (org, cdr): Standing(Basis(basis), owner, event)
            for org, cdr, basis, owner, event in rows
        }

    def _row(self, pair: Pair) -> dict[str, Any]:
        org, cdr = pair
        standing = self._standings[pair]
        return {
            "org": org,
            "cdr": cdr,
            "owner": standing.owner,
            "basis": int(standing.basis),
            "event_id": standing.event_id,
            "update_ms": self._now_ms,
        }

    def _change(self, pair: Pair) -> dict[str, Any]:
        org, cdr = pair
        standing = self._standings[pair]
        return {
            "of_org": org,
            "of_cdr": cdr,
            "basis": int(standing.basis),
            "event_id": standing.event_id,
            "update_ms": self._now_ms,
        }
