"""What a page names and its picture needs: style sheets, pictures and fonts, fetched with care.

A hostile page can name anything, so a fetch goes to public addresses only, follows no
redirect, sends nothing that says who asks, and is bounded: in bytes and time each, and
in number, bytes and time for a page. What is refused or late is missing in the picture.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from leadgate.outbound import Answer, Outbound, OutboundError
from leadgate.share_url import EvidenceHost, Network, ShareUrlError

MAX_ASSET_BYTES = 5 * 1024 * 1024
MAX_PAGE_BYTES = 30 * 1024 * 1024
MAX_ASSETS = 150
MAX_HOSTS = 20
_ASSET_SECONDS = 5.0
_PAGE_SECONDS = 10.0
_AT_ONCE = 6

_KINDS = {
    "image": re.compile(r"image/[a-z0-9.+-]{1,40}"),
    "stylesheet": re.compile(r"text/css"),
    "font": re.compile(r"(?:font|application)/[a-z0-9.+-]{1,60}"),
}
_HEADERS = {"accept": "*/*", "accept-encoding": "identity", "user-agent": "leadgate-evidence"}
Asset = tuple[str, bytes]


class PageAssets:
    """The assets of one page; an async context manager.

    `networks` are private networks that may be fetched from: none outside of tests and
    of sites that are inside one's own network.
    """

    def __init__(self, networks: Iterable[Network] = ()) -> None:
        self._networks = tuple(networks)
        self._hosts: dict[tuple[str, str], Outbound] = {}
        self._stack = AsyncExitStack()
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._left_assets = MAX_ASSETS
        self._left_bytes = MAX_PAGE_BYTES

    async def __aenter__(self) -> Self:
        self._ends = asyncio.get_running_loop().time() + _PAGE_SECONDS
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def fetch(self, url: str, kind: str) -> Asset | None:
        """The media type and the content; None where it is refused, late or something else."""
        pattern = _KINDS.get(kind)
        self._left_assets -= 1
        if pattern is None or self._left_assets < 0:
            return None
        try:
            async with self._turns:
                answer = await self._answer(url)
        except (OutboundError, ShareUrlError, ValueError):
            return None
        if answer is None or answer.status != 200 or "content-encoding" in answer.headers:
            return None
        said = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
        if not pattern.fullmatch(said) or len(answer.body) > self._left_bytes:
            return None
        self._left_bytes -= len(answer.body)
        return said, answer.body

    async def _answer(self, url: str) -> Answer | None:
        left = self._ends - asyncio.get_running_loop().time()
        if left <= 0 or self._left_bytes <= 0:
            return None
        host = await self._host(url)
        if host is None:
            return None
        deadline = min(left, _ASSET_SECONDS)
        return await host.request("GET", url, headers=_HEADERS, deadline_seconds=deadline)

    async def _host(self, url: str) -> Outbound | None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or "@" in parts.netloc:
            return None
        key = parts.scheme, parts.netloc.lower()
        if key not in self._hosts:
            if len(self._hosts) >= MAX_HOSTS:
                return None
            entry = EvidenceHost.of(parts.netloc, self._networks, insecure=parts.scheme == "http")
            outbound = Outbound([entry], connections=_AT_ONCE, body_limit_bytes=MAX_ASSET_BYTES)
            self._hosts[key] = outbound
            await self._stack.enter_async_context(outbound)
        return self._hosts[key]
