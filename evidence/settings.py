"""Settings of `python -m evidence`, all from `LEADGATE_EVIDENCE_…` variables."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from evidence.peers import networks
from leadgate.keys import Key, parse
from leadgate.settings import Settings
from leadgate.share_url import EvidenceHost, ShareUrlError, by_authority, trusted
from leadgate.sql import database_file

_ADDRESS = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<host>[A-Za-z0-9.-]+)):(?P<port>\d{1,5})")
_WILDCARDS = ("0.0.0.0", "::")  # noqa: S104 - compared with, not listened on


class Address(NamedTuple):
    """A host and a TCP port, as given to a socket."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class EvidenceSettings(Settings):
    """What the evidence service reads from its environment."""

    model_config = SettingsConfigDict(env_prefix="LEADGATE_EVIDENCE_")

    listen: str = "127.0.0.1:8080"
    """Address to listen on, `host:port`; port 0 takes a free one and logs it."""

    database_url: str = "sqlite:///evidence.db"
    """The database, `sqlite:///FILE`; one process holds it."""

    keys: str = ""
    """Folder of the secrets: signing keys and what signs links. Default: the database's
    file with `.keys` behind it; required with another database. Keep it out of the
    backups of the database: who has both could sign another history."""

    public_url: str = ""
    """Base of every share URL, as buyers reach this service, such as
    `https://evidence.example.com`. Default: `http://` and the address listened on.
    Never taken from the Host header: whoever sends that could lead claims elsewhere."""

    operator_key: SecretStr | None = None
    """Key `<keyId>.<secret>` of the admin API, secret of 16 to 256 characters from
    `[A-Za-z0-9_-]`. Without it the admin API refuses everybody."""

    blobs: str = ""
    """Where uploads, pictures and reports are kept: a folder, or `s3://bucket[/prefix]` with
    `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_REGION` and, for another service
    than Amazon's, `AWS_ENDPOINT`. Default: the database's file with `.blobs` behind it."""

    trusted_proxies: str = ""
    """Networks of the reverse proxies in front, `10.0.0.0/8, ::1/128`. Only what they
    append to `X-Forwarded-For` is believed. Default: none, the connection tells."""

    captures_per_address: int = Field(120, ge=1)
    """Uploads a minute from one address (IPv6: one /64), half of them at once at most."""

    captures_per_client: int = Field(6000, ge=1)
    """Uploads a minute with one client id, half of them at once at most."""

    webhook_loopback: bool = False
    """Lets webhooks go to this machine, and there over http: for development only. Else
    they go over https to public addresses, whatever their names lead to."""

    chromium: str = "auto"
    """The browser that draws images and reports: a path, `auto` for the one the system has,
    or `off`. Without one the service runs, and images are `unavailable`."""

    asset_networks: str = ""
    """Private networks that pictures, style sheets and fonts of captured pages may be fetched
    from, `10.20.0.0/16`. Default: none, public addresses only."""

    @field_validator("trusted_proxies", "asset_networks")
    @classmethod
    def _are_networks(cls, value: str) -> str:
        try:
            networks(value)
        except ValueError:
            raise ValueError("must be networks, parted by commas") from None
        return value

    @field_validator("listen")
    @classmethod
    def _is_address(cls, value: str) -> str:
        _address(value)
        return value

    @field_validator("public_url")
    @classmethod
    def _makes_trusted_share_urls(cls, value: str) -> str:
        base = value.rstrip("/")
        if base:
            _check_base(base)
        return base

    @field_validator("operator_key")
    @classmethod
    def _is_key(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and parse(value.get_secret_value()) is None:
            raise ValueError("must be <keyId>.<secret>, the secret of 16 characters or more")
        return value

    @model_validator(mode="after")
    def _can_be_reached(self) -> EvidenceSettings:
        if self.address.host in _WILDCARDS and not self.public_url:
            raise ValueError(
                "LEADGATE_EVIDENCE_PUBLIC_URL: required when listening on every address"
            )
        return self

    @property
    def address(self) -> Address:
        """`listen` in its two parts."""
        return _address(self.listen)

    @property
    def keys_folder(self) -> Path:
        """`keys`, or its default beside the database's file."""
        return Path(self.keys or f"{database_file(self.database_url)}.keys")

    @property
    def blob_store(self) -> str:
        """`blobs`, or its default beside the database's file."""
        return self.blobs or f"{database_file(self.database_url)}.blobs"

    @property
    def operator(self) -> Key | None:
        """`operator_key` in its two parts."""
        return parse(self.operator_key.get_secret_value()) if self.operator_key else None


def _address(text: str) -> Address:
    match = _ADDRESS.fullmatch(text)
    if match is None or int(match["port"]) > 65535:
        raise ValueError("must be host:port, with a port from 0 to 65535")
    return Address(match["v6"] or match["host"], int(match["port"]))


def _check_base(base: str) -> None:
    """Holds a base against the rule the gateway and the buyers hold share URLs against."""
    scheme, _, rest = base.partition("://")
    try:
        host = EvidenceHost.of(rest.partition("/")[0], (), insecure=scheme == "http")
        trusted(f"{base}/v1/shares/{'x' * 32}", by_authority([host]))
    except ShareUrlError:
        raise ValueError("must be http(s)://host[:port][/path], and nothing after it") from None
