"""`leadgate keys`: make, list and revoke API keys."""

from __future__ import annotations

from typing import Annotated

import typer

from leadgate.cli.arguments import number_of
from leadgate.cli.output import Json, document, examples, line, moment, remark, say, state, table

app = typer.Typer(help="API keys. All but `mint` need an operator's key.", no_args_is_help=True)

Role = Annotated[str, typer.Option(help="generator, buyer or operator.")]
Subject = Annotated[str, typer.Option(help="The generator or buyer.")]


@app.command(
    epilog=examples("leadgate keys mint", "export LEADGATE_OPERATOR_KEY=$(leadgate keys mint)")
)
def mint(as_json: Json = False) -> None:
    """Make up a key without asking the gateway: for LEADGATE_OPERATOR_KEY and market.yaml.

    It works once a gateway was told of it.
    """
    import json

    from leadgate.keys import mint as mint_key

    key = mint_key()
    say(json.dumps({"keyId": key.key_id, "secret": str(key)}) if as_json else str(key))


@app.command(
    epilog=examples(
        "leadgate keys create generator acme-forms",
        "leadgate keys create operator",
        "leadgate keys create buyer solar-one --json",
    )
)
def create(
    role: Annotated[str, typer.Argument(help="generator, buyer or operator.")],
    subject: Annotated[
        str, typer.Argument(help="The generator or buyer it is for; none for an operator.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Make a key and show it, once: only its hash is stored."""
    from leadgate.cli.connection import connect
    from leadgate.v1 import admin_service_pb2 as admin
    from leadgate.v1 import market_pb2 as market

    number = number_of(market.Role, "ROLE_", role, "ROLE")
    with connect() as gateway:
        answer = gateway.admin.CreateApiKey(admin.CreateApiKeyRequest(role=number, subject=subject))
    if as_json:
        document(answer)
        return
    say(answer.secret)
    remark("Keep it now: it is shown this once.")


@app.command(epilog=examples("leadgate keys revoke 3f2a9c01d4e7"))
def revoke(
    key_id: Annotated[str, typer.Argument(help="The part of the key before the dot.")],
    as_json: Json = False,
) -> None:
    """End a key at once."""
    from leadgate.cli.connection import connect
    from leadgate.v1 import admin_service_pb2 as admin

    # Whoever pastes a whole key must not find its secret in the gateway's logs.
    public = key_id.partition(".")[0]
    with connect() as gateway:
        answer = gateway.admin.RevokeApiKey(admin.RevokeApiKeyRequest(key_id=public))
    if as_json:
        document(answer.api_key)
    else:
        say(f"key {answer.api_key.key_id}: revoked {moment(answer.api_key.revoke_time)}")


@app.command("list", epilog=examples("leadgate keys list", "leadgate keys list --role buyer"))
def list_keys(role: Role = "", subject: Subject = "", as_json: Json = False) -> None:
    """List keys, without their secrets."""
    from leadgate.cli.connection import connect
    from leadgate.cli.paging import paged
    from leadgate.v1 import admin_service_pb2 as admin
    from leadgate.v1 import market_pb2 as market

    number = number_of(market.Role, "ROLE_", role, "--role")
    request = admin.ListApiKeysRequest(role=number, subject=subject)
    with connect() as gateway:
        keys = list(paged(gateway.admin.ListApiKeys, request, "api_keys"))
    if as_json:
        for key in keys:
            line(key)
        return
    table(
        ["key", "role", "of", "made", "revoked"],
        (
            [
                key.key_id,
                state(market.Role, key.role).lower(),
                key.subject,
                moment(key.create_time),
                moment(key.revoke_time),
            ]
            for key in keys
        ),
    )
