"""Who calls: the API keys in memory, so that a request costs no database read.

The ledger is the truth. This table is filled from it at start and changed after each
commit; one process holds the database, so nothing else can change it.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import NamedTuple

from evidence.clock import Clock, unix_ms
from evidence.commands import StoredKey
from evidence.errors import Forbidden, Unauthenticated
from leadgate.keys import Key, matches, parse

_NOBODY = secrets.token_bytes(32)


class Org(NamedTuple):
    """The org behind a key: its number in the ledger and its id."""

    number: int
    org_id: str


class Callers:
    """Answers which org, or whether the operator, holds a key."""

    def __init__(
        self, operator: Key | None, stored: Iterable[StoredKey] = (), clock: Clock = unix_ms
    ) -> None:
        self._operator = operator
        self._clock = clock
        self._keys: dict[str, tuple[bytes, Org]] = {}
        self._ends: dict[str, int] = {}
        for key in stored:
            self.admit(key)

    def admit(self, key: StoredKey) -> None:
        """Lets a key in, from now on."""
        self._keys[key.key_id] = key.secret_digest, Org(key.org, key.org_id)
        if key.revoke_ms is not None:
            self.expire(key.key_id, key.revoke_ms)

    def expire(self, key_id: str, at_ms: int) -> None:
        """Lets a key in no more from this time on."""
        self._ends[key_id] = at_ms

    def dismiss(self, key_id: str) -> None:
        """Lets a key in no more."""
        self._keys.pop(key_id, None)

    def is_operator_id(self, key_id: str) -> bool:
        """Whether this key id is the operator's, and so no org can have it."""
        return self._operator is not None and self._operator.key_id == key_id

    def org(self, text: str | None) -> Org:
        """The org that holds this key.

        Raises `Unauthenticated`, or `Forbidden` for the operator's key: an operator
        has no CDRs and claims none.
        """
        key = _parsed(text)
        digest, org = self._keys.get(key.key_id, (_NOBODY, None))
        if matches(key, digest) and org is not None and not self._is_over(key.key_id):
            return org
        if self._is_operator(key):
            raise Forbidden("an operator key has no org; use an org's key")
        raise Unauthenticated

    def operator(self, text: str | None) -> None:
        """Passes for the operator's key; raises `Unauthenticated`, or `Forbidden` for an org's."""
        key = _parsed(text)
        if self._is_operator(key):
            return
        self.org(text)
        raise Forbidden("this needs the operator key")

    def _is_over(self, key_id: str) -> bool:
        end_ms = self._ends.get(key_id)
        return end_ms is not None and end_ms <= self._clock()

    def _is_operator(self, key: Key) -> bool:
        if self._operator is None:
            return False
        return matches(key, self._operator.digest) and key.key_id == self._operator.key_id


def _parsed(text: str | None) -> Key:
    key = parse(text) if text else None
    if key is None:
        raise Unauthenticated
    return key
