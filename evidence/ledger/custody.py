"""The custody log and the manifests in the ledger: appended to, never changed.

Whoever does a deed appends it in the transaction of the deed: both are on disk, or
neither. One transaction writes at a time to a CDR's log: on SQLite there is one
writer, on PostgreSQL the primary key refuses the second and its batch runs again.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import and_, bindparam, insert, select, update

from evidence.anchor import Anchor, Head
from evidence.custody import AddSigningKey, Custody, Event, GetCustody, ListSigningKeys, PublicKey
from evidence.errors import CdrInvalid, NotFound
from evidence.ledger.tables import (
    artifacts,
    cdrs,
    custody,
    manifests,
    orgs,
    signing_keys,
    standings,
)
from evidence.ledger.transaction import Transaction
from evidence.manifest import AddArtifact, Artifact, manifest
from leadgate.chain import START, Entry, hash_detail, seal
from leadgate.sql import Prepared

_END = Prepared(
    select(cdrs.c.cdr_id, orgs.c.org_id, custody.c.sequence, custody.c.hash)
    .join_from(cdrs, custody, custody.c.cdr == cdrs.c.number, isouter=True)
    .join(orgs, orgs.c.number == bindparam("org"), isouter=True)
    .where(cdrs.c.number == bindparam("cdr"))
    .order_by(custody.c.sequence.desc())
    .limit(1)
)
_APPEND = Prepared(insert(custody))
_MANIFEST = Prepared(
    select(manifests.c.revision, manifests.c.sha256, manifests.c.body)
    .where(manifests.c.cdr == bindparam("cdr"))
    .order_by(manifests.c.revision.desc())
    .limit(1)
)
_HEAD = Prepared(
    select(custody.c.sequence, custody.c.hash, custody.c.key_id, custody.c.signature)
    .where(custody.c.cdr == bindparam("cdr"))
    .order_by(custody.c.sequence.desc())
    .limit(1)
)
_ADD_MANIFEST = Prepared(insert(manifests))
_ADD_ARTIFACT = Prepared(insert(artifacts))
_DROP_ARTIFACT = Prepared(
    artifacts.delete().where(
        artifacts.c.cdr == bindparam("cdr"), artifacts.c.name == bindparam("name")
    )
)
_ARTIFACTS = Prepared(
    select(
        artifacts.c.name,
        artifacts.c.sha256,
        artifacts.c.size_bytes,
        artifacts.c.media_type,
        artifacts.c.blob_key,
        artifacts.c.encoding,
    ).where(artifacts.c.cdr == bindparam("cdr"))
)


def append(
    tx: Transaction, cdr: int, event: Event, org: int | None, detail: Mapping[str, Any]
) -> Head:
    """Appends to a CDR's log, signs the new head and returns it.

    `org` is whose deed it was, None for the service's own; its id goes into the detail.
    """
    cdr_id, org_id, last, previous = _END.one(tx.cursor, cdr=cdr, org=org)
    sequence = (last or 0) + 1
    whole = {**detail, "orgId": org_id} if org_id is not None else dict(detail)
    salt = secrets.token_bytes(16)
    hashed = hash_detail(salt, whole)
    head = seal(cdr_id, previous or START, sequence, event, tx.now_ms, hashed)
    signature = tx.signer.sign_head(head)
    _APPEND.run(
        tx.cursor,
        cdr=cdr,
        sequence=sequence,
        event=str(event),
        at_ms=tx.now_ms,
        detail=json.dumps(whole),
        salt=salt,
        detail_hash=hashed,
        hash=head,
        key_id=tx.signer.key_id,
        signature=signature,
        org=org,
    )
    return Head(sequence, head, tx.signer.key_id, signature)


def anchor(tx: Transaction, cdr: int) -> Anchor:
    """The newest manifest and head of a CDR."""
    _, manifest_hash, _ = _MANIFEST.one(tx.cursor, cdr=cdr)
    return Anchor(manifest_hash, Head(*_HEAD.one(tx.cursor, cdr=cdr)))


def begin(
    tx: Transaction, cdr: int, cdr_id: str, facts_sha256: bytes, artifact: Artifact | None
) -> Head:
    """Opens a new CDR's log with `captured`, over the first revision of its manifest."""
    listed = [artifact] if artifact else []
    for one in listed:
        _store(tx, cdr, one)
    hashed = _add_manifest(tx, cdr, 1, manifest(cdr_id, 1, facts_sha256.hex(), listed))
    return append(tx, cdr, Event.CAPTURED, None, {"manifestHash": hashed.hex()})


