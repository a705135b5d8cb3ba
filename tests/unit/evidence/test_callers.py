"""Keys in memory: who gets in, who does not."""

from __future__ import annotations

import pytest

from evidence.callers import Callers, Org
from evidence.commands import StoredKey
from evidence.errors import Forbidden, Unauthenticated
from leadgate.keys import Key

OPERATOR = Key("operator", "0123456789abcdef0123")
BUYER = Key("buyer", "abcdef0123456789abcd")


def callers() -> Callers:
    """An operator and one org."""
    return Callers(OPERATOR, [StoredKey(BUYER.key_id, BUYER.digest, 7, "buyer-a")])


def test_a_key_tells_its_org() -> None:
    """Number and id."""
    assert callers().org(str(BUYER)) == Org(7, "buyer-a")


@pytest.mark.parametrize(
    "text",
    [None, "", "x", "buyer", "buyer.wrongwrongwrongwrong", "nobody.abcdef0123456789abcd",
     f"{OPERATOR.key_id}.{BUYER.secret}", f"{BUYER.key_id}.{OPERATOR.secret}"],
)  # fmt: skip
def test_anything_but_a_whole_key_is_unauthenticated(text: str | None) -> None:
    """Absent, malformed, unknown, or two halves of different keys."""
    with pytest.raises(Unauthenticated):
        callers().org(text)
    with pytest.raises(Unauthenticated):
        callers().operator(text)


def test_operator_and_org_keys_do_not_open_each_others_doors() -> None:
    """A good key in the wrong place is FORBIDDEN."""
    with pytest.raises(Forbidden):
        callers().org(str(OPERATOR))
    with pytest.raises(Forbidden):
        callers().operator(str(BUYER))
    callers().operator(str(OPERATOR))


def test_without_an_operator_key_nobody_is_the_operator() -> None:
    """No default that opens."""
    with pytest.raises(Unauthenticated):
        Callers(None).operator(str(OPERATOR))


def test_a_dismissed_key_gets_in_no_more() -> None:
    """And dismissing it twice is no error."""
    table = callers()
    table.dismiss(BUYER.key_id)
    table.dismiss(BUYER.key_id)
    with pytest.raises(Unauthenticated):
        table.org(str(BUYER))
