"""What is decided for a recipient."""

from __future__ import annotations

import pytest

from gateway.consent import Facts, Person, Refusal, decide

ADA = Person(phone=b"phone-of-ada", email=b"email-of-ada")
FINE = Facts(
    now=1_000,
    generator_paused=False,
    buyer_paused=False,
    expire_times=(1_001,),
    has_evidence=True,
    earlier_uses=(),
)


def test_a_recipient_with_fresh_evidence_gets_the_lead() -> None:
    """Nothing speaks against it."""
    assert decide(FINE, ADA) is None


def test_evidence_that_may_still_come_is_not_missing() -> None:
    """Its lack alone is no reason; whatever else speaks against the recipient is."""
    held = FINE._replace(has_evidence=False, expire_times=(), evidence_may_come=True)
    assert decide(held, ADA) is None
    assert decide(held._replace(buyer_paused=True), ADA) is Refusal.BUYER_PAUSED


@pytest.mark.parametrize(
    ("facts", "refusal"),
    [
        (FINE._replace(generator_paused=True), Refusal.GENERATOR_PAUSED),
        (FINE._replace(buyer_paused=True), Refusal.BUYER_PAUSED),
        (FINE._replace(has_evidence=False, expire_times=()), Refusal.NO_EVIDENCE),
        (FINE._replace(expire_times=(5_000, 1_000)), Refusal.SHARE_EXPIRED),
        (FINE._replace(earlier_uses=[(b"phone-of-bob", b"email-of-bob")]), Refusal.CDR_REUSED),
    ],
)
def test_each_reason_alone_refuses_it(facts: Facts, refusal: Refusal) -> None:
    """Any expired share is enough, and the end of a share is no longer within it."""
    assert decide(facts, ADA) is refusal


@pytest.mark.parametrize(
    "use",
    [
        (b"phone-of-ada", b"email-of-ada"),
        (b"phone-of-ada", b"another email"),
        (b"another phone", b"email-of-ada"),
        (b"phone-of-ada", b""),
    ],
)
def test_the_same_phone_or_email_is_the_same_person(use: tuple[bytes, bytes]) -> None:
    """A person may come back with one of the two changed."""
    assert decide(FINE._replace(earlier_uses=[use]), ADA) is None


def test_what_is_missing_on_both_sides_is_not_the_same() -> None:
    """Two leads without email are not one person for it."""
    lead = Person(phone=b"phone-of-ada", email=b"")
    facts = FINE._replace(earlier_uses=[(b"phone-of-bob", b"")])
    assert decide(facts, lead) is Refusal.CDR_REUSED


def test_one_earlier_use_for_another_person_is_enough() -> None:
    """Also where the evidence was used for this person too."""
    uses = [(ADA.phone, ADA.email), (b"phone-of-bob", b"email-of-bob")]
    assert decide(FINE._replace(earlier_uses=uses), ADA) is Refusal.CDR_REUSED
