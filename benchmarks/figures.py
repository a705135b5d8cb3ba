"""The figures: what each must reach, and what was measured of it."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum


class Figure(StrEnum):
    """One line of the report, by the name that `--only` takes."""

    UNARY = "unary"
    KAFKA = "kafka"
    LATENCY = "latency"
    BATCH = "batch"
    STREAM = "stream"
    DISPATCH = "dispatch"
    CLAIMS = "claims"
    MEMORY = "memory"


@dataclass(frozen=True)
class Goal:
    """What a figure is, and where it must be: at least, or at most, a number."""

    title: str
    bound: float
    at_most: bool = False
    unit: str = ""

    def reached_by(self, value: float) -> bool:
        """Whether a value is good enough."""
        return value <= self.bound if self.at_most else value >= self.bound

    def __str__(self) -> str:
        return f"{'≤' if self.at_most else '≥'} {self.bound:g}{self.unit}"


GOALS = {
    Figure.UNARY: Goal("unary, 64 in flight, pull buyers ÷ echo", 0.50),
    Figure.KAFKA: Goal("the same, publishing to Kafka ÷ echo", 0.38),
    Figure.LATENCY: Goal("unary, one in flight: p50 ÷ (echo + commit)", 2, at_most=True),
    Figure.BATCH: Goal("batches of 100, leads/s ÷ echo's requests/s", 1.7),
    Figure.STREAM: Goal("stream, leads/s ÷ unary leads/s", 1.5),
    Figure.DISPATCH: Goal("draining a backlog to Kafka ÷ raw producer", 0.5),
    Figure.CLAIMS: Goal("claims/s of one consumer ÷ (64 / 50 ms)", 0.80),
    Figure.MEMORY: Goal("memory for 200,000 waiting deliveries", 60, at_most=True, unit=" MB"),
}


@dataclass
class Series:
    """A quantity, measured once in each round."""

    name: str
    unit: str
    values: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """The middle of the rounds."""
        return statistics.median(self.values)

    def __str__(self) -> str:
        digits = 0 if self.median >= 100 else 2
        return f"{self.name} {self.median:,.{digits}f} {self.unit}"


@dataclass(frozen=True)
class Result:
    """A measured figure: its value, made of medians, and the series it was made from."""

    figure: Figure
    value: float
    series: Sequence[Series]

    @property
    def goal(self) -> Goal:
        """What it must reach."""
        return GOALS[self.figure]

    @property
    def reached(self) -> bool:
        """Whether it does."""
        return self.goal.reached_by(self.value)
