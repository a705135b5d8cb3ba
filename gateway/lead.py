"""The field rules of a submission, and how phone and email are normalised. Pure.

They come before anything is decided. `check` finds every violation at once. Numbers
and forms are those that `protos/leadgate/v1/lead.proto` and `lead_service.proto`
promise.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Container, Iterable, Sequence
from datetime import timedelta
from typing import NamedTuple

import email_validator
import emval
import rphonenumbers
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from gateway.errors import Violation
from gateway.market import ANYONE, Market
from leadgate.share_url import ShareUrlError, trusted_token
from leadgate.v1.lead_pb2 import Cdr, Lead, PostalAddress, Recipient, Share
from leadgate.v1.lead_service_pb2 import (
    AddEvidenceRequest,
    EvidenceRecipient,
    SubmitLeadRequest,
)

MAX_SUBMISSION_BYTES = 256 * 1024
"""Largest submission: its record stays below 900 KiB in either encoding."""
MAX_CUSTOM_BYTES = 16 * 1024
MAX_ATTRIBUTES = 100
MAX_CDRS = 20
MAX_RECIPIENTS = 20
MAX_SHARES = 20
MAX_SUB_GROUPS = 5
MAX_DISCLOSURES = 20
MAX_EVIDENCE_WAIT = timedelta(days=30)
_MAX_SECONDS = 253_402_300_799  # 9999-12-31T23:59:59Z, the end of a Timestamp

_REQUEST_ID = re.compile(r"[ -~]{1,128}", re.ASCII)
_CDR_ID = re.compile(r"[A-Za-z0-9_.:-]{1,128}", re.ASCII)
_ATTRIBUTE_KEY = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII)
_REGION = re.compile(r"[A-Z]{2}", re.ASCII)
# JSON writes these as six characters; a record full of them would outgrow its topic.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")


def _no_json(constant: str) -> None:
    """NaN and Infinity, which Python reads and JSON does not know."""
    raise ValueError(constant)


_json = json.JSONDecoder(parse_constant=_no_json)
_E164 = rphonenumbers.PhoneNumberFormat.E164
_emails = emval.EmailValidator(deliverable_address=False)  # no DNS
# What the fast library reads as the established one does; anything else the latter reads.
_PLAIN_EMAIL = re.compile(
    r"[A-Za-z0-9_+-]+(\.[A-Za-z0-9_+-]+)*@([A-Za-z0-9]+(-[A-Za-z0-9]+)*\.)+[A-Za-z]{2,63}", re.ASCII
)


class RecipientEvidence(NamedTuple):
    """One recipient of a checked submission, as the decision needs it.

    Attributes:
        buyer_id: the buyer.
        uses: 16 bytes for each CDR and each share token it is given.
        expire_times: when its shares expire, in microseconds, where they say so.
        wait: how long evidence is awaited where it has none, in microseconds, or 0.
    """

    buyer_id: str
    uses: tuple[bytes, ...]
    expire_times: tuple[int, ...]
    wait: int = 0


class Checked(NamedTuple):
    """What a check found: every violation, and if there is none, who is given what."""

    violations: list[Violation]
    recipients: tuple[RecipientEvidence, ...]


def check(request: SubmitLeadRequest, generator_id: str, market: Market, region: str) -> Checked:
    """Finds every violation of a submission; without any it may be stored.

    Rewrites `lead.contact` in place: the phone as E.164, the email's domain in lower
    case. `region` is where national phone numbers are from, unless the address says.
    """
    found: list[Violation] = []
    size = request.ByteSize()
    if size > MAX_SUBMISSION_BYTES:
        limit = f"must have at most {MAX_SUBMISSION_BYTES} bytes; it has {size}"
        return Checked([Violation("lead", limit)], ())
    request_id = request.request_id
    if not _REQUEST_ID.fullmatch(request_id) and (request_id or not request.validate_only):
        found.append(Violation("request_id", "must have 1 to 128 printable ASCII characters"))
    lead = request.lead
    _check_lead(found, lead, region)
    cdr_ids = _check_cdrs(found, request.cdrs)
    recipients = _Recipients(found, generator_id, market, cdr_ids, lead.attributes)
    return Checked(found, recipients.checked(request.recipients))


def check_addition(request: AddEvidenceRequest, generator_id: str, market: Market) -> Checked:
    """Finds every violation of an addition that can be seen without the lead."""
    found: list[Violation] = []
    size = request.ByteSize()
    if size > MAX_SUBMISSION_BYTES:
        limit = f"must have at most {MAX_SUBMISSION_BYTES} bytes; it has {size}"
        return Checked([Violation("cdrs", limit)], ())
    if not request.lead_id and not request.request_id:
        found.append(Violation("lead_id", "must be given, or else request_id"))
    cdr_ids = _check_cdrs(found, request.cdrs)
    recipients = _Recipients(found, generator_id, market, cdr_ids, ())
    given = recipients.added(request.recipients)
    shared = {share.cdr_id for recipient in request.recipients for share in recipient.shares}
    for index, cdr in enumerate(request.cdrs):
        if cdr.cdr_id not in shared:
            found.append(Violation(f"cdrs[{index}].cdr_id", "must be referred to by a share"))
    return Checked(found, given)


def check_together(submission: SubmitLeadRequest) -> list[Violation]:
    """Finds what a submission and the evidence that was added to it exceed together."""
    found: list[Violation] = []
    _count(found, len(submission.cdrs), MAX_CDRS, "cdrs")
    if submission.ByteSize() > MAX_SUBMISSION_BYTES:
        limit = f"must have at most {MAX_SUBMISSION_BYTES} bytes together with the submission"
        found.append(Violation("cdrs", limit))
    return found


def _text(found: list[Violation], value: str, longest: int, *path: str) -> None:
    """Checks a text. The parts of its path are joined only when something is wrong."""
    if len(value) > longest:
        found.append(Violation("".join(path), f"must have at most {longest} characters"))
    if not value.isprintable() and _CONTROL.search(value):
        found.append(Violation("".join(path), "must not hold control characters"))


def _count(found: list[Violation], count: int, most: int, *path: str) -> None:
    if count > most:
        found.append(Violation("".join(path), f"must have at most {most} entries"))


def _check_lead(found: list[Violation], lead: Lead, region: str) -> None:
    contact = lead.contact
    _text(found, contact.first_name, 100, "lead.contact.first_name")
    _text(found, contact.last_name, 100, "lead.contact.last_name")
    if contact.HasField("address"):
        region = _check_address(found, contact.address, region)
    phone, email = contact.phone, contact.email
    if phone:
        contact.phone = _normal_phone(found, phone, region)
    if email:
        contact.email = _normal_email(found, email)
    if not phone and not email:
        found.append(Violation("lead.contact", "must have a phone or an email"))
    attributes = lead.attributes
    _count(found, len(attributes), MAX_ATTRIBUTES, "lead.attributes")
    for key, value in attributes.items():
        if not _ATTRIBUTE_KEY.fullmatch(key):
            found.append(Violation("lead.attributes", "keys must match [A-Za-z0-9_.-]{1,64}"))
        else:
            _text(found, value, 2048, "lead.attributes[", key, "]")


def _check_address(found: list[Violation], address: PostalAddress, region: str) -> str:
    """Checks the address; returns where national phone numbers are from."""
    path = "lead.contact.address."
    lines = address.address_lines
    _count(found, len(lines), 5, path, "address_lines")
    for line in lines:
        _text(found, line, 200, path, "address_lines")
    _text(found, address.locality, 100, path, "locality")
    _text(found, address.administrative_area, 100, path, "administrative_area")
    _text(found, address.postal_code, 20, path, "postal_code")
    code = address.region_code
    if not code:
        return region
    if not _REGION.fullmatch(code):
        problem = "must be two letters in upper case, such as US"
        found.append(Violation(f"{path}region_code", problem))
        return region
    return code


def _normal_phone(found: list[Violation], phone: str, region: str) -> str:
    """The phone as E.164; as it was where it is none."""
    try:
        number = rphonenumbers.parse(phone, region) if len(phone) <= 40 else None
    except rphonenumbers.NumberParseException:
        number = None
    if number is None or not rphonenumbers.is_valid_number(number):
        problem = (
            "must be a valid phone number of at most 40 characters, international (+1 …) or of"
            f" region {region}"
        )
        found.append(Violation("lead.contact.phone", problem))
        return phone
    return str(rphonenumbers.format_number(number, _E164))


def _normal_email(found: list[Violation], email: str) -> str:
    """The email with its domain in lower case; as it was where it is none."""
    try:
        if len(email) <= 254:
            if _PLAIN_EMAIL.fullmatch(email) and email.index("@") <= 64:
                return _emails.validate_email(email).normalized
            return email_validator.validate_email(email, check_deliverability=False).normalized
    except (ValueError, SyntaxError):
        pass
    problem = "must be an email address of at most 254 characters"
    found.append(Violation("lead.contact.email", problem))
    return email


def _check_cdrs(found: list[Violation], cdrs: Iterable[Cdr]) -> set[str]:
    """Checks the evidence; returns the ids that shares may refer to."""
    ids: set[str] = set()
    for index, cdr in enumerate(cdrs):
        path, cdr_id = f"cdrs[{index}]", cdr.cdr_id
        if not _CDR_ID.fullmatch(cdr_id):
            found.append(Violation(f"{path}.cdr_id", "must match [A-Za-z0-9_.:-]{1,128}"))
        if cdr_id in ids:
            found.append(Violation(f"{path}.cdr_id", "must be unique in the submission"))
        ids.add(cdr_id)
        _check_cdr(found, path, cdr)
    _count(found, len(ids), MAX_CDRS, "cdrs")
    return ids


def _check_cdr(found: list[Violation], path: str, cdr: Cdr) -> None:
    if cdr.HasField("capture_time"):
        _microseconds(found, cdr.capture_time, path, ".capture_time")
    _text(found, cdr.package_id, 128, path, ".package_id")
    groups = cdr.sub_group_ids
    if groups:
        _count(found, len(groups), MAX_SUB_GROUPS, path, ".sub_group_ids")
        for group in groups:
            if not group:
                found.append(Violation(f"{path}.sub_group_ids", "must not hold an empty id"))
            _text(found, group, 128, path, ".sub_group_ids")
    custom = cdr.custom_json
    if custom:
        _check_custom(found, f"{path}.custom_json", custom)
    disclosures = cdr.disclosures
    _count(found, len(disclosures), MAX_DISCLOSURES, path, ".disclosures")
    for index, disclosure in enumerate(disclosures):
        where = f"{path}.disclosures[{index}]"
        if not disclosure.key:
            found.append(Violation(f"{where}.key", "must have 1 to 128 characters"))
        _text(found, disclosure.key, 128, where, ".key")
        _text(found, disclosure.language, 5000, where, ".language")


def _check_custom(found: list[Violation], path: str, text: str) -> None:
    if len(text.encode()) > MAX_CUSTOM_BYTES:
        found.append(Violation(path, f"must have at most {MAX_CUSTOM_BYTES} bytes"))
        return
    try:
        fits = isinstance(_json.decode(text), dict)
    except (ValueError, RecursionError):
        fits = False
    if not fits:
        found.append(Violation(path, "must be the text of one JSON object"))


def _microseconds(found: list[Violation], time: Timestamp, *path: str) -> int:
    """A time in microseconds; what is out of its range is a violation."""
    seconds, nanos = time.seconds, time.nanos
    if not (0 <= seconds <= _MAX_SECONDS and 0 <= nanos < 1_000_000_000):
        found.append(Violation("".join(path), "must be a time from 1970 to 9999"))
    return seconds * 1_000_000 + nanos // 1000


class _Recipients:
    """Checks recipients against the market and the rest of their submission."""

    def __init__(
        self,
        found: list[Violation],
        generator_id: str,
        market: Market,
        cdr_ids: set[str],
        attributes: Container[str],
    ) -> None:
        self._found = found
        self._generator_id = generator_id
        self._buyers = market.buyers
        self._hosts = market.evidence_hosts
        self._cdr_ids = cdr_ids
        self._attributes = attributes

    def checked(self, recipients: Sequence[Recipient]) -> tuple[RecipientEvidence, ...]:
        """Checks all of them; returns what each is given."""
        found = self._found
        if not recipients:
            found.append(Violation("recipients", "must name at least one buyer"))
        _count(found, len(recipients), MAX_RECIPIENTS, "recipients")
        seen: set[str] = set()
        given: list[RecipientEvidence] = []
        for index, recipient in enumerate(recipients):
            path, buyer_id = f"recipients[{index}]", recipient.buyer_id
            buyer = self._buyers.get(buyer_id)
            # A buyer that does not accept the caller is answered like one that does not exist.
            if buyer is None or not buyer.accepts_from(self._generator_id):
                problem = "must be a buyer that takes your leads"
                found.append(Violation(f"{path}.buyer_id", problem))
            if buyer_id in seen:
                found.append(Violation(f"{path}.buyer_id", "must be named once"))
            seen.add(buyer_id)
            evidence = self._evidence(path, buyer_id, recipient.shares)
            if recipient.HasField("evidence_wait"):
                wait = self._wait(path, recipient.evidence_wait)
                evidence = evidence._replace(wait=0 if evidence.uses else wait)
            given.append(evidence)
            self._check_keys(path, recipient.attribute_keys)
        return tuple(given)

    def added(self, recipients: Sequence[EvidenceRecipient]) -> tuple[RecipientEvidence, ...]:
        """Checks all of an addition; whether they await it is for the ledger to say."""
        found = self._found
        if not recipients:
            found.append(Violation("recipients", "must name at least one buyer"))
        _count(found, len(recipients), MAX_RECIPIENTS, "recipients")
        seen: set[str] = set()
        given: list[RecipientEvidence] = []
        for index, recipient in enumerate(recipients):
            path = f"recipients[{index}]"
            if recipient.buyer_id in seen:
                found.append(Violation(f"{path}.buyer_id", "must be named once"))
            seen.add(recipient.buyer_id)
            if not recipient.shares:
                found.append(Violation(f"{path}.shares", "must have at least one share"))
            given.append(self._evidence(path, recipient.buyer_id, recipient.shares))
        return tuple(given)

    def _wait(self, path: str, wait: Duration) -> int:
        """How long evidence may come later, in microseconds."""
        longest = MAX_EVIDENCE_WAIT // timedelta(microseconds=1)
        time = wait.seconds * 1_000_000 + wait.nanos // 1000
        if not (1_000_000 <= time <= longest and 0 <= wait.nanos < 1_000_000_000):
            problem = "must be from 1 second to 30 days"
            self._found.append(Violation(f"{path}.evidence_wait", problem))
            return 0
        return time

    def _evidence(self, path: str, buyer_id: str, shares: Sequence[Share]) -> RecipientEvidence:
        found = self._found
        _count(found, len(shares), MAX_SHARES, path, ".shares")
        shared: set[str] = set()
        uses: list[bytes] = []
        times: list[int] = []
        for index, share in enumerate(shares):
            where, cdr_id = f"{path}.shares[{index}]", share.cdr_id
            if cdr_id not in self._cdr_ids:
                found.append(Violation(f"{where}.cdr_id", "must be a cdr_id of the submission"))
            if cdr_id in shared:
                problem = "must have one share for each recipient"
                found.append(Violation(f"{where}.cdr_id", problem))
            shared.add(cdr_id)
            token = self._token(where, share.share_url)
            uses += (_mark(b"cdr ", cdr_id), _mark(b"share ", token))
            if share.HasField("share_expire_time"):
                time = share.share_expire_time
                times.append(_microseconds(found, time, where, ".share_expire_time"))
        return RecipientEvidence(buyer_id, tuple(uses), tuple(times))

    def _token(self, where: str, url: str) -> str:
        try:
            if len(url) <= 2048:
                return trusted_token(url, self._hosts)
            problem = "must have at most 2048 characters"
        except ShareUrlError as error:
            problem = str(error)
        self._found.append(Violation(f"{where}.share_url", problem))
        return ""

    def _check_keys(self, path: str, keys: Sequence[str]) -> None:
        _count(self._found, len(keys), MAX_ATTRIBUTES, path, ".attribute_keys")
        if ANYONE in keys:
            if len(keys) > 1:
                problem = "must be * alone, or keys"
                self._found.append(Violation(f"{path}.attribute_keys", problem))
        elif any(key not in self._attributes for key in keys):
            problem = "must be keys of lead.attributes"
            self._found.append(Violation(f"{path}.attribute_keys", problem))


def _mark(kind: bytes, value: str) -> bytes:
    """What evidence is found by: 16 bytes of SHA-256."""
    return hashlib.sha256(kind + value.encode()).digest()[:16]
