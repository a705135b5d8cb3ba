"""What an org takes with it from a claim, to hold against the service later."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Head:
    """The newest entry of a log, signed: it stands for the whole log before it."""

    sequence: int
    hash: bytes
    key_id: str
    signature: bytes

    def shown(self) -> Mapping[str, Any]:
        """As the API answers it; bytes in hexadecimal."""
        return {
            "sequence": self.sequence,
            "hash": self.hash.hex(),
            "keyId": self.key_id,
            "signature": self.signature.hex(),
        }


@dataclass(frozen=True, slots=True)
class Anchor:
    """What a claim's answer lets a buyer hold against us: manifest and custody as they were."""

    manifest_hash: bytes
    head: Head

    def shown(self) -> Mapping[str, Any]:
        """The two fields of the claim's answer."""
        return {"manifestHash": self.manifest_hash.hex(), "custodyHead": self.head.shown()}
