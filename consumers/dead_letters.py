"""The dead-letter topic: where records go that cannot be decoded."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any, Self

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from consumers.backoff import Backoff

_SEND_SECONDS = 15.0
_CLOSE_SECONDS = 5.0
_LARGEST_BYTES = 2 << 20

_log = structlog.get_logger("consumers.dead_letters")


class DeadLetters:
    """Writes records to `topic`, each on disk at every in-sync replica before it counts.

    A dead letter keeps key, value and headers, and has these added: `leadgate-origin-topic`,
    `-partition`, `-offset`, `-timestamp` (Unix milliseconds) and `leadgate-reason`. The
    connection is made at the first one. A record may be written more than once.
    """

    def __init__(self, bootstrap: str, topic: str) -> None:
        self._bootstrap = bootstrap
        self._topic = topic
        self._producer: AIOKafkaProducer | None = None
        self._lock = asyncio.Lock()
        self._backoff = Backoff(0.5, 15.0)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        await self._abandon()

    async def keep(self, record: Any, reason: str) -> None:
        """Returns once the consumed `record` is in the topic; tries for ever."""
        value, headers = record.value, [*record.headers, *_origin(record, reason)]
        while True:
            try:
                # One at a time: a producer that failed is replaced, and not under the
                # hands of another record.
                async with self._lock, asyncio.timeout(_SEND_SECONDS):
                    await self._send(record.key, value, headers)
            except MessageSizeTooLargeError:
                # With what was added it is too large for the topic: where it was says enough.
                value, headers = None, _origin(record, reason)
            except (KafkaError, TimeoutError) as error:
                _log.error("dead letter waits", topic=self._topic, error=type(error).__name__)
                await self._abandon()
                await asyncio.sleep(self._backoff.next_seconds())
            else:
                self._backoff.reset()
                return

    async def _send(
        self, key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes]]
    ) -> None:
        if self._producer is None:
            producer = AIOKafkaProducer(
                bootstrap_servers=self._bootstrap,
                acks="all",
                enable_idempotence=True,
                max_request_size=_LARGEST_BYTES,
                client_id="leadgate-dead-letters",
            )
            self._producer = producer
            await producer.start()
        await self._producer.send_and_wait(self._topic, value, key=key, headers=headers)

    async def _abandon(self) -> None:
        """Closes the producer without waiting for what it holds: that is sent anew."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await asyncio.wait({asyncio.create_task(_closed(producer))}, timeout=_CLOSE_SECONDS)


async def _closed(producer: AIOKafkaProducer) -> None:
    try:
        await producer.stop()
    except (KafkaError, OSError) as error:
        _log.warning("producer did not close", error=type(error).__name__)


def _origin(record: Any, reason: str) -> list[tuple[str, bytes]]:
    return [
        ("leadgate-origin-topic", str(record.topic).encode()),
        ("leadgate-origin-partition", str(record.partition).encode()),
        ("leadgate-origin-offset", str(record.offset).encode()),
        ("leadgate-origin-timestamp", str(record.timestamp).encode()),
        ("leadgate-reason", reason.encode()),
    ]
