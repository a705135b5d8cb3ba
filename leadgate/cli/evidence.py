"""`leadgate evidence`: run an evidence service, and prove what it has kept."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from leadgate.cli import evidence_orgs, evidence_webhooks
from leadgate.cli.arguments import time_of
from leadgate.cli.evidence_output import moment, printed
from leadgate.cli.output import Json, examples, remark, say, table

app = typer.Typer(
    help="Consent evidence: orgs, domains, keys, webhooks, what is kept, and proof. "
    "LEADGATE_EVIDENCE_URL says where the service is, LEADGATE_EVIDENCE_OPERATOR_KEY who calls.",
    no_args_is_help=True,
)
app.add_typer(evidence_orgs.orgs, name="orgs")
app.add_typer(evidence_orgs.domains, name="domains")
app.add_typer(evidence_orgs.keys, name="keys")
app.add_typer(evidence_orgs.clients, name="clients")
app.add_typer(evidence_webhooks.app, name="webhooks")

CdrId = Annotated[str, typer.Argument(help="The CDR.")]
Everything = Annotated[bool, typer.Option("--all", help="Every CDR there is.")]
Content = Annotated[bool, typer.Option("--content", help="Put uploads, images and reports in.")]
Trust = Annotated[
    list[str] | None,
    typer.Option("--trust", help="Id of a signing key that is known to be the service's."),
]
Anchors = Annotated[
    list[Path] | None,
    typer.Option("--anchor", help="A claim's answer as it was kept: JSON, with its `data`."),
]


@app.command(epilog=examples("leadgate evidence invalidate cdr_0193b5d27a10"))
def invalidate(cdr_id: CdrId, as_json: Json = False) -> None:
    """Take a CDR back, for everybody and for good."""
    _deed(cdr_id, "invalidate", "invalidated", as_json=as_json)


@app.command(epilog=examples("leadgate evidence hold cdr_0193b5d27a10 --reason 'case 12'"))
def hold(
    cdr_id: CdrId,
    reason: Annotated[str, typer.Option(help="Why; for the operator alone.")] = "",
    as_json: Json = False,
) -> None:
    """Keep a CDR beyond its time, until it is released."""
    _deed(cdr_id, "hold", "held", {"reason": reason}, as_json=as_json)


@app.command(epilog=examples("leadgate evidence release cdr_0193b5d27a10"))
def release(cdr_id: CdrId, as_json: Json = False) -> None:
    """End a hold; a CDR whose time is over is deleted then."""
    _deed(cdr_id, "release", "released", as_json=as_json)


@app.command(epilog=examples("leadgate evidence charges --since 30d --org acme > charges.jsonl"))
def charges(
    org: Annotated[str, typer.Option(help="Only this org's.")] = "",
    since: Annotated[str, typer.Option(help="Charged at or after, such as 2026-01-31 or 7d.")] = "",
    until: Annotated[str, typer.Option(help="Charged before; written like --since.")] = "",
    as_json: Json = False,
) -> None:
    """Export the billing ledger, oldest first: an org pays for a CDR once."""
    from leadgate.cli.evidence_api import connect

    query = {"orgId": org or None, "from": _ms(since, "--since"), "until": _ms(until, "--until")}
    with connect() as service:
        found = list(service.every("/charges", "charges", pageSize=1000, **query))
    if as_json:
        for charge in found:
            printed(charge, as_line=True)
        return
    rows = ([moment(c["chargedAt"]), c["orgId"], c["cdrId"], c["reason"]] for c in found)
    table(["charged", "org", "cdr", "at"], rows)


@app.command(
    epilog=examples(
        "leadgate evidence export cdr_0193b5d27a10 --content > proof.jsonl",
        "leadgate evidence export --all > everything.jsonl",
    )
)
def export(
    cdr_id: Annotated[str, typer.Argument(help="One CDR; or else --all.")] = "",
    everything: Everything = False,
    content: Content = False,
    _: Json = True,
) -> None:
    """Write evidence to stdout so that it can be verified by itself, offline.

    It is lines of JSON, with --json and without.
    """
    from leadgate.cli.evidence_api import connect

    if bool(cdr_id) == everything:
        raise typer.BadParameter("name a CDR, or say --all")
    query = {"cdrId": cdr_id} if cdr_id else {}
    with connect() as service:
        for chunk in service.lines("/export", **query, content="1" if content else "0"):
            sys.stdout.buffer.write(chunk)
    sys.stdout.buffer.flush()


@app.command(
    epilog=examples(
        "leadgate evidence verify proof.jsonl",
        "leadgate evidence verify proof.jsonl --trust 5f0c… --anchor claim.json",
    )
)
def verify(
    file: Annotated[Path, typer.Argument(help="An export.", exists=True, dir_okay=False)],
    trust: Trust = None,
    anchor: Anchors = None,
    as_json: Json = False,
) -> None:
    """Verify an export, offline: exit code 0 if all of it is as it was signed, else 1.

    Without --trust the keys in the file are believed: compare their ids, printed here,
    with those the service publishes.
    """
    from leadgate import evidence_export
    from leadgate.process import ExitCode

    anchors = [_anchor(path) for path in anchor or []]
    with file.open("rb") as lines:
        verdict = evidence_export.verify(lines, trust or (), anchors)
    problems = [{"cdrId": one.cdr_id, "problem": one.text} for one in verdict.problems]
    signers = sorted(verdict.key_ids)
    if as_json:
        printed({"cdrs": verdict.cdrs, "keyIds": signers, "problems": problems})
    else:
        for one in verdict.problems:
            say(f"{one.cdr_id or 'the file'}: {one.text}")
        say(f"{verdict.cdrs} CDRs, signed by {', '.join(signers) or 'nobody'}")
        say("verified" if not problems else f"{len(problems)} problems")
        if not trust:
            remark("The keys in the file were believed; --trust names the ones you know.")
    if problems:
        raise typer.Exit(ExitCode.FAILED)


def _deed(
    cdr_id: str, path: str, done: str, body: dict[str, Any] | None = None, *, as_json: bool
) -> None:
    from leadgate.cli.evidence_api import connect, part

    with connect() as service:
        answer = service.post(f"/cdrs/{part(cdr_id)}/{path}", body)
    if as_json:
        printed(answer)
    else:
        say(f"{cdr_id}: {done}")


def _anchor(path: Path) -> dict[str, Any]:
    import json

    try:
        kept: dict[str, Any] = json.loads(path.read_bytes())
        return dict(kept.get("data", kept))
    except (OSError, ValueError, AttributeError, TypeError):
        raise typer.BadParameter("not the answer to a claim", param_hint="--anchor") from None


def _ms(text: str, option: str) -> int | None:
    moment_of: datetime | None = time_of(text, option)
    return int(moment_of.astimezone(UTC).timestamp() * 1000) if moment_of else None
