"""Is the evidence this person's?"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.verify import VerifyKeys, verify
from leadgate.v1.delivery_pb2 import Verification
from leadgate.v1.lead_pb2 import Contact

CONTACT = Contact(phone="+12015550123", email="Person42@example.com")
M, X, N = (
    Verification.VERIFICATION_MATCHED,
    Verification.VERIFICATION_MISMATCHED,
    Verification.VERIFICATION_NOT_CHECKABLE,
)


@pytest.mark.parametrize(
    ("custom", "expected"),
    [
        ({"phone": "+12015550123"}, M),
        ({"phone": "(201) 555-0123"}, M),
        ({"PhoneNumber": "0012015550123"}, M),
        ({"phone_number": 12015550123}, M),
        ({"email": " PERSON42@EXAMPLE.COM "}, M),
        ({"emailAddress": "person42@example.com", "phone": "201-555-0123"}, M),
        ({"phone": "+12015550199", "phoneNumber": "+12015550123"}, M),
        ({"phone": "+12015550199"}, X),
        ({"email": "person43@example.com"}, X),
        ({"email": "person42@example.com", "phone": "+12015550199"}, X),
        ({"phone": "5550123"}, N),
        ({"phone": "0123"}, N),
        ({"phone": "n/a", "email": "none"}, N),
        ({"phone": None, "email": ["person42@example.com"]}, N),
        ({"uid": "42"}, N),
        ({}, N),
    ],
)
def test_phones_and_emails_are_compared_in_their_normal_form(
    custom: dict[str, Any], expected: Verification
) -> None:
    """Each kind that both carry must be the same; where none is, nothing is said."""
    assert verify(CONTACT, custom, VerifyKeys()) == expected


def test_a_national_trunk_zero_makes_no_other_person() -> None:
    """`020 7946 0958` is `+44 20 7946 0958`."""
    contact = Contact(phone="+442079460958")
    assert verify(contact, {"phone": "020 7946 0958"}, VerifyKeys()) == M


def test_key_names_are_the_buyers() -> None:
    """What is not named is not looked at."""
    keys = VerifyKeys(phone=("tel",), email=())
    assert verify(CONTACT, {"phone": "+12015550199", "TEL": "+12015550123"}, keys) == M


def test_a_lead_without_the_value_is_not_checkable() -> None:
    """Evidence alone says nothing."""
    assert verify(Contact(), {"phone": "+12015550123"}, VerifyKeys()) == N


@given(st.dictionaries(st.text(), st.one_of(st.text(), st.integers(), st.none())))
def test_no_metadata_breaks_it(custom: dict[str, Any]) -> None:
    """Metadata is whatever a form put there."""
    assert verify(CONTACT, custom, VerifyKeys()) in (M, X, N)
