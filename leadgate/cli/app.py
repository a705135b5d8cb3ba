"""The command line itself: every command by name, and how a refusal ends it."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from leadgate.cli import (
    buyers,
    deliveries,
    demo,
    evidence,
    generators,
    keys,
    leads,
    market,
    submit,
    watch,
)
from leadgate.cli.output import Json, examples


class Commands(TyperGroup):
    """Ends a command that was refused with what to do, on stderr, and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Runs the command."""
        try:
            return super().invoke(ctx)
        except Exception as error:
            # Imported here: `--help` and `--version` need no gRPC.
            from leadgate.cli.refusal import Refused

            if not isinstance(error, Refused):
                raise
            first, *more = error.lines
            typer.echo("\n".join([f"error: {first}", *more]), err=True)
            raise typer.Exit(error.exit_code) from None


app = typer.Typer(
    cls=Commands,
    help="Leads with their consent evidence, from those who capture them to those who buy them. "
    "LEADGATE_GATEWAY says where the gateway is, LEADGATE_API_KEY who is calling.",
    epilog=examples("leadgate demo", "leadgate apply market.yaml", "leadgate submit leads.jsonl"),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)

app.command("demo", epilog=demo.EXAMPLES)(demo.run)
app.command("apply", epilog=market.EXAMPLES)(market.apply)
app.command("submit", epilog=submit.EXAMPLES)(submit.submit)
app.command("watch", epilog=watch.EXAMPLES)(watch.watch)
app.add_typer(leads.app, name="leads")
app.add_typer(deliveries.app, name="deliveries")
app.add_typer(buyers.app, name="buyers")
app.add_typer(generators.app, name="generators")
app.add_typer(keys.app, name="keys")
app.add_typer(evidence.app, name="evidence")


@app.callback(invoke_without_command=True)
def leadgate(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Answers `--version`; everything else is a command's work."""
    if version:
        from importlib.metadata import version as version_of

        typer.echo(f"leadgate {version_of('leadgate')}")
        raise typer.Exit


@app.command(epilog=examples("leadgate health", "leadgate health --wait 30"))
def health(
    service: Annotated[str, typer.Option(help="Ask for one service; all of them if unset.")] = "",
    wait: Annotated[
        float, typer.Option(min=0, help="Seconds to wait for a gateway that is starting.")
    ] = 0,
    as_json: Json = False,
) -> None:
    """Ask whether the gateway serves: exit code 0, or 69. Needs no key."""
    import json

    from leadgate.cli.connection import is_serving
    from leadgate.process import ExitCode

    serving = is_serving(service, wait)
    word = "SERVING" if serving else "NOT_SERVING"
    typer.echo(json.dumps({"status": word}) if as_json else word.lower().replace("_", " "))
    if not serving:
        raise typer.Exit(ExitCode.UNAVAILABLE)
