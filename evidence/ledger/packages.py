"""Packages in the ledger: what an org sees of one, its shares, and their claims."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from sqlalchemy import bindparam, insert, select

from evidence import access
from evidence.access import Basis, Member, PackageRefusal, Standing
from evidence.commands import Claimed
from evidence.custody import Event
from evidence.errors import (
    CdrInvalid,
    Conflict,
    EvidenceError,
    FailedPrecondition,
    Forbidden,
    Gone,
    InvalidArgument,
    NotFound,
)
from evidence.ledger import custody
from evidence.ledger.find import inserted
from evidence.ledger.rights import Found, Taking, collect_for_sharer, listed, take
from evidence.ledger.tables import (
    cdrs,
    package_cdrs,
    package_share_cdrs,
    package_shares,
    packages,
    standings,
)
from evidence.ledger.transaction import Transaction
from evidence.ledger.views import standing_view, views
from evidence.packages import (
    MAX_CDRS,
    ClaimPackage,
    CollectValidation,
    GetPackage,
    Lost,
    PackageClaimed,
    PackageShared,
    PackageView,
    SharePackage,
)
from evidence.sharing import event_id, share_ref
from leadgate.sql import Prepared

_PACKAGE = Prepared(select(packages).where(packages.c.package_id == bindparam("package_id")))
_SEEN = Prepared(
    views()
    .join(package_cdrs, package_cdrs.c.cdr == standings.c.cdr)
    .where(
        package_cdrs.c.package == bindparam("package"),
        standings.c.org == bindparam("org"),
        cdrs.c.invalidate_ms.is_(None),
        cdrs.c.purge_ms.is_(None),
    )
    .order_by(package_cdrs.c.cdr)
    .limit(MAX_CDRS)
)
_MEMBERS = Prepared(
    select(
        cdrs.c.number,
        cdrs.c.cdr_id,
        cdrs.c.sub_group_ids,
        standings.c.basis,
        standings.c.owner,
    )
    .join_from(package_cdrs, standings, standings.c.cdr == package_cdrs.c.cdr)
    .join(cdrs, cdrs.c.number == package_cdrs.c.cdr)
    .where(
        package_cdrs.c.package == bindparam("package"),
        standings.c.org == bindparam("org"),
        cdrs.c.invalidate_ms.is_(None),
        cdrs.c.purge_ms.is_(None),
    )
    .order_by(package_cdrs.c.cdr)
    .limit(MAX_CDRS + 1)
)
_SHARED = Prepared(
    select(
        package_shares.c.number,
        package_shares.c.org,
        package_shares.c.expire_ms,
        packages.c.package_id,
    )
    .join_from(package_shares, packages, packages.c.number == package_shares.c.package)
    .where(package_shares.c.token_digest == bindparam("token_digest"))
)
_LIST = Prepared(insert(package_share_cdrs))

_REFUSALS: Mapping[PackageRefusal, tuple[type[EvidenceError], str]] = {
    PackageRefusal.UNSEEN: (NotFound, ""),
    PackageRefusal.ONLY_SAVED: (
        Forbidden,
        "a CDR of this package is only saved and cannot be shared; collect it first",
    ),
    PackageRefusal.SPANS: (
        FailedPrecondition,
        "several sub-groups: share the package of one, or name all in acrossSubGroupIds",
    ),
}


class _Judged(NamedTuple):
    """What a claim of a package leads to: nothing of it is written yet."""

    package_id: str
    sharer: int
    verdicts: list[tuple[Found, Taking, access.Verdict]]
    lost: list[Found]


def _get_package(tx: Transaction, query: GetPackage) -> PackageView:
    package = _package(tx, query.package_id)
    rows = _SEEN.all(tx.cursor, package=package.number, org=query.org)
    if not rows:
        raise NotFound
    seen = [standing_view(row) for row in rows]
    owned = package.org == query.org
    session = package.sub_group == ""
    return PackageView(
        package_id=package.package_id,
        session=session,
        create_ms=seen[0].create_ms,
        cdrs=seen,
        sub_group=package.sub_group if owned else "",
        sub_group_packages=_sub_groups(tx, package) if owned and session else {},
    )


class _Package(NamedTuple):
    """A row of `packages`."""

    number: int
    package_id: str
    org: int
    session_id: str
    sub_group: str
    create_ms: int


def _package(tx: Transaction, package_id: str) -> _Package:
    row = _PACKAGE.one(tx.cursor, package_id=package_id)
    if row is None:
        raise NotFound
    return _Package(*row)


def _sub_groups(tx: Transaction, package: _Package) -> dict[str, str]:
    wanted = select(packages.c.sub_group, packages.c.package_id).where(
        packages.c.org == package.org,
        packages.c.session_id == package.session_id,
        packages.c.sub_group != "",
    )
    rows = tx.connection.execute(wanted.order_by(packages.c.number))
    return {row.sub_group: row.package_id for row in rows}


def _share_package(tx: Transaction, share: SharePackage) -> PackageShared:
    package = _package(tx, share.package_id)
    rows = _MEMBERS.all(tx.cursor, package=package.number, org=share.org)
    members = [_member(*row[2:]) for row in rows]
    session = package.sub_group == ""
    refusal = access.package_refusal(members, session=session, named=share.across)
    if refusal is not None:
        kind, message = _REFUSALS[refusal]
        raise kind(message)
    if len(rows) > MAX_CDRS:
        raise FailedPrecondition(f"a package of more than {MAX_CDRS} CDRs cannot be shared")
    expire_ms = tx.now_ms + share.expires_in_ms
    row = {
        "token_digest": share.token_digest,
        "package": package.number,
        "org": share.org,
        "forced": session and len(access.spanned(members)) > 1,
        "create_ms": tx.now_ms,
        "expire_ms": expire_ms,
    }
    number = inserted(tx, package_shares, row)
    _LIST.many(tx.cursor, [(number, member[0]) for member in rows])
    detail = {"share": share_ref(share.token_digest), "expiresAt": expire_ms, "package": True}
    for member in rows:
        custody.append(tx, member[0], Event.SHARED, share.org, detail)
    return PackageShared(package.package_id, [member[1] for member in rows], expire_ms)


def _member(sub_group_ids: str, basis: int, owner: int) -> Member:
    standing = Standing(Basis(basis), bool(owner))
    # A sub-group's name is for the owner's eyes: nobody else can be asked for it.
    return Member(standing, frozenset(json.loads(sub_group_ids)) if owner else frozenset())


def _claim_package(tx: Transaction, claim: ClaimPackage) -> PackageClaimed:
    judged = _judge(tx, claim.org, claim.token_digest, collect=claim.collect)
    return _settle(tx, claim.org, claim.token_digest, judged)


def _collect_validation(tx: Transaction, claim: CollectValidation) -> PackageClaimed:
    judged = _judge(tx, claim.org, claim.token_digest, collect=True)
    if judged.sharer == claim.org:
        raise InvalidArgument("this lead validation was shared by your own organization")
    if all(verdict.repeated for _, _, verdict in judged.verdicts):
        raise Conflict("your organization has already collected this lead validation")
    for found, _, _ in judged.verdicts:
        collect_for_sharer(tx, judged.sharer, found.number)
    return _settle(tx, claim.org, claim.token_digest, judged)


def _judge(tx: Transaction, org: int, token_digest: bytes, *, collect: bool) -> _Judged:
    row = _SHARED.one(tx.cursor, token_digest=token_digest)
    if row is None:
        raise NotFound
    share, sharer, expire_ms, package_id = row
    judged = _Judged(package_id, sharer, [], [])
    for sharers_basis, found in listed(tx, share, sharer, org):
        if found.invalidate_ms is not None or found.purge_ms is not None:
            judged.lost.append(found)
            continue
        event = event_id(token_digest, org, found.number)
        taking = Taking(org, token_digest, collect, sharer, event)
        judged.verdicts.append((found, taking, taking.judged(found, sharers_basis)))
    if not judged.verdicts:
        raise NotFound if all(lost.purge_ms is not None for lost in judged.lost) else CdrInvalid
    if expire_ms <= tx.now_ms:
        raise Gone
    return judged


def _settle(tx: Transaction, org: int, token_digest: bytes, judged: _Judged) -> PackageClaimed:
    results: dict[int, Claimed | Lost] = {
        found.number: take(tx, taking, found, verdict) for found, taking, verdict in judged.verdicts
    }
    for lost in judged.lost:
        code = NotFound.code if lost.purge_ms is not None else CdrInvalid.code
        results[lost.number] = Lost(lost.cdr_id, code)
    in_order = [result for _, result in sorted(results.items())]
    return PackageClaimed(judged.package_id, event_id(token_digest, org), in_order)


WRITERS: Mapping[type, Callable[[Transaction, Any], Any]] = {
    SharePackage: _share_package,
    ClaimPackage: _claim_package,
    CollectValidation: _collect_validation,
}
"""What this module does, by command: it raises `EvidenceError`, before it has written."""

READERS: Mapping[type, Callable[[Transaction, Any], Any]] = {GetPackage: _get_package}
"""What this module answers, by query."""
