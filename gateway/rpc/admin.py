"""AdminService: what an operator calls."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol, TypeVar

from gateway import paging, wire
from gateway.access import Caller
from gateway.delivery import parse_delivery_id
from gateway.errors import InvalidRequestError, NotFoundError, Violation
from gateway.market import ApiKey, Backlog, Buyer, Generator, Market, Role, Transport
from gateway.rpc import market as messages
from gateway.rpc.filters import microseconds
from leadgate.keys import Key
from leadgate.v1 import admin_service_pb2 as pb
from leadgate.v1 import market_pb2

T = TypeVar("T")

MAX_RETRIES = 500
_REASON = re.compile(r"[A-Z][A-Z0-9_]{0,63}", re.ASCII)


class MarketAdmin(Protocol):
    """Changes the market; see `gateway.ledger.admin`."""

    @property
    def market(self) -> Market:
        """The market as last committed."""
        ...

    async def apply_document(
        self, yaml_text: str, environment: Mapping[str, str], *, dry_run: bool = False
    ) -> list[str]:
        """Brings the market in line with a document; returns a line for each change."""
        ...

    async def pause_generator(self, generator_id: str, *, paused: bool) -> Generator:
        """Pauses or resumes a generator."""
        ...

    async def pause_buyer(self, buyer_id: str, *, paused: bool) -> Buyer:
        """Pauses or resumes a buyer."""
        ...

    async def create_key(self, role: Role, subject: str) -> tuple[ApiKey, Key]:
        """Makes a key."""
        ...

    async def revoke_key(self, key_id: str) -> ApiKey:
        """Ends a key for good."""
        ...

    async def backlogs(self, buyers: Sequence[Buyer]) -> Sequence[Backlog]:
        """What each of the buyers has before it, in their order."""
        ...


class Retries(Protocol):
    """Brings failed deliveries back; see `gateway.ledger.resend`."""

    async def retry(self, buyer_id: str, reason: str, accepted_from: int) -> int:
        """Retries a buyer's FAILED deliveries, of one reason unless it is empty."""
        ...

    async def retry_named(self, names: Sequence[tuple[bytes, str]]) -> int:
        """Retries those FAILED among the named (lead id, buyer id); returns how many."""
        ...


class TopicState(Protocol):
    """How a topic stands: a number of `Topic.State`, and what is wrong in words."""

    @property
    def state(self) -> int:
        """Numbered as in the contract."""
        ...

    @property
    def detail(self) -> str:
        """For the operator."""
        ...


class Topics(Protocol):
    """How the topics of buyers stand; see `gateway.topics`."""

    def state(self, buyer_id: str) -> TopicState:
        """How a buyer's topic stood when it was last looked at."""
        ...


