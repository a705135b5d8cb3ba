"""Lists of any length, read page by page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

_LARGEST_PAGE = 1_000


def paged(call: Callable[[Any], Any], request: Any, field: str, limit: int = 0) -> Iterator[Any]:
    """Yields what a List method returns in `field`, at most `limit`; 0 means all.

    `request` is changed as the pages go by.
    """
    left = limit
    while True:
        request.page_size = min(left, _LARGEST_PAGE) if limit else _LARGEST_PAGE
        answer = call(request)
        yield from list(getattr(answer, field))[: left if limit else None]
        left -= len(getattr(answer, field))
        request.page_token = answer.next_page_token
        if not request.page_token or (limit and left <= 0):
            return
