"""`leadgate leads`: where submitted leads stand."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from leadgate.cli.arguments import LeadId, Limit, Since, Until, number_of, set_times
from leadgate.cli.output import Json, document, examples, line, moment, say, state, table

app = typer.Typer(
    help="Submitted leads and their deliveries. Needs a generator's or operator's key.",
    no_args_is_help=True,
)


@app.command(
    "list",
    epilog=examples(
        "leadgate leads list --since 2h",
        "leadgate leads list --state failed --buyer solar-one",
        "leadgate leads list --limit 0 --json | jq .leadId",
    ),
)
def list_leads(  # noqa: PLR0913 (one parameter for each option)
    *,
    limit: Limit = 50,
    state_: Annotated[
        str, typer.Option("--state", help="With a delivery in this state, such as `failed`.")
    ] = "",
    buyer: Annotated[str, typer.Option(help="With a delivery to this buyer.")] = "",
    since: Since = "",
    until: Until = "",
    request_id: Annotated[str, typer.Option(help="Only the lead of this submission.")] = "",
    generator: Annotated[str, typer.Option(help="Only this generator's; for operators.")] = "",
    as_json: Json = False,
) -> None:
    """List leads, newest first."""
    from leadgate.cli.connection import connect
    from leadgate.cli.paging import paged
    from leadgate.v1 import delivery_pb2 as delivery
    from leadgate.v1 import lead_service_pb2 as service

    number = number_of(delivery.DeliveryState, "DELIVERY_STATE_", state_, "--state")
    request = service.ListLeadsRequest(
        state=number,
        buyer_id=buyer,
        request_id=request_id,
        generator_id=generator,
    )
    set_times(request, since, until)
    with connect() as gateway:
        leads = paged(gateway.leads.ListLeads, request, "leads", limit)
        if as_json:
            for lead in leads:
                line(lead)
            return
        rows = [
            [
                lead.lead_id,
                lead.request_id,
                state(service.LeadState, lead.state),
                moment(lead.accept_time),
                ", ".join(
                    f"{item.buyer_id} {state(delivery.DeliveryState, item.state)}"
                    for item in lead.deliveries
                ),
            ]
            for lead in leads
        ]
    table(["lead", "request", "state", "accepted", "deliveries"], rows)


@app.command(epilog=examples("leadgate leads get 0193b5d2-7a10-7c3e-9f00-2b8f4c1d6e7a"))
def get(lead_id: LeadId, as_json: Json = False) -> None:
    """Show a lead with everything that happened to each of its deliveries."""
    from leadgate.cli.connection import connect
    from leadgate.cli.timeline import show_delivery
    from leadgate.v1 import lead_service_pb2 as service

    with connect() as gateway:
        lead = gateway.leads.GetLead(service.GetLeadRequest(lead_id=lead_id)).lead
    if as_json:
        document(lead)
        return
    say(
        f"lead {lead.lead_id} ({lead.request_id}) of {lead.generator_id}, "
        f"accepted {moment(lead.accept_time)}: {state(service.LeadState, lead.state)}"
    )
    for delivery in lead.deliveries:
        say("")
        show_delivery(delivery)


@app.command("add-evidence", epilog=examples("leadgate leads add-evidence evidence.json"))
def add_evidence(
    file: Annotated[
        Path,
        typer.Argument(
            exists=True,
            dir_okay=False,
            help="One AddEvidenceRequest in the proto3 JSON mapping: the lead by `leadId` or"
            " `requestId`, `cdrs`, and `recipients` with their `shares`.",
        ),
    ],
    as_json: Json = False,
) -> None:
    """Add evidence to deliveries that await it; safe to repeat. Needs a generator's key."""
    from google.protobuf import json_format

    from leadgate.cli.connection import connect
    from leadgate.v1 import delivery_pb2 as delivery
    from leadgate.v1 import lead_service_pb2 as service

    try:
        request = json_format.Parse(file.read_bytes(), service.AddEvidenceRequest())
    except (UnicodeDecodeError, json_format.ParseError):
        # The reason might quote a share URL, which is a credential.
        raise typer.BadParameter("not an AddEvidenceRequest in JSON", param_hint="FILE") from None
    with connect() as gateway:
        answer = gateway.leads.AddEvidence(request)
    if as_json:
        document(answer)
        return
    say(f"lead {answer.lead_id}")
    rows = [
        [item.buyer_id, state(delivery.DeliveryState, item.state), item.reason]
        for item in answer.deliveries
    ]
    table(["buyer", "state", "reason"], rows)
