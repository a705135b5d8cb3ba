"""Memory of a gateway that has accepted many deliveries, which all wait."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks import load
from benchmarks.bench import Bench
from benchmarks.figures import Figure, Result, Series
from benchmarks.leads import BUYERS, Leads
from benchmarks.ledger import CountError
from benchmarks.programs import Market

_DELIVERIES = 200_000
_BATCH = 100
_IN_FLIGHT = 4
_CALLS_AT_ONCE = 100


def measure(bench: Bench) -> Iterator[Result]:
    """The figure of memory. One round is enough: it does not depend on the machine's mood."""
    if not bench.wants(Figure.MEMORY):
        return
    bench.say("memory")
    calls = bench.amount(_DELIVERIES // len(BUYERS)) // _BATCH or 1
    leads = Leads()
    with Market(bench.directory / "memory", BUYERS, "pull").gateway() as gateway:
        start = gateway.program.resident_bytes
        for done in range(0, calls, _CALLS_AT_ONCE):
            bodies = leads.batches(min(_CALLS_AT_ONCE, calls - done), _BATCH)
            load.calls(gateway.target, "BatchSubmitLeads", bodies, _IN_FLIGHT)
        end = gateway.program.resident_bytes
        waiting = gateway.ledger.waiting()
    if waiting != calls * _BATCH * len(BUYERS):
        raise CountError(f"{waiting} deliveries wait where {calls} batches were accepted")
    series = [Series("at start", "MB", [start / 1e6]), Series("at the end", "MB", [end / 1e6])]
    yield Result(Figure.MEMORY, (end - start) / 1e6, series)
