"""Settings of the consumer command."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, Self

from pydantic import AfterValidator, BeforeValidator, Field, InstanceOf, SecretStr, model_validator
from pydantic_settings import NoDecode

from consumers.verify import VerifyKeys
from consumers.webhook import WebhookTarget
from leadgate.settings import Settings
from leadgate.share_url import EvidenceHost, ShareUrlError

_TARGET = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}", re.ASCII)
_FUNCTION = re.compile(r"python:[A-Za-z_][\w.]*:[A-Za-z_]\w*", re.ASCII)
_SINKS = "stdout, jsonl:PATH, https://… or python:module:function"


class Collect(StrEnum):
    """What a claim asks for, and whether unpaid evidence is enough."""

    COLLECT = "collect"
    """Claim, and pay where somebody must."""
    SAVE = "save"
    """Save without paying; a lead whose evidence is not paid fails, EVIDENCE_UNPAID."""
    SAVE_AND_DELIVER_UNPAID = "save-and-deliver-unpaid"
    """Save without paying; the lead is delivered all the same."""


class Verify(StrEnum):
    """Whether evidence is checked against the lead."""

    MATCH = "match"
    OFF = "off"


def _listed(value: object) -> object:
    if not isinstance(value, str):
        return value
    return tuple(item.strip() for item in value.split(",") if item.strip())


def _hosts(value: object) -> object:
    entries = _listed(value)
    if not isinstance(entries, tuple):
        return entries
    problems, hosts = [], []
    for entry in entries:
        try:
            hosts.append(entry if isinstance(entry, EvidenceHost) else EvidenceHost.parse(entry))
        except ShareUrlError as error:
            problems.append(f"{entry!r} {error}")
    if problems or not hosts:
        raise ValueError("; ".join(problems) or "must name at least one host")
    return tuple(hosts)


def _target(value: str) -> str:
    if not _TARGET.fullmatch(value):
        raise ValueError("must be host:port")
    return value


def _sink(value: str) -> str:
    if value == "stdout" or (value.startswith("jsonl:") and len(value) > len("jsonl:")):
        return value
    if value.startswith(("https://", "http://")):
        WebhookTarget.parse(value)
    elif not _FUNCTION.fullmatch(value):
        raise ValueError(f"must be {_SINKS}")
    return value


class ConsumerSettings(Settings):
    """What `python -m consumers` reads from the environment."""

    gateway: Annotated[str, AfterValidator(_target)] = "127.0.0.1:50051"
    """Where the gateway listens, `host:port`."""

    api_key: SecretStr
    """This buyer's key at the gateway, `<key_id>.<secret>`."""

    buyer: str = Field(pattern=r"^[a-z0-9-]{1,63}$")
    """This buyer's id: names the topic and the consumer group."""

    kafka_bootstrap: str = ""
    """Kafka brokers, `host:port` with commas between; empty for a buyer of transport `pull`."""

    evidence_hosts: Annotated[
        tuple[InstanceOf[EvidenceHost], ...], NoDecode, BeforeValidator(_hosts)
    ]
    """Hosts the evidence key may go to, with commas between: `host[:port]`, and for a private or
    http one `;networks=CIDR CIDR…` and `;insecure=true` behind it."""

    evidence_api_key: SecretStr
    """This buyer's key at the evidence service."""

    collect: Collect = Collect.COLLECT
    """`collect` claims and pays; `save` claims without paying, and unpaid evidence fails the
    delivery; `save-and-deliver-unpaid` takes unpaid evidence too."""

    verify: Verify = Verify.MATCH
    """`match` compares the evidence's custom metadata with the lead; `off` does not."""

    verify_phone_keys: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_listed)] = (
        VerifyKeys().phone
    )
    """Names under which custom metadata may hold the phone, in any case, commas between."""

    verify_email_keys: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_listed)] = (
        VerifyKeys().email
    )
    """Names under which custom metadata may hold the email, in any case, commas between."""

    sink: Annotated[str, AfterValidator(_sink)] = "stdout"
    """Where leads go: `stdout`, `jsonl:PATH`, `https://…` (a webhook; for a private or http one
    `;networks=CIDR` and `;insecure=true` behind it) or `python:module:function`."""

    sink_secret: SecretStr = SecretStr("")
    """Secret that signs webhooks, `whsec_<base64>`. Required with an `https://` sink."""

    in_flight: int = Field(64, ge=1, le=500)
    """How many deliveries are worked on at once, 1 to 500."""

    drain_seconds: float = Field(20.0, ge=0, le=600)
    """How long a stop waits for the deliveries in hand, in seconds."""

    @model_validator(mode="after")
    def _webhook_is_signed(self) -> Self:
        if self.webhook and not self.sink_secret.get_secret_value():
            raise ValueError("LEADGATE_SINK_SECRET: required for a webhook, and not set")
        return self

    @property
    def webhook(self) -> WebhookTarget | None:
        """The webhook, where the sink is one."""
        is_webhook = self.sink.startswith(("https://", "http://"))
        return WebhookTarget.parse(self.sink) if is_webhook else None

    @property
    def verify_keys(self) -> VerifyKeys | None:
        """What to check evidence by, or None."""
        if self.verify is Verify.OFF:
            return None
        return VerifyKeys(self.verify_phone_keys, self.verify_email_keys)
