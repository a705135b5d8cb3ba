"""The ledger: many commands in one commit, rules judged inside it, the schema migrated."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from evidence.access import State
from evidence.commands import (
    AddCdr,
    AddDomain,
    AddOrg,
    Cdr,
    Claim,
    Claimed,
    GetCdr,
    InvalidateCdr,
    ListCharges,
    Share,
)
from evidence.errors import CdrInvalid, Forbidden, Gone, NotFound
from evidence.ids import mint_id
from evidence.ledger.ledger import SqlLedger, opened
from evidence.ledger.tables import metadata
from evidence.sharing import digest, mint_token
from evidence.signing import Vault
from leadgate.sql import DatabaseHeldError, open_reader
from tests.builders_evidence import ATime


@pytest.fixture
def clock() -> ATime:
    """A clock that stands still."""
    return ATime()


@pytest.fixture
async def ledger(tmp_path: Path, clock: ATime) -> AsyncIterator[SqlLedger]:
    """An empty ledger."""
    async with opened(_url(tmp_path), clock, Vault(tmp_path / "keys")) as ledger:
        yield ledger


async def test_claims_of_one_batch_see_each_other(ledger: SqlLedger) -> None:
    """Fifty claims at once by one org: one is the first, one is billed, all agree on the event."""
    token = await a_shared_cdr(ledger, "cdr_1")
    buyer = await an_org(ledger, "buyer-a")
    answers = await asyncio.gather(*[ledger.write(Claim(buyer, token)) for _ in range(50)])
    assert sum(not answer.repeated for answer in answers) == 1
    assert len({answer.event_id for answer in answers}) == 1
    assert len(await ledger.read(ListCharges("buyer-a"))) == 1


async def test_a_refused_command_does_not_hurt_its_batch(ledger: SqlLedger) -> None:
    """One guessed token among good ones is refused alone."""
    token = await a_shared_cdr(ledger, "cdr_1")
    buyer = await an_org(ledger, "buyer-a")
    good, bad, again = await asyncio.gather(
        ledger.write(Claim(buyer, token)),
        ledger.write(Claim(buyer, digest(mint_token()))),
        ledger.write(AddOrg("another", "Another", auto_collect=True)),
        return_exceptions=True,
    )
    assert isinstance(good, Claimed)
    assert isinstance(bad, NotFound)
    assert isinstance(again, int)


async def test_a_command_that_breaks_the_batch_fails_alone(ledger: SqlLedger) -> None:
    """A value that no database takes fails its own caller, not those in the same commit."""
    token = await a_shared_cdr(ledger, "cdr_1")
    buyer = await an_org(ledger, "buyer-a")
    good, broken = await asyncio.gather(
        ledger.write(Claim(buyer, token)),
        ledger.write(AddOrg("broken", "\ud800", auto_collect=True)),
        return_exceptions=True,
    )
    assert isinstance(good, Claimed)
    assert isinstance(broken, Exception)


async def test_expiry_is_judged_when_the_claim_commits(ledger: SqlLedger, clock: ATime) -> None:
    """Good to the last millisecond, then gone; for whoever had claimed it, too."""
    token = await a_shared_cdr(ledger, "cdr_1", expires_in_ms=1000)
    buyer, late = await an_org(ledger, "buyer-a"), await an_org(ledger, "buyer-b")
    clock.now_ms += 999
    assert (await ledger.write(Claim(buyer, token))).state is State.COLLECTED
    clock.now_ms += 1
    for org in (buyer, late):
        with pytest.raises(Gone):
            await ledger.write(Claim(org, token))
    assert (await ledger.read(GetCdr(buyer, "cdr_1"))).state is State.COLLECTED


async def test_payer_status_is_judged_at_the_claim(ledger: SqlLedger) -> None:
    """A share made while its sharer had not paid is free once it has."""
    token = await a_shared_cdr(ledger, "cdr_1", auto_collect=False)
    first, second = await an_org(ledger, "buyer-a"), await an_org(ledger, "buyer-b")
    await ledger.write(Claim(first, token, collect=False))
    with pytest.raises(Forbidden):
        await ledger.write(Share(first, "cdr_1", digest(mint_token()), 1000))
    await ledger.write(Claim(first, token))
    onward = digest(mint_token())
    await ledger.write(Share(first, "cdr_1", onward, 1000))
    assert (await ledger.write(Claim(second, onward))).state is State.COLLECTED
    assert await ledger.read(ListCharges("buyer-b")) == []


async def test_an_invalidated_cdr_is_invalid_before_it_is_gone(
    ledger: SqlLedger, clock: ATime
) -> None:
    """The code that tells more wins."""
    token = await a_shared_cdr(ledger, "cdr_1", expires_in_ms=1)
    buyer = await an_org(ledger, "buyer-a")
    since = await ledger.write(InvalidateCdr("cdr_1"))
    clock.now_ms += 10
    assert await ledger.write(InvalidateCdr("cdr_1")) == since
    with pytest.raises(CdrInvalid):
        await ledger.write(Claim(buyer, token))


async def test_a_second_process_is_refused(ledger: SqlLedger, tmp_path: Path) -> None:
    """One process holds the database."""
    with pytest.raises(DatabaseHeldError):
        async with opened(_url(tmp_path), ATime(), Vault(tmp_path / "keys")):
            pass


async def test_migrations_make_the_tables_that_the_code_uses(
    ledger: SqlLedger, tmp_path: Path
) -> None:
    """The migrated schema and `tables` are the same."""
    reader = open_reader(tmp_path / "evidence.db")
    with reader.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
    reader.dispose()


async def an_org(ledger: SqlLedger, org_id: str, *, auto_collect: bool = True) -> int:
    """Adds an org."""
    return await ledger.write(AddOrg(org_id, "An org", auto_collect=auto_collect))


async def a_shared_cdr(
    ledger: SqlLedger, cdr_id: str, *, auto_collect: bool = False, expires_in_ms: int = 60_000
) -> bytes:
    """Adds an owner with a domain and a shared CDR; returns the token's digest."""
    await an_org(ledger, "generator", auto_collect=auto_collect)
    await ledger.write(AddDomain(mint_id("dom"), "generator", "www.example.com"))
    token = digest(mint_token())
    cdr = Cdr(cdr_id, None, "pkg_1", [], {}, [])
    await ledger.write(AddCdr("generator", "www.example.com", cdr, token, expires_in_ms))
    return token


def _url(folder: Path) -> str:
    return f"sqlite:///{folder / 'evidence.db'}"
