"""`leadgate buyers`: who receives leads, how far behind they are, and pausing them."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from leadgate.cli.output import Json, document, examples, line, moment, say, state, table

app = typer.Typer(help="Buyers. Needs an operator's key.", no_args_is_help=True)

BuyerId = Annotated[str, typer.Argument(help="The buyer.")]


@app.command("list", epilog=examples("leadgate buyers list", "leadgate buyers list --json"))
def list_buyers(as_json: Json = False) -> None:
    """List buyers with their topic, what waits for them, and the oldest unsettled lead."""
    from leadgate.cli.connection import connect
    from leadgate.cli.paging import paged
    from leadgate.v1 import admin_service_pb2 as admin

    with connect() as gateway:
        buyers = list(paged(gateway.admin.ListBuyers, admin.ListBuyersRequest(), "buyers"))
    if as_json:
        for buyer in buyers:
            line(buyer)
        return
    table(
        ["buyer", "transport", "encoding", "paused", "accepts", "topic", "waiting", "oldest"],
        (_row(buyer) for buyer in buyers),
    )


@app.command(epilog=examples("leadgate buyers pause solar-one"))
def pause(buyer_id: BuyerId, as_json: Json = False) -> None:
    """Refuse new leads for a buyer and keep back what is pending."""
    from leadgate.cli.connection import connect
    from leadgate.v1 import admin_service_pb2 as admin

    with connect() as gateway:
        answer = gateway.admin.PauseBuyer(admin.PauseBuyerRequest(buyer_id=buyer_id))
    _changed(answer.buyer, "paused", as_json)


@app.command(epilog=examples("leadgate buyers resume solar-one"))
def resume(buyer_id: BuyerId, as_json: Json = False) -> None:
    """Send to a buyer again."""
    from leadgate.cli.connection import connect
    from leadgate.v1 import admin_service_pb2 as admin

    with connect() as gateway:
        answer = gateway.admin.ResumeBuyer(admin.ResumeBuyerRequest(buyer_id=buyer_id))
    _changed(answer.buyer, "resumed", as_json)


def _changed(buyer: Any, what: str, as_json: bool) -> None:
    if as_json:
        document(buyer)
    else:
        say(f"buyer {buyer.buyer_id}: {what}")


def _row(buyer: Any) -> list[str]:
    from leadgate.v1 import market_pb2 as market

    return [
        buyer.buyer_id,
        state(market.Transport, buyer.transport).lower(),
        state(market.Encoding, buyer.encoding).lower(),
        "paused" if buyer.paused else "",
        ",".join(buyer.accepted_generators),
        _topic(buyer.topic) if buyer.HasField("topic") else "",
        str(buyer.waiting),
        moment(buyer.oldest_unsettled_time),
    ]


def _topic(topic: Any) -> str:
    from leadgate.v1 import market_pb2 as market

    word = state(market.Topic.State, topic.state).lower()
    return f"{topic.name} {word}: {topic.detail}" if topic.detail else f"{topic.name} {word}"
