"""Following deliveries: no gap and no repeat, across reconnects, restarts and crashes."""

from __future__ import annotations

import asyncio
from itertools import count
from pathlib import Path
from typing import Any

import grpc
import pytest

from leadgate.v1 import lead_service_pb2 as pb
from leadgate.v1.delivery_pb2 import DELIVERY_EVENT_TYPE_ACCEPTED
from tests.builders import another_submission
from tests.gateways import Caller, Gateway, a_gateway, refused

BUYERS = ("buyer-one", "buyer-two")
LEADS = 50
"""Submitted to each of the gateways that follow one another."""


class Follower:
    """Watches from the newest cursor on, and hangs up after every few messages."""

    def __init__(self, **filters: str) -> None:
        self.seen: list[str] = []
        """The delivery id of each event."""
        self._cursor = "0"
        self._filters = filters

    async def follow(self, caller: Caller, events: int, *, hang_up_after: int = 10_000) -> None:
        """Reads until that many events were seen in all."""
        async with asyncio.timeout(30):
            while len(self.seen) < events:
                await self._watch(caller, events, hang_up_after)

    async def _watch(self, caller: Caller, events: int, messages: int) -> None:
        request = pb.WatchDeliveriesRequest(cursor=self._cursor, **self._filters)
        watch = caller.leads.WatchDeliveries(request)
        for _ in range(messages):
            if len(self.seen) == events:
                break
            message = await watch.read()
            self._cursor = message.cursor
            if message.delivery_id:
                assert message.event.type == DELIVERY_EVENT_TYPE_ACCEPTED
                self.seen.append(message.delivery_id)
        watch.cancel()


async def test_a_watch_has_no_gap_and_no_repeat_across_restarts(tmp_path: Path) -> None:
    """It hangs up every few messages, and the gateway stops or crashes under it."""
    numbers = count(1)
    follower = Follower()
    expected: set[str] = set()
    for generation in range(4):
        async with a_gateway(tmp_path) as gateway:
            submits = [asyncio.create_task(_submit(gateway, next(numbers))) for _ in range(LEADS)]
            # Half of this gateway's events are left to the next one.
            await follower.follow(gateway.forms, len(follower.seen) + LEADS, hang_up_after=7)
            for deliveries in await asyncio.gather(*submits):
                expected |= deliveries
            await (gateway.process.stop() if generation % 2 else gateway.process.kill())
    async with a_gateway(tmp_path) as gateway:
        await follower.follow(gateway.forms, len(expected))
        assert len(follower.seen) == len(expected) == 4 * LEADS * len(BUYERS)
        assert set(follower.seen) == expected
        whole, one = Follower(), Follower(buyer_id="buyer-two")
        await whole.follow(gateway.forms, len(expected))
        assert whole.seen == follower.seen
        await one.follow(gateway.forms, len(expected) // 2)
        assert one.seen == [name for name in whole.seen if name.endswith(".buyer-two")]


async def test_the_filter_may_change_between_two_watches(tmp_path: Path) -> None:
    """A cursor is a place in the order of events, whatever was asked for."""
    async with a_gateway(tmp_path) as gateway:
        for number in (1, 2):
            await _submit(gateway, number)
        watch = _watch(gateway, cursor="0", buyer_id="buyer-one")
        await watch.read()
        first = await watch.read()
        watch.cancel()
        watch = _watch(gateway, cursor=first.cursor)
        await watch.read()
        rest = [(await watch.read()).buyer_id for _ in range(3)]
        watch.cancel()
        assert rest == ["buyer-two", "buyer-one", "buyer-two"]


async def test_many_events_of_others_do_not_hold_up_a_filtered_watch(tmp_path: Path) -> None:
    """The event behind 1,100 that do not match comes at once, not a heartbeat later."""
    async with a_gateway(tmp_path) as gateway:
        for first in (1, 501, 1001):
            requests = [another_submission(n, "buyer-one") for n in range(first, first + 500)]
            batch = pb.BatchSubmitLeadsRequest(requests=requests)
            await gateway.forms.leads.BatchSubmitLeads(batch)
        await _submit(gateway, 5000)
        async with asyncio.timeout(5):
            await Follower(buyer_id="buyer-two").follow(gateway.forms, 1)


async def test_an_empty_cursor_starts_with_the_next_event(tmp_path: Path) -> None:
    """Its first message is the cursor to start again from."""
    async with a_gateway(tmp_path) as gateway:
        await _submit(gateway, 1)
        watch = _watch(gateway)
        heartbeat = await watch.read()
        assert heartbeat.cursor
        assert not heartbeat.HasField("event")
        new = await _submit(gateway, 2)
        assert {(await watch.read()).delivery_id for _ in BUYERS} == new
        watch.cancel()
        again = _watch(gateway, cursor=heartbeat.cursor)
        await again.read()
        assert {(await again.read()).delivery_id for _ in BUYERS} == new
        again.cancel()


async def test_a_cursor_that_is_none_is_refused(tmp_path: Path) -> None:
    """Nonsense, tampered ones, and one that this ledger never gave: INVALID_ARGUMENT."""
    async with a_gateway(tmp_path) as gateway:
        hostile = ["1", "-1", "nonsense", "....", "MC4w\n", "é", "\x00", "x" * 100_000]
        hostile += ["LTEuMA", "MC4tMQ", "MS4w.", "OTIyMzM3MjAzNjg1NDc3NTgwOC4w", "OTk5OTk5LjA"]
        for cursor in hostile:
            answer = await refused(_watch(gateway, cursor=cursor))
            assert (answer.code, list(answer.fields)) == ("INVALID_ARGUMENT", ["cursor"]), cursor


async def test_a_watch_of_an_unknown_buyer_is_silent(tmp_path: Path) -> None:
    """It is no error, for the buyer may come; with the gateway it ends as UNAVAILABLE."""
    async with a_gateway(tmp_path) as gateway:
        await _submit(gateway, 1)
        watch = _watch(gateway, cursor="0", buyer_id="buyer-unknown")
        assert not (await watch.read()).HasField("event")
        await gateway.process.stop()
        with pytest.raises(grpc.aio.AioRpcError, match="UNAVAILABLE"):
            await watch.read()


def _watch(gateway: Gateway, **fields: str) -> Any:
    return gateway.forms.leads.WatchDeliveries(pb.WatchDeliveriesRequest(**fields))


async def _submit(gateway: Gateway, number: int) -> set[str]:
    """Submits a lead to both buyers; the ids of its deliveries."""
    answer = await gateway.forms.leads.SubmitLead(another_submission(number, *BUYERS))
    return {delivery.delivery_id for delivery in answer.deliveries}
