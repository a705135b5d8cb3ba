"""Pages of CDRs: one range of one index each, whatever the number of CDRs.

All three ways walk an index in the order of CDRs, from where the page starts. A search
walks the metadata index and looks each CDR up among what the org has; for a key
alone, which most CDRs of a domain have, a buyer's few are walked instead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select, and_, bindparam, exists, literal_column, or_, select

from evidence.errors import InvalidArgument, NotFound
from evidence.ledger.tables import cdrs, domains, metadata_index, standings
from evidence.ledger.transaction import Transaction
from evidence.ledger.views import standing_view, views
from evidence.lists import ListCdrs, Page, Search
from evidence.metadata import key_digest, pair_digest
from leadgate.sql import Prepared

_FIRST, _LAST = 0, (1 << 63) - 1

_entry = and_(
    metadata_index.c.domain == bindparam("domain"), metadata_index.c.digest == bindparam("digest")
)
_of_domain = and_(standings.c.org == bindparam("org"), standings.c.domain == bindparam("domain"))


class _Way(NamedTuple):
    """A statement that reads a page, oldest first and newest first."""

    ascending: Prepared
    descending: Prepared


def _way(wanted: Select[Any], by: ColumnElement[int]) -> _Way:
    shown = wanted.where(cdrs.c.invalidate_ms.is_(None), cdrs.c.purge_ms.is_(None))
    page = shown.limit(bindparam("limit"))
    after: ColumnElement[int] = bindparam("after")
    return _Way(
        Prepared(page.where(by > after).order_by(by)),
        Prepared(page.where(by < after).order_by(by.desc())),
    )


_EVERY = _way(views().where(_of_domain), standings.c.cdr)
_FOUND = _way(
    views()
    .join(metadata_index, metadata_index.c.cdr == standings.c.cdr)
    .where(_entry, standings.c.org == bindparam("org")),
    metadata_index.c.cdr,
)
_AMONG_FEW = _way(
    views().where(
        _of_domain,
        exists(literal_column("1"))
        .select_from(metadata_index)
        .where(_entry, metadata_index.c.cdr == standings.c.cdr),
    ),
    standings.c.cdr,
)
_NUMBER = Prepared(
    select(standings.c.cdr, standings.c.domain)
    .join_from(cdrs, standings, standings.c.cdr == cdrs.c.number)
    .where(cdrs.c.cdr_id == bindparam("cdr_id"), standings.c.org == bindparam("org"))
)


def _list_cdrs(tx: Transaction, query: ListCdrs) -> Page:
    places = _domains(tx, query.org, query.domain)
    after = _start(tx, query, {number for number, _ in places})
    rows = [row for place in places for row in _rows(tx, query, place, after)]
    rows.sort(key=lambda row: row[0], reverse=query.descending)
    shown = [standing_view(row) for row in rows[: query.page_size]]
    more = len(rows) > query.page_size
    return Page(shown, shown[-1].cdr.cdr_id if more else None)


def _domains(tx: Transaction, org: int, name_or_id: str) -> list[tuple[int, bool]]:
    """The domains meant, and whether each is the org's own; raises `NotFound`."""
    has_some = exists().where(standings.c.org == org, standings.c.domain == domains.c.number)
    named = or_(domains.c.domain_id == name_or_id, domains.c.name == name_or_id.lower())
    wanted = select(domains).where(named, or_(domains.c.org == org, has_some))
    found = tx.connection.execute(wanted).all()
    # An id wins over other domains that have it as their name.
    meant = [row for row in found if row.domain_id == name_or_id] or found
    if not meant:
        raise NotFound
    return [(row.number, row.org == org) for row in meant]


def _start(tx: Transaction, query: ListCdrs, places: set[int]) -> int:
    if query.after is None:
        return _LAST if query.descending else _FIRST
    row = _NUMBER.one(tx.cursor, cdr_id=query.after, org=query.org)
    if row is None or row[1] not in places:
        raise InvalidArgument("pageToken: not a CDR of this list")
    return int(row[0])


def _rows(tx: Transaction, query: ListCdrs, place: tuple[int, bool], after: int) -> list[Any]:
    domain, owned = place
    ways = _way_of(query.search, owned=owned)
    way = ways.descending if query.descending else ways.ascending
    digest = _digest(query.search) if query.search else 0
    limit = query.page_size + 1
    known = {"org": query.org, "domain": domain, "digest": digest, "after": after, "limit": limit}
    return way.all(tx.cursor, **known)


def _way_of(search: Search | None, *, owned: bool) -> _Way:
    if search is None:
        return _EVERY
    return _AMONG_FEW if search.value is None and not owned else _FOUND


def _digest(search: Search) -> int:
    if search.value is None:
        return key_digest(search.key)
    return pair_digest(search.key, search.value)


READERS: Mapping[type, Callable[[Transaction, Any], Any]] = {ListCdrs: _list_cdrs}
"""What this module answers, by query: it raises `EvidenceError` where it is refused."""
