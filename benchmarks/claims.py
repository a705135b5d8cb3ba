"""One consumer with 64 claim slots, and an evidence service that takes 50 ms for each."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks import load, programs
from benchmarks.bench import Bench
from benchmarks.figures import Figure, Result, Series
from benchmarks.leads import BUYERS, Leads
from benchmarks.ledger import CountError, drained
from benchmarks.programs import Gateway, Market
from benchmarks.slow_evidence import DELAY_SECONDS
from gateway.delivery import State
from leadgate import keys

_SLOTS = 64
_BUYER = BUYERS[0]
_BATCH = 100


def measure(bench: Bench) -> Iterator[Result]:
    """The figure of claims. What counts is settled deliveries, one claim each."""
    if not bench.wants(Figure.CLAIMS):
        return
    with programs.running(bench.directory, "benchmarks.slow_evidence") as evidence:
        host = evidence.said(r"address (\S+)")
        market = Market(bench.directory / "claims", BUYERS, "pull", evidence_host=host)
        with market.gateway() as gateway:
            yield _rounds(bench, gateway, host)


def _rounds(bench: Bench, gateway: Gateway, host: str) -> Result:
    leads = Leads(f"http://{host}")
    settled = Series("consumer", "claims/s")
    for number in range(bench.rounds):
        bench.say(f"claims, round {number + 1} of {bench.rounds}")
        bodies = leads.batches(max(1, bench.amount(5000) // _BATCH), _BATCH)
        load.calls(gateway.target, "BatchSubmitLeads", bodies, 4)
        settled.values.append(_consumed(bench, gateway, host, len(bodies) * _BATCH))
    ideal = Series("64 / 50 ms", "claims/s", [_SLOTS / DELAY_SECONDS])
    return Result(Figure.CLAIMS, settled.median / ideal.median, [settled, ideal])


def _consumed(bench: Bench, gateway: Gateway, host: str, deliveries: int) -> float:
    """Settled deliveries per second, from the first until all are."""
    ledger = gateway.ledger
    done, receipts = ledger.in_state(State.DELIVERED), ledger.receipts()
    environment = {
        "LEADGATE_GATEWAY": gateway.target.address,
        "LEADGATE_API_KEY": gateway.buyer_keys[_BUYER],
        "LEADGATE_BUYER": _BUYER,
        "LEADGATE_EVIDENCE_HOSTS": f"{host};networks=127.0.0.0/8;insecure=true",
        "LEADGATE_EVIDENCE_API_KEY": str(keys.mint()),
        # A check of the evidence is a second call of 50 ms, which is not a claim.
        "LEADGATE_VERIFY": "off",
    }
    with programs.running(bench.directory, "consumers", environment) as consumer:
        with bench.watched(consumer, "claims"):
            count, seconds = drained(
                lambda: done + deliveries - ledger.in_state(State.DELIVERED), limit_seconds=30
            )
        consumer.stop()
    if ledger.receipts() - receipts != deliveries:
        raise CountError(f"{ledger.receipts() - receipts} receipts for {deliveries} deliveries")
    return count / seconds
