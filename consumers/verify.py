"""Is the evidence this person's? Custom metadata of a CDR against the lead; pure.

A phone is compared by its digits, without a leading `00` or national `0`: two are the
same if equal, or if one ends in the other and the shorter has at least 10 digits, so
that `(201) 555-0123` is `+12015550123`. Where fewer digits would have to decide, the
value counts as not comparable, not as different. Emails are compared without regard to
case. If several keys hold a phone, one that is the same is enough, and so for emails.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from leadgate.v1.delivery_pb2 import Verification
from leadgate.v1.lead_pb2 import Contact

_NO_DIGIT = re.compile(r"\D+", re.ASCII)
_FEWEST_DIGITS = 7
_FEWEST_SHARED_DIGITS = 10

# True: the same person's; False: another's; None: cannot be compared.
_Comparison = Callable[[str, str], bool | None]


@dataclass(frozen=True, slots=True)
class VerifyKeys:
    """The names, in any case, under which custom metadata holds a phone and an email."""

    phone: tuple[str, ...] = ("phone", "phoneNumber", "phone_number")
    email: tuple[str, ...] = ("email", "emailAddress", "email_address")


def verify(contact: Contact, custom: Mapping[str, Any], keys: VerifyKeys) -> Verification:
    """Compares what the lead and the evidence both carry.

    MATCHED: each of phone and email that both carry is the same, and there is one.
    MISMATCHED: one of them differs. NOT_CHECKABLE: they have nothing in common.
    """
    found = {name.casefold(): value for name, value in custom.items()}
    verdicts = [
        _any_same(_same_phone, contact.phone, _texts(found, keys.phone)),
        _any_same(_same_email, contact.email, _texts(found, keys.email)),
    ]
    if False in verdicts:
        return Verification.VERIFICATION_MISMATCHED
    if True in verdicts:
        return Verification.VERIFICATION_MATCHED
    return Verification.VERIFICATION_NOT_CHECKABLE


def _texts(found: Mapping[str, Any], names: Iterable[str]) -> list[str]:
    values = [found.get(name.casefold()) for name in names]
    return [str(value) for value in values if isinstance(value, str | int) and value != ""]


def _any_same(same: _Comparison, ours: str, theirs: Iterable[str]) -> bool | None:
    if not ours:
        return None
    verdicts = [verdict for value in theirs if (verdict := same(ours, value)) is not None]
    return any(verdicts) if verdicts else None


def _same_email(ours: str, theirs: str) -> bool | None:
    if "@" not in theirs:
        return None
    return ours.strip().casefold() == theirs.strip().casefold()


def _same_phone(ours: str, theirs: str) -> bool | None:
    shorter, longer = sorted((_digits(ours), _digits(theirs)), key=len)
    if len(shorter) < _FEWEST_DIGITS:
        return None
    if shorter == longer:
        return True
    if not longer.endswith(shorter):
        return False
    return True if len(shorter) >= _FEWEST_SHARED_DIGITS else None


def _digits(phone: str) -> str:
    return _NO_DIGIT.sub("", phone).lstrip("0")
