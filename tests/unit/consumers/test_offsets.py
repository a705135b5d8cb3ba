"""Which offset may be committed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.offsets import Offsets


def test_only_the_contiguous_part_may_be_committed() -> None:
    """A record that ends early does not take the open one before it along."""
    offsets = Offsets(10)
    for offset in (10, 11, 12):
        offsets.take(offset)
    offsets.finish(11)
    assert offsets.next == 10
    offsets.finish(10)
    assert offsets.next == 12
    offsets.finish(12)
    assert (offsets.next, offsets.open) == (13, 0)


def test_gaps_in_a_partition_do_not_hold_it_up() -> None:
    """Compaction and transaction markers leave offsets that no record has."""
    offsets = Offsets(5)
    for offset in (5, 90, 91):
        offsets.take(offset)
    offsets.finish(5)
    assert offsets.next == 90


def test_ahead_counts_from_the_committed_offset() -> None:
    """What is finished and not committed counts too: a crash would bring it again."""
    offsets = Offsets(100)
    for offset in range(100, 110):
        offsets.take(offset)
        offsets.finish(offset)
    assert offsets.ahead == 10
    offsets.committed = offsets.next
    assert offsets.ahead == 0


def test_an_offset_is_taken_once() -> None:
    """Offsets rise; anything else is a mistake of the caller."""
    offsets = Offsets(1)
    offsets.take(1)
    with pytest.raises(ValueError, match="before"):
        offsets.take(1)


@given(st.data(), st.integers(1, 60))
def test_every_offset_below_next_has_ended(data: st.DataObject, count: int) -> None:
    """Whatever the order of the ends, nothing open is ever below what is committed."""
    offsets = Offsets(0)
    for offset in range(count):
        offsets.take(offset)
    ended = set(data.draw(st.lists(st.integers(0, count - 1), max_size=count)))
    for offset in ended:
        offsets.finish(offset)
    assert set(range(offsets.next)) <= ended
    assert offsets.next == count or offsets.next not in ended
