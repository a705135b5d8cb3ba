"""Reads of what is committed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import bindparam, or_, select

from evidence.commands import (
    CdrView,
    Charge,
    Domain,
    GetCdr,
    ListCharges,
    ListDomains,
    ListKeys,
    StoredKey,
)
from evidence.errors import CdrInvalid, NotFound
from evidence.ledger.tables import api_keys, cdrs, charges, domains, orgs, standings
from evidence.ledger.transaction import Transaction
from evidence.ledger.views import ended, standing_view, views
from leadgate.sql import Prepared

_SEEN = Prepared(
    views().where(cdrs.c.cdr_id == bindparam("cdr_id"), standings.c.org == bindparam("org"))
)


def _get_cdr(tx: Transaction, query: GetCdr) -> CdrView:
    row = _SEEN.one(tx.cursor, org=query.org, cdr_id=query.cdr_id)
    invalidate_ms, purge_ms = ended(row) if row else (None, None)
    if row is None or purge_ms is not None:
        raise NotFound
    if invalidate_ms is not None:
        raise CdrInvalid
    return standing_view(row)


def _list_domains(tx: Transaction, query: ListDomains) -> list[Domain]:
    wanted = select(domains).where(domains.c.org == query.org).order_by(domains.c.name)
    return [Domain(row.domain_id, row.name, row.create_ms) for row in tx.connection.execute(wanted)]


def _list_keys(tx: Transaction, _: ListKeys) -> list[StoredKey]:
    columns = (
        api_keys.c.key_id,
        api_keys.c.secret_digest,
        orgs.c.number,
        orgs.c.org_id,
        api_keys.c.revoke_ms,
    )
    good = or_(api_keys.c.revoke_ms.is_(None), api_keys.c.revoke_ms > tx.now_ms)
    wanted = select(*columns).join_from(api_keys, orgs).where(good)
    return [StoredKey(*row) for row in tx.connection.execute(wanted)]


def _list_charges(tx: Transaction, query: ListCharges) -> list[Charge]:
    org = tx.connection.scalar(select(orgs.c.number).where(orgs.c.org_id == query.org_id))
    if org is None:
        raise NotFound("orgId: not found")
    wanted = (
        select(cdrs.c.cdr_id, charges.c.reason, charges.c.charge_ms)
        .join_from(charges, cdrs)
        .where(charges.c.org == org)
        .order_by(charges.c.charge_ms, charges.c.cdr)
    )
    return [Charge(query.org_id, *row) for row in tx.connection.execute(wanted)]


READERS: Mapping[type, Callable[[Transaction, Any], Any]] = {
    GetCdr: _get_cdr,
    ListDomains: _list_domains,
    ListKeys: _list_keys,
    ListCharges: _list_charges,
}
"""What this module answers, by query: it raises `EvidenceError` where it is refused."""
