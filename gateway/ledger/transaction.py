"""What an operation on the ledger works with."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from gateway.market import Market


class Transaction:
    """One transaction, shared by the operations of a batch.

    Attributes:
        cursor: the driver's cursor, inside the transaction.
        now: the time of the commit in microseconds; never before an earlier commit's.
        market: the market as it stands; an operation may replace it.
        rings: what to ring once committed: keys of buyers with something due, `EVENTS`.
    """

    def __init__(self, cursor: Any, now: int, market: Market) -> None:
        self.cursor = cursor
        self.now = now
        self.market = market
        self.rings: set[Hashable] = set()
