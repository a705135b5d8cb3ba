"""Submits one lead for two buyers, as a generator's back end would: gRPC and nothing else.

    LEADGATE_API_KEY=… python examples/submit_lead.py

The evidence was captured before, and shared once for each buyer. Sending the same request
again is safe, and the thing to do after anything but an answer: it is stored once.
"""

from __future__ import annotations

import os

import grpc

from leadgate.v1 import lead_pb2, lead_service_pb2
from leadgate.v1.lead_service_pb2_grpc import LeadServiceStub

REQUEST = lead_service_pb2.SubmitLeadRequest(
    request_id="order-4711",  # yours, unique for ever: a row's id, not a random number
    lead=lead_pb2.Lead(
        contact=lead_pb2.Contact(
            first_name="Sample",
            last_name="Person",
            email="sample.person@example.com",
            phone="+1 201 555 0123",
        ),
        attributes={"homeowner": "yes"},
    ),
    cdrs=[lead_pb2.Cdr(cdr_id="cdr-order-4711")],
    recipients=[
        lead_pb2.Recipient(
            buyer_id=buyer,
            attribute_keys=["*"],
            shares=[
                lead_pb2.Share(
                    cdr_id="cdr-order-4711",
                    share_url=f"http://evidence:8080/v1/shares/token-for-{buyer}",
                )
            ],
        )
        for buyer in ("buyer-one", "buyer-two")
    ],
)


def main() -> None:
    """Submits it and prints what was decided for each buyer."""
    target = os.environ.get("LEADGATE_GATEWAY", "127.0.0.1:50051")
    metadata = [("x-api-key", os.environ["LEADGATE_API_KEY"])]
    with grpc.insecure_channel(target) as channel:
        answer = LeadServiceStub(channel).SubmitLead(REQUEST, metadata=metadata, timeout=10)
    print(answer)


if __name__ == "__main__":
    main()
