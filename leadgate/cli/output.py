"""What commands print: JSON for scripts on stdout, tables for people, remarks on stderr."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from datetime import UTC
from typing import Annotated, Any

import typer

Json = Annotated[
    bool, typer.Option("--json", help="Print JSON (the proto3 JSON mapping) for scripts.")
]

_STYLES = {
    "DELIVERED": "green",
    "AWAITING_EVIDENCE": "cyan",
    "PENDING": "cyan",
    "PUBLISHED": "cyan",
    "IN_PROGRESS": "cyan",
    "PARTIALLY_DELIVERED": "yellow",
    "NOT_DELIVERED": "red",
    "REJECTED": "yellow",
    "BUYER_REJECTED": "yellow",
    "FAILED": "red",
}


def examples(*lines: str) -> str:
    """The end of a command's help: lines a person can copy."""
    return "  \n".join(["Examples:", *(f"`{line}`" for line in lines)])


def document(message: Any) -> None:
    """Prints one message as an indented JSON document."""
    from google.protobuf.json_format import MessageToJson

    sys.stdout.write(MessageToJson(message, ensure_ascii=False) + "\n")


def line(message: Any) -> None:
    """Prints one message as a line of JSON, at once: somebody may be reading along."""
    from google.protobuf.json_format import MessageToJson

    sys.stdout.write(MessageToJson(message, indent=None, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def say(text: str) -> None:
    """Prints one line for a person."""
    console().print(text, markup=False, highlight=False, soft_wrap=True)


def remark(text: str) -> None:
    """Prints one line on stderr, where it does not disturb what is piped on."""
    sys.stderr.write(text + "\n")


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Prints rows under headings; states are coloured on a terminal."""
    from rich.table import Table
    from rich.text import Text

    grid = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        grid.add_row(*(Text(cell, style=_STYLES.get(cell, ""), overflow="fold") for cell in row))
    console().print(grid)


def console() -> Any:
    """Where people read: as wide as the terminal, or as the content where it is piped."""
    from rich.console import Console

    return Console() if sys.stdout.isatty() else Console(width=400)


def state(enum: Any, number: int) -> str:
    """The name of an enum value without its prefix, such as `DELIVERED`."""
    try:
        name = str(enum.Name(number))
    except ValueError:
        return str(number)  # of a newer gateway
    return name.removeprefix(_prefix(enum.DESCRIPTOR.name))


def moment(timestamp: Any) -> str:
    """A timestamp as a person reads it, in UTC to the second; empty where unset."""
    if not timestamp.ByteSize():
        return ""
    return f"{timestamp.ToDatetime(tzinfo=UTC):%Y-%m-%d %H:%M:%S}Z"


def _prefix(enum_name: str) -> str:
    snake = "".join(f"_{letter}" if letter.isupper() else letter for letter in enum_name)
    return snake.strip("_").upper() + "_"
