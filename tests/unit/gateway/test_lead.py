"""The field rules of a submission."""

from __future__ import annotations

import phonenumbers
import pytest
from email_validator import EmailNotValidError, validate_email
from google.protobuf.duration_pb2 import Duration
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import Violation
from gateway.lead import MAX_SUBMISSION_BYTES, check
from leadgate.v1.lead_pb2 import Cdr, Disclosure, Lead, PostalAddress, Share
from leadgate.v1.lead_service_pb2 import SubmitLeadRequest
from tests.builders import (
    a_buyer,
    a_contact,
    a_market,
    a_recipient,
    a_share,
    a_share_url,
    a_submission,
)

MARKET = a_market()


def violations(request: SubmitLeadRequest) -> list[Violation]:
    """Everything that is wrong."""
    return check(request, "forms", MARKET, "US").violations


def fields(request: SubmitLeadRequest) -> list[str]:
    """The paths of everything that is wrong."""
    return [violation.field for violation in violations(request)]


MANY_BUYERS = a_market(*(a_buyer(f"buyer-{number}") for number in range(21)))


def test_a_sound_submission_has_no_violation() -> None:
    """The builders' submission may be stored."""
    assert fields(a_submission()) == []


def test_phone_and_email_are_normalised_in_place() -> None:
    """E.164, and the domain in lower case."""
    request = a_submission(
        lead=Lead(contact=a_contact(phone="(201) 555-0123", email="A@EXAMPLE.com"))
    )
    assert fields(request) == []
    assert request.lead.contact.phone == "+12015550123"
    assert request.lead.contact.email == "A@example.com"


def test_a_national_number_is_read_in_the_region_of_the_address() -> None:
    """A number of Britain, written as it is there."""
    contact = a_contact(phone="020 7946 0123")
    contact.address.CopyFrom(PostalAddress(region_code="GB"))
    request = a_submission(lead=Lead(contact=contact))
    assert fields(request) == []
    assert request.lead.contact.phone == "+442079460123"


def test_every_violation_is_listed_at_once() -> None:
    """One answer says all that has to be mended."""
    request = SubmitLeadRequest(
        request_id="\n",
        lead=Lead(contact=a_contact(phone="12", email="nobody")),
        cdrs=[Cdr(cdr_id="a b"), Cdr(cdr_id="cdr-1", custom_json="[]")],
        recipients=[
            a_recipient("nobody", "cdr-9"),
            a_recipient(
                "buyer-one",
                shares=[a_share(share_url="https://elsewhere.example.com/v1/shares/abcdefgh")],
            ),
        ],
    )
    assert fields(request) == [
        "request_id",
        "lead.contact.phone",
        "lead.contact.email",
        "cdrs[0].cdr_id",
        "cdrs[1].custom_json",
        "recipients[0].buyer_id",
        "recipients[0].shares[0].cdr_id",
        "recipients[1].shares[0].share_url",
    ]


SPOILED = {
    "no contact": (a_submission(lead=Lead()), "lead.contact"),
    "no recipients": (a_submission(recipients=[]), "recipients"),
    "too many recipients": (
        a_submission(recipients=[a_recipient(f"buyer-{n}") for n in range(21)]),
        "recipients",
    ),
    "a recipient twice": (
        a_submission(recipients=[a_recipient(), a_recipient()]),
        "recipients[1].buyer_id",
    ),
    "two shares of a CDR": (
        a_submission(recipients=[a_recipient("buyer-one", "cdr-1", "cdr-1")]),
        "recipients[0].shares[1].cdr_id",
    ),
    "http": (
        a_submission(
            recipients=[
                a_recipient(shares=[a_share(share_url=a_share_url().replace("https", "http"))])
            ]
        ),
        "recipients[0].shares[0].share_url",
    ),
    "an unknown attribute": (
        a_submission(recipients=[a_recipient(attribute_keys=["colour"])]),
        "recipients[0].attribute_keys",
    ),
    "a star beside a key": (
        a_submission(recipients=[a_recipient(attribute_keys=["*", "product"])]),
        "recipients[0].attribute_keys",
    ),
    "a long name": (
        a_submission(lead=Lead(contact=a_contact(first_name="x" * 101))),
        "lead.contact.first_name",
    ),
    "a control character": (
        a_submission(lead=Lead(contact=a_contact(last_name="a\x00b"))),
        "lead.contact.last_name",
    ),
    "six sub-groups": (
        a_submission(cdrs=[Cdr(cdr_id="cdr-1", sub_group_ids=list("abcdef"))]),
        "cdrs[0].sub_group_ids",
    ),
    "a large custom value": (
        a_submission(cdrs=[Cdr(cdr_id="cdr-1", custom_json='{"a": "%s"}' % ("x" * 16384))]),
        "cdrs[0].custom_json",
    ),
    "nested too deep": (
        a_submission(cdrs=[Cdr(cdr_id="cdr-1", custom_json="[" * 8000)]),
        "cdrs[0].custom_json",
    ),
    "a disclosure without key": (
        a_submission(cdrs=[Cdr(cdr_id="cdr-1", disclosures=[Disclosure(agreed=True)])]),
        "cdrs[0].disclosures[0].key",
    ),
    "a CDR twice": (
        a_submission(cdrs=[Cdr(cdr_id="cdr-1"), Cdr(cdr_id="cdr-1")]),
        "cdrs[1].cdr_id",
    ),
    "an attribute key with a space": (
        a_submission(lead=Lead(contact=a_contact(), attributes={"a b": "c"})),
        "lead.attributes",
    ),
    "no time for evidence": (
        a_submission(recipients=[a_recipient(evidence_wait=Duration(nanos=999_999_999))]),
        "recipients[0].evidence_wait",
    ),
    "31 days for evidence": (
        a_submission(recipients=[a_recipient(evidence_wait=Duration(seconds=30 * 86_400 + 1))]),
        "recipients[0].evidence_wait",
    ),
    "a submission too large": (
        a_submission(cdrs=[Cdr(cdr_id="cdr-1", package_id="x" * MAX_SUBMISSION_BYTES)]),
        "lead",
    ),
}


