"""Rows by the names callers know them by, and new rows by their number."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import insert, or_, select
from sqlalchemy.sql.schema import Table

from evidence.errors import NotFound
from evidence.ledger.tables import domains, orgs
from evidence.ledger.transaction import Transaction


def the_org(tx: Transaction, org_id: str) -> Any:
    """The row of an org by its id; raises `NotFound`."""
    row = tx.connection.execute(select(orgs).where(orgs.c.org_id == org_id)).one_or_none()
    if row is None:
        raise NotFound("orgId: not found")
    return row


def the_domain(tx: Transaction, org: int, name_or_id: str) -> Any:
    """The row of an org's domain, by its id or its name; raises `NotFound`."""
    named = or_(domains.c.domain_id == name_or_id, domains.c.name == name_or_id.lower())
    # An id wins over another domain that has it as its name.
    wanted = select(domains).where(domains.c.org == org, named)
    rows = sorted(tx.connection.execute(wanted), key=lambda row: row.domain_id != name_or_id)
    if not rows:
        raise NotFound("domain: not found")
    return rows[0]


def inserted(tx: Transaction, table: Table, row: Mapping[str, Any]) -> int:
    """Inserts a row and returns its number."""
    result = tx.connection.execute(insert(table).returning(table.c.number), row)
    return int(result.scalar_one())
