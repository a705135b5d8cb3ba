"""`leadgate demo`: a whole market on this machine, and a check of everything it promises."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from leadgate.cli.output import Json, examples

EXAMPLES = examples(
    "leadgate demo",
    "leadgate demo --keep",
    "LEADGATE_KAFKA_BOOTSTRAP=127.0.0.1:9092 leadgate demo --leads 500",
)


def run(
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave it running until Ctrl-C, with things to try.")
    ] = False,
    leads: Annotated[
        int, typer.Option(min=4, max=5_000, help="How many ordinary leads to submit.")
    ] = 40,
    patience: Annotated[
        float, typer.Option(min=1, help="Seconds that deliveries may take to settle.")
    ] = 60.0,
    folder: Annotated[
        Path | None,
        typer.Option(
            help="Where databases and logs go, and stay: a folder that is new or empty. If "
            "unset: ./.demo with --keep, else a temporary one that goes after success."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Start evidence, gateway and two buyers, submit leads, and show what became of each.

    Everything runs on this machine, as real processes, on free ports, with keys made for
    this run. Over Kafka where LEADGATE_KAFKA_BOOTSTRAP names a broker. Exit code 0 only
    if every lead fared as it should.
    """
    from leadgate.cli.demo.director import Wishes, direct

    raise typer.Exit(direct(Wishes(keep, leads, patience, folder, as_json)))
