"""The field rules of a submission, and how phone and email are normalised. Pure.

They come before anything is decided. `check` finds every violation at once. Numbers
and forms are those that `protos/leadgate/v1/lead.proto` and `lead_service.proto`
promise.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

import email_validator
import emval
import rphonenumbers

from gateway.errors import Violation
from gateway.market import ANYONE, Market
from leadgate.share_url import ShareUrlError, trusted
from leadgate.v1.lead_pb2 import Cdr, Contact, Lead, Recipient
from leadgate.v1.lead_service_pb2 import SubmitLeadRequest

MAX_SUBMISSION_BYTES = 256 * 1024
"""Largest submission: its record stays below 900 KiB in either encoding."""
MAX_CUSTOM_BYTES = 16 * 1024
MAX_ATTRIBUTES = 100
MAX_CDRS = 20
MAX_RECIPIENTS = 20
MAX_SHARES = 20
MAX_SUB_GROUPS = 5
MAX_DISCLOSURES = 20
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
_emails = emval.EmailValidator(deliverable_address=False)  # no DNS
# What the fast library reads as the established one does; anything else the latter reads.
_PLAIN_EMAIL = re.compile(
    r"[A-Za-z0-9_+-]+(\.[A-Za-z0-9_+-]+)*@([A-Za-z0-9]+(-[A-Za-z0-9]+)*\.)+[A-Za-z]{2,63}", re.ASCII
)


def check(
    request: SubmitLeadRequest, generator_id: str, market: Market, region: str
) -> list[Violation]:
    """Returns every violation of a submission; none means that it may be stored.

    Rewrites `lead.contact` in place: the phone as E.164, the email's domain in lower
    case. `region` is where national phone numbers are from, unless the address says.
    """
    found: list[Violation] = []
    size = request.ByteSize()
    if size > MAX_SUBMISSION_BYTES:
        limit = f"must have at most {MAX_SUBMISSION_BYTES} bytes; it has {size}"
        return [Violation("lead", limit)]
    if not _REQUEST_ID.fullmatch(request.request_id) and not (
        request.validate_only and not request.request_id
    ):
        _add(found, "request_id", "must have 1 to 128 printable ASCII characters")
    _check_lead(found, request.lead, region)
    cdr_ids = _check_cdrs(found, request.cdrs)
    _check_recipients(found, request, generator_id, market, cdr_ids)
    return found


def _add(found: list[Violation], field: str, problem: str) -> None:
    found.append(Violation(field, problem))


def _text(found: list[Violation], field: str, value: str, longest: int) -> None:
    if len(value) > longest:
        _add(found, field, f"must have at most {longest} characters")
    if not value.isprintable() and _CONTROL.search(value):
        _add(found, field, "must not hold control characters")


def _count(found: list[Violation], field: str, count: int, most: int) -> None:
    if count > most:
        _add(found, field, f"must have at most {most} entries")


def _check_lead(found: list[Violation], lead: Lead, region: str) -> None:
    contact = lead.contact
    _text(found, "lead.contact.first_name", contact.first_name, 100)
    _text(found, "lead.contact.last_name", contact.last_name, 100)
    if contact.HasField("address"):
        region = _check_address(found, contact, region)
    _check_phone(found, contact, region)
    _check_email(found, contact)
    if not contact.phone and not contact.email:
        _add(found, "lead.contact", "must have a phone or an email")
    _count(found, "lead.attributes", len(lead.attributes), MAX_ATTRIBUTES)
    for key, value in lead.attributes.items():
        if not _ATTRIBUTE_KEY.fullmatch(key):
            _add(found, "lead.attributes", "keys must match [A-Za-z0-9_.-]{1,64}")
        else:
            _text(found, f"lead.attributes[{key}]", value, 2048)


def _check_address(found: list[Violation], contact: Contact, region: str) -> str:
    """Checks the address; returns where national phone numbers are from."""
    address, path = contact.address, "lead.contact.address"
    _count(found, f"{path}.address_lines", len(address.address_lines), 5)
    for line in address.address_lines:
        _text(found, f"{path}.address_lines", line, 200)
    _text(found, f"{path}.locality", address.locality, 100)
    _text(found, f"{path}.administrative_area", address.administrative_area, 100)
    _text(found, f"{path}.postal_code", address.postal_code, 20)
    if not address.region_code:
        return region
    if not _REGION.fullmatch(address.region_code):
        _add(found, f"{path}.region_code", "must be two letters in upper case, such as US")
        return region
    return address.region_code


def _check_phone(found: list[Violation], contact: Contact, region: str) -> None:
    if not contact.phone:
        return
    try:
        if len(contact.phone) > 40:
            raise rphonenumbers.NumberParseException(0, "too long")
        number = rphonenumbers.parse(contact.phone, region)
    except rphonenumbers.NumberParseException:
        number = None
    if number is None or not rphonenumbers.is_valid_number(number):
        _add(
            found,
            "lead.contact.phone",
            "must be a valid phone number of at most 40 characters, international (+1 …) or of"
            f" region {region}",
        )
        return
    contact.phone = rphonenumbers.format_number(number, rphonenumbers.PhoneNumberFormat.E164)


def _check_email(found: list[Violation], contact: Contact) -> None:
    if not contact.email:
        return
    try:
        contact.email = _normal_email(contact.email)
    except (ValueError, SyntaxError):
        _add(found, "lead.contact.email", "must be an email address of at most 254 characters")


def _normal_email(email: str) -> str:
    """The email with its domain in lower case. Raises `ValueError` or `SyntaxError`."""
    if len(email) > 254:
        raise ValueError
    if _PLAIN_EMAIL.fullmatch(email) and email.index("@") <= 64:
        return _emails.validate_email(email).normalized
    return email_validator.validate_email(email, check_deliverability=False).normalized


def _check_cdrs(found: list[Violation], cdrs: Iterable[Cdr]) -> set[str]:
    """Checks the evidence; returns the ids that shares may refer to."""
    ids: set[str] = set()
    for index, cdr in enumerate(cdrs):
        if not _CDR_ID.fullmatch(cdr.cdr_id):
            _add(found, f"cdrs[{index}].cdr_id", "must match [A-Za-z0-9_.:-]{1,128}")
        if cdr.cdr_id in ids:
            _add(found, f"cdrs[{index}].cdr_id", "must be unique in the submission")
        ids.add(cdr.cdr_id)
        _check_cdr(found, f"cdrs[{index}]", cdr)
    _count(found, "cdrs", len(ids), MAX_CDRS)
    return ids


def _check_cdr(found: list[Violation], path: str, cdr: Cdr) -> None:
    if cdr.HasField("capture_time"):
        _check_time(found, f"{path}.capture_time", cdr.capture_time)
    _text(found, f"{path}.package_id", cdr.package_id, 128)
    _count(found, f"{path}.sub_group_ids", len(cdr.sub_group_ids), MAX_SUB_GROUPS)
    for group in cdr.sub_group_ids:
        if not group:
            _add(found, f"{path}.sub_group_ids", "must not hold an empty id")
        _text(found, f"{path}.sub_group_ids", group, 128)
    if cdr.custom_json:
        _check_custom(found, f"{path}.custom_json", cdr.custom_json)
    _count(found, f"{path}.disclosures", len(cdr.disclosures), MAX_DISCLOSURES)
    for index, disclosure in enumerate(cdr.disclosures):
        if not disclosure.key:
            _add(found, f"{path}.disclosures[{index}].key", "must have 1 to 128 characters")
        _text(found, f"{path}.disclosures[{index}].key", disclosure.key, 128)
        _text(found, f"{path}.disclosures[{index}].language", disclosure.language, 5000)


def _check_custom(found: list[Violation], path: str, text: str) -> None:
    if len(text.encode()) > MAX_CUSTOM_BYTES:
        _add(found, path, f"must have at most {MAX_CUSTOM_BYTES} bytes")
        return
    try:
        fits = isinstance(_json.decode(text), dict)
    except (ValueError, RecursionError):
        fits = False
    if not fits:
        _add(found, path, "must be the text of one JSON object")


def _check_time(found: list[Violation], path: str, time: object) -> None:
    seconds, nanos = time.seconds, time.nanos  # type: ignore[attr-defined]
    if not (0 <= seconds <= _MAX_SECONDS and 0 <= nanos < 1_000_000_000):
        _add(found, path, "must be a time from 1970 to 9999")


def _check_recipients(
    found: list[Violation],
    request: SubmitLeadRequest,
    generator_id: str,
    market: Market,
    cdr_ids: set[str],
) -> None:
    if not request.recipients:
        _add(found, "recipients", "must name at least one buyer")
    _count(found, "recipients", len(request.recipients), MAX_RECIPIENTS)
    seen: set[str] = set()
    for index, recipient in enumerate(request.recipients):
        path = f"recipients[{index}]"
        buyer = market.buyers.get(recipient.buyer_id)
        # A buyer that does not accept the caller is answered like one that does not exist.
        if buyer is None or not buyer.accepts_from(generator_id):
            _add(found, f"{path}.buyer_id", "must be a buyer that takes your leads")
        if recipient.buyer_id in seen:
            _add(found, f"{path}.buyer_id", "must be named once")
        seen.add(recipient.buyer_id)
        _check_shares(found, path, recipient, market, cdr_ids)
        _check_attribute_keys(found, path, recipient, request.lead)


def _check_shares(
    found: list[Violation], path: str, recipient: Recipient, market: Market, cdr_ids: set[str]
) -> None:
    _count(found, f"{path}.shares", len(recipient.shares), MAX_SHARES)
    shared: set[str] = set()
    for index, share in enumerate(recipient.shares):
        where = f"{path}.shares[{index}]"
        if share.cdr_id not in cdr_ids:
            _add(found, f"{where}.cdr_id", "must be a cdr_id of the submission")
        if share.cdr_id in shared:
            _add(found, f"{where}.cdr_id", "must have one share for each recipient")
        shared.add(share.cdr_id)
        if len(share.share_url) > 2048:
            _add(found, f"{where}.share_url", "must have at most 2048 characters")
        else:
            try:
                trusted(share.share_url, market.evidence_hosts)
            except ShareUrlError as error:
                _add(found, f"{where}.share_url", str(error))
        if share.HasField("share_expire_time"):
            _check_time(found, f"{where}.share_expire_time", share.share_expire_time)


def _check_attribute_keys(
    found: list[Violation], path: str, recipient: Recipient, lead: Lead
) -> None:
    keys = recipient.attribute_keys
    _count(found, f"{path}.attribute_keys", len(keys), MAX_ATTRIBUTES)
    if ANYONE in keys:
        if len(keys) > 1:
            _add(found, f"{path}.attribute_keys", "must be * alone, or keys")
        return
    if any(key not in lead.attributes for key in keys):
        _add(found, f"{path}.attribute_keys", "must be keys of lead.attributes")
