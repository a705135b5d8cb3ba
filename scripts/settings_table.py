"""Writes README's settings table from the code: every variable, its default, its meaning.

`python scripts/settings_table.py` rewrites the table; with `--check` it writes nothing,
and its exit code is 1 where the table is not what the code says.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from consumers.settings import ConsumerSettings
from evidence.settings import EvidenceSettings
from gateway.settings import GatewaySettings
from leadgate.cli.evidence_api import EvidenceClientSettings
from leadgate.cli.settings import ClientSettings
from leadgate.settings import Settings, rows

README = Path(__file__).resolve().parent.parent / "README.md"
BEGIN = "<!-- settings: written by scripts/settings_table.py -->\n"
END = "<!-- settings: end -->\n"

PARTS: dict[str, type[Settings]] = {
    "Gateway, `python -m gateway`": GatewaySettings,
    "Consumer, `python -m consumers`": ConsumerSettings,
    "Evidence service, `python -m evidence`": EvidenceSettings,
    "The `leadgate` command": ClientSettings,
    "`leadgate evidence`": EvidenceClientSettings,
}


def table() -> str:
    """The tables of all parts, in Markdown."""
    return "\n".join(_part(title, kind) for title, kind in PARTS.items())


def updated(readme: str) -> str:
    """The README with the tables as the code has them. Raises ValueError without marks."""
    before, mark, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not mark or not end:
        raise ValueError(f"README.md has no {BEGIN.strip()} … {END.strip()}")
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


def _part(title: str, kind: type[Settings]) -> str:
    lines = [f"**{title}**", "", "| variable | default | meaning |", "| --- | --- | --- |"]
    for name, default, meaning in rows(kind):
        cell = default if default in ("", "required") else f"`{default}`"
        lines.append(f"| `{name}` | {cell} | {meaning.replace('|', chr(92) + '|')} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description="Writes README's settings table.")
    parser.add_argument("--check", action="store_true", help="compare, and write nothing")
    arguments = parser.parse_args()
    readme = README.read_text(encoding="utf-8")
    wanted = updated(readme)
    if arguments.check:
        return int(wanted != readme)
    README.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
