"""Outbound HTTP that goes only where it may: claims, evidence reads, webhooks.

A call leaves this process only for a host on the list it was given, over https unless
that host is marked insecure, to an address the host's entry allows. The address that
was checked is the address connected to: the name is resolved once for a connection, and
the checked answer is what the connection uses, so a second, different DNS answer (DNS
rebinding) finds nobody asking. No redirects, no proxies, no cookies, no compression;
the body and the time of a call are bounded.

    OutboundError               reason, retriable
    ├── HostRefused             not on the list, or http where https is due
    ├── AddressRefused          the name leads only to addresses the entry does not allow
    ├── Unreachable             no name, no connection, or it broke
    ├── DeadlineExceeded        no whole answer in time
    └── BodyTooLarge            the answer is larger than the limit

No error carries a URL: the ones called here are credentials.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from types import TracebackType
from typing import ClassVar, Self

import aiohttp
import httpx
from aiohttp.abc import AbstractResolver, ResolveResult
from httpx_aiohttp import AiohttpTransport

from leadgate.share_url import EvidenceHost, Network

BODY_LIMIT_BYTES = 1 << 20
_KEEPALIVE_SECONDS = 30
_PORTS = {"https": 443, "http": 80}
_NO_TIMEOUTS = {"timeout": dict.fromkeys(("connect", "read", "write", "pool"))}


class OutboundError(Exception):
    """A call that brought no answer. `reason` is UPPER_SNAKE and names no host."""

    reason: ClassVar[str] = "OUTBOUND_FAILED"
    retriable: ClassVar[bool] = False
    """Whether the same call may succeed a moment later."""

    def __init__(self) -> None:
        super().__init__(self.reason)


class HostRefused(OutboundError):
    """The URL's host is not on the list, or the URL is http and the host not insecure."""

    reason = "HOST_NOT_ALLOWED"


class AddressRefused(OutboundError):
    """The host leads to no address that its entry allows; nothing was sent."""

    reason = "ADDRESS_NOT_ALLOWED"


class Unreachable(OutboundError):
    """The name did not resolve, nobody answered there, or the connection broke."""

    reason = "UNREACHABLE"
    retriable = True


class DeadlineExceeded(OutboundError):
    """The whole answer was not there in time; whether the call had an effect is unknown."""

    reason = "TIMEOUT"
    retriable = True