def attach(tx: Transaction, cdr: int, cdr_id: str, artifact: Artifact) -> Head:
    """Adds an artifact under a new revision of the manifest, and appends `rendered`."""
    _DROP_ARTIFACT.run(tx.cursor, cdr=cdr, name=artifact.name)
    _store(tx, cdr, artifact)
    revision, _, before = _MANIFEST.one(tx.cursor, cdr=cdr)
    facts_sha256 = json.loads(before)["factsSha256"]
    listed = [Artifact(*row) for row in _ARTIFACTS.all(tx.cursor, cdr=cdr)]
    body = manifest(cdr_id, revision + 1, facts_sha256, listed)
    hashed = _add_manifest(tx, cdr, revision + 1, body)
    detail = {
        "artifact": artifact.name,
        "sha256": artifact.sha256.hex(),
        "manifestHash": hashed.hex(),
    }
    return append(tx, cdr, Event.RENDERED, None, detail)


def _store(tx: Transaction, cdr: int, artifact: Artifact) -> None:
    _ADD_ARTIFACT.run(
        tx.cursor,
        cdr=cdr,
        name=artifact.name,
        sha256=artifact.sha256,
        size_bytes=artifact.size_bytes,
        media_type=artifact.media_type,
        blob_key=artifact.blob_key,
        encoding=artifact.encoding,
        create_ms=tx.now_ms,
    )


def _add_manifest(tx: Transaction, cdr: int, revision: int, body: bytes) -> bytes:
    hashed = hashlib.sha256(body).digest()
    _ADD_MANIFEST.run(
        tx.cursor,
        cdr=cdr,
        revision=revision,
        body=body.decode("ascii"),
        sha256=hashed,
        key_id=tx.signer.key_id,
        signature=tx.signer.sign_manifest(hashed),
        create_ms=tx.now_ms,
    )
    return hashed


def _add_artifact(tx: Transaction, add: AddArtifact) -> Head:
    number = tx.connection.scalar(select(cdrs.c.number).where(cdrs.c.cdr_id == add.cdr_id))
    if number is None:
        raise NotFound
    return attach(tx, number, add.cdr_id, add.artifact)


def _get_custody(tx: Transaction, query: GetCustody) -> Custody:
    mine = and_(standings.c.org == query.org, standings.c.cdr == cdrs.c.number)
    wanted = select(cdrs.c.number, cdrs.c.invalidate_ms).join_from(cdrs, standings, mine)
    row = tx.connection.execute(wanted.where(cdrs.c.cdr_id == query.cdr_id)).one_or_none()
    if row is None:
        raise NotFound
    if row.invalidate_ms is not None:
        raise CdrInvalid
    log = select(custody).where(custody.c.cdr == row.number).order_by(custody.c.sequence)
    found = [_entry(entry, query.org) for entry in tx.connection.execute(log)]
    return Custody(query.cdr_id, found, anchor(tx, row.number))


def _entry(row: Any, org: int) -> Entry:
    """An entry as one org is shown it: without the detail of another org's deed."""
    shown = row.detail is not None and row.org in {None, org}
    detail = json.loads(row.detail) if shown else None
    salt = row.salt if shown else None
    return Entry(row.sequence, row.event, row.at_ms, row.detail_hash, row.hash, detail, salt)


def _add_signing_key(tx: Transaction, add: AddSigningKey) -> None:
    this = signing_keys.c.key_id == add.key_id
    if tx.connection.scalar(select(signing_keys.c.key_id).where(this)):
        return
    in_use = signing_keys.c.retire_ms.is_(None)
    tx.connection.execute(update(signing_keys).where(in_use).values(retire_ms=tx.now_ms))
    row = {"key_id": add.key_id, "public_key": add.public_key, "create_ms": tx.now_ms}
    tx.connection.execute(insert(signing_keys), row)


def _list_signing_keys(tx: Transaction, _: ListSigningKeys) -> list[PublicKey]:
    wanted = select(signing_keys).order_by(signing_keys.c.create_ms, signing_keys.c.key_id)
    return [PublicKey(*row) for row in tx.connection.execute(wanted)]


WRITERS: Mapping[type, Callable[[Transaction, Any], Any]] = {
    AddArtifact: _add_artifact,
    AddSigningKey: _add_signing_key,
}
"""What this module does, by command."""

READERS: Mapping[type, Callable[[Transaction, Any], Any]] = {
    GetCustody: _get_custody,
    ListSigningKeys: _list_signing_keys,
}
"""What this module answers, by query."""
