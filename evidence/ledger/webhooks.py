"""Webhooks in the ledger: endpoints, secrets, what is on its way, and each attempt."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Select, and_, delete, insert, or_, select, update

from evidence.errors import InvalidArgument
from evidence.ids import mint_id
from evidence.jobs import WEBHOOK
from evidence.ledger import jobs
from evidence.ledger.find import the_org
from evidence.ledger.tables import (
    cdrs,
    orgs,
    standings,
    webhook_attempts,
    webhook_deliveries,
    webhook_endpoints,
    webhook_secrets,
)
from evidence.ledger.transaction import Transaction
from evidence.ledger.views import ended, standing_view, views
from evidence.webhooks import (
    EVENT,
    AddAttempt,
    Attempt,
    Delivery,
    DropSecrets,
    Endpoint,
    FailDelivery,
    GetToSend,
    GetWebhook,
    ListDeliveries,
    RotateSecret,
    SetWebhook,
    ToSend,
)


def completed(tx: Transaction, cdr: int) -> None:
    """Notes that a CDR is complete, and queues the event of every org that has it.

    Call it in the transaction that completes the CDR. Again for the same CDR, it queues
    nothing that was queued before.
    """
    this = and_(cdrs.c.number == cdr, cdrs.c.complete_ms.is_(None))
    tx.connection.execute(update(cdrs).where(this).values(complete_ms=tx.now_ms))
    for org, url in tx.connection.execute(_listening(cdr)).all():
        webhook_id = mint_id("wh")
        row = {
            "webhook_id": webhook_id,
            "org": org,
            "cdr": cdr,
            "event": EVENT,
            "url": url,
            "state": "waiting",
            "create_ms": tx.now_ms,
        }
        tx.connection.execute(insert(webhook_deliveries), row)
        jobs.add(tx, WEBHOOK, webhook_id, cdr=cdr)


def _listening(cdr: int) -> Select[Any]:
    queued = and_(
        webhook_deliveries.c.org == standings.c.org,
        webhook_deliveries.c.cdr == cdr,
        webhook_deliveries.c.event == EVENT,
    )
    return (
        select(webhook_endpoints.c.org, webhook_endpoints.c.url)
        .join_from(standings, webhook_endpoints, webhook_endpoints.c.org == standings.c.org)
        .where(
            standings.c.cdr == cdr,
            webhook_endpoints.c.url != "",
            ~select(webhook_deliveries.c.number).where(queued).exists(),
        )
    )


def _set(tx: Transaction, wanted: SetWebhook) -> None:
    org: int = the_org(tx, wanted.org_id).number
    values = {"url": wanted.url, "update_ms": tx.now_ms}
    this = webhook_endpoints.c.org == org
    if not tx.connection.execute(update(webhook_endpoints).where(this).values(values)).rowcount:
        tx.connection.execute(insert(webhook_endpoints), {"org": org, **values})


def _rotate(tx: Transaction, rotate: RotateSecret) -> None:
    org: int = the_org(tx, rotate.org_id).number
    end_ms = tx.now_ms + rotate.keep_ms
    mine = webhook_secrets.c.org == org
    newest = update(webhook_secrets).where(mine, webhook_secrets.c.expire_ms.is_(None))
    tx.connection.execute(delete(webhook_secrets).where(mine, _is_over(tx.now_ms)))
    tx.connection.execute(newest.values(expire_ms=end_ms))
    row = {"org": org, "secret": rotate.secret, "create_ms": tx.now_ms}
    tx.connection.execute(insert(webhook_secrets), row)


def _is_over(now_ms: int) -> Any:
    return webhook_secrets.c.expire_ms <= now_ms


def _drop(tx: Transaction, drop: DropSecrets) -> None:
    org: int = the_org(tx, drop.org_id).number
    tx.connection.execute(delete(webhook_secrets).where(webhook_secrets.c.org == org))


def _add_attempt(tx: Transaction, add: AddAttempt) -> None:
    this = webhook_deliveries.c.webhook_id == add.job.dedupe
    row = tx.connection.execute(select(webhook_deliveries).where(this)).one()
    logged = {
        "delivery": row.number,
        "attempt": row.attempts + 1,
        "at_ms": add.attempt.at_ms,
        "duration_ms": add.attempt.duration_ms,
        "status": add.attempt.status,
        "error": add.attempt.error,
    }
    tx.connection.execute(insert(webhook_attempts), logged)
    values: dict[str, Any] = {"attempts": row.attempts + 1}
    if add.taken:
        values |= {"state": "delivered", "finish_ms": tx.now_ms}
        jobs.finish(tx, add.job)
    tx.connection.execute(update(webhook_deliveries).where(this).values(values))


def _fail(tx: Transaction, fail: FailDelivery) -> None:
    this = webhook_deliveries.c.webhook_id == fail.webhook_id
    waiting = and_(this, webhook_deliveries.c.state == "waiting")
    ended = {"state": "failed", "finish_ms": tx.now_ms}
    tx.connection.execute(update(webhook_deliveries).where(waiting).values(ended))


def _get(tx: Transaction, query: GetWebhook) -> Endpoint:
    org: int = the_org(tx, query.org_id).number
    wanted = select(webhook_endpoints.c.url).where(webhook_endpoints.c.org == org)
    found = tx.connection.execute(_secrets(tx, org))
    return Endpoint(
        tx.connection.scalar(wanted) or "", [(row.create_ms, row.expire_ms) for row in found]
    )


def _secrets(tx: Transaction, org: int) -> Select[Any]:
    good = or_(webhook_secrets.c.expire_ms.is_(None), webhook_secrets.c.expire_ms > tx.now_ms)
    mine = select(webhook_secrets).where(webhook_secrets.c.org == org, good)
    return mine.order_by(webhook_secrets.c.number.desc())


def _list(tx: Transaction, query: ListDeliveries) -> list[Delivery]:
    org: int = the_org(tx, query.org_id).number
    mine = webhook_deliveries.c.org == org
    wanted = select(webhook_deliveries, cdrs.c.cdr_id).join_from(webhook_deliveries, cdrs)
    wanted = wanted.where(mine).order_by(webhook_deliveries.c.number.desc()).limit(query.limit)
    if query.after is not None:
        this = select(webhook_deliveries.c.number).where(
            mine, webhook_deliveries.c.webhook_id == query.after
        )
        start = tx.connection.scalar(this)
        if start is None:
            raise InvalidArgument("pageToken: not of this list")
        wanted = wanted.where(webhook_deliveries.c.number < start)
    rows = tx.connection.execute(wanted).all()
    tried = _attempts(tx, [row.number for row in rows])
    return [
        Delivery(
            row.webhook_id,
            row.cdr_id,
            row.event,
            row.state,
            row.create_ms,
            row.finish_ms,
            tried.get(row.number, []),
        )
        for row in rows
    ]


def _attempts(tx: Transaction, deliveries: list[int]) -> dict[int, list[Attempt]]:
    wanted = select(webhook_attempts).where(webhook_attempts.c.delivery.in_(deliveries))
    found: dict[int, list[Attempt]] = {}
    for row in tx.connection.execute(wanted.order_by(webhook_attempts.c.attempt)):
        attempt = Attempt(row.at_ms, row.duration_ms, row.status, row.error)
        found.setdefault(row.delivery, []).append(attempt)
    return found


def _get_to_send(tx: Transaction, query: GetToSend) -> ToSend | None:
    wanted = (
        select(webhook_deliveries, orgs.c.org_id)
        .join_from(webhook_deliveries, orgs, orgs.c.number == webhook_deliveries.c.org)
        .where(
            webhook_deliveries.c.webhook_id == query.webhook_id,
            webhook_deliveries.c.state == "waiting",
        )
    )
    row = tx.connection.execute(wanted).one_or_none()
    if row is None:
        return None
    seen = views().where(standings.c.org == row.org, standings.c.cdr == row.cdr)
    view = tx.connection.execute(seen).one_or_none()
    if view is None or any(moment is not None for moment in ended(view)):
        return None
    secrets = [secret.secret for secret in tx.connection.execute(_secrets(tx, row.org))]
    return ToSend(row.url, row.org, row.org_id, standing_view(view), secrets)


WRITERS: Mapping[type, Callable[[Transaction, Any], Any]] = {
    SetWebhook: _set,
    RotateSecret: _rotate,
    DropSecrets: _drop,
    AddAttempt: _add_attempt,
    FailDelivery: _fail,
}
"""What this module does, by command: it raises `EvidenceError`, before it has written."""

READERS: Mapping[type, Callable[[Transaction, Any], Any]] = {
    GetWebhook: _get,
    ListDeliveries: _list,
    GetToSend: _get_to_send,
}
"""What this module answers, by query."""
