"""Orgs in the ledger, as the operator sees and changes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import and_, insert, or_, select, tuple_, update

from evidence.commands import Charge, Domain
from evidence.errors import Conflict, InvalidArgument, NotFound
from evidence.ledger.find import the_org
from evidence.ledger.tables import api_keys, cdrs, charges, domains, orgs
from evidence.ledger.transaction import Transaction
from evidence.orgs import (
    ChangeOrg,
    ExportCharges,
    GetOrg,
    KeyView,
    ListOrgDomains,
    ListOrgKeys,
    ListOrgs,
    OrgView,
    Rotated,
    RotateKey,
)


def _view(row: Any) -> OrgView:
    return OrgView(
        row.org_id,
        row.name,
        bool(row.auto_collect),
        bool(row.capture_disabled),
        row.retention_days,
        row.create_ms,
    )


def _get(tx: Transaction, query: GetOrg) -> OrgView:
    return _view(the_org(tx, query.org_id))


def _list(tx: Transaction, query: ListOrgs) -> list[OrgView]:
    wanted = select(orgs).where(orgs.c.org_id > query.after).order_by(orgs.c.org_id)
    return [_view(row) for row in tx.connection.execute(wanted.limit(query.limit))]


def _change(tx: Transaction, change: ChangeOrg) -> OrgView:
    org: int = the_org(tx, change.org_id).number
    if change.changes:
        this = update(orgs).where(orgs.c.number == org)
        tx.connection.execute(this.values(**change.changes))
    return _view(the_org(tx, change.org_id))


def _list_keys(tx: Transaction, query: ListOrgKeys) -> list[KeyView]:
    org: int = the_org(tx, query.org_id).number
    columns = (api_keys.c.key_id, api_keys.c.create_ms, api_keys.c.revoke_ms)
    wanted = select(*columns).where(api_keys.c.org == org)
    ordered = wanted.order_by(api_keys.c.create_ms, api_keys.c.key_id)
    return [KeyView(*row) for row in tx.connection.execute(ordered)]


def _list_domains(tx: Transaction, query: ListOrgDomains) -> list[Domain]:
    org: int = the_org(tx, query.org_id).number
    wanted = select(domains).where(domains.c.org == org).order_by(domains.c.name)
    return [Domain(row.domain_id, row.name, row.create_ms) for row in tx.connection.execute(wanted)]


def _rotate(tx: Transaction, rotate: RotateKey) -> Rotated:
    good = or_(api_keys.c.revoke_ms.is_(None), api_keys.c.revoke_ms > tx.now_ms)
    this = and_(api_keys.c.key_id == rotate.old_key_id, good)
    wanted = select(api_keys.c.org, orgs.c.org_id, api_keys.c.revoke_ms).join_from(api_keys, orgs)
    old = tx.connection.execute(wanted.where(this)).one_or_none()
    if old is None:
        raise NotFound
    taken = select(api_keys.c.org).where(api_keys.c.key_id == rotate.key_id)
    if tx.connection.scalar(taken) is not None:
        raise Conflict("key: its id is taken by another key")
    row = {
        "key_id": rotate.key_id,
        "secret_digest": rotate.secret_digest,
        "org": old.org,
        "create_ms": tx.now_ms,
    }
    tx.connection.execute(insert(api_keys), row)
    # A second rotation does not make the first key last longer.
    revoke_ms = min(tx.now_ms + rotate.keep_ms, old.revoke_ms or tx.now_ms + rotate.keep_ms)
    tx.connection.execute(update(api_keys).where(this).values(revoke_ms=revoke_ms))
    return Rotated(old.org, old.org_id, revoke_ms)


def _export_charges(tx: Transaction, query: ExportCharges) -> list[Charge]:
    place = (charges.c.charge_ms, charges.c.org, charges.c.cdr)
    wanted = (
        select(orgs.c.org_id, cdrs.c.cdr_id, charges.c.reason, charges.c.charge_ms)
        .join_from(charges, cdrs)
        .join(orgs, orgs.c.number == charges.c.org)
        .where(charges.c.charge_ms >= query.from_ms, charges.c.charge_ms < query.until_ms)
        .order_by(*place)
        .limit(query.limit)
    )
    if query.org_id is not None:
        wanted = wanted.where(charges.c.org == the_org(tx, query.org_id).number)
    if query.after is not None:
        wanted = wanted.where(tuple_(*place) > tuple_(*_place(tx, query.after)))
    return [Charge(*row) for row in tx.connection.execute(wanted)]


def _place(tx: Transaction, after: tuple[str, str]) -> tuple[int, int, int]:
    cdr_id, org_id = after
    wanted = (
        select(charges.c.charge_ms, charges.c.org, charges.c.cdr)
        .join_from(charges, cdrs)
        .join(orgs, orgs.c.number == charges.c.org)
        .where(cdrs.c.cdr_id == cdr_id, orgs.c.org_id == org_id)
    )
    row = tx.connection.execute(wanted).one_or_none()
    if row is None:
        raise InvalidArgument("pageToken: not of this list")
    return row.charge_ms, row.org, row.cdr


WRITERS: Mapping[type, Callable[[Transaction, Any], Any]] = {
    ChangeOrg: _change,
    RotateKey: _rotate,
}
"""What this module does, by command: it raises `EvidenceError`, before it has written."""

READERS: Mapping[type, Callable[[Transaction, Any], Any]] = {
    GetOrg: _get,
    ListOrgs: _list,
    ListOrgKeys: _list_keys,
    ListOrgDomains: _list_domains,
    ExportCharges: _export_charges,
}
"""What this module answers, by query."""
