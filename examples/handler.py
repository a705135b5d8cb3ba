"""A buyer's own handler: what happens to a lead once its evidence is claimed and checked.

    LEADGATE_SINK=python:handler:take python -m consumers     in this folder

To return is to have taken the lead. The same delivery may come twice, after a crash, say:
`delivery_id` tells, so it is the key under which to store it.
"""

from __future__ import annotations

from consumers import DeliveredLead, Reject

TAKEN: set[str] = set()


async def take(lead: DeliveredLead) -> None:
    """Takes leads of homeowners, and turns the others down."""
    if lead.attributes.get("homeowner") != "yes":
        raise Reject("NOT_A_HOMEOWNER")
    TAKEN.add(lead.delivery_id)
