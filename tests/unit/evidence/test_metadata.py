"""Search on metadata: every key has its entries, and each value one text."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from evidence.metadata import as_text, entries, key_digest, pair_digest


def test_every_key_is_found_alone_and_with_its_value() -> None:
    """Strings as they are, anything else as compact JSON; objects whole and inside."""
    found = entries({"uid": "42", "n": 42, "on": True, "no": None, "a": {"b": {"c": [1]}}})
    for key, value in [
        ("uid", "42"),
        ("n", "42"),
        ("on", "true"),
        ("no", "null"),
        ("a", '{"b":{"c":[1]}}'),
        ("a.b", '{"c":[1]}'),
        ("a.b.c", "[1]"),
    ]:
        assert {key_digest(key), pair_digest(key, value)} <= found
    assert len(found) == 14


@given(st.text(), st.text(), st.text(), st.text())
def test_entries_fit_the_column_and_do_not_meet(a: str, b: str, c: str, d: str) -> None:
    """63 bits; key and value cannot be cut otherwise into the same entry."""
    assert 0 <= pair_digest(a, b) < 2**63
    assert (pair_digest(a, b) == pair_digest(c, d)) == ((a, b) == (c, d))
    assert key_digest(a) != pair_digest(a, b)


_JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text()),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(), inner)),
    max_leaves=20,
)


@given(st.dictionaries(st.text(), _JSON))
def test_any_object_has_entries_for_its_keys(custom: dict[str, object]) -> None:
    """Whatever a page sends."""
    found = entries(custom)
    for key, value in custom.items():
        assert pair_digest(key, as_text(value)) in found
