"""The buyer's two calls to an evidence service, with quick retries and the gate."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from consumers.backoff import Backoff
from consumers.claim import Meaning, Verdict, of_claim, of_read
from consumers.errors import ConsumerError
from consumers.gate import Gate
from consumers.outcome import Outcome
from leadgate.outbound import Answer, Outbound, OutboundError
from leadgate.share_url import ShareUrl

_SAVE = b'{"collect":false}'
_CALL_SECONDS = 5.0
_TRIES = 4
_FIRST_WAIT_SECONDS = 0.2
_LONGEST_WAIT_SECONDS = 2.0


class Hindrance(ConsumerError):
    """Why a lead must not reach the sink, now or ever."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.reason)
        self.outcome = outcome


@dataclass(frozen=True, slots=True)
class Reply:
    """What the service said: `found` with its data, or not, with the reason why."""

    found: bool
    reason: str = ""
    status: int = 0
    body: bytes = b""
    request_id: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)

    def text(self, name: str) -> str:
        """A text of the data, at most 128 characters; empty if there is none."""
        value = self.data.get(name)
        return value[:128] if isinstance(value, str) else ""


class Patience:
    """How long one record may take; whoever asks beyond that is deferred."""

    def __init__(self, limit_seconds: float) -> None:
        self._limit_seconds = limit_seconds
        self.restart()

    def restart(self) -> None:
        """Starts anew, after a time that was not the record's."""
        self._end = asyncio.get_running_loop().time() + self._limit_seconds

    @property
    def left_seconds(self) -> float:
        """What is left; negative when it is over."""
        return self._end - asyncio.get_running_loop().time()

    async def wait(self, seconds: float, verdict: Verdict) -> None:
        """Waits before the next try, or raises `Hindrance`: deferred, with the verdict's reason.

        A `Retry-After` of at most 2 s is waited for here; a longer one goes into the
        deferral, for a record that waits holds a place that others could use.
        """
        asked = verdict.retry_after or timedelta()
        wait = max(seconds, asked.total_seconds())
        if wait > _LONGEST_WAIT_SECONDS or wait >= self.left_seconds:
            raise Hindrance(Outcome.deferred(verdict.reason, verdict.retry_after))
        await asyncio.sleep(wait)


class EvidenceApi:
    """Claims shares and reads CDRs with one key, behind one gate."""

    def __init__(self, outbound: Outbound, api_key: str, gate: Gate) -> None:
        self._outbound = outbound
        self._headers = {"x-api-key": api_key}
        self._gate = gate

    async def claim(
        self, patience: Patience, share: ShareUrl, cdr_id: str, *, collect: bool
    ) -> Reply:
        """Claims a share. Not `found`: it has expired. Raises `Hindrance`."""
        call = _Call("CLAIM", "POST", share.claim_url, cdr_id, None if collect else _SAVE)
        return await self._ask(patience, call)

    async def read(self, patience: Patience, share: ShareUrl, cdr_id: str) -> Reply:
        """Reads a CDR. Not `found`: the buyer does not have it. Raises `Hindrance`."""
        return await self._ask(patience, _Call("EVIDENCE", "GET", share.cdr_url(cdr_id), cdr_id))

    def leave(self) -> None:
        """The current task makes no more calls for its record."""
        self._gate.leave()

    async def _ask(self, patience: Patience, call: _Call) -> Reply:
        waits = Backoff(_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS)
        tries = 0
        while True:
            if self._gate.shut and not self._gate.probing:
                await self._gate.passed()
                patience.restart()
            answer, verdict = await self._try(patience, call)
            if verdict.meaning is Meaning.PAUSE or self._unproven(verdict):
                await self._gate.refused(verdict.reason)
                patience.restart()
            elif verdict.meaning is Meaning.RETRY:
                tries += 1
                if tries == _TRIES:
                    raise Hindrance(Outcome.deferred(verdict.reason, verdict.retry_after))
                await patience.wait(waits.next_seconds(), verdict)
            else:
                self._gate.accepted()
                return _reply(answer, verdict)

    def _unproven(self, verdict: Verdict) -> bool:
        """Whether the prober got an answer that says nothing about the key."""
        return verdict.meaning is Meaning.RETRY and self._gate.probing

    async def _try(self, patience: Patience, call: _Call) -> tuple[Answer, Verdict]:
        seconds = min(_CALL_SECONDS, patience.left_seconds)
        if seconds <= 0:
            raise Hindrance(Outcome.deferred(f"{call.name}_TIMEOUT"))
        try:
            answer = await self._outbound.request(
                call.method,
                call.url,
                headers=self._headers if call.body is None else self._headers | _JSON,
                content=call.body,
                deadline_seconds=seconds,
            )
        except OutboundError as error:
            return _NO_ANSWER, _of_error(error, call.name)
        judge = of_claim if call.name == "CLAIM" else of_read
        return answer, judge(answer.status, answer.headers, answer.body, call.cdr_id)


@dataclass(frozen=True, slots=True)
class _Call:
    name: str
    method: str
    url: str = field(repr=False)
    cdr_id: str
    body: bytes | None = None


_JSON = {"content-type": "application/json"}
_NO_ANSWER = Answer(0, {}, b"")


def _of_error(error: OutboundError, call: str) -> Verdict:
    """A refused address is retried too: what a name leads to may be put right."""
    if error.reason == "HOST_NOT_ALLOWED":
        raise Hindrance(Outcome.failed(error.reason))
    if error.reason == "ADDRESS_NOT_ALLOWED":
        raise Hindrance(Outcome.deferred(error.reason))
    return Verdict(Meaning.RETRY, f"{call}_{error.reason}")


def _reply(answer: Answer, verdict: Verdict) -> Reply:
    if verdict.meaning is Meaning.FAILED:
        raise Hindrance(Outcome.failed(verdict.reason))
    return Reply(
        verdict.meaning is Meaning.GRANTED,
        verdict.reason,
        answer.status,
        answer.body,
        verdict.request_id,
        verdict.data,
    )
