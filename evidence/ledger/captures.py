"""Captures from browsers in the ledger: whose they are, and once for each capture id."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from sqlalchemy import bindparam, insert, select, update

from evidence.access import Basis, Standing
from evidence.capture import AddCapture, AddClient, DisableClient, FindPlace, Found, Place
from evidence.commands import Added
from evidence.custody import Event
from evidence.errors import Conflict, Forbidden, NotFound
from evidence.jobs import RENDER
from evidence.ledger import custody
from evidence.ledger.cdrs import add_cdr
from evidence.ledger.find import the_domain, the_org
from evidence.ledger.tables import (
    cdrs,
    client_ids,
    domains,
    jobs,
    orgs,
    package_cdrs,
    packages,
    shares,
    standings,
)
from evidence.ledger.transaction import Transaction
from evidence.sharing import share_ref
from leadgate.sql import Prepared

_CLIENT = Prepared(
    select(
        orgs.c.number,
        orgs.c.org_id,
        orgs.c.auto_collect,
        orgs.c.retention_days,
        orgs.c.capture_disabled,
        client_ids.c.domain,
    )
    .join_from(client_ids, orgs, orgs.c.number == client_ids.c.org)
    .where(client_ids.c.client_id == bindparam("client_id"), client_ids.c.disable_ms.is_(None))
)
_DOMAIN = Prepared(
    select(domains.c.number, domains.c.domain_id, domains.c.name).where(
        domains.c.org == bindparam("org"), domains.c.name == bindparam("name")
    )
)
_KNOWN = Prepared(
    select(
        cdrs.c.number,
        cdrs.c.upload_sha256,
        cdrs.c.cdr_id,
        domains.c.domain_id,
        cdrs.c.create_ms,
        packages.c.package_id,
        standings.c.basis,
    )
    .join_from(cdrs, domains, domains.c.number == cdrs.c.domain)
    .join(packages, packages.c.number == cdrs.c.package)
    .join(standings, (standings.c.org == cdrs.c.org) & (standings.c.cdr == cdrs.c.number))
    .where(cdrs.c.org == bindparam("org"), cdrs.c.capture_id == bindparam("capture_id"))
)
_SUB_GROUPS = Prepared(
    select(packages.c.sub_group, packages.c.package_id)
    .join_from(package_cdrs, packages, packages.c.number == package_cdrs.c.package)
    .where(package_cdrs.c.cdr == bindparam("cdr"), packages.c.sub_group != bindparam("session"))
)
_FIRST_SHARE = Prepared(
    select(shares.c.expire_ms)
    .where(shares.c.cdr == bindparam("cdr"), shares.c.org == bindparam("org"))
    .order_by(shares.c.number)
    .limit(1)
)
_SHARE = Prepared(
    select(shares.c.expire_ms).where(shares.c.token_digest == bindparam("token_digest"))
)
_ADD_SHARE = Prepared(
    insert(shares).values({c: bindparam(c.name) for c in shares.c if c is not shares.c.number})
)
_ADD_JOB = Prepared(
    insert(jobs).values(
        kind=bindparam("kind"),
        cdr=bindparam("cdr"),
        dedupe=bindparam("dedupe"),
        state=bindparam("state"),
        due_ms=bindparam("due_ms"),
        create_ms=bindparam("create_ms"),
    )
)


def _find_place(tx: Transaction, find: FindPlace) -> Found:
    client = _CLIENT.one(tx.cursor, client_id=find.client_id)
    if client is None:
        raise Forbidden("no client id of this page")
    org, org_id, auto_collect, retention_days, disabled, only = client
    for name in _covering(find.host):
        domain = _DOMAIN.one(tx.cursor, org=org, name=name)
        if domain is not None and only in {None, domain[0]}:
            known = _KNOWN.one(tx.cursor, org=org, capture_id=find.capture_id) is not None
            place = Place(org, org_id, bool(auto_collect), retention_days, *domain)
            return Found(place, bool(disabled), known)
    raise Forbidden("no client id of this page")


def _covering(host: str) -> Iterator[str]:
    """The names of domains that cover a host: its own, and those above it."""
    name = host
    while name:
        yield name
        name = name.partition(".")[2]


def _add_client(tx: Transaction, add: AddClient) -> None:
    org: int = the_org(tx, add.org_id).number
    domain = the_domain(tx, org, add.domain).number if add.domain else None
    this = client_ids.c.client_id == add.client_id
    if tx.connection.scalar(select(client_ids.c.org).where(this)) is not None:
        raise Conflict("clientId: taken")
    row = {"client_id": add.client_id, "org": org, "domain": domain, "create_ms": tx.now_ms}
    tx.connection.execute(insert(client_ids), row)


def _disable_client(tx: Transaction, disable: DisableClient) -> None:
    this = client_ids.c.client_id == disable.client_id
    if tx.connection.scalar(select(client_ids.c.org).where(this)) is None:
        raise NotFound
    first = update(client_ids).where(this, client_ids.c.disable_ms.is_(None))
    tx.connection.execute(first.values(disable_ms=tx.now_ms))


def _add_capture(tx: Transaction, add: AddCapture) -> Added:
    known = _KNOWN.one(tx.cursor, org=add.place.org, capture_id=add.capture_id)
    if known is not None:
        return _again(tx, add, known)
    number, added = add_cdr(
        tx,
        add.place,
        add.cdr,
        artifact=add.artifact,
        token_digest=add.token_digest,
        expires_in_ms=add.expires_in_ms,
    )
    _ADD_JOB.run(
        tx.cursor,
        kind=RENDER,
        cdr=number,
        dedupe=add.cdr.cdr_id,
        state="waiting",
        due_ms=tx.now_ms,
        create_ms=tx.now_ms,
    )
    tx.news.add(RENDER)
    return added


def _again(tx: Transaction, add: AddCapture, known: Any) -> Added:
    number, sha256, cdr_id, domain_id, create_ms, package_id, basis = known
    if sha256 != add.upload_sha256:
        raise Conflict("captureId: taken by another capture")
    sub_groups = dict(_SUB_GROUPS.all(tx.cursor, cdr=number, session=""))
    return Added(
        cdr_id,
        domain_id,
        create_ms,
        Standing(Basis(basis)).state,
        _share_again(tx, add, number),
        package_id,
        sub_groups,
        repeated=True,
    )


def _share_again(tx: Transaction, add: AddCapture, cdr: int) -> int | None:
    """The end of the share that was made with the capture; None for one without.

    Where the secret that tokens are derived from was lost, the first answer's token
    cannot be told again: another one is stored that ends with the first.
    """
    first = _FIRST_SHARE.one(tx.cursor, cdr=cdr, org=add.place.org)
    if first is None or add.token_digest is None:
        return None
    stored = _SHARE.one(tx.cursor, token_digest=add.token_digest)
    if stored is not None:
        return int(stored[0])
    expire_ms = int(first[0])
    _ADD_SHARE.run(
        tx.cursor,
        token_digest=add.token_digest,
        cdr=cdr,
        org=add.place.org,
        create_ms=tx.now_ms,
        expire_ms=expire_ms,
    )
    shared = {"share": share_ref(add.token_digest), "expiresAt": expire_ms}
    custody.append(tx, cdr, Event.SHARED, add.place.org, shared)
    return expire_ms


WRITERS: Mapping[type, Callable[[Transaction, Any], Any]] = {
    AddCapture: _add_capture,
    AddClient: _add_client,
    DisableClient: _disable_client,
}
"""What this module does, by command: it raises `EvidenceError`, before it has written."""

READERS: Mapping[type, Callable[[Transaction, Any], Any]] = {FindPlace: _find_place}
"""What this module answers, by query."""
