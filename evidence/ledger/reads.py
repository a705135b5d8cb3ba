"""Reads of what is committed. Those of CDRs share statements, as writes share commits."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, bindparam, select

from evidence.access import Basis, Standing
from evidence.commands import (
    Cdr,
    CdrView,
    Charge,
    Domain,
    GetCdr,
    ListCharges,
    ListDomains,
    ListKeys,
    StoredKey,
)
from evidence.errors import CdrInvalid, EvidenceError, NotFound
from evidence.ledger.tables import api_keys, cdrs, charges, domains, orgs, standings

_SEEN = (
    select(
        standings.c.org,
        standings.c.basis,
        standings.c.owner,
        cdrs,
        domains.c.domain_id,
        domains.c.name.label("domain_name"),
    )
    .join_from(cdrs, standings, standings.c.cdr == cdrs.c.number)
    .join(domains, domains.c.number == cdrs.c.domain)
    .where(
        cdrs.c.cdr_id.in_(bindparam("ids", expanding=True)),
        standings.c.org.in_(bindparam("orgs", expanding=True)),
    )
)


def answer(connection: Connection, queries: Sequence[Any]) -> list[Any]:
    """Answers each query, in order, with its result or with the error to raise."""
    views = _cdr_views(connection, [query for query in queries if isinstance(query, GetCdr)])
    return [
        views[query] if isinstance(query, GetCdr) else _alone(connection, query)
        for query in queries
    ]


def _alone(connection: Connection, query: Any) -> Any:
    try:
        return _READERS[type(query)](connection, query)
    except EvidenceError as refusal:
        return refusal


def _cdr_views(
    connection: Connection, queries: Sequence[GetCdr]
) -> dict[GetCdr, CdrView | EvidenceError]:
    if not queries:
        return {}
    parameters = {
        "ids": list({query.cdr_id for query in queries}),
        "orgs": list({query.org for query in queries}),
    }
    rows = connection.execute(_SEEN, parameters)
    seen = {GetCdr(row.org, row.cdr_id): row for row in rows}
    return {query: _view(seen.get(query)) for query in queries}


def _view(row: Row[Any] | None) -> CdrView | EvidenceError:
    if row is None:
        return NotFound()
    if row.invalidate_ms is not None:
        return CdrInvalid()
    return CdrView(
        cdr=Cdr(
            cdr_id=row.cdr_id,
            capture_ms=row.capture_ms,
            package_id=row.package_id,
            sub_group_ids=json.loads(row.sub_group_ids),
            custom=json.loads(row.custom),
            disclosures=json.loads(row.disclosures),
        ),
        domain_id=row.domain_id,
        domain=row.domain_name,
        create_ms=row.create_ms,
        state=Standing(Basis(row.basis)).state,
        owned=row.owner,
    )


def _list_domains(connection: Connection, query: ListDomains) -> list[Domain]:
    wanted = select(domains).where(domains.c.org == query.org).order_by(domains.c.name)
    return [Domain(row.domain_id, row.name, row.create_ms) for row in connection.execute(wanted)]


def _list_keys(connection: Connection, _: ListKeys) -> list[StoredKey]:
    columns = (api_keys.c.key_id, api_keys.c.secret_digest, orgs.c.number, orgs.c.org_id)
    wanted = select(*columns).join_from(api_keys, orgs).where(api_keys.c.revoke_ms.is_(None))
    return [StoredKey(*row) for row in connection.execute(wanted)]


def _list_charges(connection: Connection, query: ListCharges) -> list[Charge]:
    org = connection.scalar(select(orgs.c.number).where(orgs.c.org_id == query.org_id))
    if org is None:
        raise NotFound("orgId: not found")
    wanted = (
        select(cdrs.c.cdr_id, charges.c.reason, charges.c.charge_ms)
        .join_from(charges, cdrs)
        .where(charges.c.org == org)
        .order_by(charges.c.charge_ms, charges.c.cdr)
    )
    return [Charge(query.org_id, *row) for row in connection.execute(wanted)]


_READERS: Mapping[type, Callable[[Connection, Any], Any]] = {
    ListDomains: _list_domains,
    ListKeys: _list_keys,
    ListCharges: _list_charges,
}
