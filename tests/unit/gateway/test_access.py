"""Who calls, and what they may reach."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.access import Caller, identify, require
from gateway.errors import ForbiddenError, UnauthenticatedError
from gateway.market import ApiKey, Market, Role
from leadgate import keys

KEY = keys.mint()
STORED = ApiKey(KEY.key_id, KEY.digest, Role.BUYER, "buyer-one", 1)
MARKET = Market().with_key(STORED)
OPERATOR = Caller(Role.OPERATOR)


def test_a_key_names_its_caller() -> None:
    """Role and subject come from what is stored, never from the call."""
    assert identify(MARKET, str(KEY)) == Caller(Role.BUYER, "buyer-one")


@pytest.mark.parametrize(
    "text",
    [
        f"{KEY.key_id}.{keys.mint().secret}",
        f"{keys.mint().key_id}.{KEY.secret}",
        f"{KEY.key_id}.{KEY.secret[:-1]}",
        f"{KEY}.more",
        "no key at all",
        KEY.secret,
        "",
        None,
    ],
)
def test_any_other_key_is_not_let_in(text: str | None) -> None:
    """A wrong secret, an unknown id, something that is no key, and none."""
    with pytest.raises(UnauthenticatedError):
        identify(MARKET, text)


def test_a_revoked_key_is_answered_like_an_unknown_one() -> None:
    """Whoever tries keys learns nothing about which of them exist."""
    refusals = []
    for market in (MARKET.with_key(replace(STORED, revoke_time=2)), Market()):
        with pytest.raises(UnauthenticatedError) as refusal:
            identify(market, str(KEY))
        refusals.append(str(refusal.value))
    assert refusals[0] == refusals[1]
    assert KEY.secret not in refusals[0]


def test_an_unknown_id_does_not_match_an_empty_digest() -> None:
    """The digest that stands in for a missing key is nobody's."""
    stored = replace(STORED, digest=bytes(32))
    with pytest.raises(UnauthenticatedError):
        identify(Market().with_key(stored), str(KEY))


@pytest.mark.parametrize("role", Role)
def test_a_role_reaches_its_own_service_only(role: Role) -> None:
    """An operator reaches all of them."""
    require(Caller(role, "x"), role)
    require(OPERATOR, role)
    for other in set(Role) - {role, Role.OPERATOR}:
        with pytest.raises(ForbiddenError):
            require(Caller(other, "x"), role)


def test_a_listing_is_limited_to_the_callers_own() -> None:
    """A buyer that names another buyer gets its own; an operator gets what it names."""
    buyer = Caller(Role.BUYER, "buyer-one")
    assert buyer.scope(Role.BUYER, "buyer-two") == "buyer-one"
    assert OPERATOR.scope(Role.BUYER, "buyer-two") == "buyer-two"
    assert OPERATOR.scope(Role.BUYER, "") == ""
