"""The market in the ledger: documents and keys, on a real database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from gateway.access import Caller, identify
from gateway.bell import MARKET, Bell
from gateway.consent import Person
from gateway.errors import (
    InvalidRequestError,
    NotFoundError,
    PreconditionError,
    UnauthenticatedError,
)
from gateway.intake import Submission
from gateway.lead import RecipientEvidence
from gateway.ledger.admin import MarketAdmin
from gateway.ledger.ledger import SqlLedger
from gateway.market import Generator, Role, Transport
from gateway.market_plan import DocumentError
from leadgate import keys
from leadgate.settings import SettingsError

DOCUMENT = """
generators:
  - {id: forms-example, keys: [{env: FORMS_KEY}]}
buyers:
  - {id: buyer-one, transport: kafka, accepts: ["*"], keys: [{env: ONE_KEY}]}
  - {id: buyer-two, transport: pull, encoding: json, accepts: [forms-example]}
evidence_hosts:
  - {host: evidence.example.com, networks: [10.0.0.0/8], insecure: true}
"""
ENVIRONMENT = {"FORMS_KEY": str(keys.mint()), "ONE_KEY": str(keys.mint())}
MOVED = DOCUMENT.replace("kafka", "pull")


def opened(folder: Path, bell: Bell | None = None) -> AbstractAsyncContextManager[SqlLedger]:
    """The ledger in that folder."""
    return SqlLedger(bell or Bell()).opened(f"sqlite:///{folder}/leadgate.db")


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[SqlLedger]:
    """A ledger with an empty market."""
    async with opened(tmp_path) as ledger:
        yield ledger


@pytest.fixture
def admin(ledger: SqlLedger) -> MarketAdmin:
    """What changes the market of the ledger."""
    return MarketAdmin(ledger)


async def test_a_document_is_applied_and_outlives_the_process(tmp_path: Path) -> None:
    """What was applied is read back whole by the next gateway."""
    async with opened(tmp_path) as ledger:
        await MarketAdmin(ledger).apply_document(DOCUMENT, ENVIRONMENT)
        before = ledger.market
    async with opened(tmp_path) as ledger:
        assert ledger.market == before
        assert set(before.buyers) == {"buyer-one", "buyer-two"}
        caller = identify(before, ENVIRONMENT["ONE_KEY"])
        assert caller == Caller(Role.BUYER, "buyer-one")


async def test_applying_twice_changes_nothing_the_second_time(admin: MarketAdmin) -> None:
    """Every gateway applies its market at each start."""
    assert len(await admin.apply_document(DOCUMENT, ENVIRONMENT)) == 6
    market = admin.market
    assert await admin.apply_document(DOCUMENT, ENVIRONMENT) == []
    assert admin.market is market


async def test_a_dry_run_says_the_same_and_changes_nothing(admin: MarketAdmin) -> None:
    """An operator sees first what will happen."""
    empty = admin.market
    said = await admin.apply_document(DOCUMENT, ENVIRONMENT, dry_run=True)
    assert admin.market is empty
    assert await admin.apply_document(DOCUMENT, ENVIRONMENT) == said


async def test_one_mistake_and_nothing_is_applied(admin: MarketAdmin) -> None:
    """Mistakes of the document and contradictions to the market come together."""
    text = DOCUMENT.replace("[forms-example]", "[nobody]").replace("json", "xml")
    with pytest.raises(DocumentError) as refusal:
        await admin.apply_document(text, ENVIRONMENT)
    assert [violation.problem for violation in refusal.value.violations] == [
        "line 6: buyers[1].accepts[0]: there is no generator nobody",
        "line 6: buyers[1].encoding: must be protobuf or json",
    ]
    assert (admin.market.generators, admin.market.api_keys) == ({}, {})


async def test_evidence_hosts_are_replaced_as_a_list(admin: MarketAdmin) -> None:
    """A host taken out of the document is not trusted any more."""
    await admin.apply_document(DOCUMENT, ENVIRONMENT)
    lines = await admin.apply_document("evidence_hosts: [{host: b.example.com}]", {})
    assert lines == [
        "evidence host b.example.com: added",
        "evidence host evidence.example.com: removed",
    ]
    assert set(admin.market.evidence_hosts) == {"b.example.com"}
    assert set(admin.market.buyers) == {"buyer-one", "buyer-two"}


async def test_concurrent_documents_are_judged_one_after_the_other(admin: MarketAdmin) -> None:
    """Of twenty that give one key id to different buyers, one wins and keeps it."""
    secret = keys.mint().secret
    texts = [
        f"buyers: [{{id: buyer-{number}, transport: pull, keys: [{{env: KEY}}]}}]"
        for number in range(20)
    ]
    answers = await asyncio.gather(
        *(admin.apply_document(text, {"KEY": f"shared.{secret}"}) for text in texts),
        return_exceptions=True,
    )
    assert sum(isinstance(answer, list) for answer in answers) == 1
    assert sum(isinstance(answer, DocumentError) for answer in answers) == 19
    assert set(admin.market.buyers) == {admin.market.api_keys["shared"].subject}


@pytest.mark.parametrize("dry_run", [True, False])
async def test_a_transport_does_not_change_under_unsettled_deliveries(
    ledger: SqlLedger, admin: MarketAdmin, dry_run: bool
) -> None:
    """What waits, or is on the topic, belongs to the transport it was accepted for."""
    await admin.apply_document(DOCUMENT, ENVIRONMENT)
    await submit(ledger)
    for state in (2, 3):
        await set_states(ledger, state)
        with pytest.raises(PreconditionError) as refusal:
            await admin.apply_document(MOVED, ENVIRONMENT, dry_run=dry_run)
        assert refusal.value.reason == "UNSETTLED_DELIVERIES"
        assert refusal.value.metadata == {"buyer_ids": "buyer-one"}
    assert admin.market.buyers["buyer-one"].transport is Transport.KAFKA


async def test_a_transport_changes_once_everything_is_settled(
    ledger: SqlLedger, admin: MarketAdmin
) -> None:
    """Rejected, delivered, refused and failed deliveries do not hold it."""
    await admin.apply_document(DOCUMENT, ENVIRONMENT)
    await submit(ledger)
    for state in (1, 4, 5, 6):
        await set_states(ledger, state)
        assert await admin.apply_document(MOVED, ENVIRONMENT, dry_run=True) == [
            "buyer buyer-one: transport kafka → pull"
        ]
    await admin.apply_document(MOVED, ENVIRONMENT)
    assert admin.market.buyers["buyer-one"].transport is Transport.PULL


async def test_a_change_rings_the_market_bell(tmp_path: Path) -> None:
    """The dispatcher learns of it at once; what changes nothing rings nothing."""
    bell = Bell()
    async with opened(tmp_path, bell) as ledger:
        admin = MarketAdmin(ledger)
        with bell.listen(MARKET) as rung:
            await admin.apply_document(DOCUMENT, ENVIRONMENT)
            await asyncio.wait_for(rung.wait(), 5)
            rung.clear()
            await admin.apply_document(DOCUMENT, ENVIRONMENT)
            await admin.apply_document(MOVED, ENVIRONMENT, dry_run=True)
            # A later ring is behind any that these would have caused.
            with bell.listen("marker") as marker:
                await ledger.commit(lambda tx: tx.rings.add("marker"))
                await asyncio.wait_for(marker.wait(), 5)
            assert not rung.is_set()


async def test_pausing_twice_is_pausing_once(admin: MarketAdmin) -> None:
    """Pause and resume say how things are to be, not what to do."""
    await admin.apply_document(DOCUMENT, ENVIRONMENT)
    for paused in (True, True, False, False):
        generator = await admin.pause_generator("forms-example", paused=paused)
        buyer = await admin.pause_buyer("buyer-one", paused=paused)
        assert (generator.paused, buyer.paused) == (paused, paused)
        assert admin.market.generators["forms-example"] == Generator(
            "forms-example", paused, generator.key
        )
        assert admin.market.buyers["buyer-one"] == buyer


async def test_what_is_unknown_is_not_found(admin: MarketAdmin) -> None:
    """Pausing and revoking name something, or fail."""
    for call in (
        admin.pause_generator("nobody", paused=True),
        admin.pause_buyer("nobody", paused=True),
        admin.revoke_key("nobody"),
    ):
        with pytest.raises(NotFoundError):
            await call


async def test_a_created_key_works_until_it_is_revoked(tmp_path: Path) -> None:
    """Its secret is in the answer only: not in the market, and not in the file."""
    async with opened(tmp_path) as ledger:
        admin = MarketAdmin(ledger)
        await admin.apply_document(DOCUMENT, ENVIRONMENT)
        stored, key = await admin.create_key(Role.BUYER, "buyer-two")
        assert identify(ledger.market, str(key)) == Caller(Role.BUYER, "buyer-two")
        revoked = await admin.revoke_key(stored.key_id)
        assert revoked.revoke_time is not None
        assert await admin.revoke_key(stored.key_id) == revoked
    async with opened(tmp_path) as ledger:
        with pytest.raises(UnauthenticatedError):
            identify(ledger.market, str(key))
    assert key.key_id.encode() in stored_bytes(tmp_path)
    assert key.secret.encode() not in stored_bytes(tmp_path)


@pytest.mark.parametrize(
    ("role", "subject"),
    [(Role.GENERATOR, "buyer-one"), (Role.BUYER, ""), (Role.OPERATOR, "buyer-one")],
)
async def test_a_key_is_made_for_somebody_there_is(
    admin: MarketAdmin, role: Role, subject: str
) -> None:
    """A generator's key needs a generator, a buyer's a buyer, an operator's nobody."""
    await admin.apply_document(DOCUMENT, ENVIRONMENT)
    with pytest.raises(InvalidRequestError) as refusal:
        await admin.create_key(role, subject)
    assert [violation.field for violation in refusal.value.violations] == ["subject"]


