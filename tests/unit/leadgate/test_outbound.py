"""The guarded client: a call goes to the address that was checked, or nowhere."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from ipaddress import ip_network

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from leadgate.outbound import (
    AddressRefused,
    Anywhere,
    BodyTooLarge,
    DeadlineExceeded,
    HostRefused,
    Outbound,
    Unreachable,
)
from leadgate.share_url import EvidenceHost
from tests.fakes.evidence import FakeEvidence, fake_evidence


class Names(AbstractResolver):
    """A DNS that answers each question with the next of its answers, the last for ever."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The next answer."""
        self.asked.append(host)
        found = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=0,
            )
            for address in found
        ]

    async def close(self) -> None:
        """Nothing to close."""


@pytest.fixture
async def server() -> AsyncIterator[FakeEvidence]:
    """Something that answers on 127.0.0.1."""
    async with fake_evidence() as evidence:
        yield evidence


async def call(outbound: Outbound, url: str, seconds: float = 5) -> int:
    """The status of a GET with a key."""
    async with outbound:
        answer = await outbound.request(
            "GET", url, headers={"x-api-key": "secret"}, deadline_seconds=seconds
        )
        return answer.status


def port_of(server: FakeEvidence) -> str:
    """The server's port."""
    return server.authority.rpartition(":")[2]


async def test_a_host_within_its_networks_is_reached(server: FakeEvidence) -> None:
    """The positive case: everything below fails for its own reason."""
    outbound = Outbound([EvidenceHost.parse(server.entry)])
    server.say(204, "")
    assert await call(outbound, f"http://{server.authority}/v1/cdrs/c") == 204
    assert server.keys == ["secret"]


@pytest.mark.parametrize(
    "url",
    [
        "https://elsewhere.example.com/",
        "http://evidence.example.com/",
        "https://evidence.example.com:8443/",
        "https://user:word@evidence.example.com/",
        "https://evidence.example.com.elsewhere.example.com/",
        "ftp://evidence.example.com/",
        "//evidence.example.com/",
        "no url",
        "::::",
    ],
)
async def test_a_url_off_the_list_never_leaves(url: str) -> None:
    """Another host, port, scheme or user is refused before a name is looked up."""
    names = Names(["127.0.0.1"])
    outbound = Outbound([EvidenceHost.parse("evidence.example.com")], resolver=names)
    with pytest.raises(HostRefused):
        await call(outbound, url)
    assert names.asked == []


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1"],
)
async def test_a_name_that_leads_to_a_private_address_gets_nothing(address: str) -> None:
    """DNS answers are checked, whatever form the address takes."""
    outbound = Outbound(
        [EvidenceHost.parse("evidence.example.com;insecure=true")], resolver=Names([address])
    )
    with pytest.raises(AddressRefused):
        await call(outbound, "http://evidence.example.com/")


@pytest.mark.parametrize("literal", ["127.0.0.1", "[::1]", "10.1.2.3"])
async def test_an_address_in_the_url_itself_is_checked(literal: str) -> None:
    """An address needs no resolver, and gets no way around the check."""
    outbound = Outbound([EvidenceHost.parse(f"{literal}:80;insecure=true")])
    with pytest.raises(AddressRefused):
        await call(outbound, f"http://{literal}/")


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "[::1]", "10.1.2.3", "127.1", "2130706433", "0", "169.254.169.254",
     "[::ffff:7f00:1]", "private.example.com"],
)  # fmt: skip
async def test_anywhere_is_anywhere_in_public(host: str) -> None:
    """No spelling of a private address and no name that leads to one is reached."""
    outbound = Outbound(Anywhere(), resolver=Names(["192.168.1.1"]))
    with pytest.raises(AddressRefused):
        await call(outbound, f"https://{host}/")
    with pytest.raises(HostRefused):
        await call(outbound, f"http://{host}/")


async def test_anywhere_with_loopback_reaches_this_machine_alone(server: FakeEvidence) -> None:
    """The switch of development opens no other private network."""
    outbound = Outbound(Anywhere([ip_network("127.0.0.0/8")], insecure=True))
    assert await call(outbound, f"http://127.0.0.1:{port_of(server)}/v1/cdrs/x") == 404
    with pytest.raises(AddressRefused):
        await call(outbound, "http://10.0.0.1/")


