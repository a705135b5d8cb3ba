"""Reads that only the legacy API makes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import or_, select

from evidence.access import Basis
from evidence.ledger.tables import cdrs, orgs, standings, webhook_deliveries
from evidence.ledger.transaction import Transaction
from evidence.snapshots import Extras, ListExtras


def _list_extras(tx: Transaction, query: ListExtras) -> Mapping[str, Extras]:
    found = {cdr_id: Extras() for cdr_id in query.cdr_ids}
    for cdr_id, org_id in tx.connection.execute(_affiliates(query)):
        found[cdr_id].affiliates.append(org_id)
    sent = {row.cdr_id: row.finish_ms for row in tx.connection.execute(_sent(query))}
    return {cdr_id: Extras(extras.affiliates, sent.get(cdr_id)) for cdr_id, extras in found.items()}


def _affiliates(query: ListExtras) -> Any:
    mine = standings.alias("mine")
    return (
        select(cdrs.c.cdr_id, orgs.c.org_id)
        .join_from(cdrs, mine, mine.c.cdr == cdrs.c.number)
        .join(standings, standings.c.cdr == cdrs.c.number)
        .join(orgs, orgs.c.number == standings.c.org)
        .where(
            cdrs.c.cdr_id.in_(query.cdr_ids),
            mine.c.org == query.org,
            standings.c.owner.is_(False),
            standings.c.basis > int(Basis.UNPAID),
            or_(mine.c.owner, standings.c.org == query.org),
        )
        .order_by(standings.c.update_ms, standings.c.org)
    )


def _sent(query: ListExtras) -> Any:
    return (
        select(cdrs.c.cdr_id, webhook_deliveries.c.finish_ms)
        .join_from(cdrs, webhook_deliveries, webhook_deliveries.c.cdr == cdrs.c.number)
        .where(
            cdrs.c.cdr_id.in_(query.cdr_ids),
            webhook_deliveries.c.org == query.org,
            webhook_deliveries.c.state == "delivered",
        )
    )


READERS: Mapping[type, Callable[[Transaction, Any], Any]] = {ListExtras: _list_extras}
"""What this module answers, by query."""
