"""Which offset of a partition may be committed while records end out of order; pure."""

from __future__ import annotations


class Offsets:
    """The open records of one partition, for the time this member owns it.

    An object serves one assignment: after a rebalance the partition has a new one, and
    what ends late is told to the old, which nobody commits any more. Offsets may have
    gaps (compaction, transaction markers): only records that were seen count.
    """

    def __init__(self, position: int) -> None:
        """`position` is the offset of the first record, where the last commit stands."""
        self.committed = position
        """What was committed last: the offset of the record to read next."""
        self._position = position
        self._open: dict[int, None] = {}

    def take(self, offset: int) -> None:
        """A record was fetched. Offsets rise from call to call."""
        if offset < self._position:
            raise ValueError(f"offset {offset} was taken before")
        self._open[offset] = None
        self._position = offset + 1

    def finish(self, offset: int) -> None:
        """The record has ended. To say so again changes nothing."""
        self._open.pop(offset, None)

    @property
    def next(self) -> int:
        """What may be committed: one past the highest offset below which all has ended."""
        return next(iter(self._open), self._position)

    @property
    def open(self) -> int:
        """How many records have not ended."""
        return len(self._open)

    @property
    def ahead(self) -> int:
        """How many offsets the reading is past the committed one."""
        return self._position - self.committed
