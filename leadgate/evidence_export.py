"""Exports of evidence, and how to verify one: offline, from the file alone.

An export is JSON lines. The first record is `export` with the public keys, each CDR is
a record `cdr`, the last is `end` with the SHA-256 of every line before it, signed. So
nothing in the file can be changed, and no record left out, without it showing. What
was changed in the database before the export shows by each CDR itself:

- a custody log is chained and each of its heads is signed: see `leadgate.chain`;
- manifests are signed, the log has the hash of each, and they have the hash of the
  facts and of every artifact;
- every claim that gave an org access has its entry in the log: a log that lost its end
  no longer says what the access table says. A claim's own answer, kept by the buyer
  (an anchor), shows it even where both were cut.

The keys in the file could be somebody else's with everything signed anew: compare
their ids with those published by the service, or give them as `trusted`.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from leadgate import chain

MANIFEST = b"leadgate manifest 1\n"
CUSTODY_HEAD = b"leadgate custody head 1\n"
EXPORT = b"leadgate export 1\n"
"""What stands before a hash that is signed: one signature cannot pass for another."""

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong: with a CDR, or with the file where `cdr_id` is empty."""

    cdr_id: str
    text: str


@dataclass(slots=True)
class Verdict:
    """The result of a verification.

    Attributes:
        cdrs: how many CDRs the file has.
        key_ids: the keys that have signed something in it.
        problems: everything that is wrong; none: all is as it was signed.
    """

    cdrs: int = 0
    key_ids: set[str] = field(default_factory=set)
    problems: list[Problem] = field(default_factory=list)


def key_id_of(public_key: bytes) -> str:
    """The id of a key: 128 bits of its SHA-256, so that no other key can have it."""
    return hashlib.sha256(public_key).hexdigest()[:32]


def record(value: Mapping[str, Any]) -> bytes:
    """One line of an export."""
    return chain.canonical(value) + b"\n"


def verify(
    lines: Iterable[bytes],
    trusted: Collection[str] = (),
    anchors: Iterable[Json] = (),
) -> Verdict:
    """Verifies an export, line by line.

    Args:
        lines: the file, opened in binary.
        trusted: ids of the keys that may have signed; none: those in the file.
        anchors: `data` of answers to claims: cdrId, manifestHash, custodyHead.
    """
    return _Verification(trusted, anchors).of(lines)


