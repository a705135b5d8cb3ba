"""The wire contract: generated code is fresh, the protos are clean and can only grow."""

from __future__ import annotations

import filecmp
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from scripts import buf

ROOT = Path(__file__).resolve().parents[2]
GENERATED = ROOT / "leadgate" / "v1"


def test_generated_code_is_what_the_protos_say(tmp_path: Path) -> None:
    """Generating again gives the committed files, byte by byte."""
    script = ROOT / "scripts" / "gen_protos.py"
    subprocess.run([sys.executable, script, "--output", tmp_path], check=True)
    fresh = {file.name for file in (tmp_path / "leadgate" / "v1").iterdir()}
    committed = {file.name for file in GENERATED.iterdir() if file.is_file()}
    assert fresh == committed
    _, changed, unread = filecmp.cmpfiles(
        tmp_path / "leadgate" / "v1", GENERATED, fresh, shallow=False
    )
    assert (changed, unread) == ([], [])


def test_floors_of_the_generated_code_are_our_floors() -> None:
    """No user is let run on a grpcio or protobuf that the generated code refuses."""
    floors = {
        "grpcio": re.search(r"GENERATED_VERSION = '([\d.]+)'", _generated("lead_service_pb2_grpc")),
        "protobuf": re.search(r"Protobuf Python Version: ([\d.]+)", _generated("lead_pb2")),
    }
    for name, found in floors.items():
        assert found, name
        version = found[1].removesuffix(".0") if name == "grpcio" else found[1]
        assert f">={version}" in str(_requirement(name).specifier)


def test_the_protos_are_clean(capfd: pytest.CaptureFixture[str]) -> None:
    """Nothing is found against buf's STANDARD rules."""
    assert buf.lint() == 0, capfd.readouterr()


def test_a_badly_named_field_is_found(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The check above can fail: a field in camel case is refused."""
    protos = _changed(tmp_path, r"string lead_id = ", "string leadId = ")
    assert buf.lint(protos) != 0
    assert "leadId" in capfd.readouterr().out


def test_a_renumbered_field_breaks_readers(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """`make breaking` refuses a change that old readers cannot read, and only that."""
    protos = _changed(tmp_path, r"string lead_id = \d+", "string lead_id = 999")
    assert buf.breaking(ROOT / "protos") == 0
    assert buf.breaking(ROOT / "protos", protos) != 0
    assert '"lead_id"' in capfd.readouterr().out


def test_the_compiler_is_pinned_to_the_floor() -> None:
    """A newer compiler would force a newer grpcio on every user, so it is named exactly."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (compiler,) = project["optional-dependencies"]["proto"]
    floor = next(iter(_requirement("grpcio").specifier)).version
    assert compiler == f"grpcio-tools=={floor}.0"


def _generated(module: str) -> str:
    return (GENERATED / f"{module}.py").read_text()


def _requirement(name: str) -> Requirement:
    """What the project asks for of a package, without extras."""
    found = [Requirement(text) for text in requires("leadgate") or []]
    return next(item for item in found if item.name == name and item.marker is None)


def _changed(target: Path, pattern: str, replacement: str) -> Path:
    """A copy of the protos in which the first match of a pattern is replaced."""
    protos = target / "protos"
    shutil.copytree(ROOT / "protos", protos)
    for file in sorted(protos.rglob("*.proto")):
        text, count = re.subn(pattern, replacement, file.read_text(), count=1)
        if count:
            file.write_text(text)
            return protos
    pytest.fail(f"no proto matches {pattern}")
