"""README and docs say what the code does: settings, exit codes, proofs, commands, links."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from leadgate.cli.app import app
from leadgate.process import ExitCode
from scripts import settings_table

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_the_settings_table_is_what_the_code_says() -> None:
    """`python scripts/settings_table.py` brings it up to date."""
    assert settings_table.updated(README) == README


def test_every_exit_code_is_listed() -> None:
    """With its number and its name."""
    listed = dict(re.findall(r"^\| (\d+) \| `(\w+)` \|", README, re.MULTILINE))
    assert listed == {str(int(code)): code.name for code in ExitCode}


def test_every_guarantee_names_tests_that_exist() -> None:
    """Each by file and function; a promise without a proof is not made."""
    guarantees = README.partition("## Guarantees")[2].partition("\n## ")[0]
    items = re.split(r"^\d+\. ", guarantees, flags=re.MULTILINE)[1:]
    assert len(items) >= 9
    for item in items:
        proofs = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", item)
        assert proofs, f"no proof: {item[:60]}"
        for path, name in proofs:
            source = (ROOT / path).read_text(encoding="utf-8")
            assert re.search(rf"def {name}\b", source), f"{path} has no {name}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link names a file of the project."""
    for target in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_of_the_docs_exist(page: Path) -> None:
    """Each `leadgate …` of a shell block is a command, with the options it names."""
    blocks = re.findall(r"```(?:sh|console)\n(.*?)```", page.read_text(encoding="utf-8"), re.S)
    for line in "\n".join(blocks).splitlines():
        if not (found := re.search(r"(?:^|[ (])leadgate ((?:[a-z]+ ?){1,2})(.*)", line)):
            continue
        words = found[1].split()
        shown = CliRunner().invoke(app, [*words, "--help"])
        if shown.exit_code:
            words, shown = words[:1], CliRunner().invoke(app, [words[0], "--help"])
        assert shown.exit_code == 0, line
        for option in re.findall(r"(--[a-z-]+)", found[2]):
            assert option in shown.stdout, f"{words} has no {option}: {line}"


def test_every_warning_and_error_of_the_log_is_explained() -> None:
    """docs/operations.md says of each what it means and what to do."""
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    assert [event for event in alarms() if event.partition(";")[0] not in page] == []


def alarms() -> Iterator[str]:
    """The text of every event that the services log as a warning or worse."""
    for part in ("gateway", "consumers", "evidence", "leadgate"):
        for module in (ROOT / part).rglob("*.py"):
            for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
                match node:
                    case (
                        ast.Call(
                            func=ast.Attribute(
                                value=ast.Name(id="log" | "_log"),
                                attr="warning" | "error" | "exception" | "critical",
                            ),
                            args=[ast.Constant(value=str(event)), *_],
                        )
                        | ast.Call(
                            func=ast.Attribute(attr="_complain"),
                            args=[ast.Constant(value=str(event)), *_],
                        )
                    ):
                        yield event


def test_make_has_the_two_commands() -> None:
    """`make demo` and `make test`, as the first screen says."""
    listed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "make demo" in listed.stdout
    assert "make test" in listed.stdout
