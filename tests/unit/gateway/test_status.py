"""Refusals as `google.rpc.Status`."""

from __future__ import annotations

from typing import Any, cast

import grpc
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from gateway.errors import InvalidRequestError, OverloadedError, Violation
from gateway.rpc.status import abort, status


class Context:
    """Notes what a call was ended with."""

    details: bytes = b""

    async def abort(self, code: grpc.StatusCode, text: str, trailing: Any) -> None:
        """Stands for the end of the call."""
        self.details = trailing[0][1]


def test_a_refusal_carries_reason_and_every_violation() -> None:
    """Canonical code, ErrorInfo and BadRequest, each once."""
    message = status(InvalidRequestError([Violation("a", "x"), Violation("b", "y")]))
    info, bad = ErrorInfo(), BadRequest()
    message.details[0].Unpack(info)
    message.details[1].Unpack(bad)
    assert message.code == 3
    assert (info.reason, info.domain) == ("INVALID_FIELDS", "leadgate")
    assert [violation.field for violation in bad.field_violations] == ["a", "b"]


def test_a_refusal_for_now_says_when_to_try_again() -> None:
    """RetryInfo beside the reason."""
    retry = RetryInfo()
    status(OverloadedError("full")).details[1].Unpack(retry)
    assert retry.retry_delay.ToTimedelta().total_seconds() == 0.5


async def test_more_violations_than_metadata_holds_are_counted() -> None:
    """A client would refuse the whole answer past 8 KiB and never learn what is wrong."""
    context = Context()
    error = InvalidRequestError([Violation(f"field[{n}]", "x" * 80) for n in range(200)])
    await abort(cast(Any, context), error)
    bad = BadRequest()
    Status.FromString(context.details).details[1].Unpack(bad)
    assert len(context.details) <= 6 * 1024
    shown = len(bad.field_violations) - 1
    assert bad.field_violations[-1].description == f"and {200 - shown} more violations"
