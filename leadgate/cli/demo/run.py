"""One run of the story: submitted, followed until everything is settled, and judged."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress

import grpc.aio

from leadgate.cli.demo.stage import Stage
from leadgate.cli.demo.story import Case, Fate
from leadgate.cli.output import state
from leadgate.cli.refusal import describe, reason_of
from leadgate.cli.submission import Line, Submission
from leadgate.v1 import delivery_pb2, lead_service_pb2

FINAL = frozenset(["REJECTED", "DELIVERED", "BUYER_REJECTED", "FAILED"])


class Run:
    """Submits cases and keeps what became of them."""

    def __init__(self, stage: Stage, cases: list[Case]) -> None:
        self.cases = cases
        self.answers: dict[int, lead_service_pb2.SubmitLeadResult] = {}
        self.fates: dict[str, Fate] = {}
        self._stage = stage
        self._metadata = stage.metadata(stage.plan.generator)

    async def play(self, patience: float, show: Callable[[int, int], None]) -> None:
        """Submits everything and waits until it is settled, at most `patience` seconds.

        `show` is called with how many deliveries are settled, and of how many.
        """
        following = asyncio.create_task(self._follow(show))
        try:
            await Submission(
                lambda: self._stage.gateway.leads.StreamLeads(metadata=self._metadata),
                lambda line, result: self.answers.update({line.number: result}),
            ).run(Line(index, "", 0, case.request) for index, case in enumerate(self.cases))
            with suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    await following
        finally:
            following.cancel()
            with suppress(asyncio.CancelledError):
                await following

    def fate(self, index: int, buyer: str) -> Fate | None:
        """Where a case's delivery to a buyer stands, as the generator was told."""
        for delivery in self.answers[index].response.deliveries:
            if delivery.buyer_id == buyer:
                return self.fates.get(delivery.delivery_id)
        return None

    def delivered_to(self, buyer: str, wanted: str = "DELIVERED") -> set[str]:
        """The deliveries that a buyer's side must have seen end so."""
        return {
            delivery_id
            for delivery_id, fate in self.fates.items()
            if fate.state == wanted and delivery_id.endswith(f".{buyer}")
        }

    async def _follow(self, show: Callable[[int, int], None]) -> None:
        request = lead_service_pb2.WatchDeliveriesRequest(cursor="0")
        call = self._stage.gateway.leads.WatchDeliveries(request, metadata=self._metadata)
        with suppress(grpc.aio.AioRpcError):
            async for message in call:
                if message.HasField("event"):
                    name = state(delivery_pb2.DeliveryState, message.state)
                    self.fates[message.delivery_id] = Fate(name, message.event.reason)
                settled = sum(fate.state in FINAL for fate in self.fates.values())
                total = self._expected_deliveries()
                show(settled, total)
                if settled >= total:
                    break
        call.cancel()

    def _expected_deliveries(self) -> int:
        """As many as there will be; once all is answered, as many as there are."""
        if len(self.answers) < len(self.cases):
            return sum(len(case.fates) for case in self.cases if not case.repeats)
        decided = (answer.response.deliveries for answer in self.answers.values())
        return len({item.delivery_id for deliveries in decided for item in deliveries})


async def mistakes(run: Run, stage: Stage) -> list[str]:
    """Everything that is not as it should be, in words without personal data."""
    found = [problem for index in range(len(run.cases)) for problem in _wrong(run, index)]
    found += _wrong_repeats(run)
    found += [problem async for problem in _wrong_receipts(stage)]
    found += [f"{child.name} ended; see {child.log}" for child in stage.children if child.ended]
    return [*found, *_wrong_sinks(run, stage)]


def _wrong(run: Run, index: int) -> Iterator[str]:
    """Compares the answer and the fates of one case with what they must be."""
    case, answer = run.cases[index], run.answers.get(index)
    if answer is None:
        yield f"{case.title}: never answered"
        return
    if case.refusal:
        text = " ".join([reason_of(answer.error), *describe(answer.error)])
        if not answer.HasField("error") or case.refusal not in text:
            yield f"{case.title}: not refused with {case.refusal}"
        return
    if answer.HasField("error"):
        yield f"{case.title}: refused, {'; '.join(describe(answer.error))}"
        return
    for buyer, expected in case.fates.items():
        if (fate := run.fate(index, buyer)) != expected:
            yield f"{case.title}: {fate or 'nothing'} for {buyer} instead of {expected}"


def _wrong_repeats(run: Run) -> Iterator[str]:
    first: dict[str, lead_service_pb2.SubmitLeadResult] = {}
    for index, case in enumerate(run.cases):
        answer = run.answers.get(index)
        if answer is None or case.refusal:
            continue
        earlier = first.setdefault(case.request.request_id, answer)
        if case.repeats and answer != earlier:
            yield f"{case.title}: not the first answer again"


async def _wrong_receipts(stage: Stage) -> AsyncIterator[str]:
    """A lead counts as delivered only with a claim of every share, and matching evidence."""
    request = lead_service_pb2.ListLeadsRequest(page_size=1_000)
    while True:
        page = await stage.gateway.leads.ListLeads(
            request, metadata=stage.metadata(stage.plan.generator), timeout=30
        )
        for lead in page.leads:
            for delivery in lead.deliveries:
                if delivery.state == delivery_pb2.DELIVERY_STATE_DELIVERED and not (
                    _is_proved(delivery)
                ):
                    yield f"{delivery.delivery_id}: delivered without proof of consent"
        request.page_token = page.next_page_token
        if not request.page_token:
            return


def _is_proved(delivery: delivery_pb2.Delivery) -> bool:
    claimed = (delivery_pb2.CLAIM_STATUS_CLAIMED, delivery_pb2.CLAIM_STATUS_ALREADY_CLAIMED)
    return bool(delivery.receipts) and all(
        receipt.status in claimed and receipt.verification == delivery_pb2.VERIFICATION_MATCHED
        for receipt in delivery.receipts
    )


def _wrong_sinks(run: Run, stage: Stage) -> Iterator[str]:
    """What the buyers' systems have must be what the generator was told."""
    plan, system = stage.plan, stage.system
    lines = plan.sink.read_text(encoding="utf-8").splitlines() if plan.sink.exists() else []
    if {json.loads(line)["deliveryId"] for line in lines} != run.delivered_to(plan.one):
        yield f"{plan.one}: its file holds other leads than the generator was told"
    if system.taken != run.delivered_to(plan.two):
        yield f"{plan.two}: its system took other leads than the generator was told"
    if system.turned_down != run.delivered_to(plan.two, "BUYER_REJECTED"):
        yield f"{plan.two}: its system turned down other leads than the generator was told"
    if system.forged:
        yield f"{plan.two}: {system.forged} webhooks with a wrong signature"
