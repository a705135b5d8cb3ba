"""What a capture may hold: the limits of a CDR, checked where one is made."""

from __future__ import annotations

import json
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

from evidence.commands import Cdr
from evidence.ids import mint_id
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
