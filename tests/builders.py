"""Messages and rows that are valid by default: say in one word what to spoil."""

from __future__ import annotations

from typing import Any

from gateway.market import Buyer, Generator, Market, Transport
from leadgate.share_url import EvidenceHost, by_authority
from leadgate.v1.delivery_pb2 import CLAIM_STATUS_CLAIMED, Receipt
from leadgate.v1.lead_pb2 import Cdr, Contact, Lead, Recipient, Share
from leadgate.v1.lead_service_pb2 import SubmitLeadRequest

EVIDENCE_HOST = "evidence.example.com"


def a_share_url(token: str = "token-0123456789abcdef") -> str:
    """A share URL on the market's evidence host."""
    return f"https://{EVIDENCE_HOST}/v1/shares/{token}"


def a_share(cdr_id: str = "cdr-1", **fields: Any) -> Share:
    """A share of a CDR, with a token that is its own."""
    return Share(**{"cdr_id": cdr_id, "share_url": a_share_url(f"token-of-{cdr_id}"), **fields})


def a_recipient(buyer_id: str = "buyer-one", *cdr_ids: str, **fields: Any) -> Recipient:
    """A buyer that is given the named CDRs, `cdr-1` where none is named."""
    shares = [a_share(cdr_id) for cdr_id in cdr_ids or ("cdr-1",)]
    return Recipient(**{"buyer_id": buyer_id, "shares": shares, "attribute_keys": ["*"], **fields})


def a_contact(**fields: Any) -> Contact:
    """A person."""
    return Contact(
        **{
            "first_name": "Ada",
            "last_name": "Example",
            "email": "ada@example.com",
            "phone": "+1 201 555 0123",
            **fields,
        }
    )


def a_submission(request_id: str = "request-1", **fields: Any) -> SubmitLeadRequest:
    """One lead with one CDR for one buyer."""
    return SubmitLeadRequest(
        **{
            "request_id": request_id,
            "lead": Lead(contact=a_contact(), attributes={"product": "solar"}),
            "cdrs": [Cdr(cdr_id="cdr-1", custom_json='{"uid": "1"}')],
            "recipients": [a_recipient()],
            **fields,
        }
    )


def another_submission(number: int, *buyer_ids: str) -> SubmitLeadRequest:
    """The submission with that number: its own person, and a CDR for each buyer."""
    buyers = buyer_ids or ("buyer-one",)
    cdr_ids = [f"cdr-{number}-{buyer_id}" for buyer_id in buyers]
    contact = a_contact(
        email=f"person-{number}@example.com", phone=f"+1 201 555 {100 + number % 100:04}"
    )
    return a_submission(
        f"request-{number}",
        lead=Lead(contact=contact, attributes={"product": "solar"}),
        cdrs=[Cdr(cdr_id=cdr_id) for cdr_id in cdr_ids],
        recipients=[
            a_recipient(buyer_id, cdr_id) for buyer_id, cdr_id in zip(buyers, cdr_ids, strict=True)
        ],
    )


def a_buyer(buyer_id: str = "buyer-one", **fields: Any) -> Buyer:
    """A pull buyer that takes anybody's leads."""
    return Buyer(**{"buyer_id": buyer_id, "transport": Transport.PULL, "accepts": ("*",), **fields})


def a_market(*buyers: Buyer, generators: tuple[str, ...] = ("forms",)) -> Market:
    """A market with two pull buyers, unless others are named, numbered from 1."""
    listed = buyers or (a_buyer(), a_buyer("buyer-two"))
    numbered = [
        Buyer(b.buyer_id, b.transport, b.encoding, b.paused, b.accepts, number)
        for number, b in enumerate(listed, 1)
    ]
    return Market(
        generators={name: Generator(name, key=number) for number, name in enumerate(generators, 1)},
        buyers={buyer.buyer_id: buyer for buyer in numbered},
        evidence_hosts=by_authority([EvidenceHost(EVIDENCE_HOST)]),
    )


def a_receipt(cdr_id: str = "cdr-1", **fields: Any) -> Receipt:
    """Proof that a CDR was claimed."""
    receipt = Receipt(
        **{
            "cdr_id": cdr_id,
            "status": CLAIM_STATUS_CLAIMED,
            "host": EVIDENCE_HOST,
            "http_status": 200,
            "request_id": "evidence-request",
            "share_event_id": "se_1",
            "collect": True,
            "body_sha256": bytes(32),
            **fields,
        }
    )
    receipt.claim_time.FromSeconds(1_700_000_000)
    return receipt
