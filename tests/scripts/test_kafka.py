"""The broker that tests, benchmarks and the demo start: it keeps its data and dies with us."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

import scripts.kafka
from scripts.kafka import KafkaBroker, KafkaError, find_jars
from tests.processes import running

SCRIPT = Path("scripts/kafka.py").resolve()


async def test_a_killed_broker_comes_back_with_its_records(
    kafka_broker: Callable[[], KafkaBroker],
) -> None:
    """The same object, started again, serves the same data on the same port."""
    broker = kafka_broker()
    await _write(broker.bootstrap, b"kept")
    address = broker.bootstrap
    broker.kill()
    broker.start()
    assert broker.bootstrap == address
    assert await _read(address) == b"kept"


async def test_the_command_prints_its_address_and_stops_on_sigterm(kafka: str) -> None:
    """One line says where the broker is; SIGTERM ends it with exit code 0."""
    async with running(SCRIPT) as script:
        line = await script.line("bootstrap 127.0.0.1:", seconds=30)
        await _write(line.removeprefix("bootstrap "), b"x")
        assert await script.stop() == 0


async def test_the_broker_dies_with_the_process_that_started_it(kafka: str) -> None:
    """SIGKILL of the script, which leaves it no chance to clean up, ends the broker too."""
    async with running(SCRIPT) as script:
        await script.line("bootstrap", seconds=30)
        broker = os.pidfd_open(_child(script.pid, "java"))
        script.signal(signal.SIGKILL)
        await script.ended()
        ended, _, _ = await asyncio.to_thread(select.select, [broker], [], [], 10)
        os.close(broker)
        assert ended


async def test_a_command_runs_beside_the_broker_and_gives_the_exit_code(kafka: str) -> None:
    """`kafka.py -- COMMAND` hands over the address and ends as the command does."""
    program = "import os, sys; print(os.environ['LEADGATE_KAFKA_BOOTSTRAP']); sys.exit(7)"
    async with running(SCRIPT, "--", sys.executable, "-c", program) as script:
        await script.line("127.0.0.1:", seconds=30)
        assert await script.ended() == 7


def test_kafka_that_cannot_be_had_is_a_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without Maven and without a cache the error says what to do, and leaves nothing."""
    monkeypatch.setattr(scripts.kafka, "CACHE", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(KafkaError, match="no `mvn`"):
        find_jars()
    assert [file.name for file in tmp_path.iterdir()] == ["kafka.lock"]


async def _write(bootstrap: str, value: bytes) -> None:
    """Creates the topic `kept` and writes one record to it."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic("kept", 1, 1)])
    finally:
        await admin.close()
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all") as producer:
        await producer.send_and_wait("kept", value)


async def _read(bootstrap: str) -> bytes:
    async with AIOKafkaConsumer(
        "kept", bootstrap_servers=bootstrap, auto_offset_reset="earliest"
    ) as consumer:
        record = await consumer.getone()
    return bytes(record.value)


def _child(parent: int, command: str) -> int:
    """The child process of `parent` that runs `command`."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    names = {Path(f"/proc/{pid}/comm").read_text().strip(): int(pid) for pid in children}
    return names[command]
