"""Market documents in YAML: read into what they ask for, with every mistake and its line.

    generators:
      - id: forms-example
        paused: false                      # optional; left as it is where absent
        keys: [{env: FORMS_EXAMPLE_KEY}]   # optional; `<key_id>.<secret>` in a variable
    buyers:
      - id: buyer-one
        transport: kafka                   # kafka or pull
        encoding: protobuf                 # protobuf (default) or json
        accepts: ["*"]                     # generators, or "*" for all; default: none
    evidence_hosts:                        # where given, the whole list
      - host: evidence.example.com
        networks: [10.0.0.0/8]             # private networks it may resolve to
        insecure: true                     # plain http allowed; default: false

A buyer may have `paused` and `keys` too. Keys stand in variables only, so that the
document can be kept where everybody reads it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from ipaddress import ip_network
from operator import attrgetter
from typing import TypeVar

from gateway.market import ANYONE, Encoding, Role, Transport
from gateway.market_plan import (
    Document,
    DocumentError,
    Place,
    WantedBuyer,
    WantedGenerator,
    WantedKey,
)
from gateway.market_yaml import Entry, Notes, compose
from leadgate import keys
from leadgate.share_url import EvidenceHost, Network, ShareUrlError

Wanted = TypeVar("Wanted")

_ID = re.compile(r"[a-z0-9-]{1,63}", re.ASCII)
_ID_PROBLEM = "must be 1 to 63 characters of a-z, 0-9 and -"
_ACCEPTED = re.compile(rf"\*|{_ID.pattern}", re.ASCII)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}", re.ASCII)
_HOST = re.compile(r"\S{1,320}", re.ASCII)
_NETWORK = re.compile(r"[0-9A-Fa-f:./]{1,64}", re.ASCII)
_NETWORK_PROBLEM = "must be a network in CIDR form, such as 10.0.0.0/8, with no host bits set"


def read(text: str, environment: Mapping[str, str]) -> Document:
    """Reads a document; `environment` has the values of its `{env: NAME}` references.

    What is wrong with it is in the result, as far as it shows without knowing the
    market: so the caller can report that with the rest. Takes 5 s for 1 MiB.
    """
    notes = Notes()
    reader = _Reader(environment)
    try:
        document = reader.document(compose(text, notes))
    except DocumentError as error:
        return Document(mistakes=error.mistakes)
    return replace(document, mistakes=tuple(notes.mistakes))


class _Reader:
    """Reads entries; puts a default in place of what is wrong, to find the next mistake."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._keys: list[WantedKey] = []
        self._key_places: dict[str, Place] = {}

    def document(self, root: Entry) -> Document:
        parts = root.fields((), ("generators", "buyers", "evidence_hosts"))
        hosts = _distinct(parts.get("evidence_hosts"), _host, attrgetter("authority"))
        return Document(
            _distinct(parts.get("generators"), self._generator, attrgetter("generator_id")),
            _distinct(parts.get("buyers"), self._buyer, attrgetter("buyer_id")),
            hosts if "evidence_hosts" in parts else None,
            tuple(self._keys),
        )

    def _generator(self, entry: Entry) -> WantedGenerator:
        fields = entry.fields(("id",), ("paused", "keys"))
        generator_id = _id(fields.get("id"))
        self._add_keys(fields.get("keys"), Role.GENERATOR, generator_id)
        return WantedGenerator(generator_id, _flag(fields.get("paused")))

    def _buyer(self, entry: Entry) -> WantedBuyer:
        optional = ("encoding", "accepts", "paused", "keys")
        fields = entry.fields(("id", "transport"), optional)
        buyer_id = _id(fields.get("id"))
        transport = fields["transport"].word(Transport) if "transport" in fields else None
        encoding = fields["encoding"].word(Encoding) if "encoding" in fields else None
        self._add_keys(fields.get("keys"), Role.BUYER, buyer_id)
        return WantedBuyer(
            buyer_id,
            transport or Transport.KAFKA,
            encoding or Encoding.PROTOBUF,
            _accepts(fields.get("accepts")),
            _flag(fields.get("paused")),
        )

    def _add_keys(self, listed: Entry | None, role: Role, subject: str) -> None:
        for entry in listed.items() if listed else ():
            key = self._key(entry)
            if key is None:
                continue
            if key.key_id in self._key_places:
                first = self._key_places[key.key_id].line
                entry.fail(f"key {key.key_id} stands in line {first} already")
            elif subject:
                self._keys.append(WantedKey(key.key_id, key.digest, role, subject, entry.place))
            self._key_places.setdefault(key.key_id, entry.place)

    def _key(self, entry: Entry) -> keys.Key | None:
        reference = entry.fields(("env",), ()).get("env")
        name = reference and reference.text(_VARIABLE, "must be the name of a variable")
        if not name:
            return None
        value = self._environment.get(name)
        if not value:
            entry.fail(f"the environment variable {name} is not set")
            return None
        key = keys.parse(value)
        if key is None:
            entry.fail(f"the environment variable {name} does not hold <key_id>.<secret>")
        return key


def _distinct(
    listed: Entry | None,
    read_one: Callable[[Entry], Wanted | None],
    name_of: Callable[[Wanted], str],
) -> tuple[Wanted, ...]:
    """Reads each entry of a list; the second one of the same name is a mistake."""
    found: dict[str, Wanted] = {}
    for entry in listed.items() if listed else ():
        wanted = read_one(entry)
        name = name_of(wanted) if wanted else ""
        if name in found:
            entry.fail(f"{name} stands in this list twice")
        elif wanted and name:
            found[name] = wanted
    return tuple(found.values())


def _id(entry: Entry | None) -> str:
    return (entry and entry.text(_ID, _ID_PROBLEM)) or ""


def _flag(entry: Entry | None) -> bool | None:
    return entry.flag() if entry else None


def _accepts(listed: Entry | None) -> dict[str, Place]:
    found: dict[str, Place] = {}
    for entry in listed.items() if listed else ():
        name = entry.text(_ACCEPTED, f'must be "*" or a generator id, which {_ID_PROBLEM}')
        if name in found:
            entry.fail(f"{name} stands in this list twice")
        elif name:
            found[name] = entry.place
    if listed and ANYONE in found and len(found) > 1:
        listed.fail('"*" is every generator, so it stands alone')
    return found


def _host(entry: Entry) -> EvidenceHost | None:
    fields = entry.fields(("host",), ("networks", "insecure"))
    host = fields.get("host")
    networks = _networks(fields.get("networks"))
    insecure = _flag(fields.get("insecure")) or False
    authority = host and host.text(_HOST, "must be a host name or address")
    if not host or not authority:
        return None
    try:
        return EvidenceHost.of(authority, networks, insecure=insecure)
    except ShareUrlError as error:
        host.fail(str(error))
        return None


def _networks(listed: Entry | None) -> tuple[Network, ...]:
    found: dict[str, Network] = {}
    for entry in listed.items() if listed else ():
        text = entry.text(_NETWORK, _NETWORK_PROBLEM)
        try:
            if text:
                found[str(ip_network(text))] = ip_network(text)
        except ValueError:
            entry.fail(_NETWORK_PROBLEM)
    return tuple(found[name] for name in sorted(found))
