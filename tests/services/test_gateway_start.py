"""The start: settings and market documents that cannot be used, what is held, and discovery."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from leadgate.process import ExitCode
from leadgate.v1 import lead_service_pb2 as pb
from tests import needs
from tests.builders import a_submission
from tests.gateways import OPERATOR_KEY, Gateway, a_gateway, database, refused, started
from tests.processes import Process

SERVICES = [
    "leadgate.v1.LeadService",
    "leadgate.v1.DeliveryService",
    "leadgate.v1.AdminService",
]


async def test_every_wrong_setting_is_named_at_once(tmp_path: Path) -> None:
    """One line for each, no value, and exit code 78."""
    wrong = {
        "LEADGATE_LISTEN": "canary-nowhere",
        "LEADGATE_OPERATOR_KEY": "canary-without-a-dot",
        "LEADGATE_PERSON_KEY": "canary-short",
        "LEADGATE_QUEUE_LIMIT": "canary-many",
        "LEADGATE_KAFKA_PARTITIONS": "0",
        "LEADGATE_PHONE_REGION": "canary",
        "LEADGATE_ALLOW_PLAINTEXT": "canary",
    }
    async with started(tmp_path, **wrong) as process:
        problems = await _problems(process, "settings refused", ExitCode.SETTINGS)
        assert {problem.partition(":")[0] for problem in problems} == set(wrong)
    assert not database(tmp_path).exists()


async def test_every_mistake_of_a_market_is_named_with_its_line(tmp_path: Path) -> None:
    """Exit code 78, and nothing of the document was applied."""
    (tmp_path / "market.yaml").write_text(
        """\
generators:
  - id: Forms
  - id: sound
buyers:
  - id: buyer-one
    transport: carrier-pigeon
    keys: [{env: NO_SUCH_VARIABLE}]
evidence_hosts:
  - host: "https://canary.example.com/"
"""
    )
    async with started(tmp_path) as process:
        [problem] = await _problems(process, "refused to start", ExitCode.SETTINGS)
        for line in (2, 6, 7, 9):
            assert f"line {line}" in problem
        assert "market.yaml" in problem
    (tmp_path / "market.yaml").unlink()
    async with a_gateway(tmp_path, LEADGATE_MARKET="") as gateway:
        answer = await refused(gateway.forms.leads.SubmitLead(a_submission()))
        assert answer.code == "UNAUTHENTICATED"


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"generators: [", b"", b"\x00"])
async def test_a_market_that_is_no_document_is_a_clear_refusal(
    tmp_path: Path, content: bytes
) -> None:
    """Not a crash: the file's name, and exit code 78."""
    (tmp_path / "market.yaml").write_bytes(content)
    async with started(tmp_path) as process:
        [problem] = await _problems(process, "refused to start", ExitCode.SETTINGS)
        assert "market.yaml" in problem


@pytest.mark.parametrize("name", ["absent.yaml", "."])
async def test_a_market_that_cannot_be_read_is_a_clear_refusal(tmp_path: Path, name: str) -> None:
    """Not there, or a folder."""
    async with started(tmp_path, LEADGATE_MARKET=str(tmp_path / name)) as process:
        [problem] = await _problems(process, "refused to start", ExitCode.SETTINGS)
        assert "cannot be read" in problem


async def test_a_second_gateway_on_the_same_database_refuses_to_start(tmp_path: Path) -> None:
    """It names the file and exits with HELD, while the first goes on."""
    async with a_gateway(tmp_path) as first, started(tmp_path) as second:
        [problem] = await _problems(second, "refused to start", ExitCode.HELD)
        assert str(database(tmp_path)) in problem
        assert (await first.forms.leads.SubmitLead(a_submission())).lead_id


@pytest.mark.parametrize(
    "url",
    [
        "canary",
        "postgresql://canary:canary-secret@localhost/leads",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:////proc/nowhere/leads.db",
        "sqlite:///{folder}/market.yaml",
        "sqlite:///{folder}",
    ],
)
async def test_a_database_that_cannot_be_used_is_a_clear_refusal(tmp_path: Path, url: str) -> None:
    """Not a crash, no password in the log; and never a ledger that is gone after the end."""
    async with started(
        tmp_path, LEADGATE_DATABASE_URL=url.replace("{folder}", str(tmp_path))
    ) as process:
        assert await process.ended() == ExitCode.SETTINGS
        assert process.events[-1]["event"] == "refused to start"


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0", "192.0.2.1:50051", "example.com:1"])
async def test_an_address_beyond_loopback_is_refused_without_tls(
    tmp_path: Path, address: str
) -> None:
    """It says what to do instead."""
    async with started(tmp_path, LEADGATE_LISTEN=address) as process:
        [problem] = await _problems(process, "settings refused", ExitCode.SETTINGS)
        assert "LEADGATE_ALLOW_PLAINTEXT=1" in problem


async def test_plaintext_beyond_loopback_is_served_where_it_is_allowed(tmp_path: Path) -> None:
    """Behind a proxy that speaks TLS."""
    settings = {"LEADGATE_LISTEN": "0.0.0.0:0", "LEADGATE_ALLOW_PLAINTEXT": "1"}
    async with started(tmp_path, **settings) as process:
        assert (await process.event("serving"))["address"].startswith("0.0.0.0:")


