"""What the operator sets up: orgs, domains and keys.

Rare beside claims, so each command runs its own statements.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import insert, or_, select, update

from evidence.commands import AddDomain, AddKey, AddOrg, RevokeKey
from evidence.errors import Conflict, NotFound
from evidence.ledger.find import inserted, the_org
from evidence.ledger.tables import api_keys, domains, orgs
from evidence.ledger.transaction import Transaction


def _add_org(tx: Transaction, add: AddOrg) -> int:
    if tx.connection.scalar(select(orgs.c.number).where(orgs.c.org_id == add.org_id)):
        raise Conflict("orgId: taken")
    row = {
        "org_id": add.org_id,
        "name": add.name,
        "auto_collect": add.auto_collect,
        "create_ms": tx.now_ms,
    }
    return inserted(tx, orgs, row)


def _add_domain(tx: Transaction, add: AddDomain) -> None:
    org: int = the_org(tx, add.org_id).number
    same_name = (domains.c.org == org) & (domains.c.name == add.name)
    taken = or_(domains.c.domain_id == add.domain_id, same_name)
    if tx.connection.scalar(select(domains.c.number).where(taken)):
        raise Conflict("domainId or name: taken")
    row = {"domain_id": add.domain_id, "org": org, "name": add.name, "create_ms": tx.now_ms}
    tx.connection.execute(insert(domains), row)


def _add_key(tx: Transaction, add: AddKey) -> int:
    org: int = the_org(tx, add.org_id).number
    this = api_keys.c.key_id == add.key_id
    known = tx.connection.execute(select(api_keys).where(this)).one_or_none()
    if known is None:
        row = {
            "key_id": add.key_id,
            "secret_digest": add.secret_digest,
            "org": org,
            "create_ms": tx.now_ms,
        }
        tx.connection.execute(insert(api_keys), row)
        return org
    same = hmac.compare_digest(known.secret_digest, add.secret_digest)
    if not same or known.org != org or known.revoke_ms is not None:
        raise Conflict("key: its id is taken by another key, or was revoked")
    return org


def _revoke_key(tx: Transaction, revoke: RevokeKey) -> None:
    this = api_keys.c.key_id == revoke.key_id
    if tx.connection.scalar(select(api_keys.c.org).where(this)) is None:
        raise NotFound
    good = or_(api_keys.c.revoke_ms.is_(None), api_keys.c.revoke_ms > tx.now_ms)
    tx.connection.execute(update(api_keys).where(this, good).values(revoke_ms=tx.now_ms))


WRITERS: Mapping[type, Callable[[Transaction, Any], Any]] = {
    AddOrg: _add_org,
    AddDomain: _add_domain,
    AddKey: _add_key,
    RevokeKey: _revoke_key,
}
"""What this module does, by command: it raises `EvidenceError`, before it has written."""
