"""The rules of the house that a machine can hold."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BINARIES = Path(sys.executable).parent

REGISTRIES = (
    r"pypi\.org|pythonhosted\.org|repo1?\.maven|maven\.org|npmjs|proxy\.golang\.org"
    r"|crates\.io|rubygems|docker\.io|index-url"
)
MACHINE_PATHS = r"(?<![\w.{$/-])/(?:home|Users|root|work|mnt)/\w"


def test_imports_keep_to_their_rooms() -> None:
    """The contracts in pyproject.toml hold: `lint-imports` finds nothing."""
    done = subprocess.run(
        [BINARIES / "lint-imports", "--no-logo", "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(("what", "pattern"), [("host", REGISTRIES), ("path", MACHINE_PATHS)])
def test_the_project_stands_alone(what: str, pattern: str) -> None:
    """No file names a package registry's host or a place on somebody's machine."""
    found = [
        f"{file}:{number}: {line.strip()}"
        for file in _tracked()
        if file != Path(__file__).resolve()
        for number, line in _lines(file)
        if re.search(pattern, line)
    ]
    assert not found, f"a {what} is named in:\n" + "\n".join(found)


def test_dependencies_say_why_they_are_there() -> None:
    """Beside every dependency of the services stands one line with its reason."""
    text = (ROOT / "pyproject.toml").read_text().split("\ndev = [")[0]
    bare = [line for line in re.findall(r'^    "[^"]+",.*$', text, re.MULTILINE) if "#" not in line]
    assert [line for line in bare if "leadgate[" not in line] == []


def test_constraints_pin_every_direct_dependency() -> None:
    """A fresh set-up installs the versions that were tested, of everything we name."""
    pinned = re.findall(r"^([\w.-]+)==", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    project = (ROOT / "pyproject.toml").read_text().split("[project.scripts]")[0]
    named = re.findall(r'^    "([\w.-]+)[^"]*"', project, re.MULTILINE)
    missing = {_normal(name) for name in named} - {_normal(name) for name in pinned}
    assert missing - {"leadgate"} == set()


@pytest.mark.parametrize("file", ["scripts/gen_protos.py", "scripts/buf.py", "scripts/kafka.py"])
def test_scripts_explain_themselves(file: str) -> None:
    """`--help` of every script works from any folder."""
    done = subprocess.run(
        [sys.executable, ROOT / file, "--help"], cwd="/", capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_make_help_names_every_recipe() -> None:
    """`make help` lists all that the Makefile offers."""
    done = subprocess.run(
        ["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True, env=_quiet()
    )
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert phony
    assert {line.split()[1] for line in done.stdout.splitlines()} == set(phony[1].split())


def _quiet() -> dict[str, str]:
    """The environment without what an outer `make` hands down."""
    return {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}


def _tracked() -> list[Path]:
    names = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True
    ).stdout
    files = [ROOT / name for name in names.split("\0") if name]
    return [file for file in files if file.is_file()]


def _lines(file: Path) -> list[tuple[int, str]]:
    try:
        return list(enumerate(file.read_text().splitlines(), 1))
    except UnicodeDecodeError:
        return []


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
