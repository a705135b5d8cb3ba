"""Orgs as the operator sees them: their settings, domains and keys, and what they owe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from evidence.commands import Charge, Command, Domain, Query

MAX_RETENTION_DAYS = 36_500


@dataclass(frozen=True, slots=True)
class OrgView:
    """An org with its settings. `retention_days` None: the service's default of 5 years."""

    org_id: str
    name: str
    auto_collect: bool
    capture_disabled: bool
    retention_days: int | None
    create_ms: int


@dataclass(frozen=True, slots=True)
class GetOrg(Query[OrgView]):
    """An org; refused with `NotFound`."""

    org_id: str


@dataclass(frozen=True, slots=True)
class ListOrgs(Query[list[OrgView]]):
    """Orgs by id, `limit` of them, behind the id `after`."""

    limit: int
    after: str = ""


@dataclass(frozen=True, slots=True)
class ChangeOrg(Command[OrgView]):
    """Changes some of an org's settings, by the names `OrgView` has; `NotFound` without it.

    They hold for what is captured from then on: nothing is billed or kept otherwise
    for it.
    """

    org_id: str
    changes: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class KeyView:
    """An API key without its secret. `revoke_ms` may be to come: a rotation's last hours."""

    key_id: str
    create_ms: int
    revoke_ms: int | None


@dataclass(frozen=True, slots=True)
class ListOrgKeys(Query[list[KeyView]]):
    """The keys an org has had, oldest first; `NotFound` without the org."""

    org_id: str


@dataclass(frozen=True, slots=True)
class ListOrgDomains(Query[list[Domain]]):
    """The domains of an org, by name; `NotFound` without the org."""

    org_id: str


@dataclass(frozen=True, slots=True)
class Rotated:
    """Answer to a rotation: whose key it is, and until when the old one is good."""

    org: int
    org_id: str
    revoke_ms: int


@dataclass(frozen=True, slots=True)
class RotateKey(Command[Rotated]):
    """Adds a key beside another one of its org, which is good for `keep_ms` more.

    Refused with `NotFound` where the old one is not there or was revoked, and with
    `Conflict` where the new one's id is taken.
    """

    old_key_id: str
    key_id: str
    secret_digest: bytes = field(repr=False)
    keep_ms: int


@dataclass(frozen=True, slots=True)
class ExportCharges(Query[list[Charge]]):
    """Charges of all orgs, or of one, from `from_ms` on and before `until_ms`, oldest first.

    `after`, the (CDR id, org id) of a charge, starts behind that one. `NotFound`
    without the org, `InvalidArgument` where there is no such charge.
    """

    org_id: str | None
    from_ms: int
    until_ms: int
    limit: int
    after: tuple[str, str] | None = None
