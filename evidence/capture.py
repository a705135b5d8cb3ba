"""Captures: what one may hold, and how one from a browser becomes a CDR."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import (
    AliasGenerator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    StrictBool,
    StringConstraints,
    field_validator,
)
from pydantic.alias_generators import to_camel

from evidence.commands import Added, Cdr, Command, Query
from evidence.ids import mint_id
from evidence.manifest import Artifact
from evidence.sharing import DEFAULT_EXPIRY_MS, MAX_EXPIRY_MS

CUSTOM_LIMIT_BYTES = 16 * 1024
MAX_TIME_MS = 253_402_300_799_999  # the last of year 9999

Id = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:-]{1,128}$")]
"""An id: what the gateway's contract allows, and nothing a path would have to quote."""

_Label = Annotated[str, StringConstraints(min_length=1, max_length=128)]


class Body(BaseModel):
    """A request body: camelCase names, nothing that is not declared."""

    model_config = ConfigDict(
        alias_generator=AliasGenerator(validation_alias=to_camel),
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
    )


class Disclosure(Body):
    """A text the form showed, by its key, and whether the person agreed to it."""

    key: _Label
    language: str = Field("", max_length=5000)
    agreed: StrictBool


class AutoShare(Body):
    """A share made together with the CDR; 1 ms to 2 years."""

    expires_in_ms: int = Field(DEFAULT_EXPIRY_MS, ge=1, le=MAX_EXPIRY_MS, strict=True)


class Capture(Body):
    """The evidence of one capture.

    `customMetadata` is an object of at most 16 KiB as compact UTF-8 JSON; `captureTime`
    is the browser's clock in Unix milliseconds; ids are minted where they are missing.
    """

    cdr_id: Id | None = None
    capture_time: int | None = Field(None, ge=0, le=MAX_TIME_MS, strict=True)
    package_id: Id | None = None
    sub_group_ids: list[_Label] = Field([], max_length=5)
    custom_metadata: dict[str, JsonValue] = Field({})
    disclosures: list[Disclosure] = Field([], max_length=100)
    auto_share: AutoShare | StrictBool = False

    @field_validator("custom_metadata")
    @classmethod
    def _fits(cls, value: dict[str, Any]) -> dict[str, Any]:
        try:
            text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        except (ValueError, RecursionError):
            raise ValueError("must be plain JSON") from None
        if len(text.encode(errors="surrogatepass")) > CUSTOM_LIMIT_BYTES:
            raise ValueError(f"must be at most {CUSTOM_LIMIT_BYTES} bytes of JSON")
        return value

    @field_validator("sub_group_ids")
    @classmethod
    def _unique(cls, value: list[str]) -> list[str]:
        if len(set(value)) != len(value):
            raise ValueError("must be unique")
        return value

    @property
    def share_ms(self) -> int | None:
        """How long the share lasts that is to be made at once, or None for no share."""
        if isinstance(self.auto_share, AutoShare):
            return self.auto_share.expires_in_ms
        return DEFAULT_EXPIRY_MS if self.auto_share else None

    def cdr(self) -> Cdr:
        """The CDR as the ledger keeps it, with the ids it still lacked."""
        return Cdr(
            cdr_id=self.cdr_id or mint_id("cdr"),
            capture_ms=self.capture_time,
            package_id=self.package_id or mint_id("pkg"),
            sub_group_ids=self.sub_group_ids,
            custom=self.custom_metadata,
            disclosures=[disclosure.model_dump() for disclosure in self.disclosures],
        )


@dataclass(frozen=True, slots=True)
class Place:
    """Where a CDR goes: the org with what its settings decide, and the domain."""

    org: int
    org_id: str
    auto_collect: bool
    retention_days: int | None
    domain: int
    domain_id: str
    domain_name: str


@dataclass(frozen=True, slots=True)
class Found:
    """Answer to a search for the place of a capture.

    `disabled`: the org takes no captures. `known`: this capture id has been taken.
    """

    place: Place
    disabled: bool
    known: bool


@dataclass(frozen=True, slots=True)
class FindPlace(Query[Found]):
    """Where a capture goes that a page at `host` sends with a client id.

    A domain covers its subdomains. Refused with `Forbidden`, the same for a client id
    that is unknown or switched off as for a host that is none of its domains.
    """

    client_id: str
    host: str
    capture_id: str


@dataclass(frozen=True, slots=True)
class AddCapture(Command[Added]):
    """Adds the CDR of an upload, once for each capture id of an org.

    A repeat with the same bytes is answered with what was added then, and with a share
    that works; with other bytes it is a `Conflict`. `token_digest` is that of the share
    to be made with it, if there is to be one.
    """

    place: Place
    capture_id: str
    upload_sha256: bytes
    cdr: Cdr
    artifact: Artifact
    token_digest: bytes | None = field(repr=False)
    expires_in_ms: int


@dataclass(frozen=True, slots=True)
class AddClient(Command[None]):
    """Adds a client id of an org, for all of its domains or one, by id or name.

    Refused with `NotFound` (org or domain) or `Conflict` (the id is taken).
    """

    client_id: str
    org_id: str
    domain: str | None


@dataclass(frozen=True, slots=True)
class DisableClient(Command[None]):
    """Switches a client id off for good; `NotFound` without it, a repeat is no error."""

    client_id: str
