"""Search on custom metadata: which index entries an object makes, and which one is asked for.

Every top-level key is an entry, and every key of an object inside one, as `outer.inner`.
A value is looked up by its text: a string as it is, anything else as compact JSON
(`42`, `true`, `null`, `["a"]`). An entry is 63 bits of a hash, so that the index
stays small and a look-up is one range of it, whatever the values look like.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

_MAX_DEPTH = 8  # objects inside objects; what lies deeper is found by the whole


def pair_digest(key: str, value: str) -> int:
    """The entry of CDRs whose `key` has this value."""
    return _digest("pair", key, value)


def key_digest(key: str) -> int:
    """The entry of CDRs that have this key, with whatever value."""
    return _digest("key", key)


def entries(custom: Mapping[str, Any]) -> set[int]:
    """Every entry of an object."""
    found: set[int] = set()
    for key, value in _pairs(custom, "", _MAX_DEPTH):
        found |= {key_digest(key), pair_digest(key, as_text(value))}
    return found


def as_text(value: Any) -> str:
    """The text by which a value is looked up."""
    if isinstance(value, str):
        return value
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _pairs(value: Mapping[str, Any], prefix: str, depth: int) -> Iterator[tuple[str, Any]]:
    for key, inner in value.items():
        yield prefix + key, inner
        if isinstance(inner, Mapping) and depth:
            yield from _pairs(inner, f"{prefix}{key}.", depth - 1)


def _digest(*parts: str) -> int:
    hashed = hashlib.blake2b(digest_size=8)
    for part in parts:
        octets = part.encode(errors="surrogatepass")
        hashed.update(len(octets).to_bytes(4, "big") + octets)
    return int.from_bytes(hashed.digest(), "big") >> 1
