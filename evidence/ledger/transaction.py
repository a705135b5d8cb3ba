"""One transaction of the ledger, as the modules that write and read in it see it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sqlalchemy import Connection


@dataclass(frozen=True)
class Transaction:
    """A transaction that has begun; whoever runs the batch commits it.

    Attributes:
        connection: SQLAlchemy's, for statements that are rare.
        now_ms: the time of the commit, the same for everything in it.
    """

    connection: Connection
    now_ms: int

    @cached_property
    def cursor(self) -> Any:
        """The driver's own cursor, for `leadgate.sql.Prepared`."""
        return self.connection.connection.cursor()
