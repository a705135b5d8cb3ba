"""The baseline of dispatch: aiokafka, idempotent and pipelined, with nothing around it.

    BENCH_BOOTSTRAP=… BENCH_BUYERS="bench-one bench-two" python -m benchmarks.raw_producer

Reads the records on the buyers' topics, sends the last of them again, byte by byte, to
topics of its own, and prints `rate RECORDS_PER_SECOND`.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Sequence
from time import perf_counter
from typing import Any

import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from gateway.kafka import MAX_BATCH_BYTES

_RECORDS = 30_000
_UNCONFIRMED = 5_000


async def main() -> None:
    """Runs once."""
    bootstrap = os.environ["BENCH_BOOTSTRAP"]
    topics = [f"leads.{buyer}" for buyer in os.environ["BENCH_BUYERS"].split()]
    records = await _read(bootstrap, topics)
    await _make(bootstrap, {f"raw.{topic}" for topic in topics})
    print(f"rate {await _send(bootstrap, records)}", flush=True)


async def _read(bootstrap: str, topics: Sequence[str]) -> Sequence[Any]:
    records: deque[Any] = deque(maxlen=_RECORDS)
    consumer = AIOKafkaConsumer(
        *topics, bootstrap_servers=bootstrap, auto_offset_reset="earliest", enable_auto_commit=False
    )
    async with consumer:
        ends = await consumer.end_offsets(consumer.assignment())
        left = {partition for partition, end in ends.items() if end > 0}
        while left:
            for partition, came in (await consumer.getmany(timeout_ms=1000)).items():
                records.extend(came)
                if came and came[-1].offset + 1 >= ends[partition]:
                    left.discard(partition)
    return records


async def _make(bootstrap: str, topics: set[str]) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        missing = topics - set(await admin.list_topics())
        await admin.create_topics([NewTopic(topic, 3, 1) for topic in missing])
    finally:
        await admin.close()


async def _send(bootstrap: str, records: Sequence[Any]) -> float:
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap,
        acks="all",
        enable_idempotence=True,
        max_batch_size=MAX_BATCH_BYTES,
    )
    async with producer:
        begin = perf_counter()
        unconfirmed: deque[Any] = deque()
        for record in records:
            if len(unconfirmed) == _UNCONFIRMED:
                await unconfirmed.popleft()
            sent = await producer.send(
                f"raw.{record.topic}",
                record.value,
                record.key,
                partition=record.partition,
                headers=list(record.headers),
            )
            unconfirmed.append(sent)
        for sent in unconfirmed:
            await sent
        return len(records) / (perf_counter() - begin)


if __name__ == "__main__":
    uvloop.run(main())
