"""Dispatch: a backlog drains to Kafka, beside a raw producer of the same records."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks import load, programs
from benchmarks.bench import Bench
from benchmarks.figures import Figure, Result, Series
from benchmarks.leads import BUYERS, Leads
from benchmarks.ledger import drained
from benchmarks.programs import Market
from gateway.delivery import State
from scripts.kafka import KafkaBroker

_BATCH = 100
_IN_FLIGHT = 4


def measure(bench: Bench) -> Iterator[Result]:
    """The figure of dispatch. Leads are submitted to a gateway that has no Kafka yet."""
    if not bench.wants(Figure.DISPATCH):
        return
    with KafkaBroker(bench.directory / "dispatch-kafka") as broker:
        yield _rounds(bench, broker.bootstrap)


def _rounds(bench: Bench, bootstrap: str) -> Result:
    market = Market(bench.directory / "dispatch", BUYERS, "kafka")
    leads = Leads()
    rate = Series("gateway", "records/s")
    raw = Series("raw producer", "records/s")
    for number in range(bench.rounds):
        bench.say(f"dispatch, round {number + 1} of {bench.rounds}")
        _fill(market, leads, max(1, bench.amount(15_000) // _BATCH))
        rate.values.append(_drain(bench, market, bootstrap))
        raw.values.append(_raw(bench, bootstrap))
    return Result(Figure.DISPATCH, rate.median / raw.median, [rate, raw])


def _fill(market: Market, leads: Leads, calls: int) -> None:
    with (
        market.gateway() as gateway,
        gateway.ledger.grows_by(State.PENDING, len(BUYERS)) as answers,
    ):
        bodies = leads.batches(calls, _BATCH)
        measured = load.calls(gateway.target, "BatchSubmitLeads", bodies, _IN_FLIGHT)
        answers.append(measured.answers * _BATCH)


def _drain(bench: Bench, market: Market, bootstrap: str) -> float:
    """Records per second from the first progress until nothing waits."""
    with (
        market.gateway(LEADGATE_KAFKA_BOOTSTRAP=bootstrap) as gateway,
        bench.watched(gateway.program, "dispatch"),
    ):
        records, seconds = drained(gateway.ledger.waiting, limit_seconds=120)
    return records / seconds


def _raw(bench: Bench, bootstrap: str) -> float:
    """Records per second of the raw producer, which sends again what is on the topics."""
    environment = {"BENCH_BOOTSTRAP": bootstrap, "BENCH_BUYERS": " ".join(BUYERS)}
    with programs.running(bench.directory, "benchmarks.raw_producer", environment) as program:
        return float(program.said(r"rate (\S+)\n", seconds=120))