class AdminRpc:
    """Sets up the market, hands out keys, pauses, and brings failed deliveries back."""

    def __init__(self, admin: MarketAdmin, retries: Retries, topics: Topics | None) -> None:
        """Without `topics` no Kafka is served, and the operator reads so."""
        self._admin = admin
        self._retries = retries
        self._topics = topics

    async def apply_market(
        self, _: Caller, request: pb.ApplyMarketRequest
    ) -> pb.ApplyMarketResponse:
        """See the proto, as of all below."""
        changes = await self._admin.apply_document(
            request.yaml, request.environment, dry_run=request.dry_run
        )
        return pb.ApplyMarketResponse(changes=changes)

    async def get_generator(
        self, _: Caller, request: pb.GetGeneratorRequest
    ) -> pb.GetGeneratorResponse:
        """One generator."""
        generator = _found(self._admin.market.generators, request.generator_id, "generator")
        return pb.GetGeneratorResponse(generator=messages.generator(generator))

    async def list_generators(
        self, _: Caller, request: pb.ListGeneratorsRequest
    ) -> pb.ListGeneratorsResponse:
        """A page of generators."""
        shown, token = _page(self._admin.market.generators, request, ("generators",))
        return pb.ListGeneratorsResponse(
            generators=map(messages.generator, shown), next_page_token=token
        )

    async def get_buyer(self, _: Caller, request: pb.GetBuyerRequest) -> pb.GetBuyerResponse:
        """One buyer."""
        buyer = _found(self._admin.market.buyers, request.buyer_id, "buyer")
        [message] = await self._buyers([buyer])
        return pb.GetBuyerResponse(buyer=message)

    async def list_buyers(self, _: Caller, request: pb.ListBuyersRequest) -> pb.ListBuyersResponse:
        """A page of buyers."""
        shown, token = _page(self._admin.market.buyers, request, ("buyers",))
        return pb.ListBuyersResponse(buyers=await self._buyers(shown), next_page_token=token)

    async def list_evidence_hosts(
        self, _: Caller, request: pb.ListEvidenceHostsRequest
    ) -> pb.ListEvidenceHostsResponse:
        """A page of evidence hosts."""
        shown, token = _page(self._admin.market.evidence_hosts, request, ("evidence hosts",))
        return pb.ListEvidenceHostsResponse(
            evidence_hosts=map(messages.evidence_host, shown), next_page_token=token
        )

    async def create_api_key(
        self, _: Caller, request: pb.CreateApiKeyRequest
    ) -> pb.CreateApiKeyResponse:
        """Makes a key."""
        role = messages.ROLES.get(request.role)
        if role is None:
            raise InvalidRequestError([Violation("role", "must be a role")])
        stored, key = await self._admin.create_key(role, request.subject)
        return pb.CreateApiKeyResponse(api_key=messages.api_key(stored), secret=str(key))

    async def revoke_api_key(
        self, _: Caller, request: pb.RevokeApiKeyRequest
    ) -> pb.RevokeApiKeyResponse:
        """Ends a key."""
        stored = await self._admin.revoke_key(request.key_id)
        return pb.RevokeApiKeyResponse(api_key=messages.api_key(stored))

    async def list_api_keys(
        self, _: Caller, request: pb.ListApiKeysRequest
    ) -> pb.ListApiKeysResponse:
        """A page of keys."""
        violations: list[Violation] = []
        if request.role and request.role not in messages.ROLES:
            violations.append(Violation("role", "must be a role"))
        role = messages.ROLES.get(request.role)
        matching = {
            key_id: key
            for key_id, key in self._admin.market.api_keys.items()
            if role in (None, key.role) and request.subject in ("", key.subject)
        }
        scope = ("api keys", request.role, request.subject)
        shown, token = _page(matching, request, scope, violations)
        return pb.ListApiKeysResponse(api_keys=map(messages.api_key, shown), next_page_token=token)

    async def pause_generator(
        self, _: Caller, request: pb.PauseGeneratorRequest
    ) -> pb.PauseGeneratorResponse:
        """Refuses a generator's new submissions."""
        generator = await self._admin.pause_generator(request.generator_id, paused=True)
        return pb.PauseGeneratorResponse(generator=messages.generator(generator))

    async def resume_generator(
        self, _: Caller, request: pb.ResumeGeneratorRequest
    ) -> pb.ResumeGeneratorResponse:
        """Takes a generator's submissions again."""
        generator = await self._admin.pause_generator(request.generator_id, paused=False)
        return pb.ResumeGeneratorResponse(generator=messages.generator(generator))

    async def pause_buyer(self, _: Caller, request: pb.PauseBuyerRequest) -> pb.PauseBuyerResponse:
        """Refuses new leads for a buyer."""
        buyer = await self._admin.pause_buyer(request.buyer_id, paused=True)
        [message] = await self._buyers([buyer])
        return pb.PauseBuyerResponse(buyer=message)

    async def resume_buyer(
        self, _: Caller, request: pb.ResumeBuyerRequest
    ) -> pb.ResumeBuyerResponse:
        """Sends to a buyer again."""
        buyer = await self._admin.pause_buyer(request.buyer_id, paused=False)
        [message] = await self._buyers([buyer])
        return pb.ResumeBuyerResponse(buyer=message)

    async def retry_deliveries(
        self, _: Caller, request: pb.RetryDeliveriesRequest
    ) -> pb.RetryDeliveriesResponse:
        """Sends FAILED deliveries on their way again."""
        violations = list(_retry_violations(request))
        accepted_from = microseconds(request, "accepted_from", violations)
        named = [parse_delivery_id(text) for text in request.delivery_ids]
        if violations:
            raise InvalidRequestError(violations)
        if named:
            retried = await self._retries.retry_named([name for name in named if name])
            return pb.RetryDeliveriesResponse(retried=retried)
        buyer = _found(self._admin.market.buyers, request.buyer_id, "buyer")
        since = accepted_from or 0
        retried = await self._retries.retry(buyer.buyer_id, request.reason, since)
        return pb.RetryDeliveriesResponse(retried=retried)

    async def _buyers(self, buyers: Sequence[Buyer]) -> list[market_pb2.Buyer]:
        backlogs = await self._admin.backlogs(buyers)
        return [
            self._buyer(buyer, backlog) for buyer, backlog in zip(buyers, backlogs, strict=True)
        ]

    def _buyer(self, buyer: Buyer, backlog: Backlog) -> market_pb2.Buyer:
        message = messages.buyer(buyer)
        message.waiting = backlog.waiting
        if backlog.oldest_unsettled_time is not None:
            message.oldest_unsettled_time.CopyFrom(wire.timestamp(backlog.oldest_unsettled_time))
        if buyer.transport is Transport.KAFKA:
            message.topic.CopyFrom(self._topic(buyer))
        return message

    def _topic(self, buyer: Buyer) -> market_pb2.Topic:
        if self._topics is None:
            detail = "this gateway serves pull buyers only: LEADGATE_KAFKA_BOOTSTRAP is not set"
            state = market_pb2.Topic.STATE_FAILING
            return market_pb2.Topic(name=buyer.topic, state=state, detail=detail)
        stands = self._topics.state(buyer.buyer_id)
        return market_pb2.Topic(
            name=buyer.topic,
            state=int(stands.state),  # type: ignore[arg-type]
            detail=stands.detail,
        )


