"""The outbox in a real ledger: what is due, in what order, and what is sent again."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any

from gateway.delivery import EventKind, State, delivery_id
from gateway.due import Due
from gateway.lane import Sent
from gateway.ledger import outbox
from gateway.ledger.outbox import SqlOutbox
from gateway.ledger.resend import SqlResend
from gateway.ledger.transaction import Transaction
from gateway.settlement import Outcome, Report
from gateway.timeline import DeliveryView
from tests.builders import another_submission
from tests.unit.gateway.conftest import Clock, Gateway

ONE = "buyer-one"


async def submit(gateway: Gateway, *numbers: int) -> list[bytes]:
    """Submits leads; returns their ids."""
    answers = [await gateway.submit(another_submission(number, ONE)) for number in numbers]
    return [answer.lead_id for answer in answers if answer.lead_id]


def key(gateway: Gateway, buyer_id: str = ONE) -> int:
    """The buyer's number."""
    return gateway.ledger.market.buyers[buyer_id].key


async def due(gateway: Gateway, count: int = 100, after: Due | None = None) -> list[Due]:
    """What is due for the buyer."""
    waiting = await SqlOutbox(gateway.ledger).due(key(gateway), count, after)
    return list(waiting.rows)


async def mark(gateway: Gateway, *rows: Due) -> None:
    """Marks as published what was read."""
    sent = [Sent(row, 0, number) for number, row in enumerate(rows)]
    await SqlOutbox(gateway.ledger).mark(key(gateway), sent)


async def settle(
    gateway: Gateway, lead_id: bytes, reason: str = "TEST", outcome: Outcome = Outcome.FAILED
) -> None:
    """Reports on the first attempt."""
    report = Report(delivery_id(lead_id, ONE), lead_id, 1, outcome, reason, (), timedelta())
    assert (await gateway.ledger.settle(ONE, [report])[0]).refusal is None


def run(transaction: Transaction, statement: str) -> None:
    """Runs SQL as it is."""
    transaction.cursor.execute(statement)


async def view(gateway: Gateway, lead_id: bytes) -> DeliveryView:
    """A delivery as it stands."""
    found = await gateway.ledger.find_delivery(lead_id, ONE)
    assert found
    return found


async def test_the_oldest_is_due_first_and_pages_go_on_behind_it(gateway: Gateway) -> None:
    """By the time it is due, then in the order of submission."""
    lead_ids = await submit(gateway, *range(5))
    first = await due(gateway, count=2)
    rest = await due(gateway, after=first[-1])
    assert [row.lead_id for row in (*first, *rest)] == lead_ids


async def test_a_page_says_whether_there_is_more_and_when_the_next_is_due(
    gateway: Gateway, clock: Clock
) -> None:
    """So that nobody has to ask again before that."""
    first, _ = await submit(gateway, 1, 2)
    box = SqlOutbox(gateway.ledger)
    assert (await box.due(key(gateway), 1, None)).more
    await mark(gateway, *await due(gateway))
    await settle(gateway, first, outcome=Outcome.DEFERRED)
    waiting = await box.due(key(gateway), 10, None)
    assert (waiting.rows, waiting.more) == ([], False)
    assert waiting.next_time == (await view(gateway, first)).due_time
    assert waiting.next_time
    assert waiting.next_time > clock.now


async def test_a_page_is_bounded_in_bytes_too(gateway: Gateway) -> None:
    """However many large submissions wait; it holds one at least."""
    await submit(gateway, *range(4))
    grow = "UPDATE leads SET submission = zeroblob(700000)"
    await gateway.ledger.commit(partial(run, statement=grow))
    waiting = await SqlOutbox(gateway.ledger).due(key(gateway), 100, None)
    assert (len(waiting.rows), waiting.more) == (2, True)


async def test_what_is_due_is_found_through_the_partial_index(gateway: Gateway) -> None:
    """However many deliveries are settled, reading what is due costs the same."""

    def plan(cursor: Any) -> str:
        values = [1] * len(outbox._DUE.names)
        rows = cursor.execute(f"EXPLAIN QUERY PLAN {outbox._DUE.sql}", values).fetchall()
        return "\n".join(row[3] for row in rows)

    text = await gateway.ledger.read(plan)
    assert "USING INDEX deliveries_due" in text or "COVERING INDEX deliveries_due" in text
    assert "TEMP B-TREE" not in text


async def test_a_record_travels_with_the_receipts_of_earlier_attempts(gateway: Gateway) -> None:
    """A CDR with a receipt is not claimed again."""
    [lead_id] = await submit(gateway, 1)
    add = "INSERT INTO receipts SELECT lead_key, buyer_key, 'cdr-1', 1, x'0a00' FROM deliveries"
    await gateway.ledger.commit(partial(run, statement=add))
    [row] = await due(gateway)
    assert (row.lead_id, row.receipts) == (lead_id, (b"\x0a\x00",))


