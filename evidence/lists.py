"""Lists of CDRs: what one org has of one domain, page by page, or found by metadata."""

from __future__ import annotations

from dataclasses import dataclass, field

from evidence.commands import CdrView, Query

MAX_PAGE, DEFAULT_PAGE = 100, 20


@dataclass(frozen=True, slots=True)
class Search:
    """What the custom metadata must have: a key, and unless None the key's value.

    A key inside an object is written `outer.inner`; a value that is no string is
    looked for as compact JSON. See `evidence.metadata`.
    """

    key: str = field(repr=False)
    value: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Page:
    """Some CDRs of a list. `next_after` starts the next page; None: this was the last."""

    cdrs: list[CdrView]
    next_after: str | None


@dataclass(frozen=True, slots=True)
class ListCdrs(Query[Page]):
    """The CDRs of a domain that org `org` has, in the order they were received.

    `domain` is an id, or a name: then of every domain of that name, for two generators
    may have the same one. Invalidated CDRs are left out. Refused with `NotFound` for a
    domain of which the org has nothing, and with `InvalidArgument` where `after` is not
    a CDR of the list.
    """

    org: int
    domain: str
    page_size: int = DEFAULT_PAGE
    descending: bool = True
    after: str | None = None
    search: Search | None = None
