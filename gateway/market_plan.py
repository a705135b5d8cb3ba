"""What a market document asks for, and what has to change to get there; all pure.

`contradictions` says where a document cannot hold in the market as it is, `plan` what
to change. The ledger calls both inside the committing transaction, so that changes
made at the same time are judged against each other.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace

from gateway.errors import InvalidRequestError, Violation
from gateway.market import ANYONE, ApiKey, Buyer, Encoding, Generator, Market, Role, Transport
from leadgate.share_url import EvidenceHost

_MISTAKES_SHOWN = 200


@dataclass(frozen=True, order=True)
class Place:
    """A place in a document: its line, from 1, and its path, such as `buyers[1].id`."""

    line: int
    path: str


@dataclass(frozen=True, order=True)
class Mistake:
    """Something wrong at a place of a document; never quotes a key."""

    place: Place
    problem: str

    def __str__(self) -> str:
        """As people read it: `line 12: buyers[1].transport: must be kafka or pull`."""
        path = f"{self.place.path}: " if self.place.path else ""
        return f"line {self.place.line}: {path}{self.problem}"


class DocumentError(InvalidRequestError):
    """A market document with mistakes: a violation for each, in the order of lines.

    Past 200 mistakes the last violation says how many more there are.
    """

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = tuple(sorted(mistakes))
        problems = [str(mistake) for mistake in self.mistakes[:_MISTAKES_SHOWN]]
        if len(self.mistakes) > _MISTAKES_SHOWN:
            problems.append(f"and {len(self.mistakes) - _MISTAKES_SHOWN} more mistakes")
        super().__init__([Violation("yaml", problem) for problem in problems])
        # The list of fields that the parent makes would read "yaml, yaml, yaml".
        more = f" and {len(self.mistakes) - 1} more mistakes" if len(self.mistakes) > 1 else ""
        self.args = (f"market document, {problems[0]}{more}",)


@dataclass(frozen=True)
class WantedGenerator:
    """A generator as the document names it. `paused` None: as it is, or false if new."""

    generator_id: str
    paused: bool | None = None


@dataclass(frozen=True)
class WantedBuyer:
    """A buyer as the document names it; `accepts` says where each entry stands."""

    buyer_id: str
    transport: Transport
    encoding: Encoding = Encoding.PROTOBUF
    accepts: Mapping[str, Place] = field(default_factory=dict)
    paused: bool | None = None


@dataclass(frozen=True)
class WantedKey:
    """A key that the document gives to a generator or buyer, `subject`."""

    key_id: str
    digest: bytes
    role: Role
    subject: str
    place: Place


@dataclass(frozen=True)
class Document:
    """What a market document asks for, or its mistakes.

    Evidence hosts are the whole list, or None: the document does not speak of them.
    """

    generators: tuple[WantedGenerator, ...] = ()
    buyers: tuple[WantedBuyer, ...] = ()
    evidence_hosts: tuple[EvidenceHost, ...] | None = None
    api_keys: tuple[WantedKey, ...] = ()
    mistakes: tuple[Mistake, ...] = ()


Item = Generator | Buyer | EvidenceHost | ApiKey


@dataclass(frozen=True)
class Change:
    """One thing to change: how people read it, and the item as it is to be (or was)."""

    text: str
    item: Item


def contradictions(market: Market, document: Document) -> Iterator[Mistake]:
    """Yields what the document gets wrong about this market."""
    known = {ANYONE, *market.generators, *(wanted.generator_id for wanted in document.generators)}
    for buyer in document.buyers:
        for generator_id, place in buyer.accepts.items():
            if generator_id not in known:
                yield Mistake(place, f"there is no generator {generator_id}")
    for wanted in document.api_keys:
        stored = market.api_keys.get(wanted.key_id)
        problem = _key_problem(stored, wanted) if stored else None
        if problem:
            yield Mistake(wanted.place, f"key {wanted.key_id} {problem}")


def plan(market: Market, document: Document, now: int) -> list[Change]:
    """Says what has to change for the document to hold; empty once it does.

    The document must be free of mistakes and contradictions. `now` (microseconds) is when
    new keys are made.
    """
    changes = [
        *(_generator(market, wanted) for wanted in document.generators),
        *(_buyer(market, wanted) for wanted in document.buyers),
        *_hosts(market, document),
        *(_key(market, wanted, now) for wanted in document.api_keys),
    ]
    return [change for change in changes if change]


def _generator(market: Market, wanted: WantedGenerator) -> Change | None:
    stored = market.generators.get(wanted.generator_id)
    if stored is None:
        item = Generator(wanted.generator_id, wanted.paused or False)
        return Change(f"generator {item.generator_id}: {_created(item.paused)}", item)
    if wanted.paused in (None, stored.paused):
        return None
    item = replace(stored, paused=wanted.paused)
    return Change(f"generator {item.generator_id}: {_difference(stored, item)}", item)


def _buyer(market: Market, wanted: WantedBuyer) -> Change | None:
    stored = market.buyers.get(wanted.buyer_id)
    base = stored or Buyer(wanted.buyer_id, wanted.transport)
    item = replace(
        base,
        transport=wanted.transport,
        encoding=wanted.encoding,
        paused=base.paused if wanted.paused is None else wanted.paused,
        accepts=tuple(sorted(wanted.accepts)),
    )
    if item == stored:
        return None
    text = _difference(stored, item) if stored else _created(item.paused)
    return Change(f"buyer {item.buyer_id}: {text}", item)


def _hosts(market: Market, document: Document) -> Iterator[Change]:
    if document.evidence_hosts is None:
        return
    gone = dict(market.evidence_hosts)
    for item in document.evidence_hosts:
        stored = gone.pop(item.authority, None)
        if item != stored:
            text = _difference(stored, item) if stored else "added"
            yield Change(f"evidence host {item.authority}: {text}", item)
    for item in gone.values():
        yield Change(f"evidence host {item.authority}: removed", item)


def _key(market: Market, wanted: WantedKey, now: int) -> Change | None:
    if wanted.key_id in market.api_keys:
        return None
    item = ApiKey(wanted.key_id, wanted.digest, wanted.role, wanted.subject, now)
    return Change(f"{wanted.role} {wanted.subject}: key {wanted.key_id} created", item)


def _key_problem(stored: ApiKey, wanted: WantedKey) -> str | None:
    if (stored.role, stored.subject) != (wanted.role, wanted.subject):
        return "belongs to somebody else; every key needs an id of its own"
    if stored.digest != wanted.digest:
        return "exists with another secret; a new secret needs a new id"
    # A revoked key stays revoked. It is no mistake: a gateway that applies the document at
    # each start must not be kept from starting by it.
    return None


def _created(paused: bool) -> str:
    return "created, paused" if paused else "created"


def _difference(before: Item, after: Item) -> str:
    """How two states of an item differ: `transport kafka → pull, paused false → true`."""
    names = [one.name for one in fields(after)]
    pairs = [(name, _shown(getattr(before, name)), _shown(getattr(after, name))) for name in names]
    return ", ".join(f"{name} {old} → {new}" for name, old, new in pairs if old != new)


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return json.dumps([str(part) for part in value])
    return str(value).lower() if isinstance(value, bool) else str(value)
