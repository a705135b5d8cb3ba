"""LeadService: what a generator calls."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator

from gateway import paging, wire
from gateway.access import Caller
from gateway.addition import Additions
from gateway.delivery import parse_lead_id
from gateway.errors import (
    ForbiddenError,
    GatewayError,
    InvalidRequestError,
    NotFoundError,
    StoppingError,
    Violation,
)
from gateway.intake import Accepted, Intake, Submission
from gateway.market import Role
from gateway.rpc.filters import accepted_range, known_state
from gateway.rpc.status import status
from gateway.timeline import Filter, Ledger, Timeline
from leadgate.v1 import lead_service_pb2 as pb

MAX_BATCH = 500
STREAM_WINDOW = 512
"""Submissions of one stream that may be unanswered; beyond it the stream is not read."""
_FIRST_PAGE = (1 << 63) - 1


class LeadRpc:
    """Submits and follows leads of the calling generator."""

    def __init__(
        self,
        intake: Intake,
        additions: Additions,
        ledger: Ledger,
        timeline: Timeline,
        stop: asyncio.Event,
    ) -> None:
        self._intake = intake
        self._additions = additions
        self._ledger = ledger
        self._timeline = timeline
        self._stop = stop

    async def submit_lead(
        self, caller: Caller, request: pb.SubmitLeadRequest
    ) -> pb.SubmitLeadResponse:
        """See the proto, as of all below."""
        return wire.accepted(await self._intake.submit(_generator(caller), request))

    async def batch_submit_leads(
        self, caller: Caller, request: pb.BatchSubmitLeadsRequest
    ) -> pb.BatchSubmitLeadsResponse:
        """Stores each submission that is sound, in as few commits as may be."""
        generator_id = _generator(caller)
        if not 1 <= len(request.requests) <= MAX_BATCH:
            problem = f"must have 1 to {MAX_BATCH} entries"
            raise InvalidRequestError([Violation("requests", problem)])
        checked: list[Submission] = []
        for index, item in enumerate(request.requests):
            checked.append(self._intake.checked(generator_id, item))
            if index % 50 == 49:
                # Let other calls have their turn within a large batch.
                await asyncio.sleep(0)
        answers = self._intake.submit_all(checked)
        return pb.BatchSubmitLeadsResponse(results=[await _result(answer) for answer in answers])

    async def stream_leads(
        self, caller: Caller, requests: AsyncIterable[pb.StreamLeadsRequest]
    ) -> AsyncIterator[pb.StreamLeadsResponse]:
        """Answers each submission in its turn, while those behind it are under way."""
        generator_id = _generator(caller)
        answers: asyncio.Queue[_Answer | None] = asyncio.Queue(STREAM_WINDOW)
        reader = asyncio.create_task(self._read(generator_id, requests, answers))
        stopping = asyncio.create_task(self._stop.wait())
        stopping.add_done_callback(lambda _: reader.cancel())
        try:
            while (answer := await answers.get()) is not None:
                request_id, future = answer
                result = (
                    _refused(future) if isinstance(future, GatewayError) else await _result(future)
                )
                yield pb.StreamLeadsResponse(request_id=request_id, result=result)
        finally:
            stopping.cancel()
            reader.cancel()
            _forget(answers)
        if self._stop.is_set():
            raise StoppingError("the gateway is stopping; repeat what was not answered")
        # Raises what ended the reading, such as a message that is none.
        await reader

    async def add_evidence(
        self, caller: Caller, request: pb.AddEvidenceRequest
    ) -> pb.AddEvidenceResponse:
        """Gives deliveries the evidence they await."""
        return wire.evidence_added(await self._additions.add(_generator(caller), request))

    async def get_lead(self, caller: Caller, request: pb.GetLeadRequest) -> pb.GetLeadResponse:
        """One lead with its events."""
        lead_id = parse_lead_id(request.lead_id)
        scope = caller.scope(Role.GENERATOR, "")
        view = await self._ledger.find_lead(lead_id, scope) if lead_id else None
        if view is None:
            raise NotFoundError("no such lead")
        return pb.GetLeadResponse(lead=wire.lead_status(view))

    async def list_leads(
        self, caller: Caller, request: pb.ListLeadsRequest
    ) -> pb.ListLeadsResponse:
        """A page of leads, newest first."""
        violations: list[Violation] = []
        accepted_from, accepted_until = accepted_range(request, violations)
        matching = Filter(
            generator_id=caller.scope(Role.GENERATOR, request.generator_id),
            buyer_id=request.buyer_id,
            request_id=request.request_id,
            state=known_state(request.state, violations),
            accepted_from=accepted_from,
            accepted_until=accepted_until,
        )
        scope = ("leads", repr(matching))
        page = paging.page(request.page_size, request.page_token, scope, _FIRST_PAGE, violations)
        if violations:
            raise InvalidRequestError(violations)
        views = await self._ledger.list_leads(matching, page.start, page.size + 1)
        shown = views[: page.size]
        more = len(views) > page.size
        return pb.ListLeadsResponse(
            leads=map(wire.lead_status, shown),
            next_page_token=paging.encode(scope, shown[-1].position) if more else "",
        )

    async def watch_deliveries(
        self, caller: Caller, request: pb.WatchDeliveriesRequest
    ) -> AsyncIterator[pb.WatchDeliveriesResponse]:
        """Events as they are committed."""
        generator_id = caller.scope(Role.GENERATOR, request.generator_id)
        matching = Filter(generator_id=generator_id, buyer_id=request.buyer_id)
        async for moment in self._timeline.watch(request.cursor, matching):
            yield wire.moment(moment)

    async def _read(
        self,
        generator_id: str,
        requests: AsyncIterable[pb.StreamLeadsRequest],
        answers: asyncio.Queue[_Answer | None],
    ) -> None:
        try:
            async for message in requests:
                request = message.request
                try:
                    answer: _Pending = self._intake.submit(generator_id, request)
                except GatewayError as refusal:
                    answer = refusal
                await answers.put((request.request_id, answer))
        finally:
            await answers.put(None)


_Pending = asyncio.Future[Accepted] | GatewayError
_Answer = tuple[str, _Pending]


def _forget(answers: asyncio.Queue[_Answer | None]) -> None:
    """Drops answers that nobody waits for: each refusal among them would be logged."""
    while not answers.empty():
        _, answer = answers.get_nowait() or ("", None)
        if isinstance(answer, asyncio.Future):
            answer.cancel()


def _generator(caller: Caller) -> str:
    """The generator that submits. An operator has no leads to submit."""
    if caller.role is not Role.GENERATOR:
        raise ForbiddenError("leads are submitted with a generator's key")
    return caller.subject


async def _result(future: asyncio.Future[Accepted]) -> pb.SubmitLeadResult:
    try:
        return pb.SubmitLeadResult(response=wire.accepted(await future))
    except GatewayError as refusal:
        return _refused(refusal)


def _refused(refusal: GatewayError) -> pb.SubmitLeadResult:
    return pb.SubmitLeadResult(error=status(refusal))
