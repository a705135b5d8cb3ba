"""The report: a table for people and JSON for machines."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.figures import GOALS, Result


def show(console: Console, machine: Mapping[str, str], results: Sequence[Result]) -> None:
    """Prints the machine and a line for each figure."""
    console.print()
    for name, value in machine.items():
        console.print(f"[dim]{name:>14}[/]  {value}", highlight=False)
    table = Table(show_lines=True)
    for title in ("figure", "measured (medians)"):
        table.add_column(title)
    for title in ("value", "goal"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("")
    for result in results:
        verdict = "[green]pass[/]" if result.reached else "[red]FAIL[/]"
        parts = "\n".join(map(str, result.series))
        value = f"{result.value:.2f}{result.goal.unit}"
        table.add_row(result.goal.title, parts, value, str(result.goal), verdict)
    console.print(table)


def write(file: Path, machine: Mapping[str, str], results: Sequence[Result]) -> None:
    """Writes everything, with each round, to a JSON file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    report = {"machine": dict(machine), "figures": [_plain(result) for result in results]}
    file.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n")


def _plain(result: Result) -> dict[str, object]:
    goal = GOALS[result.figure]
    return {
        "figure": result.figure.value,
        "title": goal.title,
        "value": result.value,
        "goal": str(goal),
        "reached": result.reached,
        "series": [
            {"name": one.name, "unit": one.unit, "median": one.median, "rounds": one.values}
            for one in result.series
        ],
    }
