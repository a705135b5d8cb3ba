"""The HTTP server: uvicorn under our own stop event, silent about paths.

uvicorn would install its own signal handlers and raise the signal again after the
drain, which ends the process with the signal instead of 0; and its access log would
print share tokens, which are in the path.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog
import uvicorn
from starlette.types import ASGIApp

from evidence.settings import Address
from leadgate.process import ExitCode, Refusal

log = structlog.get_logger("evidence.server")

_DRAIN_SECONDS = 10
_IDLE_SECONDS = 75  # longer than clients keep an idle connection, so that they close it
_BACKLOG = 2048


class ListenError(Refusal):
    """The address cannot be listened on."""

    exit_code = ExitCode.UNAVAILABLE


def bind(address: Address) -> socket.socket:
    """Binds a TCP socket; raises `ListenError` where the address is taken or not ours."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    try:
        return socket.create_server(address, family=family, backlog=_BACKLOG)
    except OSError as error:
        raise ListenError(f"cannot listen on {address}: {error.strerror}") from None


def bound(listener: socket.socket) -> Address:
    """The address a socket really listens on: port 0 has become a number."""
    host, port, *_ = listener.getsockname()
    return Address(host, port)


async def serve(
    app: ASGIApp, listener: socket.socket, stop: asyncio.Event, on_listening: Callable[[], None]
) -> None:
    """Serves until `stop`, then finishes the requests in hand, for at most 10 seconds.

    Calls `on_listening` once connections are accepted.
    """
    config = uvicorn.Config(
        app,
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=_BACKLOG,
        timeout_keep_alive=_IDLE_SECONDS,
        timeout_graceful_shutdown=_DRAIN_SECONDS,
    )
    server = _Server(config, on_listening)
    async with asyncio.TaskGroup() as group:
        group.create_task(server.serve(sockets=[listener]))
        await stop.wait()
        log.info("draining")
        server.should_exit = True


class _Server(uvicorn.Server):
    """uvicorn's server without its signal handlers, which says when it is up."""

    def __init__(self, config: uvicorn.Config, on_listening: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_listening = on_listening

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_listening()
