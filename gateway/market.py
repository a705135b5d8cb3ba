"""The market: who submits, who receives, which evidence hosts and keys count.

`Market` is an immutable snapshot, which the ledger replaces with each change.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from leadgate.share_url import EvidenceHost

ANYONE = "*"


class Transport(StrEnum):
    """How deliveries reach a buyer."""

    KAFKA = "kafka"
    PULL = "pull"


class Encoding(StrEnum):
    """How records on a buyer's topic are encoded."""

    PROTOBUF = "protobuf"
    JSON = "json"


class Role(StrEnum):
    """What an API key may do."""

    GENERATOR = "generator"
    BUYER = "buyer"
    OPERATOR = "operator"


@dataclass(frozen=True)
class Generator:
    """Who submits leads. `key` is its number in the ledger, 0 until it is stored."""

    generator_id: str
    paused: bool = False
    key: int = 0


@dataclass(frozen=True)
class Buyer:
    """Who receives leads. `key` is its number in the ledger, 0 until it is stored."""

    buyer_id: str
    transport: Transport
    encoding: Encoding = Encoding.PROTOBUF
    paused: bool = False
    accepts: tuple[str, ...] = ()
    key: int = 0

    def accepts_from(self, generator_id: str) -> bool:
        """Whether it takes that generator's leads; to others it does not exist."""
        return ANYONE in self.accepts or generator_id in self.accepts

    @property
    def topic(self) -> str:
        """The topic its records are on, if its transport is Kafka."""
        return f"leads.{self.buyer_id}"


@dataclass(frozen=True)
class ApiKey:
    """An API key as it is kept: of the secret only its SHA-256. Times in microseconds."""

    key_id: str
    digest: bytes
    role: Role
    subject: str
    create_time: int
    revoke_time: int | None = None


@dataclass(frozen=True)
class Backlog:
    """What a buyer has before it.

    Attributes:
        waiting: deliveries that wait to be sent.
        oldest_unsettled_time: when the lead of the oldest unsettled one was accepted, in
            microseconds; None where all are settled.
    """

    waiting: int
    oldest_unsettled_time: int | None = None


@dataclass(frozen=True)
class Market:
    """A snapshot of the market."""

    generators: Mapping[str, Generator] = field(default_factory=dict)
    buyers: Mapping[str, Buyer] = field(default_factory=dict)
    evidence_hosts: Mapping[str, EvidenceHost] = field(default_factory=dict)
    api_keys: Mapping[str, ApiKey] = field(default_factory=dict)

    def buyer_of(self, key: int) -> Buyer:
        """The buyer with that number in the ledger."""
        return self._buyers_by_key[key]

    def generator_of(self, key: int) -> Generator:
        """The generator with that number in the ledger."""
        return self._generators_by_key[key]

    def __post_init__(self) -> None:
        object.__setattr__(self, "_buyers_by_key", {b.key: b for b in self.buyers.values()})
        by_key = {g.key: g for g in self.generators.values()}
        object.__setattr__(self, "_generators_by_key", by_key)

    _buyers_by_key: Mapping[int, Buyer] = field(init=False, repr=False, compare=False)
    _generators_by_key: Mapping[int, Generator] = field(init=False, repr=False, compare=False)

    @property
    def paused_generators(self) -> frozenset[int]:
        """The numbers of those whose deliveries wait."""
        return frozenset(g.key for g in self.generators.values() if g.paused)

    def with_generator(self, generator: Generator) -> Market:
        """The market with this generator added or replaced."""
        return replace(self, generators={**self.generators, generator.generator_id: generator})

    def with_buyer(self, buyer: Buyer) -> Market:
        """The market with this buyer added or replaced."""
        return replace(self, buyers={**self.buyers, buyer.buyer_id: buyer})

    def with_key(self, key: ApiKey) -> Market:
        """The market with this API key added or replaced."""
        return replace(self, api_keys={**self.api_keys, key.key_id: key})