class _Listing(Protocol):
    page_size: int
    page_token: str


def _page(
    named: Mapping[str, T],
    request: _Listing,
    scope: paging.Filters,
    violations: list[Violation] | None = None,
) -> tuple[list[T], str]:
    """A page of things by name, and the token of the next one."""
    violations = violations if violations is not None else []
    page = paging.page(request.page_size, request.page_token, scope, "", violations)
    if violations:
        raise InvalidRequestError(violations)
    names = sorted(name for name in named if name > page.start)
    shown = names[: page.size]
    token = paging.encode(scope, shown[-1]) if len(names) > page.size else ""
    return [named[name] for name in shown], token


def _found(named: Mapping[str, T], name: str, kind: str) -> T:
    if name not in named:
        raise NotFoundError(f"no such {kind}")
    return named[name]


def _retry_violations(request: pb.RetryDeliveriesRequest) -> Iterable[Violation]:
    ids = request.delivery_ids
    if not ids and not request.buyer_id:
        yield Violation("delivery_ids", "name deliveries, or a buyer in buyer_id")
    if len(ids) > MAX_RETRIES:
        yield Violation("delivery_ids", f"must have at most {MAX_RETRIES} entries")
    for index, text in enumerate(ids[:MAX_RETRIES]):
        if parse_delivery_id(text) is None:
            yield Violation(f"delivery_ids[{index}]", "must be a delivery id")
    if ids:
        for name in ("buyer_id", "reason"):
            if getattr(request, name):
                yield Violation(name, "must be empty where deliveries are named")
        if request.HasField("accepted_from"):
            yield Violation("accepted_from", "must be unset where deliveries are named")
    if request.reason and not _REASON.fullmatch(request.reason):
        yield Violation("reason", "must have at most 64 characters of UPPER_SNAKE")
