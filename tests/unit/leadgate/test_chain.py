"""Hash chains: a log is whole, or every way of changing it shows."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from leadgate.chain import START, Entry, canonical, hash_detail, seal, verify


def test_a_log_as_it_was_sealed_is_whole() -> None:
    """With its details, and without those that concern somebody else."""
    log = a_log(3)
    assert list(verify("cdr_1", log)) == []
    hidden = [log[0], replace(log[1], detail=None, salt=None), log[2]]
    assert list(verify("cdr_1", hidden)) == []


@given(st.integers(1, 6), st.data())
def test_every_change_shows(length: int, data: st.DataObject) -> None:
    """An entry changed, dropped, doubled or swapped; but for the end, which a head tells."""
    log = a_log(length)
    at = data.draw(st.integers(0, length - 1))
    entry = log[at]
    changes = [
        replace(entry, event="claimed!"),
        replace(entry, at_ms=entry.at_ms + 1),
        replace(entry, detail={"who": "somebody else"}),
        replace(entry, salt=bytes(16)),
        replace(entry, detail_hash=bytes(32)),
        replace(entry, hash=bytes(32)),
        replace(entry, sequence=entry.sequence + 1),
    ]
    for changed in changes:
        assert list(verify("cdr_1", [*log[:at], changed, *log[at + 1 :]])) != []
    if at < length - 1:
        assert list(verify("cdr_1", [*log[:at], *log[at + 1 :]])) != []
        assert list(verify("cdr_1", [*log[:at], log[at + 1], log[at], *log[at + 2 :]])) != []
    assert list(verify("cdr_1", [*log[: at + 1], entry, *log[at + 1 :]])) != []


def test_a_log_belongs_to_its_subject() -> None:
    """It cannot be moved to another CDR; and no log at all is none."""
    assert list(verify("cdr_2", a_log(1))) != []
    assert list(verify("cdr_1", [])) == ["the log is empty"]


def test_a_value_has_one_text() -> None:
    """Whatever the order of its keys, in ASCII."""
    assert canonical({"b": "é", "a": [1, None]}) == b'{"a":[1,null],"b":"\\u00e9"}'


def a_log(length: int) -> list[Entry]:
    """A log of `length` entries."""
    log: list[Entry] = []
    previous = START
    for sequence in range(1, length + 1):
        salt, detail = bytes([sequence] * 16), {"who": f"org-{sequence}"}
        hashed = hash_detail(salt, detail)
        previous = seal("cdr_1", previous, sequence, "claimed", 1000 + sequence, hashed)
        log.append(Entry(sequence, "claimed", 1000 + sequence, hashed, previous, detail, salt))
    return log
