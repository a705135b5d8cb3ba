"""The operator's changes to the market, each one operation inside the commit."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace

import structlog

from gateway import market_file
from gateway.bell import MARKET
from gateway.errors import InvalidRequestError, NotFoundError, PreconditionError, Violation
from gateway.ledger import market as market_rows
from gateway.ledger import outbox
from gateway.ledger.ledger import SqlLedger
from gateway.ledger.transaction import Transaction
from gateway.market import ApiKey, Backlog, Buyer, Generator, Market, Role
from gateway.market_plan import Change, Document, DocumentError, contradictions, plan
from leadgate import keys
from leadgate.settings import SettingsError

_log = structlog.get_logger("gateway.market")


class MarketAdmin:
    """Changes the market in the ledger; every change is on disk when its call returns.

    Changes made at the same time are judged one after the other, each against the market
    that the one before it left.
    """

    def __init__(self, ledger: SqlLedger) -> None:
        self._ledger = ledger

    @property
    def market(self) -> Market:
        """The market as last committed."""
        return self._ledger.market

    async def apply_document(
        self, yaml_text: str, environment: Mapping[str, str], *, dry_run: bool = False
    ) -> list[str]:
        """Brings the market in line with a document; returns a line for each change.

        All of it or nothing; with `dry_run` nothing, and the lines say what would change.
        Raises `DocumentError` with every mistake, and `PreconditionError`
        (UNSETTLED_DELIVERIES) where a transport cannot change yet.
        """
        document = await asyncio.to_thread(market_file.read, yaml_text, environment)
        return await self._ledger.commit(lambda tx: _apply(tx, document, dry_run))

    async def pause_generator(self, generator_id: str, *, paused: bool) -> Generator:
        """Pauses or resumes a generator. Raises `NotFoundError`."""
        return await self._ledger.commit(lambda tx: _pause_generator(tx, generator_id, paused))

    async def pause_buyer(self, buyer_id: str, *, paused: bool) -> Buyer:
        """Pauses or resumes a buyer. Raises `NotFoundError`."""
        return await self._ledger.commit(lambda tx: _pause_buyer(tx, buyer_id, paused))

    async def create_key(self, role: Role, subject: str) -> tuple[ApiKey, keys.Key]:
        """Makes a key; the secret in it is kept nowhere.

        Raises `InvalidRequestError` where there is no such generator or buyer.
        """
        return await self._ledger.commit(lambda tx: _create_key(tx, role, subject))

    async def revoke_key(self, key_id: str) -> ApiKey:
        """Ends a key for good; the first time counts. Raises `NotFoundError`."""
        return await self._ledger.commit(lambda tx: _revoke_key(tx, key_id))

    async def backlogs(self, buyers: Sequence[Buyer]) -> list[Backlog]:
        """What each of the buyers has before it, in their order."""
        now = self._ledger.now()
        return await self._ledger.read(
            lambda cursor: [
                Backlog(
                    outbox.count_waiting(cursor, buyer.key, now),
                    outbox.oldest_unsettled(cursor, buyer.key),
                )
                for buyer in buyers
            ]
        )

    async def ensure_operator_key(self, text: str) -> None:
        """Makes the key in `LEADGATE_OPERATOR_KEY` an operator's key.

        The setting wins: another secret for the same id replaces the stored one, which
        stops working. A key that was revoked stays revoked until its secret changes; a
        warning says so. Raises `SettingsError` for a text that is no key, or has the id
        of a generator's or buyer's key.
        """
        key = keys.parse(text)
        if key is None:
            raise SettingsError(["LEADGATE_OPERATOR_KEY: must be <key_id>.<secret>"])
        await self._ledger.commit(lambda tx: _set_operator_key(tx, key))
        stored = self.market.api_keys[key.key_id]
        if stored.role is not Role.OPERATOR:
            raise SettingsError(
                [f"LEADGATE_OPERATOR_KEY: key {key.key_id} is a {stored.role}'s; use another id"]
            )
        if stored.revoke_time is not None:
            _log.warning("the operator key of the settings was revoked", key_id=key.key_id)


def _apply(tx: Transaction, document: Document, dry_run: bool) -> list[str]:
    mistakes = [*document.mistakes, *contradictions(tx.market, document)]
    if mistakes:
        raise DocumentError(mistakes)
    changes = plan(tx.market, document, tx.now)
    _refuse_moves(tx, changes)
    if changes and not dry_run:
        _save(tx, document, changes)
    return [change.text for change in changes]


def _refuse_moves(tx: Transaction, changes: list[Change]) -> None:
    """Refuses to move a buyer to another transport while what it was sent is open."""
    held = [
        buyer.buyer_id
        for buyer in (change.item for change in changes)
        if isinstance(buyer, Buyer)
        and buyer.key
        and buyer.transport is not tx.market.buyers[buyer.buyer_id].transport
        and market_rows.has_unsettled(tx.cursor, buyer.key)
    ]
    if held:
        raise PreconditionError(
            "UNSETTLED_DELIVERIES",
            f"the transport of {', '.join(held)} cannot change while deliveries are unsettled;"
            " pause the buyer and let it report what it has",
            {"buyer_ids": ",".join(held)},
        )


def _save(tx: Transaction, document: Document, changes: list[Change]) -> None:
    for item in (change.item for change in changes):
        if isinstance(item, Generator):
            market_rows.save_generator(tx.cursor, item)
        elif isinstance(item, Buyer):
            market_rows.save_buyer(tx.cursor, item)
        elif isinstance(item, ApiKey):
            market_rows.add_key(tx.cursor, item)
    if document.evidence_hosts is not None:
        market_rows.save_hosts(tx.cursor, document.evidence_hosts)
    _replace_market(tx, market_rows.load(tx.cursor))


def _pause_generator(tx: Transaction, generator_id: str, paused: bool) -> Generator:
    stored = tx.market.generators.get(generator_id)
    if stored is None:
        raise NotFoundError("there is no such generator")
    if stored.paused == paused:
        return stored
    generator = market_rows.save_generator(tx.cursor, replace(stored, paused=paused))
    _replace_market(tx, tx.market.with_generator(generator))
    return generator


def _pause_buyer(tx: Transaction, buyer_id: str, paused: bool) -> Buyer:
    stored = tx.market.buyers.get(buyer_id)
    if stored is None:
        raise NotFoundError("there is no such buyer")
    if stored.paused == paused:
        return stored
    buyer = market_rows.save_buyer(tx.cursor, replace(stored, paused=paused))
    _replace_market(tx, tx.market.with_buyer(buyer))
    return buyer


def _create_key(tx: Transaction, role: Role, subject: str) -> tuple[ApiKey, keys.Key]:
    problem = _subject_problem(tx.market, role, subject)
    if problem:
        raise InvalidRequestError([Violation("subject", problem)])
    key = keys.mint()
    stored = ApiKey(key.key_id, key.digest, role, subject, tx.now)
    market_rows.add_key(tx.cursor, stored)
    _replace_market(tx, tx.market.with_key(stored))
    return stored, key


def _subject_problem(market: Market, role: Role, subject: str) -> str | None:
    if role is Role.OPERATOR:
        return "must be empty for an operator" if subject else None
    known = market.generators if role is Role.GENERATOR else market.buyers
    return None if subject in known else f"must be the id of a {role}"


def _revoke_key(tx: Transaction, key_id: str) -> ApiKey:
    stored = tx.market.api_keys.get(key_id)
    if stored is None:
        raise NotFoundError("there is no such API key")
    if stored.revoke_time is not None:
        return stored
    return _save_key(tx, replace(stored, revoke_time=tx.now))


def _set_operator_key(tx: Transaction, key: keys.Key) -> None:
    stored = tx.market.api_keys.get(key.key_id)
    wanted = ApiKey(key.key_id, key.digest, Role.OPERATOR, "", tx.now)
    if stored is None:
        market_rows.add_key(tx.cursor, wanted)
        _replace_market(tx, tx.market.with_key(wanted))
    elif stored.role is Role.OPERATOR and stored.digest != key.digest:
        _save_key(tx, wanted)


def _save_key(tx: Transaction, key: ApiKey) -> ApiKey:
    market_rows.save_key(tx.cursor, key)
    _replace_market(tx, tx.market.with_key(key))
    return key


def _replace_market(tx: Transaction, market: Market) -> None:
    """Everybody after this operation sees the new market; who waits for it is woken."""
    tx.market = market
    tx.rings.add(MARKET)
    # A buyer that may be sent to again, or in another way, has its outbox looked at.
    tx.rings.update(buyer.key for buyer in market.buyers.values())
