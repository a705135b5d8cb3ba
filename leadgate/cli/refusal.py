"""Why a command could not do its work, in words, and the exit code that says so."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from leadgate.process import ExitCode

_HINTS = {
    "UNAVAILABLE": "is the gateway running at {target}? LEADGATE_GATEWAY says where it is",
    "DEADLINE_EXCEEDED": "no answer in time: look at `leadgate health`, then try again",
    "UNAUTHENTICATED": "set LEADGATE_API_KEY to a key that works; an operator makes one with "
    "`leadgate keys create`",
    "PERMISSION_DENIED": "this command needs the key of another role",
    "NOT_FOUND": "check the id; a key reaches only what is its owner's",
    "RESOURCE_EXHAUSTED": "the gateway has more work than it takes: try again in a moment",
    "UNIMPLEMENTED": "what answers at {target} is no gateway of this version",
}
_EXIT_CODES = {
    "UNAVAILABLE": ExitCode.UNAVAILABLE,
    "DEADLINE_EXCEEDED": ExitCode.UNAVAILABLE,
    "UNAUTHENTICATED": ExitCode.SETTINGS,
    "INVALID_ARGUMENT": ExitCode.USAGE,
}


class Refused(Exception):
    """Ends a command: lines for stderr, the first of them the error, and the exit code."""

    def __init__(self, lines: list[str], exit_code: ExitCode) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines
        self.exit_code = exit_code


def explain(error: grpc.RpcError, target: str) -> Refused:
    """What a failed call means for the person who ran the command."""
    code = code_of(error)
    lines = describe(status_of(error))
    if hint := _HINTS.get(code):
        lines.append(hint.format(target=target))
    return Refused(lines, _EXIT_CODES.get(code, ExitCode.FAILED))


def code_of(error: Any) -> str:
    """The canonical code of a failed call, such as `NOT_FOUND`."""
    return str(error.code().name)


def status_of(error: Any) -> status_pb2.Status:
    """The `google.rpc.Status` of a failed call, with details where the gateway sent them."""
    for name, value in error.trailing_metadata() or ():
        if name == "grpc-status-details-bin":
            try:
                return status_pb2.Status.FromString(value)
            except DecodeError:
                break
    return status_pb2.Status(code=error.code().value[0], message=error.details() or "")


def describe(status: status_pb2.Status) -> list[str]:
    """A status in lines: code, message and reason, then each violation of a field."""
    reason = reason_of(status)
    head = f"{name_of(status.code)}: {status.message or 'no details'}"
    return [f"{head} ({reason})" if reason else head, *_violations(status)]


def name_of(code: int) -> str:
    """The name of a canonical code by its number."""
    return next((str(known.name) for known in grpc.StatusCode if known.value[0] == code), "UNKNOWN")


def reason_of(status: status_pb2.Status) -> str:
    """The UPPER_SNAKE reason of a status, or an empty text."""
    info = error_details_pb2.ErrorInfo()
    return next((info.reason for detail in status.details if detail.Unpack(info)), "")


def retry_seconds_of(status: status_pb2.Status) -> float:
    """How long the gateway asks to wait before another try; 0 where it does not say."""
    retry = error_details_pb2.RetryInfo()
    for detail in status.details:
        if detail.Unpack(retry):
            return float(retry.retry_delay.ToTimedelta().total_seconds())
    return 0.0


def _violations(status: status_pb2.Status) -> Iterator[str]:
    bad = error_details_pb2.BadRequest()
    for detail in status.details:
        if detail.Unpack(bad):
            yield from (f"  {item.field}: {item.description}" for item in bad.field_violations)
