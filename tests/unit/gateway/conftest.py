"""A real ledger in a file of its own, with a market of one generator and two buyers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.bell import Bell
from gateway.intake import Accepted, Intake
from gateway.ledger import market as market_rows
from gateway.ledger.ledger import SqlLedger
from gateway.ledger.transaction import Transaction
from gateway.market import Buyer, Generator
from gateway.settlement import Receipt
from leadgate.share_url import EvidenceHost
from leadgate.v1.lead_service_pb2 import SubmitLeadRequest
from tests.builders import EVIDENCE_HOST, a_buyer, a_receipt


class Clock:
    """A clock that stands still until it is moved. Microseconds."""

    def __init__(self) -> None:
        self.now = 1_700_000_000_000_000

    def __call__(self) -> int:
        """Now."""
        return self.now

    def move(self, seconds: float) -> None:
        """Moves it, also backwards."""
        self.now += int(seconds * 1_000_000)


@dataclass
class Gateway:
    """A ledger and an intake in front of it."""

    ledger: SqlLedger
    intake: Intake
    clock: Clock

    async def submit(self, request: SubmitLeadRequest, generator_id: str = "forms") -> Accepted:
        """Submits one lead and waits for the answer."""
        copy = SubmitLeadRequest()
        copy.CopyFrom(request)
        return await self.intake.submit(generator_id, copy)

    async def set_buyer(self, buyer: Buyer) -> None:
        """Adds or changes a buyer."""

        def change(tx: Transaction) -> None:
            known = tx.market.buyers.get(buyer.buyer_id)
            numbered = Buyer(
                buyer.buyer_id,
                buyer.transport,
                buyer.encoding,
                buyer.paused,
                buyer.accepts,
                known.key if known else 0,
            )
            tx.market = tx.market.with_buyer(market_rows.save_buyer(tx.cursor, numbered))

        await self.ledger.commit(change)

    async def set_generator(self, generator_id: str, *, paused: bool = False) -> None:
        """Adds or changes a generator."""

        def change(tx: Transaction) -> None:
            known = tx.market.generators.get(generator_id)
            generator = Generator(generator_id, paused, known.key if known else 0)
            saved = market_rows.save_generator(tx.cursor, generator)
            tx.market = tx.market.with_generator(saved)

        await self.ledger.commit(change)


@pytest.fixture
def clock() -> Clock:
    """The ledger's clock."""
    return Clock()


def claimed(cdr_id: str) -> Receipt:
    """A claim of a CDR, as a report brings it."""
    message = a_receipt(cdr_id)
    return Receipt(cdr_id, int(message.status), message.SerializeToString())


@pytest.fixture
async def gateway(tmp_path: Path, clock: Clock) -> AsyncIterator[Gateway]:
    """A gateway without any network: generators `forms` and `others`, two pull buyers."""
    async with SqlLedger(Bell(), clock).opened(f"sqlite:///{tmp_path}/ledger.db") as ledger:
        gateway = Gateway(ledger, Intake(ledger, b"k" * 32, "US"), clock)
        await _set_up(gateway, [a_buyer(), a_buyer("buyer-two")])
        yield gateway


async def _set_up(gateway: Gateway, buyers: Sequence[Buyer]) -> None:
    for generator_id in ("forms", "others"):
        await gateway.set_generator(generator_id)
    for buyer in buyers:
        await gateway.set_buyer(buyer)

    def trust(tx: Transaction) -> None:
        market_rows.save_hosts(tx.cursor, [EvidenceHost(EVIDENCE_HOST)])
        tx.market = market_rows.load(tx.cursor)

    await gateway.ledger.commit(trust)
