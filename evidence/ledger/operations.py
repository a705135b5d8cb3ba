"""What the operator sets up: orgs, domains, keys, CDRs, and their invalidation.

Rare beside claims, so each command runs its own statements.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Connection, insert, or_, select, update

from evidence import access
from evidence.commands import (
    AddCdr,
    AddDomain,
    Added,
    AddKey,
    AddOrg,
    InvalidateCdr,
    RevokeKey,
)
from evidence.errors import Conflict, NotFound
from evidence.ledger.tables import api_keys, cdrs, charges, domains, orgs, shares, standings

Operation = AddOrg | AddDomain | AddKey | RevokeKey | AddCdr | InvalidateCdr
"""A command of the operator."""


def operate(connection: Connection, operation: Operation, now_ms: int) -> Any:
    """Does one operation; raises `EvidenceError`, before it has written, where refused."""
    return _DOERS[type(operation)](connection, operation, now_ms)


def _add_org(connection: Connection, add: AddOrg, now_ms: int) -> int:
    if connection.scalar(select(orgs.c.number).where(orgs.c.org_id == add.org_id)):
        raise Conflict("orgId: taken")
    row = {
        "org_id": add.org_id,
        "name": add.name,
        "auto_collect": add.auto_collect,
        "create_ms": now_ms,
    }
    return _inserted(connection, insert(orgs), row)


def _add_domain(connection: Connection, add: AddDomain, now_ms: int) -> None:
    org, _ = _org(connection, add.org_id)
    same_name = (domains.c.org == org) & (domains.c.name == add.name)
    taken = or_(domains.c.domain_id == add.domain_id, same_name)
    if connection.scalar(select(domains.c.number).where(taken)):
        raise Conflict("domainId or name: taken")
    row = {"domain_id": add.domain_id, "org": org, "name": add.name, "create_ms": now_ms}
    connection.execute(insert(domains), row)


def _add_key(connection: Connection, add: AddKey, now_ms: int) -> int:
    org, _ = _org(connection, add.org_id)
    this = api_keys.c.key_id == add.key_id
    known = connection.execute(select(api_keys).where(this)).one_or_none()
    if known is None:
        row = {
            "key_id": add.key_id,
            "secret_digest": add.secret_digest,
            "org": org,
            "create_ms": now_ms,
        }
        connection.execute(insert(api_keys), row)
        return org
    same = hmac.compare_digest(known.secret_digest, add.secret_digest)
    if not same or known.org != org or known.revoke_ms is not None:
        raise Conflict("key: its id is taken by another key, or was revoked")
    return org


def _revoke_key(connection: Connection, revoke: RevokeKey, now_ms: int) -> None:
    this = api_keys.c.key_id == revoke.key_id
    if connection.scalar(select(api_keys.c.org).where(this)) is None:
        raise NotFound
    connection.execute(
        update(api_keys).where(this, api_keys.c.revoke_ms.is_(None)).values(revoke_ms=now_ms)
    )


def _add_cdr(connection: Connection, add: AddCdr, now_ms: int) -> Added:
    org, auto_collect = _org(connection, add.org_id)
    domain, domain_id = _domain(connection, org, add.domain)
    if connection.scalar(select(cdrs.c.number).where(cdrs.c.cdr_id == add.cdr.cdr_id)):
        raise Conflict("cdrId: taken")
    number = _inserted(connection, insert(cdrs), _cdr_row(add, domain, now_ms))
    verdict = access.captured(auto_collect=auto_collect)
    _give_to_owner(connection, org, number, verdict, now_ms)
    expire_ms = None
    if add.token_digest is not None:
        expire_ms = now_ms + add.expires_in_ms
        share = {"token_digest": add.token_digest, "cdr": number, "org": org}
        times = {"create_ms": now_ms, "expire_ms": expire_ms}
        connection.execute(insert(shares), share | times)
    return Added(domain_id, now_ms, verdict.standing.state, expire_ms)


def _give_to_owner(
    connection: Connection, org: int, cdr: int, verdict: access.Verdict, now_ms: int
) -> None:
    owned = {"owner": True, "basis": int(verdict.standing.basis), "update_ms": now_ms}
    connection.execute(insert(standings), {"org": org, "cdr": cdr} | owned)
    if verdict.billed:
        charge = {"org": org, "cdr": cdr, "reason": "capture", "charge_ms": now_ms}
        connection.execute(insert(charges), charge)


def _invalidate_cdr(connection: Connection, invalidate: InvalidateCdr, now_ms: int) -> int:
    this = cdrs.c.cdr_id == invalidate.cdr_id
    row = connection.execute(select(cdrs.c.invalidate_ms).where(this)).one_or_none()
    if row is None:
        raise NotFound
    if row.invalidate_ms is not None:
        return int(row.invalidate_ms)
    connection.execute(update(cdrs).where(this).values(invalidate_ms=now_ms))
    return now_ms


def _org(connection: Connection, org_id: str) -> tuple[int, bool]:
    wanted = select(orgs.c.number, orgs.c.auto_collect).where(orgs.c.org_id == org_id)
    row = connection.execute(wanted).one_or_none()
    if row is None:
        raise NotFound("orgId: not found")
    return row.number, row.auto_collect


def _domain(connection: Connection, org: int, name_or_id: str) -> tuple[int, str]:
    named = or_(domains.c.domain_id == name_or_id, domains.c.name == name_or_id.lower())
    # An id wins over another domain that has it as its name.
    wanted = select(domains).where(domains.c.org == org, named)
    rows = sorted(connection.execute(wanted), key=lambda row: row.domain_id != name_or_id)
    if not rows:
        raise NotFound("domain: not found")
    return rows[0].number, rows[0].domain_id


def _cdr_row(add: AddCdr, domain: int, now_ms: int) -> dict[str, Any]:
    cdr = add.cdr
    return {
        "cdr_id": cdr.cdr_id,
        "domain": domain,
        "create_ms": now_ms,
        "capture_ms": cdr.capture_ms,
        "package_id": cdr.package_id,
        "sub_group_ids": json.dumps(cdr.sub_group_ids),
        "custom": json.dumps(cdr.custom),
        "disclosures": json.dumps(cdr.disclosures),
    }


def _inserted(connection: Connection, statement: Any, row: Mapping[str, Any]) -> int:
    return int(connection.execute(statement, row).inserted_primary_key[0])  # type: ignore[index]


_DOERS: Mapping[type, Callable[[Connection, Any, int], Any]] = {
    AddOrg: _add_org,
    AddDomain: _add_domain,
    AddKey: _add_key,
    RevokeKey: _revoke_key,
    AddCdr: _add_cdr,
    InvalidateCdr: _invalidate_cdr,
}
