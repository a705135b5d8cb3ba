"""What can be asked of the ledger, and its answers: commands write, queries read.

Every rule that needs stored facts is judged where the command is committed. Orgs and
CDRs have two names: an id for callers (`org_id`, `cdr_id`) and a number inside.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from evidence.access import State
from evidence.anchor import Anchor

Answer = TypeVar("Answer")
_Answer_co = TypeVar("_Answer_co", covariant=True)


class Command(Generic[_Answer_co]):
    """A write. Its `Answer` is on disk when it comes."""


class Query(Generic[_Answer_co]):
    """A read of what is committed."""


class Ledger(Protocol):
    """Where evidence is kept. Raises `EvidenceError` for what a rule refuses."""

    async def write(self, command: Command[Answer], /) -> Answer:
        """Commits one command, together with whoever else waits."""
        ...

    async def read(self, query: Query[Answer], /) -> Answer:
        """Answers one query, together with whoever else waits."""
        ...


@dataclass(frozen=True, slots=True)
class Claimed:
    """Answer to a claim. `repeated`: it had been claimed before; nothing was billed.

    `anchor` is the CDR's manifest and custody as they are now.
    """

    cdr_id: str
    domain_id: str
    event_id: str
    state: State
    repeated: bool
    anchor: Anchor


@dataclass(frozen=True, slots=True)
class Claim(Command[Claimed]):
    """Org `org` claims the share behind `token_digest`.

    Refused with `NotFound`, `CdrInvalid` or `Gone`, looked for in this order.
    """

    org: int
    token_digest: bytes
    collect: bool = True


@dataclass(frozen=True, slots=True)
class Shared:
    """Answer to a share. `expire_ms` is in Unix milliseconds."""

    cdr_id: str
    expire_ms: int


@dataclass(frozen=True, slots=True)
class Share(Command[Shared]):
    """Org `org` makes a share of a CDR that lasts `expires_in_ms` from now.

    Refused with `NotFound`, `CdrInvalid` or, for an org that only saved it, `Forbidden`.
    """

    org: int
    cdr_id: str
    token_digest: bytes
    expires_in_ms: int


@dataclass(frozen=True, slots=True)
class Collected:
    """Answer to a collect. `repeated`: the org had paid before; nothing was billed."""

    cdr_id: str
    domain_id: str
    repeated: bool


@dataclass(frozen=True, slots=True)
class Collect(Command[Collected]):
    """Org `org` pays for a CDR it sees. Refused with `NotFound` or `CdrInvalid`."""

    org: int
    cdr_id: str


@dataclass(frozen=True, slots=True)
class AddOrg(Command[int]):
    """Adds an org and answers its number; `Conflict` where the id is taken."""

    org_id: str
    name: str
    auto_collect: bool


@dataclass(frozen=True, slots=True)
class AddDomain(Command[None]):
    """Adds a domain; `NotFound` without the org, `Conflict` where id or name is taken."""

    domain_id: str
    org_id: str
    name: str


@dataclass(frozen=True, slots=True)
class AddKey(Command[int]):
    """Adds an API key of an org and answers the org's number.

    The same key again is no error; another secret under a known id is a `Conflict`.
    """

    key_id: str
    secret_digest: bytes = field(repr=False)
    org_id: str


@dataclass(frozen=True, slots=True)
class RevokeKey(Command[None]):
    """Revokes an API key for good; `NotFound` without it, a repeat is no error."""

    key_id: str


@dataclass(frozen=True, slots=True)
class Upload:
    """What an upload says beside the evidence itself.

    Server-observed: `ip`, `user_agent`. All else is browser-reported, except
    `disclosure_flags`, which lists where the page's own claims differ from what the
    snapshot shows.
    """

    capture_id: str | None = None
    sha256: bytes | None = None
    ip: str | None = field(default=None, repr=False)
    user_agent: str | None = field(default=None, repr=False)
    late: bool = False
    url: str | None = field(default=None, repr=False)
    title: str | None = field(default=None, repr=False)
    browser: dict[str, Any] = field(default_factory=dict, repr=False)
    disclosure_claims: dict[str, bool] = field(default_factory=dict, repr=False)
    disclosure_flags: list[dict[str, Any]] = field(default_factory=list, repr=False)


NO_UPLOAD = Upload()
"""A CDR made over the admin API: nothing was observed."""


@dataclass(frozen=True, slots=True)
class Cdr:
    """The evidence of one capture, as it is kept. Times are Unix milliseconds.

    `package_id` is that of the session's package, where the session is a new one.
    """

    cdr_id: str
    capture_ms: int | None
    package_id: str
    sub_group_ids: list[str] = field(repr=False)
    custom: dict[str, Any] = field(repr=False)
    disclosures: list[dict[str, Any]] = field(repr=False)
    session_id: str | None = None
    upload: Upload = NO_UPLOAD


@dataclass(frozen=True, slots=True)
class Added:
    """Answer to a new CDR; `share_expire_ms` where it was shared at once.

    `sub_groups` has the package id of each sub-group. `repeated`: the capture id had
    been received before, and this is what was answered then.
    """

    cdr_id: str
    domain_id: str
    create_ms: int
    state: State
    share_expire_ms: int | None
    package_id: str
    sub_groups: dict[str, str] = field(default_factory=dict, repr=False)
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class AddCdr(Command[Added]):
    """Adds a CDR to an org's domain, named by id or name, and shares it if asked.

    The owner is billed where its auto-collect is on. Refused with `NotFound` (org or
    domain) or `Conflict` (the id is taken, or its package's by another org).
    """

    org_id: str
    domain: str
    cdr: Cdr
    token_digest: bytes | None
    expires_in_ms: int


@dataclass(frozen=True, slots=True)
class InvalidateCdr(Command[int]):
    """Invalidates a CDR for everybody and answers since when; `NotFound` without it."""

    cdr_id: str


@dataclass(frozen=True, slots=True)
class CdrView:
    """A CDR as one org sees it. `facts` are those of its manifest, see `evidence.manifest`."""

    cdr: Cdr
    domain_id: str
    domain: str
    create_ms: int
    state: State
    owned: bool
    image_state: str = "none"
    report_state: str = "none"
    complete_ms: int | None = None
    facts: dict[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class GetCdr(Query[CdrView]):
    """A CDR as org `org` sees it; refused with `NotFound` or `CdrInvalid`."""

    org: int
    cdr_id: str


@dataclass(frozen=True, slots=True)
class Domain:
    """A web site whose forms an org captures."""

    domain_id: str
    name: str
    create_ms: int


@dataclass(frozen=True, slots=True)
class ListDomains(Query[list[Domain]]):
    """The domains of an org, by name."""

    org: int


@dataclass(frozen=True, slots=True)
class StoredKey:
    """An API key that is good, without its secret; `revoke_ms`: until then."""

    key_id: str
    secret_digest: bytes = field(repr=False)
    org: int
    org_id: str
    revoke_ms: int | None = None


@dataclass(frozen=True, slots=True)
class ListKeys(Query[list[StoredKey]]):
    """Every key that is good."""


@dataclass(frozen=True, slots=True)
class Charge:
    """One line of a bill: an org pays for a CDR once, at capture, claim or collect."""

    org_id: str
    cdr_id: str
    reason: str
    charge_ms: int


@dataclass(frozen=True, slots=True)
class ListCharges(Query[list[Charge]]):
    """The charges of an org, oldest first; `NotFound` without it."""

    org_id: str
