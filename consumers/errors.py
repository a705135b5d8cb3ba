"""Errors of the buyer's side.

    ConsumerError
    ├── UndecodableError        a record that cannot be read            detail
    ├── GatewayError            a call to the gateway brought nothing   code, retry_seconds
    │   ├── GatewayUnavailable      try again, for ever
    │   ├── GatewayRefusesKey       the API key or its role is refused
    │   └── GatewayRefusesCall      the call itself is refused
    └── Decision                raised by a buyer's handler              outcome
        ├── Reject                  the buyer does not want the lead
        └── Defer                   not now

No message of theirs carries anything of a lead.
"""

from __future__ import annotations

from datetime import timedelta

from consumers.outcome import Outcome


class ConsumerError(Exception):
    """Root of the errors that this package raises."""


class UndecodableError(ConsumerError):
    """A record that cannot be read. `detail` is UPPER_SNAKE."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class GatewayError(ConsumerError):
    """A call to the gateway that brought no answer.

    `code` is the gRPC status code's name; `retry_seconds` the wait the gateway asked
    for (`RetryInfo`), 0 where it asked for none.
    """

    def __init__(self, code: str, retry_seconds: float = 0) -> None:
        super().__init__(code)
        self.code = code
        self.retry_seconds = retry_seconds


class GatewayUnavailable(GatewayError):
    """The gateway is away or overloaded, or what became of the call is unknown: repeat it."""


class GatewayRefusesKey(GatewayError):
    """UNAUTHENTICATED or PERMISSION_DENIED: somebody must mend the key or its role."""


class GatewayRefusesCall(GatewayError):
    """The same call would be refused again."""


class Decision(ConsumerError):
    """What a buyer's handler raises to say that it did not take the lead."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.reason)
        self.outcome = outcome


class Reject(Decision):
    """The buyer does not want this lead: BUYER_REJECTED, never sent again.

    `reason` is a code such as `DUPLICATE_CUSTOMER`, at most 64 characters of UPPER_SNAKE
    once normalised; what looks like personal data in it is not passed on.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(Outcome.rejected(reason))


class Defer(Decision):
    """Not now: the gateway sends the lead again, after `after` at the earliest."""

    def __init__(self, reason: str, after: timedelta | None = None) -> None:
        super().__init__(Outcome.deferred(reason, after))
