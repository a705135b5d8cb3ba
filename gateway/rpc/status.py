"""Refusals as `google.rpc.Status`: canonical code, reason, every violation, retry delay."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import grpc
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from gateway.errors import GatewayError, Violation

DOMAIN = "leadgate"
DETAILS = "grpc-status-details-bin"
_MAX_DETAILS_BYTES = 6 * 1024
"""gRPC clients take 8 KiB of metadata, in which the details travel with other entries."""


def status(error: GatewayError, most_violations: int | None = None) -> Status:
    """The refusal as a message; past `most_violations` it says how many more there are."""
    code: int = grpc.StatusCode[error.code].value[0]
    message = Status(code=code, message=str(error))
    info = ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=error.metadata)
    message.details.add().Pack(info)
    if error.violations:
        violations = [
            BadRequest.FieldViolation(field=violation.field, description=violation.problem)
            for violation in _listed(error.violations, most_violations)
        ]
        message.details.add().Pack(BadRequest(field_violations=violations))
    if error.retry_delay is not None:
        delay = Duration()
        delay.FromTimedelta(error.retry_delay)
        message.details.add().Pack(RetryInfo(retry_delay=delay))
    return message


async def abort(context: grpc.aio.ServicerContext[Any, Any], error: GatewayError) -> None:
    """Ends a call with the refusal. Does not return.

    grpc.aio has no `abort_with_status`; the details travel as trailing metadata.
    """
    details = status(error)
    count = len(error.violations)
    while details.ByteSize() > _MAX_DETAILS_BYTES and count > 1:
        count = count * 3 // 4
        details = status(error, count)
    trailing = ((DETAILS, details.SerializeToString()),)
    await context.abort(grpc.StatusCode[error.code], str(error), trailing)


def _listed(violations: Sequence[Violation], most: int | None) -> Sequence[Violation]:
    if most is None or len(violations) <= most:
        return violations
    rest = Violation(violations[most].field, f"and {len(violations) - most} more violations")
    return [*violations[:most], rest]
