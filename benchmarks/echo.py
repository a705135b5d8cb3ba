"""The baseline: a bare grpc.aio server that answers a submission and does nothing else.

    python -m benchmarks.echo

It has the gateway's server options, event loop and generated messages. It prints
`address 127.0.0.1:PORT` and serves until it is killed.
"""

from __future__ import annotations

import grpc
import uvloop

from gateway.rpc.server import OPTIONS
from leadgate.v1 import lead_service_pb2_grpc
from leadgate.v1.delivery_pb2 import DELIVERY_STATE_PENDING
from leadgate.v1.lead_service_pb2 import DeliveryDecision, SubmitLeadRequest, SubmitLeadResponse


class Echo(lead_service_pb2_grpc.LeadServiceServicer):
    """Answers at once, with a message such as the gateway's."""

    async def SubmitLead(  # noqa: N802 - the name is the contract's
        self, request: SubmitLeadRequest, context: object
    ) -> SubmitLeadResponse:
        """A decision for each recipient, without deciding."""
        return SubmitLeadResponse(
            lead_id=request.request_id,
            deliveries=[
                DeliveryDecision(
                    buyer_id=recipient.buyer_id,
                    delivery_id=recipient.shares[0].cdr_id,
                    state=DELIVERY_STATE_PENDING,
                )
                for recipient in request.recipients
            ],
        )


async def main() -> None:
    """Serves for ever."""
    server = grpc.aio.server(options=OPTIONS)
    lead_service_pb2_grpc.add_LeadServiceServicer_to_server(Echo(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"address 127.0.0.1:{port}", flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    uvloop.run(main())
