r"""Hash chains: seal an entry onto a log, and verify a log from its entries alone.

A log belongs to one subject, such as a CDR. Each entry's hash covers its own content
and the hash before it, so that nothing can be changed, left out or moved without
every later hash changing. What happened is in the clear; who did it and how is in the
entry's `detail`, which the chain holds by a salted hash only: it may be left out for
readers it does not concern, and they can verify the log all the same.

    detail_hash = SHA-256(salt ‖ canonical(detail))
    hash        = SHA-256("leadgate chain 1\n" ‖ canonical([subject, sequence, event,
                          at_ms, hex(detail_hash), hex(previous hash)]))

The first entry's sequence is 1 and its previous hash is 32 zero bytes. `canonical` is
JSON with sorted keys, no white space, and everything outside ASCII escaped. Nothing
here knows keys or storage: whoever signs a log's head signs the whole log.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

START = bytes(32)
"""What stands before the first entry."""

_LABEL = b"leadgate chain 1\n"


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a log.

    Attributes:
        sequence: from 1, without a gap.
        event: what happened, one word.
        at_ms: when, in Unix milliseconds.
        detail_hash: see `hash_detail`.
        hash: as sealed, see `seal`.
        detail: who and what, or None where it was left out.
        salt: what the detail was hashed with, where the detail is there.
    """

    sequence: int
    event: str
    at_ms: int
    detail_hash: bytes
    hash: bytes
    detail: dict[str, Any] | None = field(default=None, repr=False)
    salt: bytes | None = field(default=None, repr=False)


def canonical(value: Any) -> bytes:
    """The one JSON text of a value; raises ValueError for NaN and infinities."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return text.encode("ascii")


def hash_detail(salt: bytes, detail: dict[str, Any]) -> bytes:
    """The hash by which the chain holds a detail. The salt, 16 random bytes, hides it."""
    return hashlib.sha256(salt + canonical(detail)).digest()


def seal(
    subject: str, previous: bytes, sequence: int, event: str, at_ms: int, detail_hash: bytes
) -> bytes:
    """The hash of an entry that follows the one whose hash is `previous`."""
    content = [subject, sequence, event, at_ms, detail_hash.hex(), previous.hex()]
    return hashlib.sha256(_LABEL + canonical(content)).digest()


def verify(subject: str, entries: Iterable[Entry]) -> Iterator[str]:
    """Says what is wrong with a log, in plain words; nothing where it is whole.

    A log that lost its newest entries is whole by itself: compare its end with a head
    that was kept elsewhere.
    """
    previous, expected = START, 1
    for entry in entries:
        if entry.sequence != expected:
            yield f"entry {expected} is missing: the next one is {entry.sequence}"
        if entry.detail is not None and not _covers(entry):
            yield f"entry {entry.sequence}: its detail was changed"
        sealed = seal(
            subject, previous, entry.sequence, entry.event, entry.at_ms, entry.detail_hash
        )
        if not hmac.compare_digest(sealed, entry.hash):
            yield f"entry {entry.sequence}: its hash does not follow from the log before it"
        previous, expected = entry.hash, entry.sequence + 1
    if expected == 1:
        yield "the log is empty"


def _covers(entry: Entry) -> bool:
    hashed = hash_detail(entry.salt or b"", entry.detail or {})
    return hmac.compare_digest(hashed, entry.detail_hash)
