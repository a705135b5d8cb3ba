"""Submissions: unary, one at a time, in batches and as a stream, beside the bare echo."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks import commit, load, programs
from benchmarks.bench import Bench
from benchmarks.figures import Figure, Result, Series
from benchmarks.leads import BUYERS, Leads
from benchmarks.load import Measured, Target
from benchmarks.programs import Gateway, Market
from gateway.delivery import State

IN_FLIGHT = 64
BATCH = 100
_BATCHES_IN_FLIGHT = 4
_STREAM_IN_FLIGHT = 512
# A figure is the first of its series, by the sum of the others.
_MADE_OF = {
    Figure.UNARY: ("unary", "echo"),
    Figure.LATENCY: ("unary p50", "echo p50", "commit p50"),
    Figure.BATCH: ("batch", "echo"),
    Figure.STREAM: ("stream", "unary"),
}


def measure(bench: Bench) -> Iterator[Result]:
    """The figures of intake with pull buyers, which nobody pulls."""
    if not bench.wants(*_MADE_OF):
        return
    market = Market(bench.directory / "intake", BUYERS, "pull")
    with programs.echo(bench.directory) as echo, market.gateway() as gateway:
        yield from _Intake(bench, echo, gateway).results()


class _Intake:
    def __init__(self, bench: Bench, echo: Target, gateway: Gateway) -> None:
        self._bench = bench
        self._echo = echo
        self._gateway = gateway
        self._leads = Leads()
        self._series = {
            name: Series(shown, unit)
            for name, shown, unit in (
                ("echo", "echo", "requests/s"),
                ("unary", "gateway", "leads/s"),
                ("batch", "gateway", "leads/s"),
                ("stream", "gateway", "leads/s"),
                ("echo p50", "echo", "ms"),
                ("commit p50", "commit", "ms"),
                ("unary p50", "gateway", "ms"),
            )
        }

    def results(self) -> Iterator[Result]:
        self._warm_up()
        for number in range(self._bench.rounds):
            self._bench.say(f"intake, round {number + 1} of {self._bench.rounds}")
            self._round()
        for figure, names in _MADE_OF.items():
            if self._bench.wants(figure):
                first, *others = used = [self._series[name] for name in names]
                value = first.median / sum(other.median for other in others)
                yield Result(figure, value, used)

    def _warm_up(self) -> None:
        load.calls(self._echo, "SubmitLead", self._leads.unary(200), IN_FLIGHT)
        load.calls(self._gateway.target, "SubmitLead", self._leads.unary(200), IN_FLIGHT)

    def _round(self) -> None:
        wants = self._bench.wants
        if wants(Figure.UNARY, Figure.BATCH):
            self._add("echo", self._echoed(6000, IN_FLIGHT).rate)
        if wants(Figure.UNARY, Figure.STREAM):
            self._unary()
        if wants(Figure.LATENCY):
            self._latency()
        if wants(Figure.BATCH):
            self._batch()
        if wants(Figure.STREAM):
            self._stream()

    def _unary(self) -> None:
        with self._bench.watched(self._gateway.program, "unary"):
            measured = self._submitted(4000, IN_FLIGHT)
        self._add("unary", measured.rate)

    def _latency(self) -> None:
        commits = self._bench.amount(500)
        self._add("echo p50", self._echoed(1000, 1).p50_seconds * 1000)
        bare = commit.p50_seconds(self._bench.directory, commits, self._leads.size_bytes)
        self._add("commit p50", bare * 1000)
        self._add("unary p50", self._submitted(500, 1).p50_seconds * 1000)

    def _batch(self) -> None:
        calls = max(2, self._bench.amount(10_000) // BATCH)
        bodies = self._leads.batches(calls, BATCH)
        target = self._gateway.target
        with (
            self._gateway.ledger.grows_by(State.PENDING, len(BUYERS)) as answers,
            self._bench.watched(self._gateway.program, "batch"),
        ):
            measured = load.calls(target, "BatchSubmitLeads", bodies, _BATCHES_IN_FLIGHT)
            answers.append(measured.answers * BATCH)
        self._add("batch", measured.rate * BATCH)

    def _stream(self) -> None:
        bodies = self._leads.stream(self._bench.amount(8000))
        target = self._gateway.target
        with (
            self._gateway.ledger.grows_by(State.PENDING, len(BUYERS)) as answers,
            self._bench.watched(self._gateway.program, "stream"),
        ):
            measured = load.stream(target, "StreamLeads", bodies, _STREAM_IN_FLIGHT)
            answers.append(measured.answers)
        self._add("stream", measured.rate)

    def _echoed(self, requests: int, in_flight: int) -> Measured:
        bodies = self._leads.unary(self._bench.amount(requests))
        return load.calls(self._echo, "SubmitLead", bodies, in_flight)

    def _submitted(self, requests: int, in_flight: int) -> Measured:
        bodies = self._leads.unary(self._bench.amount(requests))
        with self._gateway.ledger.grows_by(State.PENDING, len(BUYERS)) as answers:
            measured = load.calls(self._gateway.target, "SubmitLead", bodies, in_flight)
            answers.append(measured.answers)
        return measured

    def _add(self, name: str, value: float) -> None:
        self._series[name].values.append(value)
