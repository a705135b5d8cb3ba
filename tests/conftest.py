"""Fixtures for every test: a clean environment, and real Kafka brokers."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from hypothesis import settings

from scripts.kafka import KafkaBroker, KafkaError
from tests import needs

# A busy machine is no bug: how long an example may take is the test's timeout alone.
settings.register_profile("leadgate", deadline=None, print_blob=True)
settings.load_profile("leadgate")


@pytest.fixture(autouse=True, scope="session")
def _clean_environment() -> Iterator[None]:
    """Keeps the settings of whoever runs the tests out of them, and proxies out of loopback."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith("LEADGATE_"):
                patch.delenv(name)
        for name in ("no_proxy", "NO_PROXY"):
            patch.setenv(name, "127.0.0.1,localhost,::1")
        yield


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The bootstrap address of a broker that all tests share: name topics of your own.

    It is the one in `TEST_KAFKA_BOOTSTRAP`, or else a real Kafka started for this run.
    """
    if given := os.environ.get("TEST_KAFKA_BOOTSTRAP"):
        yield given
        return
    broker = KafkaBroker(tmp_path_factory.mktemp("kafka"))
    try:
        _start(broker)
        yield broker.bootstrap
    finally:
        broker.stop()


@pytest.fixture
def kafka_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], KafkaBroker]]:
    """Starts a broker that belongs to the test, which may stop, kill and restart it."""
    with ExitStack() as running:

        def start() -> KafkaBroker:
            broker = KafkaBroker(tmp_path_factory.mktemp("kafka"))
            running.callback(broker.stop)
            _start(broker)
            return broker

        yield start


def _start(broker: KafkaBroker) -> None:
    try:
        broker.start()
    except KafkaError as error:
        needs.missing(str(error))
