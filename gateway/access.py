"""Who calls, and what they may reach."""

from __future__ import annotations

import hmac
from dataclasses import dataclass

from gateway.errors import ForbiddenError, UnauthenticatedError
from gateway.market import Market, Role
from leadgate import keys


@dataclass(frozen=True)
class Caller:
    """A caller whose key was checked. `subject` is its generator or buyer id."""

    role: Role
    subject: str = ""

    @property
    def is_operator(self) -> bool:
        """Whether it may reach everything."""
        return self.role is Role.OPERATOR

    def scope(self, role: Role, named: str) -> str:
        """The id that a listing is limited to: the caller's own, or what an operator names.

        Empty only for an operator that names none: everything.
        """
        return self.subject if self.role is role else named


def identify(market: Market, text: str | None) -> Caller:
    """Turns the value of `x-api-key` into a caller, or raises `UnauthenticatedError`.

    An unknown key, a wrong secret and a revoked key are answered alike.
    """
    key = keys.parse(text) if text else None
    stored = market.api_keys.get(key.key_id) if key else None
    digest = stored.digest if stored else bytes(32)
    if key is None:
        raise UnauthenticatedError("send an API key in the metadata entry x-api-key")
    if not keys.matches(key, digest) or stored is None or stored.revoke_time is not None:
        raise UnauthenticatedError("the API key is not known here")
    return Caller(stored.role, stored.subject)


class Callers:
    """Identifies callers, and remembers keys that worked while the market stands still.

    A key is hashed once; after that, what is sent is compared with what was sent then, in
    constant time as well.
    """

    def __init__(self) -> None:
        self._market = Market()
        self._known: dict[str, tuple[bytes, Caller]] = {}

    def identify(self, market: Market, text: str | None) -> Caller:
        """As the function `identify`."""
        if market is not self._market:
            self._market, self._known = market, {}
        key_id = text.partition(".")[0] if text else ""
        known = self._known.get(key_id)
        if known and text and hmac.compare_digest(known[0], text.encode()):
            return known[1]
        caller = identify(market, text)
        self._known[key_id] = (str(text).encode(), caller)
        return caller


def require(caller: Caller, role: Role) -> None:
    """Raises `ForbiddenError` unless the caller has the role, or is an operator."""
    if caller.role is not role and not caller.is_operator:
        raise ForbiddenError(f"this method is for callers of role {role}")