async def test_the_backlog_counts_what_waits_and_knows_the_oldest(
    gateway: Gateway, clock: Clock
) -> None:
    """An age that an operator can see grow."""
    began = clock.now
    first, _ = await submit(gateway, 1, 2)
    clock.move(60)
    await submit(gateway, 3)
    read = gateway.ledger.read
    assert await read(lambda c: outbox.count_waiting(c, key(gateway), clock.now)) == 3
    await mark(gateway, (await due(gateway))[0])
    assert await read(lambda c: outbox.count_waiting(c, key(gateway), clock.now)) == 2
    assert await read(lambda c: outbox.oldest_unsettled(c, key(gateway))) == began
    for row in await due(gateway):
        await mark(gateway, row)
    for lead_id in (first, _):
        await settle(gateway, lead_id)
    assert await read(lambda c: outbox.oldest_unsettled(c, key(gateway))) == began + 60_000_000


async def test_a_replay_takes_what_was_sent_and_leaves_the_rest(
    gateway: Gateway, clock: Clock
) -> None:
    """What still waits, what ended without the buyer's system, and another time's stay."""
    [early] = await submit(gateway, 1)
    clock.move(10)
    since = clock.now
    sent, failed, unpublishable = await submit(gateway, 2, 3, 4)
    rows = await due(gateway)
    await mark(gateway, *rows[:3])
    await SqlOutbox(gateway.ledger).fail(key(gateway), rows[3], "UNPUBLISHABLE")
    await settle(gateway, failed)
    [waiting] = await submit(gateway, 5)
    assert await SqlResend(gateway.ledger).replay(ONE, since, None) == 1
    assert [row.lead_id for row in await due(gateway) if row.replay] == [sent]
    assert (await view(gateway, early)).due_time is None
    assert (await view(gateway, failed)).due_time is None
    assert (await view(gateway, unpublishable)).due_time is None
    assert EventKind.REPLAYED not in {e.kind for e in (await view(gateway, waiting)).events}


async def test_a_replay_of_a_range_ends_with_it(gateway: Gateway, clock: Clock) -> None:
    """`until` is exclusive."""
    await submit(gateway, 1)
    clock.move(10)
    until = clock.now
    await submit(gateway, 2)
    await mark(gateway, *await due(gateway))
    assert await SqlResend(gateway.ledger).replay(ONE, 0, until) == 1


async def test_a_replay_that_is_asked_for_twice_is_sent_once(gateway: Gateway) -> None:
    """While the first still waits."""
    await submit(gateway, 1)
    await mark(gateway, *await due(gateway))
    resend = SqlResend(gateway.ledger)
    assert [await resend.replay(ONE, 0, None) for _ in range(2)] == [1, 0]


async def test_a_long_replay_goes_chunk_by_chunk(gateway: Gateway) -> None:
    """Every chunk once, to the end."""
    await submit(gateway, *range(1, 4))
    copy = (
        "WITH RECURSIVE n(i) AS (SELECT 100 UNION ALL SELECT i + 1 FROM n WHERE i < 1400)"
        " INSERT INTO leads SELECT i, randomblob(16), generator_key, 'copy-' || i,"
        " fingerprint, accept_time, submission FROM n, leads WHERE lead_key = 1"
    )
    copies = (
        "INSERT INTO deliveries SELECT l.lead_key, d.buyer_key, 0, 3, 1, NULL, NULL, 0, NULL, 0"
        " FROM leads l, deliveries d WHERE d.lead_key = 1 AND l.lead_key >= 100"
    )
    for statement in (copy, copies):
        await gateway.ledger.commit(partial(run, statement=statement))
    assert await SqlResend(gateway.ledger).replay(ONE, 0, None) == 1301


async def test_a_retry_is_the_next_attempt_of_a_failed_delivery(gateway: Gateway) -> None:
    """And starts with a clean reason."""
    [lead_id] = await submit(gateway, 1)
    await mark(gateway, *await due(gateway))
    await settle(gateway, lead_id)
    names = [(lead_id, ONE), (lead_id, "nobody"), (b"x" * 16, ONE), (lead_id, ONE)]
    assert await SqlResend(gateway.ledger).retry_named(names) == 1
    delivery = await view(gateway, lead_id)
    assert (delivery.state, delivery.attempt, delivery.reason) == (State.PENDING, 2, "")
    assert delivery.events[-1].kind is EventKind.RETRIED
    assert [row.attempt for row in await due(gateway)] == [2]


async def test_only_failed_deliveries_are_retried(gateway: Gateway) -> None:
    """Of the reason that was asked for."""
    wanted, other, open_ = await submit(gateway, 1, 2, 3)
    await mark(gateway, *await due(gateway))
    await settle(gateway, wanted, "SINK_DOWN")
    await settle(gateway, other, "NO_SUCH_SHARE")
    resend = SqlResend(gateway.ledger)
    assert await resend.retry(ONE, "SINK_DOWN", 0) == 1
    assert (await view(gateway, wanted)).state is State.PENDING
    assert (await view(gateway, other)).state is State.FAILED
    assert (await view(gateway, open_)).state is State.PUBLISHED
    assert await resend.retry(ONE, "", 0) == 1


async def test_a_retry_rings_for_the_buyer(gateway: Gateway) -> None:
    """So it is sent at once."""
    [lead_id] = await submit(gateway, 1)
    await mark(gateway, *await due(gateway))
    await settle(gateway, lead_id)
    with gateway.ledger.bell.listen(key(gateway)) as rung:
        await SqlResend(gateway.ledger).retry(ONE, "", 0)
        assert rung.is_set()
