"""`leadgate evidence webhooks`: where an org's events go, and what became of them."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from leadgate.cli.evidence_output import moment, printed
from leadgate.cli.output import Json, examples, remark, say, table

app = typer.Typer(help="Webhooks of orgs: endpoint, secret, delivery log.", no_args_is_help=True)

OrgId = Annotated[str, typer.Argument(help="The org.")]


@app.command(
    "set", epilog=examples("leadgate evidence webhooks set acme https://crm.example.com/hook")
)
def set_url(
    org_id: OrgId,
    url: Annotated[str, typer.Argument(help="https URL; none clears it.")] = "",
    as_json: Json = False,
) -> None:
    """Set where an org's events go, or clear it; what is queued is still sent."""
    from leadgate.cli.evidence_api import connect, part

    with connect() as service:
        answer = service.send("PUT", f"/orgs/{part(org_id)}/webhook", {"url": url})
    if as_json:
        printed(answer)
    else:
        say(f"webhook of {org_id}: {'set' if url else 'cleared'}")


@app.command("secret", epilog=examples("leadgate evidence webhooks secret acme --keep 24"))
def secret(
    org_id: OrgId,
    keep: Annotated[float, typer.Option(min=0, max=720, help="Hours the old one signs too.")] = 24,
    as_json: Json = False,
) -> None:
    """Make a new signing secret and show it, once."""
    from leadgate.cli.evidence_api import connect, part

    body = {"keepMs": int(keep * 3600 * 1000)}
    with connect() as service:
        answer = service.post(f"/orgs/{part(org_id)}/webhook/secret", body)
    if as_json:
        printed(answer)
    else:
        say(answer["secret"])
    remark("Keep it now: it is shown this once.")


@app.command("log", epilog=examples("leadgate evidence webhooks log acme"))
def log(
    org_id: OrgId,
    limit: Annotated[int, typer.Option(min=1, max=100, help="How many at most.")] = 20,
    as_json: Json = False,
) -> None:
    """List an org's events, newest first, with the last attempt of each."""
    from leadgate.cli.evidence_api import connect, part

    path = f"/orgs/{part(org_id)}/webhook/deliveries"
    with connect() as service:
        found = service.get(path, pageSize=limit)["deliveries"]
    if as_json:
        for delivery in found:
            printed(delivery, as_line=True)
        return
    columns = ["queued", "webhook", "cdr", "state", "attempts", "last"]
    table(columns, (_row(delivery) for delivery in found))


def _row(delivery: dict[str, Any]) -> list[str]:
    attempts = delivery["attempts"]
    last = attempts[-1] if attempts else {}
    return [
        moment(delivery["createdAt"]),
        delivery["webhookId"],
        delivery["cdrId"],
        delivery["state"],
        str(len(attempts)),
        str(last.get("status") or last.get("error") or ""),
    ]
