"""One transaction of the ledger, as the modules that write and read in it see it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from sqlalchemy import Connection

from evidence.signing import Signer


@dataclass(frozen=True)
class Transaction:
    """A transaction that has begun; whoever runs the batch commits it.

    Attributes:
        connection: SQLAlchemy's, for statements that are rare.
        now_ms: the time of the commit, the same for everything in it.
        signer: signs what is appended to custody logs.
        news: kinds of work that this transaction leaves to somebody who waits for it,
            such as `webhook`; told once it is committed.
    """

    connection: Connection
    now_ms: int
    signer: Signer
    news: set[str] = field(default_factory=set)

    @cached_property
    def cursor(self) -> Any:
        """The driver's own cursor, for `leadgate.sql.Prepared`."""
        return self.connection.connection.cursor()