async def test_a_taken_address_is_a_clear_refusal(tmp_path: Path) -> None:
    """No crash: the address, and a code of its own."""
    async with a_gateway(tmp_path) as first:
        other = tmp_path / "other"
        other.mkdir()
        async with started(other, LEADGATE_LISTEN=first.address) as second:
            [problem] = await _problems(second, "refused to start", ExitCode.UNAVAILABLE)
            assert first.address in problem


async def test_the_same_market_again_changes_nothing(tmp_path: Path) -> None:
    """A restart with the same document and keys applies no change."""
    async with a_gateway(tmp_path) as gateway:
        assert (await gateway.process.event("market applied"))["changes"]
    async with a_gateway(tmp_path) as gateway:
        assert (await gateway.process.event("market applied"))["changes"] == []


async def test_a_new_operator_key_takes_the_place_of_the_old(tmp_path: Path) -> None:
    """The setting wins; the former secret opens nothing."""
    new = OPERATOR_KEY + "-rotated"
    async with a_gateway(tmp_path):
        pass
    async with a_gateway(tmp_path, LEADGATE_OPERATOR_KEY=new) as gateway:
        listing = pb.ListLeadsRequest()
        assert (await refused(gateway.operator.leads.ListLeads(listing))).code == "UNAUTHENTICATED"
        assert await gateway.caller(new).leads.ListLeads(listing) == pb.ListLeadsResponse()


async def test_keys_are_stored_as_hashes_only(tmp_path: Path) -> None:
    """No file of the gateway holds a secret."""
    async with a_gateway(tmp_path) as gateway:
        await gateway.process.stop()
    files = {file.name: file for file in _files(tmp_path)}
    assert {"ledger.db", "ledger.db.person-key"} <= files.keys()
    assert not [name for name, file in files.items() if b"-secret-" in file.read_bytes()]
    assert files["ledger.db.person-key"].stat().st_mode & 0o77 == 0
    with closing(sqlite3.connect(database(tmp_path))) as ledger:
        digests = ledger.execute("SELECT length(digest) FROM api_keys").fetchall()
        assert digests == [(32,)] * 6


async def test_reflection_and_health_need_no_file_from_us(tmp_path: Path) -> None:
    """Any client finds the services; each of them, and the whole, is SERVING."""
    async with a_gateway(tmp_path) as gateway:
        assert set(SERVICES) <= set(await _reflected(gateway))
        for name in ["", *SERVICES]:
            answer = await gateway.health.Check(HealthCheckRequest(service=name))
            assert answer.status == HealthCheckResponse.SERVING
        unknown = HealthCheckRequest(service="unknown")
        assert (await refused(gateway.health.Check(unknown))).code == "NOT_FOUND"


async def test_a_health_watch_that_hangs_up_leaves_the_others_be(tmp_path: Path) -> None:
    """They still learn that the gateway stops; an unknown service is watched, too."""
    async with a_gateway(tmp_path) as gateway:
        watches = [gateway.health.Watch(HealthCheckRequest()) for _ in range(3)]
        for watch in watches:
            assert (await watch.read()).status == HealthCheckResponse.SERVING
        watches[1].cancel()
        unknown = gateway.health.Watch(HealthCheckRequest(service="unknown"))
        assert (await unknown.read()).status == HealthCheckResponse.SERVICE_UNKNOWN
        assert await gateway.process.stop(seconds=5) == ExitCode.OK
        for watch in watches[::2]:
            assert (await watch.read()).status == HealthCheckResponse.NOT_SERVING


async def test_grpcurl_lists_and_calls_without_our_protos(tmp_path: Path) -> None:
    """The tool people reach for first."""
    grpcurl = needs.tool("grpcurl")
    async with a_gateway(tmp_path) as gateway:
        key = f"x-api-key: {OPERATOR_KEY}"
        services = await _output(grpcurl, "-plaintext", gateway.address, "list")
        assert set(SERVICES) <= set(services.split())
        method = "leadgate.v1.AdminService/ListBuyers"
        buyers = await _output(grpcurl, "-plaintext", "-H", key, gateway.address, method)
        assert "buyer-one" in buyers


def _files(folder: Path) -> list[Path]:
    return [file for file in folder.iterdir() if file.is_file()]


async def _output(*command: str) -> str:
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    assert process.returncode == 0
    return output.decode()


async def _reflected(gateway: Gateway) -> list[str]:
    channel: Any = gateway.channel
    stub: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
    asked = reflection_pb2.ServerReflectionRequest(list_services="")
    [answer] = [message async for message in stub.ServerReflectionInfo(iter([asked]))]
    return [service.name for service in answer.list_services_response.service]


async def _problems(process: Process, event: str, code: ExitCode) -> list[str]:
    """What a gateway that ends with that code says in its events of that name."""
    assert await process.ended() == code
    return [said["problem"] for said in process.events if said["event"] == event]