@pytest.mark.parametrize(("request_", "field"), SPOILED.values(), ids=SPOILED.keys())
def test_what_breaks_a_rule_is_named(request_: SubmitLeadRequest, field: str) -> None:
    """Each rule, broken alone."""
    market = MANY_BUYERS if len(request_.recipients) > 2 else MARKET
    assert [v.field for v in check(request_, "forms", market, "US").violations] == [field]


def test_a_buyer_that_does_not_accept_the_caller_does_not_exist_for_it() -> None:
    """The answer is the one for an unknown buyer, word for word."""
    unknown = violations(a_submission(recipients=[a_recipient("nobody")]))
    market = a_market(a_buyer(accepts=("others",)))
    assert check(a_submission(), "forms", market, "US").violations == unknown
    assert check(a_submission(), "others", market, "US").violations == []


def test_messages_never_quote_a_value() -> None:
    """Personal data and share tokens stay out of errors."""
    request = a_submission(
        lead=Lead(contact=a_contact(phone="secret-phone", email="secret-email")),
        recipients=[a_recipient(shares=[Share(cdr_id="cdr-1", share_url="https://secret-token")])],
    )
    said = " ".join(f"{v.field} {v.problem}" for v in violations(request))
    assert said
    assert "secret" not in said


@given(st.binary(max_size=400))
def test_hostile_bytes_are_refused_or_checked_but_never_crash(data: bytes) -> None:
    """Whatever parses as a request is answered with violations, or may be stored."""
    try:
        request = SubmitLeadRequest.FromString(data)
    except Exception:
        return
    check(request, "forms", MARKET, "US")


@given(st.text(max_size=60), st.text(max_size=60), st.text(max_size=60))
def test_hostile_text_never_crashes(phone: str, email: str, custom: str) -> None:
    """Any text may stand in the fields that libraries read."""
    request = a_submission(
        lead=Lead(contact=a_contact(phone=phone, email=email)),
        cdrs=[Cdr(cdr_id="cdr-1", custom_json=custom)],
    )
    check(request, "forms", MARKET, "US")


@pytest.mark.parametrize("region", sorted(phonenumbers.SUPPORTED_REGIONS))
def test_phones_are_read_as_the_established_library_reads_them(region: str) -> None:
    """The compiled library and the established one agree on each region's examples."""
    example = phonenumbers.example_number(region)
    if example is None:
        return
    for form in (
        phonenumbers.PhoneNumberFormat.NATIONAL,
        phonenumbers.PhoneNumberFormat.INTERNATIONAL,
        phonenumbers.PhoneNumberFormat.E164,
    ):
        written = phonenumbers.format_number(example, form)
        for text in (written, written[:-1], written + "1", "00" + written):
            request = a_submission(lead=Lead(contact=a_contact(phone=text)))
            ours = not check(request, "forms", MARKET, region).violations
            try:
                parsed = phonenumbers.parse(text, region)
                theirs = phonenumbers.is_valid_number(parsed)
            except phonenumbers.NumberParseException:
                theirs = False
            assert ours == theirs, text
            if ours:
                assert request.lead.contact.phone == phonenumbers.format_number(
                    parsed, phonenumbers.PhoneNumberFormat.E164
                )


EMAILS = [
    "a@example.com",
    "a.b+c@example.co.uk",
    "A@EXAMPLE.COM",
    "üser@example.com",
    "a@exämple.com",
    "a@b",
    "a@",
    "@b.com",
    "a b@example.com",
    "a@example..com",
    ".a@example.com",
    "a.@example.com",
    "a..b@example.com",
    "a@-example.com",
    "a@example-.com",
    "a@example.c",
    "a@[127.0.0.1]",
    '"a b"@example.com',
    "a" * 65 + "@example.com",
    "a@" + "b" * 64 + ".com",
    "a@exa_mple.com",
    "a@example.com.",
    "a@@example.com",
    "a,b@example.com",
    "a(b)@example.com",
    "a@localhost",
    "a@host.test",
    "a@host.invalid",
]


@pytest.mark.parametrize("email", EMAILS)
def test_emails_are_read_as_the_established_library_reads_them(email: str) -> None:
    """The compiled library and the established one agree, with the same special domains."""
    agrees(email)


@given(st.from_regex(r"[a-b1.+_-]{1,6}@[ab1.-]{1,8}\.(com|co\.uk|c|1|xn--a)", fullmatch=True))
@settings(max_examples=2_000, deadline=None)
def test_the_two_email_libraries_agree_at_the_edges(email: str) -> None:
    """Dots, hyphens and digits wherever they may not be."""
    agrees(email)


def agrees(email: str) -> None:
    """Asserts that an email is accepted, and normalised, as the established library does."""
    request = a_submission(lead=Lead(contact=a_contact(email=email)))
    ours = not violations(request)
    try:
        theirs = validate_email(email, check_deliverability=False).normalized
    except EmailNotValidError:
        assert not ours
    else:
        assert ours
        assert request.lead.contact.email == theirs
