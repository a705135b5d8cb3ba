"""Packages: CDRs of one session, or of one sub-group of it, read and shared as a whole.

The list of a package share is fixed when the share is made: what the session captures
later is not in it. One claim takes the whole list; each CDR of it is judged, billed
and answered by itself, by the rules of a single share.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from evidence.access import State
from evidence.commands import CdrView, Claimed, Command, Query

MAX_CDRS = 500
"""How many CDRs a package that is shared or shown may have."""


@dataclass(frozen=True, slots=True)
class PackageView:
    """A package as one org sees it: of its CDRs only those that the org has.

    `create_ms` is when the first of these was received. `sub_group` is '' for the
    session's own package and, like `sub_group_packages` (package ids by name), only
    filled for the owner.
    """

    package_id: str
    session: bool
    create_ms: int
    cdrs: list[CdrView]
    sub_group: str = field(default="", repr=False)
    sub_group_packages: dict[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class GetPackage(Query[PackageView]):
    """A package of which org `org` has a CDR; refused with `NotFound` for any other.

    Shows the oldest 500 of its CDRs.
    """

    org: int
    package_id: str


@dataclass(frozen=True, slots=True)
class PackageShared:
    """Answer to a share: what the claimer will get, oldest first."""

    package_id: str
    cdr_ids: list[str]
    expire_ms: int


@dataclass(frozen=True, slots=True)
class SharePackage(Command[PackageShared]):
    """Org `org` makes one share of all it has of a package, as it is now.

    `across` names every sub-group of a session's package that spans several. Refused
    with `NotFound`, `Forbidden` where one of the CDRs was only saved, or
    `FailedPrecondition` where sub-groups are spanned and not named, or the package has
    more than 500 CDRs.
    """

    org: int
    package_id: str
    token_digest: bytes
    expires_in_ms: int
    across: frozenset[str] = field(default=frozenset(), repr=False)


@dataclass(frozen=True, slots=True)
class Lost:
    """A CDR of a package share that cannot be claimed any more, with the code why."""

    cdr_id: str
    code: str


@dataclass(frozen=True, slots=True)
class PackageClaimed:
    """Answer to a package's claim: a result for each CDR, oldest first."""

    package_id: str
    event_id: str
    results: list[Claimed | Lost]

    @property
    def claimed(self) -> bool:
        """Whether the org has access now to every CDR that can still be had."""
        return all(result.state is State.COLLECTED for result in self._had)

    @property
    def repeated(self) -> bool:
        """Whether nothing has changed, because an earlier claim had given access to all."""
        return all(result.repeated for result in self._had)

    @property
    def _had(self) -> list[Claimed]:
        return [result for result in self.results if isinstance(result, Claimed)]


@dataclass(frozen=True, slots=True)
class ClaimPackage(Command[PackageClaimed]):
    """Org `org` claims every CDR of the package share behind `token_digest`.

    Refused with `NotFound`, `CdrInvalid` where every CDR was invalidated, or `Gone`.
    """

    org: int
    token_digest: bytes
    collect: bool = True


@dataclass(frozen=True, slots=True)
class CollectValidation(Command[PackageClaimed]):
    """`ClaimPackage` by the rules of the legacy API.

    Refused beyond that with `InvalidArgument` for one's own share and `Conflict` where
    the org had all of it by earlier claims. The sharer is marked collected as well.
    """

    org: int
    token_digest: bytes
