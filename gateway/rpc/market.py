"""The market as messages, and back."""

from __future__ import annotations

from gateway import wire
from gateway.market import ApiKey, Buyer, Encoding, Generator, Role, Transport
from leadgate.share_url import EvidenceHost
from leadgate.v1 import market_pb2 as pb

_TRANSPORTS = {
    Transport.KAFKA: pb.TRANSPORT_KAFKA,
    Transport.PULL: pb.TRANSPORT_PULL,
}
_ENCODINGS = {
    Encoding.PROTOBUF: pb.ENCODING_PROTOBUF,
    Encoding.JSON: pb.ENCODING_JSON,
}
_ROLES = {
    Role.GENERATOR: pb.ROLE_GENERATOR,
    Role.BUYER: pb.ROLE_BUYER,
    Role.OPERATOR: pb.ROLE_OPERATOR,
}
ROLES: dict[int, Role] = {int(number): role for role, number in _ROLES.items()}
"""Roles by their number in the contract."""


def generator(item: Generator) -> pb.Generator:
    """A generator."""
    return pb.Generator(generator_id=item.generator_id, paused=item.paused)


def buyer(item: Buyer) -> pb.Buyer:
    """A buyer, without its topic and backlog."""
    return pb.Buyer(
        buyer_id=item.buyer_id,
        transport=_TRANSPORTS[item.transport],
        encoding=_ENCODINGS[item.encoding],
        paused=item.paused,
        accepted_generators=item.accepts,
    )


def evidence_host(item: EvidenceHost) -> pb.EvidenceHost:
    """An evidence host."""
    return pb.EvidenceHost(
        host=item.authority, networks=map(str, item.networks), insecure=item.insecure
    )


def api_key(item: ApiKey) -> pb.ApiKey:
    """An API key, which has no secret."""
    message = pb.ApiKey(
        key_id=item.key_id,
        role=_ROLES[item.role],
        subject=item.subject,
        create_time=wire.timestamp(item.create_time),
    )
    if item.revoke_time is not None:
        message.revoke_time.CopyFrom(wire.timestamp(item.revoke_time))
    return message
