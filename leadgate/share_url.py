"""Which share URLs are trusted: one pure rule for intake and for the claim.

A share URL is a credential and a place to send a key to. It is trusted when its host
is on a list, it is https (unless that host is marked insecure), and it has the form
of a share: no user, query or fragment, a path that ends in `/v1/shares/<token>`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from urllib.parse import quote

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address

_AUTHORITY = re.compile(
    r"(?P<host>[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]{2,45}\])"
    r"(?::(?P<port>[0-9]{1,5}))?",
    re.ASCII,
)
_SHARE = re.compile(
    r"(?P<scheme>https?)://(?P<authority>[^/?#@\\\s]+)(?P<prefix>(?:/[A-Za-z0-9._~-]+)*)"
    r"/v1/shares/(?P<token>[A-Za-z0-9._~-]{8,512})",
    re.ASCII,
)
_NAT64 = IPv6Network("64:ff9b::/96")
# Not for the public internet, though `is_global` does not say so in every Python
# (https://www.iana.org/assignments/iana-ipv6-special-registry and its IPv4 sister).
_SPECIAL = tuple(
    map(
        ip_network,
        (
            "192.0.0.0/24",  # protocol assignments
            "192.88.99.0/24",  # 6to4 relays
            "::/96",  # IPv4-compatible
            "::ffff:0:0:0/96",  # IPv4-translated
            "64:ff9b:1::/48",  # local NAT64
            "3fff::/20",  # documentation
            "5f00::/16",  # segment routing
            "fec0::/10",  # site-local
        ),
    )
)
_DEFAULT_PORTS = {"https": 443, "http": 80}


class ShareUrlError(ValueError):
    """A share URL, or an entry of a host list, that is refused. Never quotes the URL."""


class UnknownHostError(ShareUrlError):
    """A share URL of good form whose host is not on the list."""


@dataclass(frozen=True)
class EvidenceHost:
    """A host that share URLs may point to.

    Attributes:
        authority: host in lower case, with `:port` unless it is the scheme's default.
        networks: private networks the host may resolve to. Public addresses are always
            allowed; a private, loopback or link-local one only within these.
        insecure: whether plain http is allowed.
    """

    authority: str
    networks: tuple[Network, ...] = ()
    insecure: bool = False

    @classmethod
    def parse(cls, entry: str) -> EvidenceHost:
        """Reads `host[:port][;networks=CIDR CIDR…][;insecure=true]`.

        Raises `ShareUrlError` with what is wrong.
        """
        authority, *options = (part.strip() for part in entry.split(";"))
        networks: tuple[Network, ...] = ()
        insecure = False
        for option in options:
            name, _, value = option.partition("=")
            if name == "networks":
                networks = tuple(_network(item) for item in value.split())
            elif name == "insecure" and value in ("true", "false"):
                insecure = value == "true"
            else:
                raise ShareUrlError(f"unknown option {option!r}; use networks=… or insecure=true")
        return cls.of(authority, networks, insecure=insecure)

    @classmethod
    def of(cls, authority: str, networks: Iterable[Network], *, insecure: bool) -> EvidenceHost:
        """Makes an entry of its parts. Raises `ShareUrlError` for a malformed host."""
        scheme = "http" if insecure else "https"
        return cls(normal_authority(authority, scheme), tuple(networks), insecure)

    def __str__(self) -> str:
        """The entry as `parse` reads it."""
        networks = f";networks={' '.join(map(str, self.networks))}" if self.networks else ""
        return f"{self.authority}{networks}{';insecure=true' if self.insecure else ''}"

    def allows(self, address: Address) -> bool:
        """Whether the host may be reached at this address."""
        seen = _destination(address)
        if any(seen.version == net.version and seen in net for net in self.networks):
            return True
        return seen.is_global and not seen.is_multicast and not _is_special(seen)


@dataclass(frozen=True)
class ShareUrl:
    """A trusted share URL. `repr` shows its host only."""

    host: EvidenceHost
    base: str
    """Scheme, authority and path in front of `/v1`: where the API of the host lives."""
    token: str

    def __repr__(self) -> str:
        return f"ShareUrl({self.host.authority}, ********)"

    @property
    def claim_url(self) -> str:
        """Where to POST the claim."""
        return f"{self.base}/v1/shares/{self.token}"

    def cdr_url(self, cdr_id: str) -> str:
        """Where to GET a CDR on the same host; no id leads to another path."""
        return f"{self.base}/v1/cdrs/{quote(cdr_id, safe=':')}"


def trusted(url: str, hosts: Mapping[str, EvidenceHost]) -> ShareUrl:
    """Parses a share URL, or raises `ShareUrlError` with why it is not trusted.

    `hosts` is keyed by `EvidenceHost.authority`.
    """
    host, scheme, authority, prefix, token = _judged(url, hosts)
    return ShareUrl(host, f"{scheme}://{authority}{prefix}", token)


def trusted_token(url: str, hosts: Mapping[str, EvidenceHost]) -> str:
    """The token of a share URL that `trusted` would take; for whoever needs no more."""
    return _judged(url, hosts)[4]


def _judged(url: str, hosts: Mapping[str, EvidenceHost]) -> tuple[EvidenceHost, str, str, str, str]:
    """Host, scheme, authority, prefix and token of a trusted share URL."""
    match = _SHARE.fullmatch(url)
    if match is None:
        raise ShareUrlError("must be an absolute URL ending in /v1/shares/<token>")
    scheme, authority, prefix, token = match.groups()
    authority = normal_authority(authority, scheme)
    host = hosts.get(authority)
    if host is None:
        raise UnknownHostError("its host is not an evidence host of the market")
    if scheme == "http" and not host.insecure:
        raise ShareUrlError("must use https")
    if "/." in prefix:
        raise ShareUrlError("must not have a path with dot segments")
    return host, scheme, authority, prefix, token


def by_authority(hosts: Iterable[EvidenceHost]) -> dict[str, EvidenceHost]:
    """The mapping that `trusted` takes."""
    return {host.authority: host for host in hosts}


@lru_cache(maxsize=1024)
def normal_authority(authority: str, scheme: str) -> str:
    """Lower case, without the scheme's default port. Raises `ShareUrlError`."""
    match = _AUTHORITY.fullmatch(authority)
    if match is None:
        raise ShareUrlError("must name a host, with at most a port")
    port = match["port"]
    if port is None or int(port) == _DEFAULT_PORTS[scheme]:
        return match["host"].lower()
    if not 1 <= int(port) <= 65535:
        raise ShareUrlError("must name a port from 1 to 65535")
    return f"{match['host'].lower()}:{int(port)}"


def _destination(address: Address) -> Address:
    """The IPv4 address that an IPv6 one of a transition scheme stands for, or itself."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _is_special(address: Address) -> bool:
    return any(address.version == net.version and address in net for net in _SPECIAL)


def _network(text: str) -> Network:
    try:
        return ip_network(text)
    except ValueError:
        raise ShareUrlError(f"{text!r} is not a network in CIDR form") from None
