"""Sign-ins in the ledger; see `evidence.sign_ins`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import delete, insert, select

from evidence.callers import Org
from evidence.ledger.tables import api_keys, orgs, sign_ins
from evidence.ledger.transaction import Transaction
from evidence.sign_ins import LASTS_MS, AddSignIn, EndSignIn, GetSignIn


def _add(tx: Transaction, add: AddSignIn) -> None:
    tx.connection.execute(delete(sign_ins).where(sign_ins.c.expire_ms <= tx.now_ms))
    row = {
        "token_digest": add.token_digest,
        "org": add.org,
        "key_id": add.key_id,
        "create_ms": tx.now_ms,
        "expire_ms": tx.now_ms + LASTS_MS,
    }
    tx.connection.execute(insert(sign_ins), row)


def _end(tx: Transaction, end: EndSignIn) -> None:
    tx.connection.execute(delete(sign_ins).where(sign_ins.c.token_digest == end.token_digest))


def _get(tx: Transaction, query: GetSignIn) -> Org | None:
    wanted = (
        select(orgs.c.number, orgs.c.org_id)
        .join_from(sign_ins, orgs, orgs.c.number == sign_ins.c.org)
        .join(api_keys, api_keys.c.key_id == sign_ins.c.key_id)
        .where(
            sign_ins.c.token_digest == query.token_digest,
            sign_ins.c.expire_ms > tx.now_ms,
            api_keys.c.revoke_ms.is_(None),
        )
    )
    row = tx.connection.execute(wanted).one_or_none()
    return None if row is None else Org(*row)


WRITERS: Mapping[type, Callable[[Transaction, Any], Any]] = {AddSignIn: _add, EndSignIn: _end}
"""What this module does, by command."""

READERS: Mapping[type, Callable[[Transaction, Any], Any]] = {GetSignIn: _get}
"""What this module answers, by query."""