async def test_the_connection_goes_to_the_address_that_was_checked(server: FakeEvidence) -> None:
    """One question to the DNS for one connection; a second answer is never asked for."""
    names = Names(["127.0.0.1"], ["203.0.113.9"])
    entry = f"evidence.example.com:{port_of(server)};networks=127.0.0.0/8;insecure=true"
    outbound = Outbound([EvidenceHost.parse(entry)], resolver=names)
    server.say(200, "")
    assert await call(outbound, f"http://evidence.example.com:{port_of(server)}/") == 200
    assert names.asked == ["evidence.example.com"]


async def test_a_name_that_is_bound_anew_to_a_private_address_is_refused(
    server: FakeEvidence,
) -> None:
    """Allowed at first, private at the next connection: checked each time."""
    port = port_of(server)
    entry = f"evidence.example.com:{port};networks=127.0.0.1/32;insecure=true"
    names = Names(["127.0.0.1"], ["127.0.0.2"])
    async with Outbound([EvidenceHost.parse(entry)], resolver=names) as outbound:

        async def get() -> int:
            url = f"http://evidence.example.com:{port}/"
            return (await outbound.request("GET", url, headers={}, deadline_seconds=5)).status

        server.say(200, "", connection="close")
        assert await get() == 200
        server.say(200, "")
        with pytest.raises(AddressRefused):
            await get()
    assert len(server.requests) == 1


async def test_only_the_allowed_ones_of_several_addresses_are_used(server: FakeEvidence) -> None:
    """A mixed DNS answer does not smuggle a private address in."""
    port = port_of(server)
    entry = f"evidence.example.com:{port};networks=127.0.0.1/32;insecure=true"
    names = Names(["127.0.0.2", "127.0.0.1"])
    outbound = Outbound([EvidenceHost.parse(entry)], resolver=names)
    server.say(200, "")
    assert await call(outbound, f"http://evidence.example.com:{port}/") == 200


async def test_a_redirect_is_an_answer_and_is_not_followed(server: FakeEvidence) -> None:
    """The key goes nowhere a server points to."""
    server.say(302, "", location=f"http://{server.authority}/elsewhere")
    outbound = Outbound([EvidenceHost.parse(server.entry)])
    assert await call(outbound, f"http://{server.authority}/v1/cdrs/c") == 302
    assert len(server.requests) == 1


async def test_proxy_variables_are_not_heeded(
    server: FakeEvidence, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy in the environment would see the key."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    server.say(200, "")
    outbound = Outbound([EvidenceHost.parse(server.entry)])
    assert await call(outbound, f"http://{server.authority}/v1/cdrs/c") == 200


async def test_a_body_over_the_limit_is_not_read(server: FakeEvidence) -> None:
    """Memory is bounded, whatever a server sends."""
    server.say(200, "x" * 5000)
    outbound = Outbound([EvidenceHost.parse(server.entry)], body_limit_bytes=4999)
    with pytest.raises(BodyTooLarge):
        await call(outbound, f"http://{server.authority}/")


async def test_the_deadline_covers_the_whole_call(server: FakeEvidence) -> None:
    """A server that takes its time does not take ours."""
    server.delay_seconds = 30
    outbound = Outbound([EvidenceHost.parse(server.entry)])
    with pytest.raises(DeadlineExceeded):
        await call(outbound, f"http://{server.authority}/", seconds=0.05)


async def test_nobody_listening_is_unreachable_and_says_no_url() -> None:
    """No text of an error holds the path, which may be a share token."""
    outbound = Outbound([EvidenceHost.parse("127.0.0.1:9;networks=127.0.0.0/8;insecure=true")])
    with pytest.raises(Unreachable) as caught:
        await call(outbound, "http://127.0.0.1:9/v1/shares/secret-token")
    assert "secret-token" not in repr(caught.value)
    assert caught.value.__cause__ is None


async def test_calls_beyond_the_connection_limit_wait(server: FakeEvidence) -> None:
    """`connections` bounds what is on the wire; nothing is refused."""
    async with Outbound([EvidenceHost.parse(server.entry)], connections=2) as outbound:
        for _ in range(6):
            server.say(200, "")
        answers = await asyncio.gather(
            *(
                outbound.request(
                    "GET", f"http://{server.authority}/", headers={}, deadline_seconds=5
                )
                for _ in range(6)
            )
        )
    assert [answer.status for answer in answers] == [200] * 6