class _Verification:
    def __init__(self, trusted: Collection[str], anchors: Iterable[Json]) -> None:
        self._trusted = frozenset(trusted)
        self._anchors: dict[str, list[Json]] = {}
        for anchor in anchors:
            self._anchors.setdefault(str(anchor.get("cdrId")), []).append(anchor)
        self._keys: dict[str, bytes] = {}
        self._verdict = Verdict()

    def of(self, lines: Iterable[bytes]) -> Verdict:
        """Everything that is wrong with the file, in order."""
        hashed, kind = hashlib.sha256(), ""
        for number, line in enumerate(lines, 1):
            if kind == "end":
                self._say("", f"line {number} stands behind the end")
                break
            value = _read(line)
            kind = str(value.get("record"))
            if (number == 1) != (kind == "export"):
                self._say("", "the file does not begin with its record `export`, once")
            self._take(kind, value, hashed.digest())
            hashed.update(line)
        if kind != "end":
            self._say("", "the file was cut: its end is missing")
        for cdr_id in self._anchors:
            self._say(cdr_id, "an anchor was given for it, and it is not in the file")
        return self._verdict

    def _take(self, kind: str, value: Json, before: bytes) -> None:
        cdr_id = str(value.get("cdrId", ""))
        try:
            match kind:
                case "export":
                    self._keys = dict(_keys(value["keys"]))
                case "cdr":
                    self._verdict.cdrs += 1
                    for text in self._cdr(cdr_id, value):
                        self._say(cdr_id, text)
                case "end":
                    for text in self._end(value, before):
                        self._say("", text)
                case _:
                    self._say("", "a line is no record")
        except (AttributeError, LookupError, TypeError, ValueError):
            self._say(cdr_id, f"a record `{kind}` cannot be read")

    def _end(self, end: Json, before: bytes) -> Iterator[str]:
        if bytes.fromhex(end["sha256"]) != before:
            yield "the file was changed after it was exported"
        if end["cdrs"] != self._verdict.cdrs:
            yield f"{end['cdrs']} CDRs were exported, {self._verdict.cdrs} are in the file"
        yield from self._signed(EXPORT, before, end, "the end of the file")

    def _cdr(self, cdr_id: str, cdr: Json) -> Iterator[str]:
        entries = [_entry(entry) for entry in cdr["custody"]]
        yield from chain.verify(cdr_id, entries)
        for entry, sealed in zip(cdr["custody"], entries, strict=True):
            what = f"custody entry {sealed.sequence}"
            yield from self._signed(CUSTODY_HEAD, sealed.hash, entry, what)
        yield from self._manifests(cdr_id, cdr["manifests"])
        if _is_purged(entries) != cdr["purged"]:
            yield "it was purged, or was not, otherwise than its custody log tells"
        elif not cdr["purged"]:
            yield from _logged_manifests(cdr, entries)
            yield from _content(cdr)
            yield from _claims(cdr, entries)
        for anchor in self._anchors.pop(cdr_id, ()):
            yield from _anchored(anchor, cdr, entries)

    def _manifests(self, cdr_id: str, manifests: list[Json]) -> Iterator[str]:
        for expected, manifest in enumerate(manifests, 1):
            what = f"manifest {expected}"
            body = json.loads(manifest["body"])
            hashed = hashlib.sha256(manifest["body"].encode()).digest()
            if hashed != bytes.fromhex(manifest["sha256"]):
                yield f"{what} was changed"
            if (body["cdrId"], body["revision"]) != (cdr_id, expected):
                yield f"{what} is that of another CDR or revision"
            yield from self._signed(MANIFEST, hashed, manifest, what)
        if not manifests:
            yield "it has no manifest"

    def _signed(self, label: bytes, hashed: bytes, by: Json, what: str) -> Iterator[str]:
        """What is wrong with the signature of a hash."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        key_id = by["keyId"]
        public = self._keys.get(key_id)
        if public is None or (self._trusted and key_id not in self._trusted):
            yield f"{what} is signed by a key that is not trusted: {key_id}"
            return
        self._verdict.key_ids.add(key_id)
        try:
            signature = bytes.fromhex(by["signature"])
            Ed25519PublicKey.from_public_bytes(public).verify(signature, label + hashed)
        except InvalidSignature:
            yield f"{what}: its signature is not that of key {key_id}"

    def _say(self, cdr_id: str, text: str) -> None:
        self._verdict.problems.append(Problem(cdr_id, text))


def _read(line: bytes) -> Json:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _keys(listed: list[Json]) -> Iterator[tuple[str, bytes]]:
    for key in listed:
        public = bytes.fromhex(key["publicKey"])
        # The id is the key's own: one that was given to another key is nobody's.
        yield key_id_of(public), public


def _entry(entry: Json) -> chain.Entry:
    return chain.Entry(
        sequence=entry["sequence"],
        event=entry["event"],
        at_ms=entry["at"],
        detail_hash=bytes.fromhex(entry["detailHash"]),
        hash=bytes.fromhex(entry["hash"]),
        detail=entry["detail"],
        salt=bytes.fromhex(entry["salt"]) if entry["salt"] is not None else None,
    )


def _is_purged(entries: list[chain.Entry]) -> bool:
    """Whether its content was deleted, and the details with it: the log says so, signed."""
    return any(entry.event == "purged" for entry in entries)


def _logged_manifests(cdr: Json, entries: list[chain.Entry]) -> Iterator[str]:
    """The log has the hash of each manifest, in their order, and of no other."""
    logged = [e.detail["manifestHash"] for e in entries if e.detail and "manifestHash" in e.detail]
    listed = [manifest["sha256"] for manifest in cdr["manifests"]]
    if logged != listed:
        yield "its manifests are not those that its custody log tells of"


def _content(cdr: Json) -> Iterator[str]:
    """Facts and artifacts are those of the newest manifest."""
    newest = json.loads(cdr["manifests"][-1]["body"])
    if hashlib.sha256(chain.canonical(cdr["facts"])).hexdigest() != newest["factsSha256"]:
        yield "its facts were changed"
    described = [{key: a[key] for key in a if key != "content"} for a in cdr["artifacts"]]
    if sorted(described, key=lambda artifact: artifact["name"]) != newest["artifacts"]:
        yield "its artifacts are not those of its manifest"
    for artifact in cdr["artifacts"]:
        if "content" not in artifact:
            continue
        if artifact["content"] is None:
            yield f"artifact {artifact['name']} is no longer in the blob store"
        elif not _is(artifact["content"], artifact):
            yield f"artifact {artifact['name']} was changed"


def _is(content: str, artifact: Json) -> bool:
    octets = base64.b64decode(content, validate=True)
    return hashlib.sha256(octets).hexdigest() == str(artifact["sha256"])


def _claims(cdr: Json, entries: list[chain.Entry]) -> Iterator[str]:
    logged = {e.detail.get("shareEventId") for e in entries if e.detail}
    for claim in cdr["claims"]:
        if claim["shareEventId"] not in logged:
            yield f"claim {claim['shareEventId']} is not in its custody log"


def _anchored(anchor: Json, cdr: Json, entries: list[chain.Entry]) -> Iterator[str]:
    head = anchor["custodyHead"]
    kept = {entry.sequence: entry.hash.hex() for entry in entries}
    if kept.get(head["sequence"]) != head["hash"]:
        yield f"its custody log is not the one that a claim was answered with at {head['sequence']}"
    if anchor["manifestHash"] not in {manifest["sha256"] for manifest in cdr["manifests"]}:
        yield "it lacks a manifest that a claim was answered with"
