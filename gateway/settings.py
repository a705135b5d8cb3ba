"""Settings of the gateway, from the environment."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr, ValidationInfo, field_validator

from leadgate import keys
from leadgate.settings import Settings


class GatewaySettings(Settings):
    """Everything the gateway reads from its environment."""

    # Declared before `listen`, which is judged by it.
    allow_plaintext: bool = False
    """Whether an address beyond loopback may be served without TLS (1: yes). Keys and personal
    data then cross the network in the clear: only behind a proxy that speaks TLS."""

    listen: str = "127.0.0.1:50051"
    """Address and port to serve gRPC on; port 0 takes a free one."""

    database_url: str = "sqlite:///leadgate.db"
    """The ledger: `sqlite:///FILE`, a file on a local disk."""

    kafka_bootstrap: str = ""
    """Kafka brokers, `host:port` separated by commas. Empty: only pull buyers are served."""

    kafka_partitions: Annotated[int, Field(ge=1, le=1000)] = 3
    """Partitions of a buyer's topic, 1 to 1,000."""

    kafka_replication: Annotated[int, Field(ge=1, le=10)] = 1
    """Copies of each partition, 1 to 10."""

    kafka_min_isr: Annotated[int, Field(ge=1, le=10)] = 1
    """Copies that must hold a record before it counts as published, 1 to 10."""

    kafka_retention_days: Annotated[int, Field(ge=1, le=3650)] = 30
    """How long a topic keeps its records, in days, 1 to 3,650."""

    market: Path | None = None
    """A market.yaml to apply at every start."""

    operator_key: SecretStr | None = None
    """The first operator's API key, `<key_id>.<secret>`."""

    person_key: SecretStr | None = None
    """Key under which phones and emails are looked up, at least 32 characters. Unset: a random
    one is kept beside the database, in `<database>.person-key`. It must never change."""

    phone_region: Annotated[str, Field(pattern="^[A-Z]{2}$")] = "US"
    """Where national phone numbers are from, unless the lead's address says: two letters."""

    queue_limit: Annotated[int, Field(ge=500, le=1_000_000)] = 10_000
    """Writes that may wait for a commit, from 500, which is one whole batch, to 1,000,000; more
    are refused with a retry delay."""

    submit_limit: Annotated[int, Field(ge=1, le=100_000)] = 2_000
    """Submit calls that may run at once; more are refused with a retry delay."""

    stream_limit: Annotated[int, Field(ge=1, le=100_000)] = 200
    """Streams of each kind (submit, watch, pull) that may be open at once."""

    drain_seconds: Annotated[float, Field(gt=0, le=600)] = 20
    """How long running calls may take to finish after SIGTERM, in seconds."""

    @field_validator("listen")
    @classmethod
    def _is_served(cls, value: str, info: ValidationInfo) -> str:
        host, _, port = value.rpartition(":")
        if not host or not port.isdigit() or int(port) > 65535:
            raise ValueError("must be an address and a port, such as 127.0.0.1:50051")
        if not info.data.get("allow_plaintext") and not _is_loopback(host):
            raise ValueError(
                "an address beyond loopback is not served without TLS; listen on 127.0.0.1 behind a"
                " proxy, or set LEADGATE_ALLOW_PLAINTEXT=1"
            )
        return value

    @field_validator("operator_key")
    @classmethod
    def _is_key(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and keys.parse(value.get_secret_value()) is None:
            raise ValueError("must be <key_id>.<secret>; `leadgate keys mint` makes one")
        return value

    @field_validator("person_key")
    @classmethod
    def _is_long(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value()) < 32:
            raise ValueError("must have at least 32 characters")
        return value


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
