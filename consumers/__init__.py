"""The buyer's side: takes deliveries, claims their evidence, hands the leads over, reports.

    import sys
    from consumers import DeliveredLead, run

    async def handle(lead: DeliveredLead) -> None:
        print(lead.delivery_id)

    sys.exit(run(handle))

A handler that returns has taken the lead; it may raise `Reject` or `Defer`. Settings
come from the environment (`ConsumerSettings`); to put the parts together yourself, see
`consumers.app.consuming`.
"""

from consumers.app import consuming, run
from consumers.claimer import Claimer, ClaimPolicy, Claims, HttpClaimer
from consumers.consumer import BuyerConsumer
from consumers.errors import (
    ConsumerError,
    Decision,
    Defer,
    GatewayError,
    Reject,
    UndecodableError,
)
from consumers.gateway import GrpcGateway
from consumers.kafka_source import KafkaSource, KafkaTuning
from consumers.outcome import DELIVERED, Outcome
from consumers.record import DeliveredLead
from consumers.reports import Gateway
from consumers.settings import ConsumerSettings
from consumers.sinks import Handler, HandlerSink, JsonLinesSink, Sink
from consumers.source import Handed, Source, Unreadable
from consumers.stream_source import StreamSource
from consumers.verify import VerifyKeys
from consumers.webhook import WebhookSink, WebhookTarget

__all__ = [
    "DELIVERED",
    "BuyerConsumer",
    "ClaimPolicy",
    "Claimer",
    "Claims",
    "ConsumerError",
    "ConsumerSettings",
    "Decision",
    "Defer",
    "DeliveredLead",
    "Gateway",
    "GatewayError",
    "GrpcGateway",
    "Handed",
    "Handler",
    "HandlerSink",
    "HttpClaimer",
    "JsonLinesSink",
    "KafkaSource",
    "KafkaTuning",
    "Outcome",
    "Reject",
    "Sink",
    "Source",
    "StreamSource",
    "UndecodableError",
    "Unreadable",
    "VerifyKeys",
    "WebhookSink",
    "WebhookTarget",
    "consuming",
    "run",
]
