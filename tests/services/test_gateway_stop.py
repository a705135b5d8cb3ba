"""Ends: callers that hang up, SIGTERM with calls in flight, and the second signal."""

from __future__ import annotations

import asyncio
import random
import signal
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from leadgate.process import ExitCode
from leadgate.v1 import delivery_service_pb2 as delivery_pb
from leadgate.v1 import lead_service_pb2 as pb
from tests.builders import another_submission
from tests.gateways import (
    Gateway,
    Refused,
    a_gateway,
    commits_held,
    outcome,
    refused,
    started,
)

BUYERS = ("buyer-one", "buyer-two")


async def test_a_caller_that_hangs_up_hurts_nobody(tmp_path: Path) -> None:
    """Calls cancelled at random moments leave whole leads or none, and no error in the log."""
    requests = [another_submission(number, *BUYERS) for number in range(600)]
    async with a_gateway(tmp_path) as gateway:
        kept = await _hang_up_at_random(gateway, requests)
        await _abandon_streams(gateway)
        assert 50 < len(kept) < 600
        repeated = await _batches(gateway, requests)
        for request in requests:
            lead_id = repeated[request.request_id]
            assert kept.get(request.request_id, lead_id) == lead_id
        await _is_whole(gateway, requests)
        assert not [event for event in gateway.process.events if event.get("level") == "error"]
        assert await gateway.process.stop() == ExitCode.OK


async def _hang_up_at_random(
    gateway: Gateway, requests: list[pb.SubmitLeadRequest]
) -> dict[str, str]:
    """Cancels a call whenever another one ends; the lead ids of those that were answered."""
    calls: dict[Any, str] = {}
    for request in requests:
        call = gateway.forms.leads.SubmitLead(request)
        calls[call] = request.request_id
        call.add_done_callback(lambda _: random.choice(list(calls)).cancel())
    answers = await asyncio.gather(*(_wait(call) for call in calls))
    return {
        request_id: answer.lead_id
        for request_id, answer in zip(calls.values(), answers, strict=True)
        if answer
    }


async def _wait(call: Any) -> Any:
    """The answer, or None where the call was cancelled."""
    try:
        return await call
    except asyncio.CancelledError:
        return None


async def _abandon_streams(gateway: Gateway) -> None:
    """Submit streams with everything sent and nothing read, closed at once."""
    repeated = pb.StreamLeadsRequest(request=another_submission(1, *BUYERS))
    for _ in range(10):
        stream = gateway.forms.leads.StreamLeads()
        for _ in range(50):
            await stream.write(repeated)
        await stream.read()
        stream.cancel()


async def _batches(gateway: Gateway, requests: list[pb.SubmitLeadRequest]) -> dict[str, str]:
    """Submits them all again; the lead id of each."""
    answered: dict[str, str] = {}
    for start in range(0, len(requests), 500):
        chunk = requests[start : start + 500]
        batch = pb.BatchSubmitLeadsRequest(requests=chunk)
        results = (await gateway.forms.leads.BatchSubmitLeads(batch)).results
        for request, result in zip(chunk, results, strict=True):
            answered[request.request_id] = result.response.lead_id
    return answered


async def _is_whole(gateway: Gateway, requests: list[pb.SubmitLeadRequest]) -> None:
    """Each of the requests is one lead with all its deliveries, and there are no others."""
    listing = await gateway.forms.leads.ListLeads(pb.ListLeadsRequest(page_size=1000))
    assert {tuple(d.buyer_id for d in lead.deliveries) for lead in listing.leads} == {BUYERS}
    stored = sorted(lead.request_id for lead in listing.leads)
    assert stored == sorted(request.request_id for request in requests)


async def test_a_caller_that_hangs_up_during_the_commit_leaves_a_whole_lead(
    tmp_path: Path,
) -> None:
    """What had been taken in is stored; the others in the same commit are answered."""
    requests = [another_submission(number, *BUYERS) for number in range(10)]
    async with a_gateway(tmp_path, LEADGATE_SUBMIT_LIMIT="10") as gateway:
        with commits_held(tmp_path):
            calls = [gateway.forms.leads.SubmitLead(request) for request in requests]
            assert (await _one_too_many(gateway)).code == "RESOURCE_EXHAUSTED"
            for call in calls[::2]:
                call.cancel()
        for call in calls[1::2]:
            assert (await call).lead_id
        await _is_whole(gateway, requests)


