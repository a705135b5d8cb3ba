"""The market in the ledger: loaded once, changed inside the committing transaction."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from sqlalchemy import bindparam, delete, insert, literal, or_, select, update

from gateway.delivery import UNSETTLED
from gateway.ledger.tables import api_keys, buyers, deliveries, evidence_hosts, generators
from gateway.market import ApiKey, Buyer, Encoding, Generator, Market, Role, Transport
from leadgate.share_url import EvidenceHost
from leadgate.sql import Prepared

_GENERATORS = Prepared(select(generators))
_BUYERS = Prepared(select(buyers))
_HOSTS = Prepared(select(evidence_hosts))
_KEYS = Prepared(select(api_keys))
_ADD_GENERATOR = Prepared(
    insert(generators).values(generator_id=bindparam("id"), paused=bindparam("paused"))
)
_SET_GENERATOR = Prepared(
    update(generators)
    .where(generators.c.generator_key == bindparam("key"))
    .values(paused=bindparam("paused"))
)
_BUYER_VALUES: dict[str, Any] = {
    name: bindparam(name) for name in ("buyer_id", "transport", "encoding", "paused", "accepts")
}
_ADD_BUYER = Prepared(insert(buyers).values(_BUYER_VALUES))
_SET_BUYER = Prepared(
    update(buyers).where(buyers.c.buyer_key == bindparam("key")).values(_BUYER_VALUES)
)
_CLEAR_HOSTS = Prepared(delete(evidence_hosts))
_ADD_HOST = Prepared(insert(evidence_hosts))
_ADD_KEY = Prepared(insert(api_keys))
_SET_KEY = Prepared(
    update(api_keys)
    .where(api_keys.c.key_id == bindparam("id"))
    .values(
        digest=bindparam("digest"),
        create_time=bindparam("create_time"),
        revoke_time=bindparam("revoke_time"),
    )
)
_UNSETTLED = Prepared(
    select(literal(1))
    .where(
        deliveries.c.buyer_key == bindparam("buyer"),
        or_(*(deliveries.c.state == int(state) for state in sorted(UNSETTLED))),
    )
    .limit(1)
)


def load(cursor: Any) -> Market:
    """Reads the whole market."""
    hosts = (_host(*row) for row in _HOSTS.all(cursor))
    return Market(
        generators={
            row[1]: Generator(row[1], bool(row[2]), row[0]) for row in _GENERATORS.all(cursor)
        },
        buyers={row[1]: _buyer(*row) for row in _BUYERS.all(cursor)},
        evidence_hosts={host.authority: host for host in hosts},
        api_keys={row[0]: _key(*row) for row in _KEYS.all(cursor)},
    )


def save_generator(cursor: Any, generator: Generator) -> Generator:
    """Adds or changes a generator; returns it with its number."""
    if generator.key:
        _SET_GENERATOR.run(cursor, key=generator.key, paused=generator.paused)
        return generator
    key = _ADD_GENERATOR.insert(cursor, id=generator.generator_id, paused=generator.paused)
    return replace(generator, key=key)


def save_buyer(cursor: Any, buyer: Buyer) -> Buyer:
    """Adds or changes a buyer; returns it with its number."""
    values = {
        "buyer_id": buyer.buyer_id,
        "transport": str(buyer.transport),
        "encoding": str(buyer.encoding),
        "paused": buyer.paused,
        "accepts": json.dumps(buyer.accepts),
    }
    if buyer.key:
        _SET_BUYER.run(cursor, key=buyer.key, **values)
        return buyer
    return replace(buyer, key=_ADD_BUYER.insert(cursor, **values))


def save_hosts(cursor: Any, hosts: Iterable[EvidenceHost]) -> None:
    """Replaces the whole list of evidence hosts."""
    _CLEAR_HOSTS.run(cursor)
    for host in hosts:
        networks = " ".join(map(str, host.networks))
        _ADD_HOST.run(cursor, authority=host.authority, networks=networks, insecure=host.insecure)


def add_key(cursor: Any, key: ApiKey) -> None:
    """Stores a new API key."""
    _ADD_KEY.run(
        cursor,
        key_id=key.key_id,
        digest=key.digest,
        role=str(key.role),
        subject=key.subject,
        create_time=key.create_time,
        revoke_time=key.revoke_time,
    )


def save_key(cursor: Any, key: ApiKey) -> None:
    """Changes the secret and the times of a stored API key."""
    _SET_KEY.run(
        cursor,
        id=key.key_id,
        digest=key.digest,
        create_time=key.create_time,
        revoke_time=key.revoke_time,
    )


def has_unsettled(cursor: Any, buyer_key: int) -> bool:
    """Whether a delivery of the buyer is PENDING or PUBLISHED.

    Looks through the buyer's deliveries until it finds one: about 0.3 s for a million.
    """
    return _UNSETTLED.one(cursor, buyer=buyer_key) is not None


def _buyer(
    key: int, buyer_id: str, transport: str, encoding: str, paused: int, accepts: str
) -> Buyer:
    return Buyer(
        buyer_id,
        Transport(transport),
        Encoding(encoding),
        bool(paused),
        tuple(json.loads(accepts)),
        key,
    )


def _host(authority: str, networks: str, insecure: int) -> EvidenceHost:
    options = f";networks={networks};insecure={'true' if insecure else 'false'}"
    return EvidenceHost.parse(authority + options)


def _key(
    key_id: str, digest: bytes, role: str, subject: str, create_time: int, revoke_time: int | None
) -> ApiKey:
    return ApiKey(key_id, digest, Role(role), subject, create_time, revoke_time)
