"""Results of reports, as a gateway words them."""

from __future__ import annotations

from google.protobuf.any_pb2 import Any
from google.rpc import code_pb2
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

from leadgate.v1.delivery_service_pb2 import DeliveryReport, DeliveryReportResult


def refusal(report: DeliveryReport, reason: str) -> DeliveryReportResult:
    """A result with this reason; with an empty one, the report counts."""
    if not reason:
        return DeliveryReportResult(delivery_id=report.delivery_id)
    detail = Any()
    detail.Pack(ErrorInfo(reason=reason, domain="leadgate"))
    not_found = reason == "DELIVERY_NOT_FOUND"
    code = code_pb2.NOT_FOUND if not_found else code_pb2.FAILED_PRECONDITION
    return DeliveryReportResult(
        delivery_id=report.delivery_id, error=Status(code=code, details=[detail])
    )
