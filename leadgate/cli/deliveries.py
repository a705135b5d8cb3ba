"""`leadgate deliveries`: one lead to one buyer; look them up, send them again."""

from __future__ import annotations

from typing import Annotated

import typer

from leadgate.cli.arguments import Buyer, DeliveryId, Limit, Since, Until, number_of, set_times
from leadgate.cli.output import Json, document, examples, line, say, table

app = typer.Typer(
    help="Deliveries: one lead to one buyer. Needs a buyer's or operator's key.",
    no_args_is_help=True,
)


@app.command(
    "list",
    epilog=examples(
        "leadgate deliveries list --state failed --since 1d",
        "leadgate deliveries list --buyer solar-one --limit 0 --json",
    ),
)
def list_deliveries(
    limit: Limit = 50,
    state: Annotated[str, typer.Option(help="Only in this state, such as `failed`.")] = "",
    buyer: Buyer = "",
    since: Since = "",
    until: Until = "",
    request_id: Annotated[str, typer.Option(help="Only of the lead of this submission.")] = "",
    as_json: Json = False,
) -> None:
    """List deliveries, newest lead first."""
    from leadgate.cli.connection import connect
    from leadgate.cli.paging import paged
    from leadgate.cli.timeline import DELIVERY_COLUMNS, delivery_row
    from leadgate.v1 import delivery_pb2 as delivery
    from leadgate.v1 import delivery_service_pb2 as service

    number = number_of(delivery.DeliveryState, "DELIVERY_STATE_", state, "--state")
    request = service.ListDeliveriesRequest(state=number, buyer_id=buyer, request_id=request_id)
    set_times(request, since, until)
    with connect() as gateway:
        deliveries = paged(gateway.deliveries.ListDeliveries, request, "deliveries", limit)
        if as_json:
            for item in deliveries:
                line(item)
            return
        rows = [delivery_row(item) for item in deliveries]
    table(DELIVERY_COLUMNS, rows)


@app.command(epilog=examples("leadgate deliveries get 0193b5d2-7a10-….solar-one"))
def get(delivery_id: DeliveryId, as_json: Json = False) -> None:
    """Show a delivery with everything that happened to it."""
    from leadgate.cli.connection import connect
    from leadgate.cli.timeline import show_delivery
    from leadgate.v1 import delivery_service_pb2 as service

    request = service.GetDeliveryRequest(delivery_id=delivery_id)
    with connect() as gateway:
        delivery = gateway.deliveries.GetDelivery(request).delivery
    if as_json:
        document(delivery)
    else:
        show_delivery(delivery)


@app.command(
    epilog=examples(
        "leadgate deliveries retry 0193b5d2-7a10-….solar-one",
        "leadgate deliveries retry --buyer solar-one --reason SINK_FAILED --since 1d",
    )
)
def retry(
    delivery_ids: Annotated[
        list[str] | None, typer.Argument(help="FAILED deliveries; or name a --buyer.")
    ] = None,
    buyer: Annotated[str, typer.Option(help="Every FAILED delivery of this buyer.")] = "",
    reason: Annotated[str, typer.Option(help="With --buyer: failed for this reason.")] = "",
    since: Since = "",
    as_json: Json = False,
) -> None:
    """Send FAILED deliveries on their way again, with the next attempt. For operators."""
    from leadgate.cli.connection import connect
    from leadgate.v1 import admin_service_pb2 as admin

    if bool(delivery_ids) == bool(buyer):
        raise typer.BadParameter("name deliveries, or one --buyer")
    request = admin.RetryDeliveriesRequest(
        delivery_ids=delivery_ids or [], buyer_id=buyer, reason=reason
    )
    set_times(request, since, "")
    with connect() as gateway:
        answer = gateway.admin.RetryDeliveries(request)
    if as_json:
        document(answer)
    else:
        say(f"{answer.retried} on their way again")


@app.command(
    epilog=examples(
        "leadgate deliveries replay --since 2026-01-31T08:00Z",
        "leadgate deliveries replay --since 2d --until 1d --buyer solar-one",
    )
)
def replay(
    since: Since,
    until: Until = "",
    buyer: Annotated[str, typer.Option(help="The buyer to send to; for operators.")] = "",
    as_json: Json = False,
) -> None:
    """Send once more what a buyer was sent before; states and attempts stay."""
    from leadgate.cli.connection import connect
    from leadgate.v1 import delivery_service_pb2 as service

    request = service.ReplayDeliveriesRequest(buyer_id=buyer)
    set_times(request, since, until)
    with connect() as gateway:
        answer = gateway.deliveries.ReplayDeliveries(request)
    if as_json:
        document(answer)
    else:
        say(f"{answer.replayed} to be sent once more")