class BodyTooLarge(OutboundError):
    """The answer's body is larger than the limit; it was not read further."""

    reason = "BODY_TOO_LARGE"


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer, of any status, with its whole body."""

    status: int
    headers: Mapping[str, str]
    """By name in any case."""
    body: bytes


class Anywhere:
    """Stands for a list of every host there is, each held to the same rule.

    For URLs that callers give, such as webhooks: any public address over https; with
    `networks` those private ones too, with `insecure` plain http too.
    """

    def __init__(self, networks: Iterable[Network] = (), *, insecure: bool = False) -> None:
        self._networks = tuple(networks)
        self._insecure = insecure

    def get(self, endpoint: tuple[str, int]) -> EvidenceHost | None:
        """The entry of a host and port."""
        return EvidenceHost(endpoint[0], self._networks, self._insecure)

    def refuses(self, endpoint: tuple[str, int], entry: EvidenceHost) -> bool:
        """Whether the host is an address, in any spelling, that its entry does not allow."""
        return _refuses_address(endpoint[0], entry)


class _Listed:
    """A list of hosts by (host, port)."""

    def __init__(self, hosts: Iterable[EvidenceHost]) -> None:
        self._entries = dict(_endpoints(hosts))
        self._refused = {
            endpoint
            for endpoint, entry in self._entries.items()
            if _refuses_address(endpoint[0], entry)
        }

    def get(self, endpoint: tuple[str, int]) -> EvidenceHost | None:
        return self._entries.get(endpoint)

    def refuses(self, endpoint: tuple[str, int], _: EvidenceHost) -> bool:
        return endpoint in self._refused


_Entries = Anywhere | _Listed


class Outbound:
    """A client for a fixed list of hosts, or `Anywhere`; an async context manager.

    `connections` bounds how many calls are on the wire at once; further ones wait, and
    their waiting counts against their deadline. `resolver` is for tests.
    """

    def __init__(
        self,
        hosts: Iterable[EvidenceHost] | Anywhere,
        *,
        connections: int = 64,
        body_limit_bytes: int = BODY_LIMIT_BYTES,
        resolver: AbstractResolver | None = None,
    ) -> None:
        self._entries: _Entries = hosts if isinstance(hosts, Anywhere) else _Listed(hosts)
        self._connections = connections
        self._body_limit_bytes = body_limit_bytes
        self._resolver = resolver
        self._transport: AiohttpTransport | None = None

    async def __aenter__(self) -> Self:
        self._transport = AiohttpTransport(client=self._session())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if self._transport is not None:
            await self._transport.aclose()
            self._transport = None

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        deadline_seconds: float,
        content: bytes | None = None,
    ) -> Answer:
        """Sends one request and reads the whole answer; any HTTP status is an answer.

        `deadline_seconds` covers everything from the wait for a connection to the last
        byte. Raises `OutboundError`; `HostRefused` and `AddressRefused` mean that not a
        byte has left.
        """
        target = self._checked(url)
        try:
            async with asyncio.timeout(deadline_seconds):
                return await self._exchange(method, target, headers, content)
        except TimeoutError:
            raise DeadlineExceeded from None

    def _checked(self, url: str) -> httpx.URL:
        target = _parsed(url)
        endpoint = (target.host, target.port or _PORTS.get(target.scheme, 0))
        entry = self._entries.get(endpoint)
        if entry is None or not _scheme_allowed(entry, target.scheme) or target.userinfo:
            raise HostRefused
        if self._entries.refuses(endpoint, entry):
            raise AddressRefused
        return target

    async def _exchange(
        self, method: str, url: httpx.URL, headers: Mapping[str, str], content: bytes | None
    ) -> Answer:
        if self._transport is None:
            raise RuntimeError("use Outbound as a context manager")
        request = httpx.Request(
            method,
            url,
            headers={"accept-encoding": "identity", "user-agent": "leadgate", **headers},
            content=content,
            extensions=_NO_TIMEOUTS,
        )
        with _translated():
            # The transport is called as it is: httpx's client above it costs as much CPU
            # again for redirects, cookies, proxies and authentication, none wanted here.
            response = await self._transport.handle_async_request(request)
            try:
                return Answer(response.status_code, response.headers, await self._body(response))
            finally:
                await response.aclose()

    async def _body(self, response: httpx.Response) -> bytes:
        body = bytearray()
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > self._body_limit_bytes:
                raise BodyTooLarge
        return bytes(body)

    def _session(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            limit=self._connections,
            # The answer of a resolution serves the one connection it was checked for.
            use_dns_cache=False,
            resolver=CheckingResolver(self._entries, self._resolver),
            keepalive_timeout=_KEEPALIVE_SECONDS,
            ssl=httpx.create_ssl_context(),
        )
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
        )


class CheckingResolver(AbstractResolver):
    """Resolves a listed host and gives back only the addresses its entry allows.

    What it returns is what the connection goes to: nobody resolves the name again.
    """

    def __init__(self, entries: _Entries, inner: AbstractResolver | None = None) -> None:
        self._entries = entries
        self._inner = inner or aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Raises `HostRefused`, `AddressRefused`, or `OSError` where there is no such name."""
        entry = self._entries.get((host, port))
        if entry is None:
            raise HostRefused
        found = await self._inner.resolve(host, port, family)
        allowed = [each for each in found if entry.allows(ip_address(each["host"]))]
        if not allowed:
            raise AddressRefused
        return allowed

    async def close(self) -> None:
        """Closes the resolver below."""
        await self._inner.close()


def _endpoints(hosts: Iterable[EvidenceHost]) -> Iterator[tuple[tuple[str, int], EvidenceHost]]:
    """Yields every (host, port) that an entry stands for: without a port, the schemes' own."""
    for host in hosts:
        url = httpx.URL(f"https://{host.authority}")
        if ":" in host.authority.rpartition("]")[2]:
            yield (url.host, int(host.authority.rpartition(":")[2])), host
            continue
        yield (url.host, 443), host
        if host.insecure:
            yield (url.host, 80), host


def _parsed(url: str) -> httpx.URL:
    try:
        return httpx.URL(url)
    except (httpx.InvalidURL, UnicodeError):
        raise HostRefused from None


def _scheme_allowed(entry: EvidenceHost, scheme: str) -> bool:
    return scheme == "https" or (scheme == "http" and entry.insecure)


def _refuses_address(host: str, entry: EvidenceHost) -> bool:
    """Judges a host that no resolver is asked about: aiohttp takes it for an address.

    It does so for `127.1` and `2130706433` too, which the system reads as 127.0.0.1.
    """
    if not (":" in host or host.replace(".", "").isdigit()):
        return False
    try:
        return not entry.allows(ip_address(host))
    except ValueError:
        return True


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (httpx.HTTPError, aiohttp.ClientError, OSError, ValueError):
        raise Unreachable from None
