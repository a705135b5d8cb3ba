"""Reports of buyers: checked in `rpc`, judged and stored inside one commit."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.delivery import State
from gateway.errors import GatewayError
from gateway.settlement import Report


@dataclass(frozen=True, slots=True)
class Reported:
    """What became of a report: the state that stands, and the refusal if it is one."""

    state: State | None
    refusal: GatewayError | None = None


class Ledger(Protocol):
    """What reporting needs of the ledger."""

    def settle(self, buyer_id: str, reports: Sequence[Report]) -> list[asyncio.Future[Reported]]:
        """Judges and stores reports; each future ends when its answer is on disk."""
        ...
