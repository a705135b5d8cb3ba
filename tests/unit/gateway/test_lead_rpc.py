"""Submit streams whose clients hang up, with the intake as a fake."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from gateway.access import Caller
from gateway.errors import StoppingError
from gateway.intake import Accepted
from gateway.market import Role
from gateway.rpc.lead import STREAM_WINDOW, LeadRpc
from leadgate.v1 import lead_service_pb2 as pb

CALLER = Caller(Role.GENERATOR, "forms")


class FakeIntake:
    """Takes every submission, and answers when it is told to."""

    def __init__(self) -> None:
        self.taken: list[asyncio.Future[Accepted]] = []
        self.begun = asyncio.Event()
        self.full = asyncio.Event()

    def submit(self, generator_id: str, request: Any) -> asyncio.Future[Accepted]:
        """A future that nobody has answered."""
        self.taken.append(asyncio.get_running_loop().create_future())
        self.begun.set()
        if len(self.taken) > STREAM_WINDOW:
            self.full.set()
        return self.taken[-1]


@pytest.fixture
def intake() -> FakeIntake:
    """An intake that keeps everybody waiting."""
    return FakeIntake()


def a_service(intake: FakeIntake, stop: asyncio.Event) -> LeadRpc:
    """LeadService over the intake, and nothing else."""
    nothing = cast(Any, None)
    return LeadRpc(cast(Any, intake), nothing, nothing, nothing, stop)


async def _endless() -> AsyncIterator[pb.StreamLeadsRequest]:
    while True:
        yield pb.StreamLeadsRequest()
        await asyncio.sleep(0)


async def test_a_client_that_hangs_up_with_a_full_window_leaves_nothing_behind(
    intake: FakeIntake,
) -> None:
    """The task that read its stream ends, too, and the answers are nobody's."""
    before = asyncio.all_tasks()
    stream = a_service(intake, asyncio.Event()).stream_leads(CALLER, _endless())
    reading = asyncio.ensure_future(anext(stream))
    await intake.full.wait()
    assert len(intake.taken) <= STREAM_WINDOW + 2
    reading.cancel()
    _, left = await asyncio.wait(asyncio.all_tasks() - before, timeout=5)
    assert not left
    # The reader may have had one more in its hands.
    assert sum(not future.cancelled() for future in intake.taken) <= 1


async def test_a_stop_answers_what_was_taken_and_ends_the_stream(intake: FakeIntake) -> None:
    """Nothing more is read; the client is told to repeat the rest."""
    stop = asyncio.Event()
    stream = a_service(intake, stop).stream_leads(CALLER, _endless())
    reading = asyncio.ensure_future(anext(stream))
    await intake.full.wait()
    stop.set()
    await asyncio.sleep(0)
    for future in intake.taken:
        future.set_result(Accepted(bytes(16), ()))
    answers = [await reading]
    with pytest.raises(StoppingError):
        answers += [answer async for answer in stream]
    assert len(intake.taken) <= STREAM_WINDOW + 2


async def test_an_error_of_the_client_ends_the_stream_with_it(intake: FakeIntake) -> None:
    """After what came before it was answered."""

    async def broken() -> AsyncIterator[pb.StreamLeadsRequest]:
        yield pb.StreamLeadsRequest(request=pb.SubmitLeadRequest(request_id="first"))
        raise ConnectionResetError

    stream = a_service(intake, asyncio.Event()).stream_leads(CALLER, broken())
    first = asyncio.ensure_future(anext(stream))
    await intake.begun.wait()
    intake.taken[0].set_result(Accepted(bytes(16), ()))
    assert (await first).request_id == "first"
    with pytest.raises(ConnectionResetError):
        await anext(stream)
