"""Real gateways in tests: `python -m gateway` on a free port, a market, and its callers.

    async with a_gateway(tmp_path) as gateway:
        answer = await gateway.forms.leads.SubmitLead(a_submission())
        await gateway.process.kill()
    async with a_gateway(tmp_path) as gateway:  # the same ledger again
        ...

The market has the generators `forms` and `other-forms`, the pull buyers `buyer-one` and
`buyer-two`, which take anybody's leads, and `buyer-private`, which takes those of
`other-forms` only.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, closing, contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import grpc
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from grpc_health.v1 import health_pb2_grpc

from leadgate.v1 import (
    admin_service_pb2_grpc,
    delivery_service_pb2_grpc,
    lead_service_pb2_grpc,
)
from leadgate.v1.lead_service_pb2 import SubmitLeadRequest
from tests.builders import EVIDENCE_HOST, another_submission
from tests.processes import Process, running

OPERATOR_KEY = "operator.operator-secret-0123456789"
KEYS = {
    "forms": "forms.forms-secret-0123456789",
    "other-forms": "other.other-secret-0123456789",
    "buyer-one": "one.one-secret-0123456789",
    "buyer-two": "two.two-secret-0123456789",
    "buyer-private": "private.private-secret-0123456789",
}
SECRETS = (
    *(key.partition(".")[2] for key in (OPERATOR_KEY, *KEYS.values())),
    # What the builders put into names, emails, phones, tokens and custom values.
    "Ada",
    "@example.com",
    "201555",
    "201 555",
    "token-",
    "uid",
    "canary",
)
MARKET = f"""\
generators:
  - id: forms
    keys: [{{env: FORMS_KEY}}]
  - id: other-forms
    keys: [{{env: OTHER_FORMS_KEY}}]
buyers:
  - id: buyer-one
    transport: pull
    accepts: ["*"]
    keys: [{{env: BUYER_ONE_KEY}}]
  - id: buyer-two
    transport: pull
    accepts: ["*"]
    keys: [{{env: BUYER_TWO_KEY}}]
  - id: buyer-private
    transport: pull
    accepts: [other-forms]
    keys: [{{env: BUYER_PRIVATE_KEY}}]
evidence_hosts:
  - host: {EVIDENCE_HOST}
"""


class Caller:
    """Stubs of every service that send one API key, or none where it is empty."""

    def __init__(self, channel: grpc.aio.Channel, key: str) -> None:
        self.metadata = (("x-api-key", key),) if key else ()
        self.leads = _Signed(lead_service_pb2_grpc.LeadServiceStub(channel), self.metadata)
        self.deliveries = _Signed(
            delivery_service_pb2_grpc.DeliveryServiceStub(channel), self.metadata
        )
        self.admin = _Signed(admin_service_pb2_grpc.AdminServiceStub(channel), self.metadata)


class Gateway:
    """A running gateway and its callers."""

    def __init__(self, process: Process, address: str, channel: grpc.aio.Channel) -> None:
        self.process = process
        self.address = address
        self.channel = channel
        self.forms = self.caller(KEYS["forms"])
        self.other_forms = self.caller(KEYS["other-forms"])
        self.buyer_one = self.caller(KEYS["buyer-one"])
        self.buyer_two = self.caller(KEYS["buyer-two"])
        self.operator = self.caller(OPERATOR_KEY)
        self.health: Any = health_pb2_grpc.HealthStub(channel)

    def caller(self, key: str) -> Caller:
        """A caller with that key."""
        return Caller(self.channel, key)


@asynccontextmanager
async def a_gateway(folder: Path, **settings: str) -> AsyncIterator[Gateway]:
    """Runs a gateway over the ledger in `folder` until the block ends.

    `settings` are further variables, such as `LEADGATE_QUEUE_LIMIT="100"`.
    """
    async with AsyncExitStack() as stack:
        process = await stack.enter_async_context(started(folder, **settings))
        address = (await process.event("serving"))["address"]
        yield Gateway(process, address, await stack.enter_async_context(_channel(address)))


@asynccontextmanager
async def started(folder: Path, *program: str | Path, **settings: str) -> AsyncIterator[Process]:
    """Starts a gateway that need not come to serve; `program` is run in its place.

    Whatever the test did, the log must hold no personal data and no secret.
    """
    env = environment(folder) | settings
    async with running(*(program or ("-m", "gateway")), env=env, cwd=folder) as process:
        yield process
        await process.kill()
        said = "\n".join(process.errors + process.output)
        assert not [secret for secret in SECRETS if secret in said]


def environment(folder: Path) -> dict[str, str]:
    """The settings of a gateway whose market document and ledger are in `folder`."""
    document = folder / "market.yaml"
    if not document.exists():
        document.write_text(MARKET)
    keys = {f"{name.replace('-', '_').upper()}_KEY": key for name, key in KEYS.items()}
    return keys | {
        "LEADGATE_LISTEN": "127.0.0.1:0",
        "LEADGATE_DATABASE_URL": f"sqlite:///{database(folder)}",
        "LEADGATE_MARKET": str(document),
        "LEADGATE_OPERATOR_KEY": OPERATOR_KEY,
        "PYTHONPATH": str(Path(__file__).parents[1]),
    }


def database(folder: Path) -> Path:
    """The ledger of the gateway in `folder`."""
    return folder / "ledger.db"


@contextmanager
def commits_held(folder: Path) -> Iterator[None]:
    """Keeps the gateway's next commit waiting, so that calls are surely in its hands."""
    with closing(sqlite3.connect(database(folder), isolation_level=None)) as ledger:
        ledger.execute("BEGIN IMMEDIATE")
        yield


