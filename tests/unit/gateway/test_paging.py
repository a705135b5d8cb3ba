"""The paging fields of listings, and their tokens."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import paging
from gateway.errors import InvalidRequestError, Violation

FILTERS = ("leads", "forms-example", None, 3)


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


@pytest.mark.parametrize(("asked", "given_size"), [(0, 50), (1, 1), (1000, 1000), (5000, 1000)])
def test_a_page_size_has_a_default_and_a_limit(asked: int, given_size: int) -> None:
    """0 means 50, and more than 1,000 means 1,000 (AIP-158)."""
    assert paging.page(asked, "", FILTERS, 0, []) == paging.Page(given_size, 0)


def test_every_mistake_of_the_paging_fields_is_listed() -> None:
    """A negative size and a foreign token are both violations."""
    violations = [Violation("state", "unknown")]
    paging.page(-1, "nonsense", FILTERS, 0, violations)
    assert [violation.field for violation in violations] == ["state", "page_size", "page_token"]


@given(st.one_of(st.integers(0, 2**63 - 1), st.text(max_size=63), st.tuples(st.text(max_size=63))))
def test_a_token_brings_its_position_back(position: int | str | tuple[str]) -> None:
    """Numbers, texts and tuples survive the way to the client and back."""
    start = type(position)() if not isinstance(position, tuple) else ("",)
    assert paging.decode(paging.encode(FILTERS, position), FILTERS, start) == position


def test_a_token_is_bound_to_its_filters() -> None:
    """With another filter the position would skip rows."""
    with pytest.raises(InvalidRequestError):
        paging.decode(paging.encode(FILTERS, 7), ("leads", "other", None, 3), 0)


def test_a_made_up_token_of_another_shape_is_refused() -> None:
    """A position of the wrong type must not reach the ledger."""
    for position in ("x", (1, 2), True, 1 << 63):
        with pytest.raises(InvalidRequestError):
            paging.decode(paging.encode(FILTERS, position), FILTERS, 0)


@given(st.data())
def test_a_token_with_one_changed_character_is_refused(data: st.DataObject) -> None:
    """Whatever the client did to it is noticed, the unused bits of base64 included."""
    token = paging.encode(FILTERS, (12, "buyer-one"))
    place = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.characters().filter(lambda character: character != token[place]))
    with pytest.raises(InvalidRequestError):
        paging.decode(token[:place] + other + token[place + 1 :], FILTERS, (0, ""))


@given(st.one_of(st.text(min_size=1), st.binary(min_size=1).map(_base64)))
def test_garbage_is_a_violation_and_nothing_worse(token: str) -> None:
    """Hostile tokens are answered as INVALID_ARGUMENT."""
    with pytest.raises(InvalidRequestError) as refusal:
        paging.decode(token, FILTERS, 0)
    assert refusal.value.violations[0].field == "page_token"


def test_deeply_nested_and_long_tokens_are_refused() -> None:
    """Neither the JSON parser nor the size of the token can be abused."""
    for body in (b"x" * 12 + b"[" * 700, b"x" * 100_000):
        with pytest.raises(InvalidRequestError):
            paging.decode(_base64(body), FILTERS, 0)
