"""Topics: each buyer's own and its dead letters, made sure of and compared."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from enum import IntEnum
from typing import Any, Final

from aiokafka import errors
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from gateway.market import Buyer
from gateway.outlet import AwayError, OutletError, TopicError

ADMIN_SECONDS: Final = 10.0
_ADMINS_AT_ONCE = 4
_CREATED, _EXISTS = 0, errors.TopicAlreadyExistsError.errno


@dataclass(frozen=True)
class TopicSettings:
    """How topics are made."""

    partitions: int = 3
    replication: int = 1
    min_isr: int = 1
    retention: timedelta = timedelta(days=30)

    def expected(self) -> dict[str, str]:
        """The settings by the names that Kafka gives them, and that reports use."""
        return {
            "partitions": str(self.partitions),
            "replication": str(self.replication),
            "min.insync.replicas": str(self.min_isr),
            "retention.ms": str(self.retention // timedelta(milliseconds=1)),
        }


class TopicCondition(IntEnum):
    """How a topic stands; numbered as `leadgate.v1.Topic.State`."""

    UNKNOWN = 1
    READY = 2
    DIFFERS = 3
    FAILING = 4


@dataclass(frozen=True)
class TopicState:
    """A buyer's topic as it was last seen; `detail` is for the operator."""

    name: str
    state: TopicCondition
    detail: str = ""


class Topics:
    """Makes sure of topics. What exists is left as it is, and compared."""

    def __init__(self, bootstrap: str, settings: TopicSettings | None = None) -> None:
        self._bootstrap = bootstrap
        self._settings = settings or TopicSettings()
        self._states: dict[str, TopicState] = {}
        self._admins = asyncio.Semaphore(_ADMINS_AT_ONCE)

    def state(self, buyer_id: str) -> TopicState:
        """How a buyer's topic stood when it was last looked at."""
        return self._states.get(buyer_id, TopicState(f"leads.{buyer_id}", TopicCondition.UNKNOWN))

    async def ensure(self, buyer: Buyer) -> None:
        """Makes the buyer's topics if they are missing, and compares them if not.

        Raises `AwayError` where Kafka does not answer, and `TopicError` where the
        buyer's topic cannot be had; that of its dead letters is only reported.
        """
        names = (buyer.topic, f"{buyer.topic}.dlq")
        try:
            refusals, differences = await self._look(names)
            _raise_for(refusals.get(buyer.topic))
        except OutletError as error:
            self._note(buyer, TopicCondition.FAILING, str(error))
            raise
        if refusals:
            self._note(buyer, TopicCondition.FAILING, _listed(refusals))
        elif differences:
            self._note(buyer, TopicCondition.DIFFERS, _listed(differences))
        else:
            self._note(buyer, TopicCondition.READY, "")

    def report(self, buyer: Buyer, error: OutletError) -> None:
        """Notes that sending to the topic failed, until it is looked at again."""
        self._note(buyer, TopicCondition.FAILING, str(error))

    def _note(self, buyer: Buyer, condition: TopicCondition, detail: str) -> None:
        self._states[buyer.buyer_id] = TopicState(buyer.topic, condition, detail)

    async def _look(self, names: Sequence[str]) -> tuple[dict[str, str], dict[str, str]]:
        """Creates what is missing; why that failed, and what differs, by topic."""
        with kafka_errors():
            async with asyncio.timeout(ADMIN_SECONDS), self._admin() as admin:
                answers = await self._create(admin, names)
                existing = [name for name, code in answers.items() if code != _CREATED]
                found = await _found(admin, existing) if existing else {}
        refusals = {
            name: errors.for_code(code).__name__
            for name, code in answers.items()
            if code not in {_CREATED, _EXISTS} and name not in found
        }
        expected = self._settings.expected()
        differences = {
            name: "; ".join(
                f"{key} is {settings[key]}, not {value}"
                for key, value in expected.items()
                if settings.get(key, value) != value
            )
            for name, settings in found.items()
        }
        return refusals, {name: text for name, text in differences.items() if text}

    @asynccontextmanager
    async def _admin(self) -> AsyncIterator[Any]:
        async with self._admins:
            admin = AIOKafkaAdminClient(
                bootstrap_servers=self._bootstrap,
                client_id="leadgate-topics",
                request_timeout_ms=int(ADMIN_SECONDS * 1000),
            )
            try:
                await admin.start()
                yield admin
            finally:
                await admin.close()

    async def _create(self, admin: Any, names: Sequence[str]) -> dict[str, int]:
        """Asks for topics, and returns Kafka's answer for each: 0, or an error code.

        Asked for without looking first: to ask for the metadata of a missing topic
        makes some brokers create it, with settings of their own.
        """
        settings = self._settings
        expected = settings.expected()
        configs = {key: expected[key] for key in ("min.insync.replicas", "retention.ms")}
        wanted = [
            NewTopic(name, settings.partitions, settings.replication, topic_configs=configs)
            for name in names
        ]
        response = await admin.create_topics(wanted)
        return {topic: code for topic, code, *_ in response.topic_errors}


async def _found(admin: Any, names: Sequence[str]) -> dict[str, dict[str, str]]:
    """The settings of topics that exist."""
    found: dict[str, dict[str, str]] = {}
    for topic in await admin.describe_topics(list(names)):
        if topic["error_code"] == 0:
            partitions = topic["partitions"]
            found[topic["topic"]] = {
                "partitions": str(len(partitions)),
                "replication": str(min(len(partition["replicas"]) for partition in partitions)),
            }
    wanted = [ConfigResource(ConfigResourceType.TOPIC, name) for name in found]
    for response in await admin.describe_configs(wanted) if wanted else ():
        for code, _, _, name, entries in response.resources:
            if code == 0:
                found[name] |= {key: value for key, value, *_ in entries}
    return found


@contextmanager
def kafka_errors() -> Iterator[None]:
    """Translates what aiokafka raises into `OutletError`."""
    try:
        yield
    except TimeoutError:
        raise AwayError("no answer in time") from None
    except (errors.KafkaConnectionError, errors.NodeNotReadyError, OSError):
        raise AwayError("cannot be reached") from None
    except (
        errors.UnknownTopicOrPartitionError,
        errors.TopicAuthorizationFailedError,
        errors.InvalidTopicError,
    ) as error:
        raise TopicError(type(error).__name__) from None
    except errors.KafkaError as error:
        raise OutletError(type(error).__name__) from None


def _raise_for(refusal: str | None) -> None:
    if refusal:
        raise TopicError(refusal)


def _listed(details: dict[str, str]) -> str:
    return ", ".join(f"{name}: {detail}" for name, detail in details.items())
