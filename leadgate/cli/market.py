"""`leadgate apply`: bring the market in line with a YAML file."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from leadgate.cli.output import Json, document, examples, say

EXAMPLES = examples(
    "leadgate apply market.yaml --dry-run",
    "SOLAR_ONE_KEY=… leadgate apply market.yaml",
)


def apply(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The market.")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would change; change nothing.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Set up generators, buyers, evidence hosts and keys; a second time changes nothing.

    The values of `{env: NAME}` references are read from your environment and sent along.
    Every mistake is listed with its line, and nothing is applied.
    """
    from leadgate.cli.connection import connect
    from leadgate.v1 import admin_service_pb2 as admin

    text = file.read_text(encoding="utf-8")
    request = admin.ApplyMarketRequest(
        yaml=text, environment=values_for(text, os.environ), dry_run=dry_run
    )
    with _mistakes_are_settings(), connect() as gateway:
        answer = gateway.admin.ApplyMarket(request)
    if as_json:
        document(answer)
        return
    for change in answer.changes:
        say(change)
    if not answer.changes:
        say("nothing would change" if dry_run else "nothing changed")


def values_for(text: str, environment: Mapping[str, str]) -> dict[str, str]:
    """The values the document's `{env: NAME}` references ask for, where they are set.

    Nothing else of the environment leaves the machine. What is not YAML has no
    references: the gateway says what is wrong with it, and on which line.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        document = YAML(typ="safe", pure=True).load(text)
    except YAMLError:
        return {}
    return {name: environment[name] for name in _references(document) if environment.get(name)}


def _references(document: Any) -> Iterator[str]:
    for section in ("generators", "buyers"):
        for entry in _items(document, section):
            for key in _items(entry, "keys"):
                name = key.get("env") if isinstance(key, dict) else None
                if isinstance(name, str):
                    yield name


def _items(node: Any, name: str) -> list[Any]:
    items = node.get(name) if isinstance(node, dict) else None
    return items if isinstance(items, list) else []


@contextmanager
def _mistakes_are_settings() -> Iterator[None]:
    """Gives a market that is refused the exit code of settings that cannot be used."""
    from leadgate.cli.refusal import Refused
    from leadgate.process import ExitCode

    try:
        yield
    except Refused as refused:
        if refused.exit_code is ExitCode.USAGE:
            refused.exit_code = ExitCode.SETTINGS
        raise
