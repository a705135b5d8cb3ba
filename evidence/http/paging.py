"""Which page of a list a request asks for: the parameters that v1 and legacy share."""

from __future__ import annotations

from collections.abc import Mapping

from evidence.errors import InvalidArgument
from evidence.lists import DEFAULT_PAGE, MAX_PAGE, ListCdrs, Search


def cdrs_of(org: int, domain: str, query: Mapping[str, str], search: Search | None) -> ListCdrs:
    """Reads pageSize, order and pageToken. Raises `InvalidArgument` for what they may not be."""
    return ListCdrs(
        org=org,
        domain=domain,
        page_size=page_size(query),
        descending=_is_descending(query),
        after=query.get("pageToken"),
        search=search,
    )


def page_size(query: Mapping[str, str], default: int = DEFAULT_PAGE, most: int = MAX_PAGE) -> int:
    """Reads `pageSize`, from 1 to `most`."""
    text = query.get("pageSize", str(default))
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and 1 <= int(text) <= most):
        raise InvalidArgument(f"pageSize: must be a whole number from 1 to {most}")
    return int(text)


def _is_descending(query: Mapping[str, str]) -> bool:
    order = query.get("order", "desc")
    if order not in ("asc", "desc"):
        raise InvalidArgument("order: must be asc or desc")
    return order == "desc"
