"""Submissions while their deliveries go to a real Kafka on the same machine."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks import load, programs
from benchmarks.bench import Bench
from benchmarks.figures import Figure, Result, Series
from benchmarks.intake import IN_FLIGHT
from benchmarks.leads import BUYERS, Leads
from benchmarks.ledger import drained
from benchmarks.load import Target
from benchmarks.programs import Gateway, Market
from gateway.delivery import State
from scripts.kafka import KafkaBroker


def measure(bench: Bench) -> Iterator[Result]:
    """The figure of unary submissions to Kafka buyers."""
    if not bench.wants(Figure.KAFKA):
        return
    market = Market(bench.directory / "publishing", BUYERS, "kafka")
    with (
        KafkaBroker(bench.directory / "publishing-kafka") as broker,
        programs.echo(bench.directory) as echo,
        market.gateway(LEADGATE_KAFKA_BOOTSTRAP=broker.bootstrap) as gateway,
    ):
        yield _rounds(bench, echo, gateway)


def _rounds(bench: Bench, echo: Target, gateway: Gateway) -> Result:
    leads = Leads()
    rate = Series("gateway", "leads/s")
    bare = Series("echo", "requests/s")
    prompt = Series("published when the last answer came", "%")
    load.calls(echo, "SubmitLead", leads.unary(200), IN_FLIGHT)
    load.calls(gateway.target, "SubmitLead", leads.unary(200), IN_FLIGHT)
    drained(gateway.ledger.waiting, limit_seconds=60)
    for number in range(bench.rounds):
        bench.say(f"publishing, round {number + 1} of {bench.rounds}")
        bodies = leads.unary(bench.amount(6000))
        bare.values.append(load.calls(echo, "SubmitLead", bodies, IN_FLIGHT).rate)
        bodies = leads.unary(bench.amount(4000))
        with (
            gateway.ledger.grows_by(State.PUBLISHED, len(BUYERS)) as answers,
            bench.watched(gateway.program, "kafka"),
        ):
            measured = load.calls(gateway.target, "SubmitLead", bodies, IN_FLIGHT)
            waiting = gateway.ledger.waiting()
            answers.append(measured.answers)
            # The next round's echo must not share the machine with this round's rest.
            drained(gateway.ledger.waiting, limit_seconds=60)
        rate.values.append(measured.rate)
        prompt.values.append(100 - 100 * waiting / (measured.answers * len(BUYERS)))
    return Result(Figure.KAFKA, rate.median / bare.median, [rate, bare, prompt])
