"""What the gateway refuses, and why.

    GatewayError
    ├── InvalidRequestError     INVALID_ARGUMENT     lists every violation
    ├── NotFoundError           NOT_FOUND            absent, or not the caller's
    ├── UnauthenticatedError    UNAUTHENTICATED      no key, or a wrong one
    ├── ForbiddenError          PERMISSION_DENIED    the wrong kind of caller
    ├── RequestIdReusedError    ALREADY_EXISTS       a request id with other content
    ├── EvidenceAddedError      ALREADY_EXISTS       other evidence was added before
    ├── PreconditionError       FAILED_PRECONDITION  the state does not allow it
    ├── OverloadedError         RESOURCE_EXHAUSTED   try again after `retry_delay`
    └── StoppingError           UNAVAILABLE          the gateway is stopping

Each carries facts, not formatted text: a canonical code, an UPPER_SNAKE reason
(AIP-193), metadata. None carries personal data: messages name fields, never values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar


@dataclass(frozen=True)
class Violation:
    """One thing that is wrong with a request: the field's path, and what to do."""

    field: str
    problem: str


class GatewayError(Exception):
    """Root of every error that a caller is answered with."""

    code: ClassVar[str] = "INTERNAL"
    reason: str = "INTERNAL"
    retry_delay: timedelta | None = None
    violations: tuple[Violation, ...] = ()

    def __init__(self, message: str, metadata: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.metadata = dict(metadata or {})


class InvalidRequestError(GatewayError):
    """Fields that break the contract; nothing was stored."""

    code = "INVALID_ARGUMENT"
    reason = "INVALID_FIELDS"

    def __init__(self, violations: Sequence[Violation]) -> None:
        fields = ", ".join(violation.field for violation in violations[:5])
        more = f" and {len(violations) - 5} more" if len(violations) > 5 else ""
        super().__init__(f"invalid request: {fields}{more}")
        self.violations = tuple(violations)


class NotFoundError(GatewayError):
    """The resource does not exist, or is not the caller's: the two look the same."""

    code = "NOT_FOUND"
    reason = "NOT_FOUND"


class UnauthenticatedError(GatewayError):
    """The call carries no API key that works."""

    code = "UNAUTHENTICATED"
    reason = "API_KEY_INVALID"


class ForbiddenError(GatewayError):
    """The key works, and belongs to another kind of caller."""

    code = "PERMISSION_DENIED"
    reason = "WRONG_ROLE"


class RequestIdReusedError(GatewayError):
    """The request id was used before, with other content; nothing was stored."""

    code = "ALREADY_EXISTS"
    reason = "REQUEST_ID_REUSED"


class EvidenceAddedError(GatewayError):
    """The delivery has other evidence, or the lead another CDR of that id."""

    code = "ALREADY_EXISTS"
    reason = "EVIDENCE_ALREADY_ADDED"


class PreconditionError(GatewayError):
    """The state of things does not allow it; `reason` says which."""

    code = "FAILED_PRECONDITION"

    def __init__(
        self, reason: str, message: str, metadata: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message, metadata)
        self.reason = reason


class OverloadedError(GatewayError):
    """More work than may wait; nothing was stored."""

    code = "RESOURCE_EXHAUSTED"
    reason = "OVERLOADED"

    def __init__(
        self, message: str, retry_delay: timedelta | None = timedelta(milliseconds=500)
    ) -> None:
        super().__init__(message)
        self.retry_delay = retry_delay


class StoppingError(GatewayError):
    """The gateway is stopping; another one, or this one later, will answer."""

    code = "UNAVAILABLE"
    reason = "STOPPING"
    retry_delay = timedelta(seconds=1)
