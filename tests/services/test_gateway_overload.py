"""More than the gateway can do: refused with a delay, nothing stored, and bounded memory."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from leadgate.v1 import lead_service_pb2 as pb
from tests.builders import another_submission
from tests.gateways import Gateway, Refused, a_gateway, commits_held, item_refusal, outcome


async def test_calls_beyond_the_limit_are_refused_and_memory_stays_bounded(
    tmp_path: Path,
) -> None:
    """2,000 calls at once and 20 places, again and again: the others are told when to come."""
    async with a_gateway(tmp_path, LEADGATE_SUBMIT_LIMIT="20") as gateway:
        with commits_held(tmp_path):
            in_hand = [asyncio.create_task(_submit(gateway, number)) for number in range(20)]
            await _flood(gateway)
            before = _resident_mb(gateway)
            for _ in range(3):
                await _flood(gateway)
            grown = _resident_mb(gateway) - before
        for call in in_hand:
            assert (await call).lead_id
        # 180 MB more went by meanwhile.
        assert grown < 40
        # Whoever comes again is served.
        assert (await _submit(gateway, 21)).lead_id


async def _flood(gateway: Gateway) -> None:
    """2,000 calls of 30 KiB each, 60 MB in all, of which there is room for none."""
    for answer in await asyncio.gather(*(_submit(gateway, number) for number in range(2000))):
        _is_overload(answer)


async def _submit(gateway: Gateway, number: int) -> Any:
    return await outcome(gateway.forms.leads.SubmitLead(_large(number)))


async def _until(calls: list[Any], count: int) -> tuple[set[Any], set[Any]]:
    done: set[Any] = set()
    waiting = set(calls)
    while len(done) < count:
        ended, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        done |= ended
    return done, waiting


def _is_overload(answer: Any) -> None:
    assert isinstance(answer, Refused)
    assert (answer.code, answer.reason) == ("RESOURCE_EXHAUSTED", "OVERLOADED"), answer
    assert 0 < answer.retry_seconds < 60


def _large(number: int) -> pb.SubmitLeadRequest:
    """A submission of about 30 KiB."""
    request = another_submission(number)
    for index in range(15):
        request.lead.attributes[f"text-{index}"] = "x" * 2000
    return request


async def test_a_full_queue_refuses_and_stores_nothing(tmp_path: Path) -> None:
    """Batches are taken whole or not at all; on a stream each item has its own answer."""
    async with a_gateway(tmp_path, LEADGATE_QUEUE_LIMIT="500") as gateway:
        chunks = [
            [another_submission(number) for number in range(first, first + 100)]
            for first in range(0, 2000, 100)
        ]
        with commits_held(tmp_path):
            batches = [
                asyncio.create_task(
                    outcome(
                        gateway.forms.leads.BatchSubmitLeads(
                            pb.BatchSubmitLeadsRequest(requests=chunk)
                        )
                    )
                )
                for chunk in chunks
            ]
            # At most a queue's length waits, and a commit's 500 are in work.
            # At most 500 are in work and 500 wait; then there is room for not a single one.
            done, _ = await _until(batches, len(chunks) - 10)
            stream = gateway.forms.leads.StreamLeads()
            for number in range(5000, 5300):
                await stream.write(pb.StreamLeadsRequest(request=another_submission(number)))
            said = [(await stream.read()).result for _ in range(300)]
        for batch in done:
            _is_overload(batch.result())
        for result in said:
            _is_overload(item_refusal(result.error))
        answers = [await batch for batch in batches]
        stored = 100 * sum(not isinstance(answer, Refused) for answer in answers)
        assert await _count(gateway) == stored > 0
        # Whoever sends it again has it stored.
        again = [await gateway.forms.leads.BatchSubmitLeads(_batch(chunk)) for chunk in chunks]
        assert all(item.response.lead_id for answer in again for item in answer.results)


def _batch(requests: list[pb.SubmitLeadRequest]) -> pb.BatchSubmitLeadsRequest:
    return pb.BatchSubmitLeadsRequest(requests=requests)


async def _count(gateway: Gateway) -> int:
    """How many leads there are, by the pages of the listing."""
    counted, token = 0, ""
    while True:
        request = pb.ListLeadsRequest(page_size=1000, page_token=token)
        page = await gateway.forms.leads.ListLeads(request)
        counted += len(page.leads)
        if not (token := page.next_page_token):
            return counted


async def test_streams_are_counted_by_kind(tmp_path: Path) -> None:
    """A third watch finds no room; a submit stream and single calls do."""
    async with a_gateway(tmp_path, LEADGATE_STREAM_LIMIT="2") as gateway:
        watches = [_watch(gateway) for _ in range(2)]
        for watch in watches:
            await watch.read()
        _is_overload(await outcome(_watch(gateway).read()))
        stream = gateway.forms.leads.StreamLeads()
        await stream.write(pb.StreamLeadsRequest(request=another_submission(1)))
        assert (await stream.read()).result.response.lead_id
        assert (await gateway.forms.leads.SubmitLead(another_submission(2))).lead_id
        watches[0].cancel()
        while isinstance(answer := await outcome(_watch(gateway).read()), Refused):
            _is_overload(answer)
        assert answer.cursor


def _watch(gateway: Gateway) -> Any:
    return gateway.forms.leads.WatchDeliveries(pb.WatchDeliveriesRequest())


def _resident_mb(gateway: Gateway) -> float:
    """Resident memory of the gateway."""
    status = Path(f"/proc/{gateway.process.pid}/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1]) / 1024
