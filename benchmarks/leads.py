"""Leads to submit: valid, about 0.7 KiB, two buyers, and no two alike.

One request is built by the book; the others are copies of its bytes with other digits
in the same places, so that preparing them costs next to nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

from google.protobuf.timestamp_pb2 import Timestamp

from benchmarks.load import message
from leadgate.v1.lead_pb2 import Cdr, Contact, Disclosure, Lead, PostalAddress, Recipient, Share
from leadgate.v1.lead_service_pb2 import SubmitLeadRequest

BUYERS = ("bench-one", "bench-two")
EVIDENCE = "https://evidence.example.com"
_DIGITS = b"987654321"
_PHONE = b"+1 201 555 0199"
# Numbers 555-0100 to 555-0199 belong to nobody, in every area.
_AREAS = (  # noqa: SIM905 - a literal list would fill a page
    "201 202 203 205 206 207 208 209 210 212 213 214 215 216 217 218 219 224 225 228 229 231 234"
    " 239 240 248 251 252 253 254 256 260 262 267 269 270 272 276 281 301 302 303 304 305 307 308"
    " 309 310 312 313 314 315 316 317 318 319 320 321 323 325 330 331 334 336 337 347 351 352 360"
).split()


class Leads:
    """A source of requests; every one it hands out is new."""

    def __init__(self, evidence: str = EVIDENCE) -> None:
        """Takes where the share URLs point to, such as `https://evidence.example.com`."""
        self._bytes = _example(evidence).SerializeToString()
        self._numbers = count(1)

    @property
    def size_bytes(self) -> int:
        """Size of each request."""
        return len(self._bytes)

    def unary(self, leads: int) -> list[bytes]:
        """Bodies for SubmitLead."""
        return [message(self._request()) for _ in range(leads)]

    def batches(self, calls: int, size: int) -> list[bytes]:
        """Bodies for BatchSubmitLeads."""
        return [
            message(b"".join(_as_field_1(self._request()) for _ in range(size)))
            for _ in range(calls)
        ]

    def stream(self, leads: int) -> Sequence[bytes]:
        """Bodies for StreamLeads."""
        return [message(_as_field_1(self._request())) for _ in range(leads)]

    def _request(self) -> bytes:
        number = next(self._numbers)
        area = _AREAS[number // 100 % len(_AREAS)]
        phone = f"+1 {area} 555 01{number % 100:02d}"
        return self._bytes.replace(_DIGITS, b"%09d" % number).replace(_PHONE, phone.encode())


def _as_field_1(body: bytes) -> bytes:
    """A message inside the first field of another one: tag, varint length, bytes."""
    size, length = len(body), bytearray()
    while size > 127:
        length.append(size & 127 | 128)
        size >>= 7
    return b"\x0a" + bytes(length) + bytes([size]) + body


def _example(evidence: str) -> SubmitLeadRequest:
    digits = _DIGITS.decode()
    return SubmitLeadRequest(
        request_id=f"bench-{digits}",
        lead=Lead(
            contact=Contact(
                first_name="Example",
                last_name="Person",
                email=f"person.{digits}@example.com",
                phone=_PHONE.decode(),
                address=PostalAddress(
                    address_lines=["100 Example Street"],
                    locality="Hoboken",
                    administrative_area="NJ",
                    postal_code="07030",
                    region_code="US",
                ),
            ),
            attributes={
                "product": "solar",
                "roof": "pitched",
                "ownership": "owner",
                "monthly_bill": "150-200 USD",
                "landing_page": "https://offers.example.com/solar/hoboken?step=4",
            },
        ),
        cdrs=[_cdr(f"cdr-{digits}-{place}", digits) for place in range(len(BUYERS))],
        recipients=[
            _recipient(buyer, f"cdr-{digits}-{place}", evidence)
            for place, buyer in enumerate(BUYERS)
        ],
    )


def _cdr(cdr_id: str, digits: str) -> Cdr:
    return Cdr(
        cdr_id=cdr_id,
        capture_time=Timestamp(seconds=1_760_000_000),
        custom_json=f'{{"uid":"{digits}"}}',
        disclosures=[Disclosure(key="tcpa", language="I agree to be called.", agreed=True)],
    )


def _recipient(buyer_id: str, cdr_id: str, evidence: str) -> Recipient:
    url = f"{evidence}/v1/shares/share-of-{cdr_id}"
    share = Share(cdr_id=cdr_id, share_url=url, share_expire_time=Timestamp(seconds=4_000_000_000))
    return Recipient(buyer_id=buyer_id, shares=[share], attribute_keys=["product", "ownership"])
