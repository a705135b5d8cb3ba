"""`leadgate evidence orgs`, `domains`, `keys` and `clients`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from leadgate.cli.evidence_output import moment, printed, yes
from leadgate.cli.output import Json, examples, remark, say, table

orgs = typer.Typer(help="Orgs that capture or buy evidence.", no_args_is_help=True)
domains = typer.Typer(help="Web sites that an org captures on.", no_args_is_help=True)
keys = typer.Typer(help="API keys of orgs.", no_args_is_help=True)
clients = typer.Typer(help="Client ids for the script tags of pages.", no_args_is_help=True)

OrgId = Annotated[str, typer.Argument(help="The org.")]
KeyId = Annotated[str, typer.Argument(help="The part of the key before the dot.")]
Collect = Annotated[
    bool | None,
    typer.Option("--auto-collect/--no-auto-collect", help="Pay for its own captures at once."),
]
Capture = Annotated[bool | None, typer.Option("--capture/--no-capture", help="Take its uploads.")]
Days = Annotated[
    int | None, typer.Option(min=0, help="Keep its captures so many days; 0: the default.")
]


@orgs.command("create", epilog=examples("leadgate evidence orgs create acme --name 'Acme Forms'"))
def create_org(
    org_id: OrgId, name: str = "", auto_collect: Collect = None, as_json: Json = False
) -> None:
    """Add an org."""
    body = {"orgId": org_id, "name": name or org_id, "autoCollect": auto_collect is not False}
    _show(_post("/orgs", body), f"org {org_id}: added", as_json=as_json)


@orgs.command("list", epilog=examples("leadgate evidence orgs list --json"))
def list_orgs(as_json: Json = False) -> None:
    """List orgs with their settings."""
    from leadgate.cli.evidence_api import connect

    with connect() as service:
        found = list(service.every("/orgs", "orgs", pageSize=100))
    if as_json:
        for org in found:
            printed(org, as_line=True)
        return
    columns = ["org", "name", "auto-collect", "capture", "kept (days)", "made"]
    table(columns, (_row(org) for org in found))


@orgs.command("set", epilog=examples("leadgate evidence orgs set acme --no-auto-collect"))
def set_org(
    org_id: OrgId,
    name: str = "",
    auto_collect: Collect = None,
    capture: Capture = None,
    retention_days: Days = None,
    as_json: Json = False,
) -> None:
    """Change settings of an org, for what is captured from now on."""
    from leadgate.cli.evidence_api import connect, part

    changes: dict[str, Any] = {
        "name": name or None,
        "autoCollect": auto_collect,
        "captureDisabled": None if capture is None else not capture,
    }
    given = {key: value for key, value in changes.items() if value is not None}
    if retention_days is not None:
        given["retentionDays"] = retention_days or None
    with connect() as service:
        org = service.send("PATCH", f"/orgs/{part(org_id)}", given)
    _show(org, f"org {org_id}: {', '.join(given) or 'nothing'} changed", as_json=as_json)


@domains.command("create", epilog=examples("leadgate evidence domains create acme www.example.com"))
def create_domain(org_id: OrgId, name: str, as_json: Json = False) -> None:
    """Add a domain of an org."""
    made = _post("/domains", {"orgId": org_id, "name": name})
    _show(made, f"domain {made['domain']}: {made['domainId']}", as_json=as_json)


@domains.command("list", epilog=examples("leadgate evidence domains list acme"))
def list_domains(org_id: OrgId, as_json: Json = False) -> None:
    """List the domains of an org."""
    found = _get(org_id, "domains")
    if as_json:
        printed(found)
        return
    rows = ([d["domainId"], d["domain"], moment(d["createdAt"])] for d in found["domains"])
    table(["id", "domain", "made"], rows)


@keys.command("create", epilog=examples("leadgate evidence keys create acme"))
def create_key(org_id: OrgId, as_json: Json = False) -> None:
    """Make a key and show it, once: only its hash is stored."""
    made = _post("/keys", {"orgId": org_id})
    _show(made, made["key"], as_json=as_json)
    remark("Keep it now: it is shown this once.")


@keys.command("list", epilog=examples("leadgate evidence keys list acme"))
def list_keys(org_id: OrgId, as_json: Json = False) -> None:
    """List the keys of an org, without their secrets."""
    found = _get(org_id, "keys")
    if as_json:
        printed(found)
        return
    rows = (
        [key["keyId"], moment(key["createdAt"]), moment(key.get("revokedAt"))]
        for key in found["keys"]
    )
    table(["key", "made", "ends"], rows)


@keys.command("rotate", epilog=examples("leadgate evidence keys rotate 3f2a9c01d4e7 --keep 24"))
def rotate_key(
    key_id: KeyId,
    keep: Annotated[float, typer.Option(min=0, max=720, help="Hours the old key is good.")] = 24,
    as_json: Json = False,
) -> None:
    """Make a key's successor and show it, once; the old one is good for a while."""
    body = {"keepMs": int(keep * 3600 * 1000)}
    made = _post(f"/keys/{_public(key_id)}/rotate", body)
    _show(made, made["key"], as_json=as_json)
    remark(
        f"Keep it now: it is shown this once. The old one ends {moment(made['oldKeyRevokedAt'])}."
    )


@keys.command("revoke", epilog=examples("leadgate evidence keys revoke 3f2a9c01d4e7"))
def revoke_key(key_id: KeyId, as_json: Json = False) -> None:
    """End a key at once."""
    done = _post(f"/keys/{_public(key_id)}/revoke", {})
    _show(done, f"key {done['keyId']}: revoked", as_json=as_json)


@clients.command("create", epilog=examples("leadgate evidence clients create acme"))
def create_client(
    org_id: OrgId,
    domain: Annotated[str, typer.Option(help="Good on this domain alone.")] = "",
    as_json: Json = False,
) -> None:
    """Make a client id: what `data-ec-cid` of the script tag says. It is no secret."""
    made = _post("/clients", {"orgId": org_id} | ({"domain": domain} if domain else {}))
    _show(made, made["clientId"], as_json=as_json)


@clients.command("disable", epilog=examples("leadgate evidence clients disable cid_0193b5d2"))
def disable_client(client_id: str, as_json: Json = False) -> None:
    """Switch a client id off, for good."""
    from leadgate.cli.evidence_api import part

    done = _post(f"/clients/{part(client_id)}/disable", {})
    _show(done, f"client id {client_id}: disabled", as_json=as_json)


def _post(path: str, body: dict[str, Any]) -> dict[str, Any]:
    from leadgate.cli.evidence_api import connect

    with connect() as service:
        return service.post(path, body)


def _get(org_id: str, what: str) -> dict[str, Any]:
    from leadgate.cli.evidence_api import connect, part

    with connect() as service:
        return service.get(f"/orgs/{part(org_id)}/{what}")


def _public(key_id: str) -> str:
    from leadgate.cli.evidence_api import part

    # Whoever pastes a whole key must not find its secret in a log.
    return part(key_id.partition(".")[0])


def _show(data: dict[str, Any], sentence: str, *, as_json: bool) -> None:
    if as_json:
        printed(data)
    else:
        say(sentence)


def _row(org: dict[str, Any]) -> list[str]:
    return [
        org["orgId"],
        org["name"],
        yes(org["autoCollect"]),
        yes(not org["captureDisabled"]),
        str(org["retentionDays"] or "default"),
        moment(org["createdAt"]),
    ]
