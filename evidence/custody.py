"""The custody log of a CDR: what happened to it, in a signed chain; see `leadgate.chain`.

Events: captured, rendered, shared, claimed, saved, collected, downloaded, invalidated,
purged, held, released. An org is shown the detail of its own deeds and of the
service's; of the deeds of others it sees what and when, by which it verifies the chain.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from evidence.anchor import Anchor
from evidence.commands import Command, Query
from leadgate.chain import Entry


class Event(StrEnum):
    """What a custody entry says has happened."""

    CAPTURED = "captured"
    RENDERED = "rendered"
    SHARED = "shared"
    CLAIMED = "claimed"
    SAVED = "saved"
    COLLECTED = "collected"
    DOWNLOADED = "downloaded"
    INVALIDATED = "invalidated"
    PURGED = "purged"
    HELD = "held"
    RELEASED = "released"


@dataclass(frozen=True, slots=True)
class Custody:
    """A CDR's log as one org is shown it, oldest first, with its signed end."""

    cdr_id: str
    entries: list[Entry]
    anchor: Anchor


@dataclass(frozen=True, slots=True)
class GetCustody(Query[Custody]):
    """The custody log of a CDR that org `org` sees; refused with `NotFound` or `CdrInvalid`."""

    org: int
    cdr_id: str


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key that signs or has signed. `retire_ms`: signs no more since then."""

    key_id: str
    public_key: bytes
    create_ms: int
    retire_ms: int | None


@dataclass(frozen=True, slots=True)
class ListSigningKeys(Query[list[PublicKey]]):
    """Every public key that has ever signed, oldest first."""


@dataclass(frozen=True, slots=True)
class AddSigningKey(Command[None]):
    """Publishes a key, and retires those before it; the same key again is no error."""

    key_id: str
    public_key: bytes
