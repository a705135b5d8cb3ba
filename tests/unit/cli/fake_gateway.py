"""A gateway in the test's own process: says what a test tells it to, over real gRPC."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health, health_pb2_grpc

from leadgate.v1 import (
    admin_service_pb2,
    admin_service_pb2_grpc,
    delivery_pb2,
    delivery_service_pb2_grpc,
    lead_service_pb2,
    lead_service_pb2_grpc,
)

KEY = "operator1.0123456789abcdef0123456789abcdef"


class FakeGateway(
    lead_service_pb2_grpc.LeadServiceServicer,
    delivery_service_pb2_grpc.DeliveryServiceServicer,
    admin_service_pb2_grpc.AdminServiceServicer,
):
    """Answers by method name from `answers`; keeps what it was asked, and with which key."""

    def __init__(self) -> None:
        self.answers: dict[str, Callable[[Any], Any]] = {}
        self.requests: list[Any] = []
        self.keys: set[str] = set()
        self.stored: dict[str, str] = {}
        self.streams = 0
        self.break_after: list[int] = []
        self.verdict: Callable[[Any], status_pb2.Status | None] = lambda _: None
        self.health = health.HealthServicer()
        self._next = 0

    @property
    def request(self) -> Any:
        """The newest unary request."""
        return self.requests[-1]

    def StreamLeads(self, requests: Iterator[Any], context: Any) -> Iterator[Any]:  # noqa: N802
        """Stores each lead once; ends in the middle where `break_after` says so."""
        self._note_key(context)
        self.streams += 1
        left = self.break_after.pop(0) if self.break_after else -1
        for message in requests:
            if left == 0:
                context.abort(grpc.StatusCode.UNAVAILABLE, "going away")
            left -= 1
            yield lead_service_pb2.StreamLeadsResponse(
                request_id=message.request.request_id, result=self._result(message.request)
            )

    def _result(self, request: Any) -> lead_service_pb2.SubmitLeadResult:
        if error := self.verdict(request):
            return lead_service_pb2.SubmitLeadResult(error=error)
        if request.request_id not in self.stored:
            self.stored[request.request_id] = self.next_id()
        answer = lead_service_pb2.SubmitLeadResponse(lead_id=self.stored[request.request_id])
        answer.deliveries.add(
            buyer_id="buyer-one", state=delivery_pb2.DeliveryState.DELIVERY_STATE_PENDING
        )
        return lead_service_pb2.SubmitLeadResult(response=answer)

    def ListLeads(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Lists what was stored, newest first, unless a test says otherwise."""
        if "ListLeads" in self.answers:
            return self._answer("ListLeads", request, context)
        answer = lead_service_pb2.ListLeadsResponse()
        for lead_id in sorted(self.stored.values(), reverse=True)[: request.page_size]:
            answer.leads.add(lead_id=lead_id)
        return answer

    def WatchDeliveries(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Sends what the test's answer yields."""
        self._note_key(context)
        self.requests.append(request)
        yield from self.answers["WatchDeliveries"](request)
        context.abort(grpc.StatusCode.UNAVAILABLE, "stopping")

    def next_id(self) -> str:
        """An id above all earlier ones."""
        self._next += 1
        return f"0193b5d2-7a10-7000-8000-{self._next:012x}"

    def _answer(self, method: str, request: Any, context: Any) -> Any:
        self._note_key(context)
        self.requests.append(type(request).FromString(request.SerializeToString()))
        answer = self.answers[method](request)
        if isinstance(answer, status_pb2.Status):
            context.set_trailing_metadata(
                (("grpc-status-details-bin", answer.SerializeToString()),)
            )
            context.abort(_code(answer.code), answer.message)
        return answer

    def _note_key(self, context: Any) -> None:
        self.keys.add(dict(context.invocation_metadata()).get("x-api-key", ""))


def _unary(method: str) -> Callable[..., Any]:
    return lambda self, request, context: self._answer(method, request, context)


for _service in (admin_service_pb2, lead_service_pb2):
    for _method in _service.DESCRIPTOR.services_by_name.values():
        for _name in _method.methods_by_name:
            if _name not in FakeGateway.__dict__:
                setattr(FakeGateway, _name, _unary(_name))
for _name in ("GetDelivery", "ListDeliveries", "ReplayDeliveries"):
    setattr(FakeGateway, _name, _unary(_name))


@contextmanager
def serving(gateway: FakeGateway) -> Iterator[str]:
    """Serves the fake on a free port of this machine; yields its address."""
    with ThreadPoolExecutor(4) as pool:
        server = grpc.server(pool)
        lead_service_pb2_grpc.add_LeadServiceServicer_to_server(gateway, server)
        delivery_service_pb2_grpc.add_DeliveryServiceServicer_to_server(gateway, server)
        admin_service_pb2_grpc.add_AdminServiceServicer_to_server(gateway, server)
        health_pb2_grpc.add_HealthServicer_to_server(gateway.health, server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            server.stop(grace=0).wait()


def refusal(
    code: grpc.StatusCode, message: str, reason: str, violations: dict[str, str] | None = None
) -> status_pb2.Status:
    """An error as the gateway sends it, with its details."""
    status = status_pb2.Status(code=code.value[0], message=message)
    details: list[Any] = [error_details_pb2.ErrorInfo(reason=reason, domain="leadgate")]
    if violations:
        bad = error_details_pb2.BadRequest()
        for field, description in violations.items():
            bad.field_violations.add(field=field, description=description)
        details.append(bad)
    for detail in details:
        packed = any_pb2.Any()
        packed.Pack(detail)
        status.details.append(packed)
    return status


def _code(number: int) -> grpc.StatusCode:
    return next(code for code in grpc.StatusCode if code.value[0] == number)
