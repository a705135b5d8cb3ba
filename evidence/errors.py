"""What the evidence service refuses. Each class is one code of the v1 contract.

    EvidenceError
    ├── InvalidArgument      400  the request cannot be read, or breaks a limit
    ├── Unauthenticated      401  no key, or not one of ours
    ├── Forbidden            403  a good key that may not do this
    ├── CaptureDisabled      403  the org takes no captures
    ├── NotFound             404  absent or not accessible: the two answer alike
    ├── MethodNotAllowed     405
    ├── TooSlow              408  (ours) the body did not come in time
    ├── Conflict             409  the id is taken
    ├── Gone                 410  the share has expired
    ├── CdrInvalid           410  the CDR was invalidated by an operator
    ├── FailedPrecondition   412  a step that must come first is missing
    ├── PayloadTooLarge      413  (ours)
    ├── Overloaded           429  (ours) nothing was stored; `Retry-After` says when
    └── Internal             500  (ours)

Messages are sent to callers: they name fields and limits, never a value.
"""

from __future__ import annotations

from typing import ClassVar


class EvidenceError(Exception):
    """Root of all refusals; carries the contract's code and HTTP status."""

    code: ClassVar[str]
    status: ClassVar[int]
    default: ClassVar[str] = ""

    def __init__(self, message: str = "") -> None:
        super().__init__(message or self.default)

    @property
    def message(self) -> str:
        """The sentence the caller reads."""
        return str(self)


class InvalidArgument(EvidenceError):
    """The request cannot be read, or breaks a limit. The message lists every problem."""

    code, status = "INVALID_ARGUMENT", 400


class Unauthenticated(EvidenceError):
    """No key, or not one of ours."""

    code, status = "UNAUTHENTICATED", 401
    default = "send a valid key in X-API-Key"


class Forbidden(EvidenceError):
    """A good key that may not do this."""

    code, status = "FORBIDDEN", 403
    default = "this key may not do this"


class CaptureDisabled(EvidenceError):
    """The org has switched capture off."""

    code, status = "CAPTURE_DISABLED", 403
    default = "capture is switched off"


class NotFound(EvidenceError):
    """Absent or not accessible: one answer for both, so that nothing can be probed."""

    code, status = "NOT_FOUND", 404
    default = "not found"


class MethodNotAllowed(EvidenceError):
    """The path exists, the verb does not."""

    code, status = "METHOD_NOT_ALLOWED", 405
    default = "method not allowed"


class TooSlow(EvidenceError):
    """The body did not come in time; nothing was stored."""

    code, status = "TIMEOUT", 408
    default = "the body did not come in time"


class Conflict(EvidenceError):
    """The id is taken."""

    code, status = "CONFLICT", 409


class Gone(EvidenceError):
    """The share has expired, for everybody."""

    code, status = "GONE", 410
    default = "the share has expired"


class CdrInvalid(EvidenceError):
    """An operator invalidated the CDR: to be treated as if it did not exist."""

    code, status = "CDR_INVALID", 410
    default = "the CDR has been invalidated"


class FailedPrecondition(EvidenceError):
    """A step that must come first is missing."""

    code, status = "FAILED_PRECONDITION", 412


class PayloadTooLarge(EvidenceError):
    """The body is larger than this endpoint reads."""

    code, status = "PAYLOAD_TOO_LARGE", 413


class Overloaded(EvidenceError):
    """Too much at once, of everybody or of this caller; nothing was stored.

    `retry_after_seconds` says when it is worth another try.
    """

    code, status = "RESOURCE_EXHAUSTED", 429
    default = "too many requests are waiting; try again"

    def __init__(self, message: str = "", retry_after_seconds: int = 1) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class Internal(EvidenceError):
    """Something failed that was not foreseen; the log has it under the request id."""

    code, status = "INTERNAL", 500
    default = "internal error"
