"""`leadgate generators`: who submits leads, and pausing them."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from leadgate.cli.output import Json, document, examples, line, say, table

app = typer.Typer(help="Generators. Needs an operator's key.", no_args_is_help=True)

GeneratorId = Annotated[str, typer.Argument(help="The generator.")]


@app.command("list", epilog=examples("leadgate generators list"))
def list_generators(as_json: Json = False) -> None:
    """List generators."""
    from leadgate.cli.connection import connect
    from leadgate.cli.paging import paged
    from leadgate.v1 import admin_service_pb2 as admin

    request = admin.ListGeneratorsRequest()
    with connect() as gateway:
        generators = list(paged(gateway.admin.ListGenerators, request, "generators"))
    if as_json:
        for generator in generators:
            line(generator)
        return
    table(
        ["generator", "paused"],
        ([item.generator_id, "paused" if item.paused else ""] for item in generators),
    )


@app.command(epilog=examples("leadgate generators pause acme-forms"))
def pause(generator_id: GeneratorId, as_json: Json = False) -> None:
    """Answer a generator's new submissions with REJECTED."""
    from leadgate.cli.connection import connect
    from leadgate.v1 import admin_service_pb2 as admin

    request = admin.PauseGeneratorRequest(generator_id=generator_id)
    with connect() as gateway:
        answer = gateway.admin.PauseGenerator(request)
    _changed(answer.generator, "paused", as_json)


@app.command(epilog=examples("leadgate generators resume acme-forms"))
def resume(generator_id: GeneratorId, as_json: Json = False) -> None:
    """Take a generator's submissions again."""
    from leadgate.cli.connection import connect
    from leadgate.v1 import admin_service_pb2 as admin

    request = admin.ResumeGeneratorRequest(generator_id=generator_id)
    with connect() as gateway:
        answer = gateway.admin.ResumeGenerator(request)
    _changed(answer.generator, "resumed", as_json)


def _changed(generator: Any, what: str, as_json: bool) -> None:
    if as_json:
        document(generator)
    else:
        say(f"generator {generator.generator_id}: {what}")
