"""What the legacy API tells of a CDR beyond what v1 does: who else has it, what was sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from evidence.commands import Query


@dataclass(frozen=True, slots=True)
class Extras:
    """Of one CDR: orgs with access, and when a webhook of it was taken.

    `affiliates` are org ids: every org's for the owner, another org's own for that org
    alone, for one buyer is not told of the others.
    """

    affiliates: list[str] = field(default_factory=list)
    sent_ms: int | None = None


@dataclass(frozen=True, slots=True)
class ListExtras(Query[Mapping[str, Extras]]):
    """The extras of CDRs as org `org` sees them, by CDR id."""

    org: int
    cdr_ids: list[str]
