"""People who do not exist: addresses under example.com, numbers from 555-0100 to 555-0199."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from leadgate.v1 import lead_pb2 as pb

# fmt: off
_AREA_CODES = (
    201, 202, 203, 205, 206, 207, 208, 209, 210, 212, 213, 214, 215, 216, 217, 218, 219, 224,
    225, 228, 229, 231, 234, 239, 240, 248, 251, 252, 253, 254, 256, 260, 262, 267, 269, 270,
    276, 281, 301, 302, 303, 304, 305, 307, 308, 309, 310, 312, 313, 314, 315, 316, 317, 318,
    319, 320, 321, 323, 325, 330, 334, 336,
)
# fmt: on


@dataclass(frozen=True)
class Person:
    """The person of a number, 0 to 6,199: each differs from every other in all it says."""

    number: int

    @property
    def phone(self) -> str:
        """As a form would have it, `+1 201 555 0123`."""
        return f"+1 {_AREA_CODES[self.number // 100]} 555 {100 + self.number % 100:04}"

    @property
    def email(self) -> str:
        """An address that nobody has."""
        return f"sample.person{self.number:04}@example.com"

    def lead(self, homeowner: bool = True) -> pb.Lead:
        """What the person told the form."""
        return pb.Lead(
            contact=pb.Contact(
                first_name=f"Sample{self.number:04}",
                last_name=f"Person{self.number:04}",
                email=self.email,
                phone=self.phone,
                address=pb.PostalAddress(
                    address_lines=[f"{self.number + 1} Example Street"],
                    locality="Exampleville",
                    administrative_area="NJ",
                    postal_code="07001",
                    region_code="US",
                ),
            ),
            attributes={
                "homeowner": "yes" if homeowner else "no",
                "monthly_bill": str(80 + self.number % 120),
                "roof_age": str(1 + self.number % 40),
            },
        )

    def custom(self) -> dict[str, Any]:
        """The metadata of the person's evidence: what a buyer compares with the lead."""
        return {"uid": f"form-{self.number:04}", "email": self.email, "phone": self.phone}
