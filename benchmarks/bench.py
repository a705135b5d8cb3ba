"""One run: its scale, its folder, what was asked for, and what is said meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.figures import Figure
from benchmarks.profile import profiled
from benchmarks.programs import Program


@dataclass(frozen=True)
class Bench:
    """What every experiment is given.

    Attributes:
        directory: where ledgers and logs go, on the disk that is measured.
        wanted: the figures that were asked for.
        rounds: how often everything is measured.
        scale: share of the full amount of work, above 0 to 1.
        profiles: where profiles of the gateway go, or None.
        say: shows a line of progress.
    """

    directory: Path
    wanted: frozenset[Figure]
    rounds: int
    scale: float
    profiles: Path | None
    say: Callable[[str], None]

    def amount(self, full: int) -> int:
        """How much of the full amount is done in this run."""
        return max(20, round(full * self.scale))

    def wants(self, *figures: Figure) -> bool:
        """Whether one of these figures was asked for."""
        return bool(self.wanted.intersection(figures))

    @contextmanager
    def watched(self, program: Program, name: str) -> Iterator[None]:
        """Profiles a program during the block, where that was asked for."""
        if self.profiles is None:
            yield
        else:
            with profiled(program.pid, self.profiles / f"{name}.txt"):
                yield
