"""New CDRs, and their end: rows, packages, search entries, the owner's standing and bill."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import bindparam, insert, select, update

from evidence import access
from evidence import metadata as search
from evidence.capture import Place
from evidence.commands import AddCdr, Added, Cdr, InvalidateCdr
from evidence.custody import Event
from evidence.errors import Conflict, NotFound
from evidence.ids import mint_id
from evidence.ledger import custody, webhooks
from evidence.ledger.find import the_domain, the_org
from evidence.ledger.tables import (
    cdrs,
    charges,
    metadata_index,
    package_cdrs,
    packages,
    shares,
    standings,
)
from evidence.ledger.transaction import Transaction
from evidence.manifest import Artifact, facts_hash
from evidence.sharing import share_ref
from leadgate.sql import Prepared

DEFAULT_RETENTION_DAYS = 5 * 365 + 2
"""Five years, whichever they are."""
_DAY_MS = 86_400_000

_MADE_LATER = ("complete_ms", "hold_ms", "hold_reason", "image_error", "invalidate_ms", "purge_ms")


def _new_row(table: Any, *without: str) -> Prepared:
    values: dict[Any, Any] = {
        c: bindparam(c.name) for c in table.c if c.name not in {"number", *without}
    }
    return Prepared(insert(table).values(values).returning(table.c.number))


_TAKEN = Prepared(select(cdrs.c.number).where(cdrs.c.cdr_id == bindparam("cdr_id")))
_ADD_CDR = _new_row(cdrs, *_MADE_LATER)
_ADD_SHARE = _new_row(shares)
_ADD_PACKAGE = _new_row(packages)
_PACKAGE = Prepared(
    select(packages.c.number, packages.c.package_id).where(
        packages.c.org == bindparam("org"),
        packages.c.session_id == bindparam("session_id"),
        packages.c.sub_group == bindparam("sub_group"),
    )
)
_PACKAGE_BY_ID = Prepared(
    select(packages.c.number, packages.c.org).where(
        packages.c.package_id == bindparam("package_id")
    )
)
_JOIN_PACKAGE = Prepared(insert(package_cdrs))
_ADD_ENTRY = Prepared(insert(metadata_index))
_ADD_STANDING = Prepared(insert(standings))
_ADD_CHARGE = Prepared(insert(charges))


def add_cdr(
    tx: Transaction,
    place: Place,
    cdr: Cdr,
    *,
    artifact: Artifact | None = None,
    token_digest: bytes | None,
    expires_in_ms: int,
) -> tuple[int, Added]:
    """Adds a CDR with all that belongs to it; answers its number too.

    Raises `Conflict`, before it has written, where the id is taken or the package is
    another org's.
    """
    if _TAKEN.one(tx.cursor, cdr_id=cdr.cdr_id):
        raise Conflict("cdrId: taken")
    session_id = cdr.session_id or cdr.package_id
    package, package_id = _session_package(tx, place, session_id, cdr)
    verdict = access.captured(auto_collect=place.auto_collect)
    row = _cdr_row(tx, place, cdr, package)
    number = int(_ADD_CDR.all(tx.cursor, **row)[0][0])
    _JOIN_PACKAGE.run(tx.cursor, package=package, cdr=number)
    sub_groups = {
        name: _join_sub_group(tx, place, session_id, name, number) for name in cdr.sub_group_ids
    }
    entries = sorted(search.entries(cdr.custom))
    _ADD_ENTRY.many(tx.cursor, [(place.domain, entry, number) for entry in entries])
    _give_to_owner(tx, place, number, verdict)
    names = {"org_id": place.org_id, "domain_name": place.domain_name, "package_id": package_id}
    custody.begin(tx, number, cdr.cdr_id, facts_hash(row | names), artifact)
    expire_ms = None
    if token_digest is not None:
        expire_ms = tx.now_ms + expires_in_ms
        _ADD_SHARE.all(
            tx.cursor,
            token_digest=token_digest,
            cdr=number,
            org=place.org,
            create_ms=tx.now_ms,
            expire_ms=expire_ms,
        )
        shared = {"share": share_ref(token_digest), "expiresAt": expire_ms}
        custody.append(tx, number, Event.SHARED, place.org, shared)
    state = verdict.standing.state
    return number, Added(
        cdr.cdr_id, place.domain_id, tx.now_ms, state, expire_ms, package_id, sub_groups
    )


def _session_package(tx: Transaction, place: Place, session_id: str, cdr: Cdr) -> tuple[int, str]:
    known = _PACKAGE.one(tx.cursor, org=place.org, session_id=session_id, sub_group="")
    if known:
        return int(known[0]), str(known[1])
    taken = _PACKAGE_BY_ID.one(tx.cursor, package_id=cdr.package_id)
    if taken and taken[1] != place.org:
        raise Conflict("packageId: taken")
    if taken:
        return taken[0], cdr.package_id
    return _new_package(tx, place.org, session_id, "", cdr.package_id), cdr.package_id


def _join_sub_group(tx: Transaction, place: Place, session_id: str, name: str, cdr: int) -> str:
    known = _PACKAGE.one(tx.cursor, org=place.org, session_id=session_id, sub_group=name)
    if known:
        number, package_id = known
    else:
        package_id = mint_id("pkg")
        number = _new_package(tx, place.org, session_id, name, package_id)
    _JOIN_PACKAGE.run(tx.cursor, package=number, cdr=cdr)
    return str(package_id)


def _new_package(
    tx: Transaction, org: int, session_id: str, sub_group: str, package_id: str
) -> int:
    row = _ADD_PACKAGE.all(
        tx.cursor,
        package_id=package_id,
        org=org,
        session_id=session_id,
        sub_group=sub_group,
        create_ms=tx.now_ms,
    )
    return int(row[0][0])


def _give_to_owner(tx: Transaction, place: Place, cdr: int, verdict: access.Verdict) -> None:
    _ADD_STANDING.run(
        tx.cursor,
        org=place.org,
        cdr=cdr,
        domain=place.domain,
        owner=True,
        basis=int(verdict.standing.basis),
        event_id=None,
        update_ms=tx.now_ms,
    )
    if verdict.billed:
        _ADD_CHARGE.run(tx.cursor, org=place.org, cdr=cdr, reason="capture", charge_ms=tx.now_ms)


def _cdr_row(tx: Transaction, place: Place, cdr: Cdr, package: int) -> dict[str, Any]:
    upload = cdr.upload
    days = place.retention_days or DEFAULT_RETENTION_DAYS
    state = "none" if upload.capture_id is None else "pending"
    return {
        "cdr_id": cdr.cdr_id,
        "org": place.org,
        "domain": place.domain,
        "package": package,
        "capture_id": upload.capture_id,
        "upload_sha256": upload.sha256,
        "create_ms": tx.now_ms,
        "ip": upload.ip,
        "user_agent": upload.user_agent,
        "capture_ms": cdr.capture_ms,
        "late": upload.late,
        "url": upload.url,
        "title": upload.title,
        "browser": json.dumps(upload.browser),
        "sub_group_ids": json.dumps(cdr.sub_group_ids),
        "custom": json.dumps(cdr.custom),
        "disclosures": json.dumps(cdr.disclosures),
        "disclosure_claims": json.dumps(upload.disclosure_claims),
        "disclosure_flags": json.dumps(upload.disclosure_flags),
        "image_state": state,
        "report_state": state,
        "retain_until_ms": tx.now_ms + days * _DAY_MS,
    }


def _add_cdr(tx: Transaction, add: AddCdr) -> Added:
    org = the_org(tx, add.org_id)
    domain = the_domain(tx, org.number, add.domain)
    place = Place(
        org.number,
        org.org_id,
        org.auto_collect,
        org.retention_days,
        domain.number,
        domain.domain_id,
        domain.name,
    )
    number, added = add_cdr(
        tx, place, add.cdr, token_digest=add.token_digest, expires_in_ms=add.expires_in_ms
    )
    # There is nothing to draw: it is as complete as it gets.
    webhooks.completed(tx, number)
    return added


def _invalidate_cdr(tx: Transaction, invalidate: InvalidateCdr) -> int:
    this = cdrs.c.cdr_id == invalidate.cdr_id
    wanted = select(cdrs.c.number, cdrs.c.invalidate_ms).where(this)
    row = tx.connection.execute(wanted).one_or_none()
    if row is None:
        raise NotFound
    if row.invalidate_ms is not None:
        return int(row.invalidate_ms)
    tx.connection.execute(update(cdrs).where(this).values(invalidate_ms=tx.now_ms))
    custody.append(tx, row.number, Event.INVALIDATED, None, {})
    return tx.now_ms


WRITERS: Mapping[type, Callable[[Transaction, Any], Any]] = {
    AddCdr: _add_cdr,
    InvalidateCdr: _invalidate_cdr,
}
"""What this module does, by command: it raises `EvidenceError`, before it has written."""