async def test_sigterm_answers_every_call_in_hand(tmp_path: Path) -> None:
    """Meanwhile health says NOT_SERVING, and new calls and streams are UNAVAILABLE."""
    requests = [another_submission(number, *BUYERS) for number in range(1, 11)]
    async with a_gateway(tmp_path, LEADGATE_SUBMIT_LIMIT="10") as gateway:
        health = gateway.health.Watch(HealthCheckRequest())
        assert (await health.read()).status == HealthCheckResponse.SERVING
        streams = await _open_streams(gateway)
        with commits_held(tmp_path):
            calls = [gateway.forms.leads.SubmitLead(request) for request in requests]
            assert (await _one_too_many(gateway)).code == "RESOURCE_EXHAUSTED"
            gateway.process.signal(signal.SIGTERM)
            assert (await health.read()).status == HealthCheckResponse.NOT_SERVING
            assert (await _one_too_many(gateway)).code == "UNAVAILABLE"
        answers = await asyncio.gather(*calls)
        for stream in streams:
            assert (await refused(stream)).code == "UNAVAILABLE"
        assert await gateway.process.ended(seconds=5) == ExitCode.OK
        assert [e["event"] for e in gateway.process.events][-2:] == ["draining", "stopped"]
    async with a_gateway(tmp_path) as gateway:
        repeated = await _batches(gateway, requests)
        assert list(repeated.values()) == [answer.lead_id for answer in answers]


async def _one_too_many(gateway: Gateway) -> Refused:
    """Calls for which there is no room: those that came before it are in hand by then."""
    return await refused(gateway.forms.leads.SubmitLead(another_submission(999)))


async def test_sigterm_under_load_loses_nothing(tmp_path: Path) -> None:
    """Whatever is not answered is UNAVAILABLE; what was answered is there after a restart."""
    requests = [another_submission(number, *BUYERS) for number in range(1000)]
    async with a_gateway(tmp_path) as gateway:
        calls = [
            asyncio.create_task(outcome(gateway.forms.leads.SubmitLead(request)))
            for request in requests
        ]
        await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
        assert await gateway.process.stop(seconds=10) == ExitCode.OK
        answers = await asyncio.gather(*calls)
    unanswered = {answer.code for answer in answers if isinstance(answer, Refused)}
    assert unanswered <= {"UNAVAILABLE"}
    async with a_gateway(tmp_path) as gateway:
        repeated = await _batches(gateway, requests)
        for request, answer in zip(requests, answers, strict=True):
            if not isinstance(answer, Refused):
                assert repeated[request.request_id] == answer.lead_id
        await _is_whole(gateway, requests)


async def _open_streams(gateway: Gateway) -> list[Any]:
    """A stream of each kind, idle, after its first message."""
    watch = gateway.forms.leads.WatchDeliveries(pb.WatchDeliveriesRequest())
    submits = gateway.forms.leads.StreamLeads()
    await submits.write(pb.StreamLeadsRequest(request=pb.SubmitLeadRequest()))
    pull = gateway.buyer_one.deliveries.StreamDeliveries(delivery_pb.StreamDeliveriesRequest())
    await gateway.forms.leads.SubmitLead(another_submission(0, *BUYERS))
    await pull.read()
    await watch.read()
    await submits.read()
    return [watch, submits, pull]


async def test_a_second_signal_ends_the_process_at_once(tmp_path: Path) -> None:
    """A stream that never ends holds up the drain; the operator need not wait for it."""
    async with a_gateway(tmp_path) as gateway:
        await _hold_up(gateway)
        gateway.process.signal(signal.SIGTERM)
        await gateway.process.event("draining")
        gateway.process.signal(signal.SIGINT)
        assert await gateway.process.ended(seconds=5) == ExitCode.KILLED


async def test_the_drain_ends_within_its_limit(tmp_path: Path) -> None:
    """Who does not let go is cut off then, and the exit code is 0."""
    async with a_gateway(tmp_path, LEADGATE_DRAIN_SECONDS="0.5") as gateway:
        await _hold_up(gateway)
        assert await gateway.process.stop(seconds=5) == ExitCode.OK


async def _hold_up(gateway: Gateway) -> None:
    channel: Any = gateway.channel
    stub: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
    held = stub.ServerReflectionInfo()
    await held.write(reflection_pb2.ServerReflectionRequest(list_services=""))
    await held.read()
    asyncio.get_running_loop().call_later(30, held.cancel)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_during_the_start_is_obeyed(tmp_path: Path, number: signal.Signals) -> None:
    """It drains at once and exits with 0."""
    async with started(tmp_path) as process:
        await process.event("market applied")
        process.signal(number)
        assert await process.ended() == ExitCode.OK


async def test_after_a_stop_calls_are_unavailable(tmp_path: Path) -> None:
    """The code that tells a client to send the request again."""
    async with a_gateway(tmp_path) as gateway:
        await gateway.process.stop()
        with pytest.raises(grpc.aio.AioRpcError, match="UNAVAILABLE"):
            await gateway.forms.leads.SubmitLead(another_submission(1))
