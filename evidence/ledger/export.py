"""CDRs as they are exported: facts, manifests, custody log, artifacts and claims."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import select

from evidence.errors import NotFound
from evidence.export import ExportCdrs, Exported
from evidence.ledger.tables import (
    artifacts,
    cdrs,
    custody,
    domains,
    manifests,
    orgs,
    packages,
    standings,
)
from evidence.ledger.transaction import Transaction
from evidence.manifest import Artifact, facts

Json = dict[str, Any]


def _export_cdrs(tx: Transaction, query: ExportCdrs) -> list[Exported]:
    wanted = (
        select(cdrs, orgs.c.org_id, domains.c.name.label("domain_name"), packages.c.package_id)
        .join_from(cdrs, orgs, orgs.c.number == cdrs.c.org)
        .join(domains, domains.c.number == cdrs.c.domain)
        .join(packages, packages.c.number == cdrs.c.package)
        .order_by(cdrs.c.number)
        .limit(query.limit)
    )
    if query.cdr_id is None:
        wanted = wanted.where(cdrs.c.number > query.after)
    else:
        wanted = wanted.where(cdrs.c.cdr_id == query.cdr_id)
    rows = tx.connection.execute(wanted).mappings().all()
    found = [_exported(tx, row) for row in rows]
    if query.cdr_id is not None and not found:
        raise NotFound
    return found


def _exported(tx: Transaction, row: Mapping[Any, Any]) -> Exported:
    number, purged = row["number"], row["purge_ms"] is not None
    listed = _artifacts(tx, number)
    record = {
        "record": "cdr",
        "cdrId": row["cdr_id"],
        "purged": purged,
        "invalidatedAt": row["invalidate_ms"],
        "facts": None if purged else facts(row),
        "manifests": _manifests(tx, number),
        "custody": _custody(tx, number),
        "artifacts": [artifact.shown() for artifact in listed],
        "claims": _claims(tx, number),
    }
    return Exported(number, record, listed)


def _manifests(tx: Transaction, cdr: int) -> list[Json]:
    wanted = select(manifests).where(manifests.c.cdr == cdr).order_by(manifests.c.revision)
    return [
        {
            "revision": row.revision,
            "body": row.body,
            "sha256": row.sha256.hex(),
            "keyId": row.key_id,
            "signature": row.signature.hex(),
        }
        for row in tx.connection.execute(wanted)
    ]


def _custody(tx: Transaction, cdr: int) -> list[Json]:
    wanted = select(custody).where(custody.c.cdr == cdr).order_by(custody.c.sequence)
    return [
        {
            "sequence": row.sequence,
            "event": row.event,
            "at": row.at_ms,
            "detail": json.loads(row.detail) if row.detail is not None else None,
            "salt": row.salt.hex() if row.salt is not None else None,
            "detailHash": row.detail_hash.hex(),
            "hash": row.hash.hex(),
            "keyId": row.key_id,
            "signature": row.signature.hex(),
        }
        for row in tx.connection.execute(wanted)
    ]


def _artifacts(tx: Transaction, cdr: int) -> list[Artifact]:
    wanted = select(artifacts).where(artifacts.c.cdr == cdr).order_by(artifacts.c.name)
    return [
        Artifact(row.name, row.sha256, row.size_bytes, row.media_type, row.blob_key, row.encoding)
        for row in tx.connection.execute(wanted)
    ]


def _claims(tx: Transaction, cdr: int) -> list[Json]:
    """Every org that claimed: each must be in the custody log."""
    wanted = (
        select(orgs.c.org_id, standings.c.event_id)
        .join_from(standings, orgs, orgs.c.number == standings.c.org)
        .where(standings.c.cdr == cdr, standings.c.event_id.is_not(None))
        .order_by(standings.c.event_id)
    )
    rows = tx.connection.execute(wanted)
    return [{"orgId": row.org_id, "shareEventId": row.event_id} for row in rows]


READERS: Mapping[type, Callable[[Transaction, Any], Any]] = {ExportCdrs: _export_cdrs}
"""What this module answers, by query."""
