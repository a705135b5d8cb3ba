"""grpc.health.v1: what serves, asked once or watched."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
from grpc_health.v1 import health_pb2_grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse


class Health(health_pb2_grpc.HealthServicer):
    """The health of the gateway (the empty name) and of its parts.

    Takes the place of the library's servicer, whose watches never end, and so would hold
    up a stop to its limit; and of which one that hangs up makes others of its name deaf.
    """

    def __init__(self) -> None:
        self._serving: dict[str, bool] = {}
        self._stopping = False
        self._changed = asyncio.Event()

    def set(self, name: str, *, serving: bool) -> None:
        """Sets whether a part serves, unless the gateway is stopping."""
        if not self._stopping:
            self._serving[name] = serving
            self._tell()

    def stop(self) -> None:
        """Says NOT_SERVING of every part, for good, and ends the watches."""
        self._stopping = True
        self._serving = dict.fromkeys(self._serving, False)
        self._tell()

    async def Check(  # noqa: N802  (the contract's name, as below)
        self, request: HealthCheckRequest, context: Any
    ) -> HealthCheckResponse:
        """Says whether a part serves. NOT_FOUND for an unknown name."""
        if request.service not in self._serving:
            await context.abort(grpc.StatusCode.NOT_FOUND, "there is no such service")
        return self._answer(request.service)

    async def Watch(  # noqa: N802
        self, request: HealthCheckRequest, context: Any
    ) -> AsyncIterator[HealthCheckResponse]:
        """Says whether a part serves, now and at each change. Ends with the gateway."""
        told = None
        while True:
            changed = self._changed
            answer = self._answer(request.service)
            if answer != told:
                yield answer
                told = answer
            elif self._stopping:
                await context.abort(grpc.StatusCode.UNAVAILABLE, "the gateway is stopping")
            else:
                await changed.wait()

    def _answer(self, name: str) -> HealthCheckResponse:
        if name not in self._serving:
            return HealthCheckResponse(status=HealthCheckResponse.SERVICE_UNKNOWN)
        if self._serving[name]:
            return HealthCheckResponse(status=HealthCheckResponse.SERVING)
        return HealthCheckResponse(status=HealthCheckResponse.NOT_SERVING)

    def _tell(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
