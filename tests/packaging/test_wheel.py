"""The built wheel, as users install it: each part alone, with what it needs and no more."""

from __future__ import annotations

import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("leadgate", "gateway", "consumers", "evidence")

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of what git knows and what is new beside it."""
    source = tmp_path_factory.mktemp("source")
    for name in _files("--cached", "--others", "--exclude-standard"):
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation"]
    _run(*command, "--wheel-dir", source / "dist", source)
    (built,) = (source / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def buyer(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a buyer's machine: the wheel without extras."""
    return _installed(tmp_path_factory.mktemp("buyer"), str(wheel))


@pytest.fixture(scope="module")
def operator(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an operator's machine: the wheel with every service."""
    return _installed(tmp_path_factory.mktemp("operator"), f"{wheel}[all]")


def test_the_wheel_holds_every_file_of_the_packages(wheel: Path) -> None:
    """Nothing a package reads at run time, such as migrations and templates, is left out.

    Pages for people, such as a README, stay behind.
    """
    with zipfile.ZipFile(wheel) as archive:
        inside = set(archive.namelist())
    ours = {name for name in _files("--cached") if name.split("/")[0] in PACKAGES}
    wanted = {name for name in ours if (ROOT / name).is_file() and not name.endswith(".md")}
    assert wanted - inside == set()
    assert not {name for name in inside if name.startswith(("tests", "scripts", "benchmarks"))}


def test_a_buyer_gets_no_database_library(buyer: Path) -> None:
    """The consumer library imports on a plain installation, which has no SQLAlchemy."""
    program = """
import importlib.util, consumers, leadgate.share_url
assert "site-packages" in consumers.__file__, consumers.__file__
assert not importlib.util.find_spec("sqlalchemy")
assert not importlib.util.find_spec("alembic")
"""
    _run(buyer, "-I", "-c", program)


def test_the_command_explains_itself_on_a_plain_installation(buyer: Path) -> None:
    """`leadgate --help` needs no extras."""
    assert "Usage" in _run(buyer.parent / "leadgate", "--help").stdout


@pytest.mark.parametrize("part", ["gateway", "evidence", "consumers"])
def test_a_part_starts_and_names_its_bad_settings(operator: Path, part: str) -> None:
    """Settings that cannot be used are all named at once, and the exit code says so."""
    bad = {
        "LEADGATE_LISTEN": "nowhere",
        "LEADGATE_EVIDENCE_LISTEN": "nowhere",
        "LEADGATE_EVIDENCE_HOSTS": "http://not a host",
    }
    done = _run(operator, "-I", "-m", part, env=bad, codes=(78,))
    assert "settings refused" in done.stderr


def _installed(target: Path, *packages: str) -> Path:
    """Makes a virtual environment with these packages; returns its interpreter."""
    venv.create(target, with_pip=False)
    pip: list[str | Path] = [sys.executable, "-m", "pip", "--python", target / "bin" / "python"]
    constraints: list[str | Path] = ["-c", ROOT / "constraints.txt"]
    _run(*pip, "install", "-q", "--no-compile", *constraints, *packages)
    return target / "bin" / "python"


def _files(*which: str) -> list[str]:
    """Names of the checkout's files, relative to its root."""
    listed = _run("git", "ls-files", "-z", *which).stdout
    return [name for name in listed.split("\0") if name]


def _run(
    *command: str | Path, env: dict[str, str] | None = None, codes: tuple[int, ...] = (0,)
) -> subprocess.CompletedProcess[str]:
    """Runs a command in the checkout and asserts how it ends."""
    done = subprocess.run(
        command, cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=240
    )
    assert done.returncode in codes, done.stdout + done.stderr
    return done