async def test_the_operator_key_of_the_settings_works_and_wins(admin: MarketAdmin) -> None:
    """Set again it changes nothing; with another secret the old one stops working."""
    old, new = (f"root.{keys.mint().secret}" for _ in range(2))
    await admin.ensure_operator_key(old)
    market = admin.market
    await admin.ensure_operator_key(old)
    assert admin.market is market
    assert identify(market, old) == Caller(Role.OPERATOR)
    await admin.ensure_operator_key(new)
    assert identify(admin.market, new) == Caller(Role.OPERATOR)
    with pytest.raises(UnauthenticatedError):
        identify(admin.market, old)


async def test_a_revoked_operator_key_does_not_come_back_with_a_restart(
    admin: MarketAdmin,
) -> None:
    """The setting still has it, but revoked is revoked; a new secret works."""
    old, new = (f"root.{keys.mint().secret}" for _ in range(2))
    await admin.ensure_operator_key(old)
    await admin.revoke_key("root")
    await admin.ensure_operator_key(old)
    with pytest.raises(UnauthenticatedError):
        identify(admin.market, old)
    await admin.ensure_operator_key(new)
    assert identify(admin.market, new).is_operator


async def test_an_operator_key_that_cannot_be_one_is_refused(admin: MarketAdmin) -> None:
    """No key at all, or the id of a buyer's key; the secret is not repeated."""
    await admin.apply_document(DOCUMENT, ENVIRONMENT)
    for text in ("no-key-at-all", ENVIRONMENT["ONE_KEY"]):
        with pytest.raises(SettingsError, match="LEADGATE_OPERATOR_KEY") as refusal:
            await admin.ensure_operator_key(text)
        assert text.rpartition(".")[2] not in str(refusal.value)
    assert identify(admin.market, ENVIRONMENT["ONE_KEY"]).role is Role.BUYER


def stored_bytes(folder: Path) -> bytes:
    """Everything that is on disk."""
    return b"".join(file.read_bytes() for file in folder.iterdir())


async def submit(ledger: SqlLedger) -> None:
    """Stores a lead for buyer-one."""
    submission = Submission(
        lead_id=bytes(16),
        generator_id="forms-example",
        request_id="request-1",
        fingerprint=bytes(32),
        person=Person(b"p" * 16, b"e" * 16),
        recipients=(RecipientEvidence("buyer-one", (b"u" * 16,), ()),),
        encoded=b"",
        validate_only=False,
    )
    await ledger.accept([submission])[0]


async def set_states(ledger: SqlLedger, state: int) -> None:
    """Puts every delivery into a state."""
    await ledger.commit(lambda tx: tx.cursor.execute("UPDATE deliveries SET state = ?", (state,)))