@asynccontextmanager
async def _channel(address: str) -> AsyncIterator[grpc.aio.Channel]:
    # A channel shared with an earlier gateway would remember that this port was closed.
    options = (("grpc.use_local_subchannel_pool", 1),)
    async with grpc.aio.insecure_channel(address, options=options) as channel:
        await channel.channel_ready()
        yield channel


class _Signed:
    """A stub whose every call carries the key."""

    def __init__(self, stub: Any, metadata: tuple[tuple[str, str], ...]) -> None:
        self._stub = stub
        self._metadata = metadata

    def __getattr__(self, name: str) -> Any:
        return partial(getattr(self._stub, name), metadata=self._metadata)


class Refused:
    """What a refused call, or item of a batch, says: code, reason, details."""

    def __init__(self, code: str, message: str, status: Status) -> None:
        self.code = code
        self.message = message
        info, bad_request, retry = ErrorInfo(), BadRequest(), RetryInfo()
        for detail in status.details:
            for known in (info, bad_request, retry):
                detail.Unpack(known)
        self.reason: str = info.reason
        self.domain: str = info.domain
        self.metadata: Mapping[str, str] = info.metadata
        self.fields = {item.field: item.description for item in bad_request.field_violations}
        self.retry_seconds: float = retry.retry_delay.ToTimedelta().total_seconds()

    def __repr__(self) -> str:
        return f"Refused({self.code}, {self.reason}, {self.message!r}, {self.fields})"


def refusal(error: grpc.aio.AioRpcError) -> Refused:
    """What a call was refused with."""
    trailing = dict(error.trailing_metadata() or ())
    status = Status.FromString(trailing.get("grpc-status-details-bin", b""))
    return Refused(error.code().name, error.details() or "", status)


def item_refusal(status: Status) -> Refused:
    """What an item of a batch or stream was refused with."""
    names = {code.value[0]: code.name for code in grpc.StatusCode}
    return Refused(names[status.code], status.message, status)


def numbered() -> Callable[..., SubmitLeadRequest]:
    """A maker of submissions that no other maker makes; it takes the ids of the buyers."""
    first = next(_thousands) * 1000
    numbers = count(first)
    return lambda *buyer_ids: another_submission(next(numbers), *buyer_ids)


_thousands = count(1)


async def drained(stream: Any) -> list[Any]:
    """Reads a stream to its end, or raises what it ended with."""
    seen: list[Any] = []
    while (message := await stream.read()) is not grpc.aio.EOF:
        seen.append(message)
    return seen


async def refused(call: Any) -> Refused:
    """Awaits a call, or reads a stream, that must be refused, and says how."""
    try:
        if hasattr(call, "read"):
            seen = await drained(call)
        else:
            seen = await call
    except grpc.aio.AioRpcError as error:
        return refusal(error)
    raise AssertionError(f"not refused: {seen}")


async def outcome(call: Any) -> Any:
    """Awaits a call; what it answered, or how it was refused."""
    try:
        return await call
    except grpc.aio.AioRpcError as error:
        return refusal(error)
