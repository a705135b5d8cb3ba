"""Runs `buf` over the wire contract, with the one outside proto it imports at hand.

    python scripts/buf.py lint
    python scripts/buf.py breaking [REVISION]    against HEAD by default

buf wants the whole contract as one workspace. `google/rpc/*.proto` comes from the
wheel `googleapis-common-protos`, so nothing is fetched.
"""

from __future__ import annotations

import argparse
import io
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import google.rpc.status_pb2

ROOT = Path(__file__).resolve().parent.parent
# Beside this interpreter, where pip puts it, even if its folder is not on PATH.
BUF = Path(sys.executable).parent / "buf"
_WORKSPACE = """\
version: v2
modules:
  - path: protos
  - path: google
    lint: {ignore: [google]}
    breaking: {ignore: [google]}
"""


def lint(protos: Path = ROOT / "protos") -> int:
    """Checks a contract's style; prints what is wrong and returns buf's exit code."""
    with tempfile.TemporaryDirectory() as scratch:
        return _buf("lint", _workspace(protos, Path(scratch)))


def breaking(old: Path, new: Path = ROOT / "protos") -> int:
    """Checks that readers of `old` understand `new`; returns buf's exit code."""
    with tempfile.TemporaryDirectory() as before, tempfile.TemporaryDirectory() as after:
        against = _workspace(old, Path(before))
        return _buf("breaking", _workspace(new, Path(after)), "--against", str(against))


def at_revision(revision: str, target: Path) -> Path:
    """Writes `protos/` as it was at a revision of git below `target`; returns its folder."""
    command = ["git", "archive", revision, "protos"]
    archive = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(target, filter="data")
    return target / "protos"


def _workspace(protos: Path, target: Path) -> Path:
    """Lays the contract and the protos it imports out as buf wants them."""
    shutil.copytree(protos, target / "protos")
    google_rpc = Path(google.rpc.status_pb2.__file__).parent
    for proto in google_rpc.glob("*.proto"):
        copy = target / "google" / "google" / "rpc" / proto.name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(proto, copy)
    rules = (protos / "buf.yaml").read_text().replace("version: v2\n", "")
    (target / "protos" / "buf.yaml").unlink()
    (target / "buf.yaml").write_text(_WORKSPACE + rules)
    return target


def _buf(command: str, workspace: Path, *arguments: str) -> int:
    return subprocess.run([BUF, command, workspace, *arguments], check=False).returncode


def main() -> int:
    """Runs the command line; the exit code is buf's."""
    parser = argparse.ArgumentParser(description="Checks the wire contract with buf.")
    parser.add_argument("command", choices=("lint", "breaking"))
    parser.add_argument("revision", nargs="?", default="HEAD")
    arguments = parser.parse_args()
    if arguments.command == "lint":
        return lint()
    with tempfile.TemporaryDirectory() as scratch:
        return breaking(at_revision(arguments.revision, Path(scratch)))


if __name__ == "__main__":
    sys.exit(main())
