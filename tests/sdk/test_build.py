"""The committed script is what its sources build to, and small."""

from __future__ import annotations

import base64
import gzip
import hashlib
import subprocess
from pathlib import Path

import pytest

from tests import needs
from tests.sdk.service import SDK

SOURCES = Path(__file__).parents[2] / "sdk"
MOST_BYTES = 45_000


@pytest.fixture(scope="module")
def npm() -> str:
    """npm, with the packages of the lock file installed."""
    command = needs.tool("npm")
    if not (SOURCES / "node_modules" / ".package-lock.json").exists():
        run(command, "ci")
    return command


@pytest.mark.timeout(300)
def test_the_committed_script_is_built_from_its_sources(npm: str, tmp_path: Path) -> None:
    """Byte for byte; `make sdk` builds it anew."""
    built = tmp_path / "sdk.js"
    run(npm, "run", "build", "--", str(built))
    assert built.read_bytes() == SDK.read_bytes(), "evidence/static/sdk.js is stale: run `make sdk`"


@pytest.mark.timeout(300)
def test_the_sources_keep_their_types(npm: str) -> None:
    """TypeScript, strict; the shipped declarations included."""
    run(npm, "run", "typecheck")


def test_the_script_is_small() -> None:
    """At most 45 KB as a browser loads it; prints what an integrator pins."""
    script = SDK.read_bytes()
    packed = len(gzip.compress(script, 9))
    digest = base64.b64encode(hashlib.sha384(script).digest()).decode()
    print(f"sdk.js: {packed} bytes gzip, integrity sha384-{digest}")
    assert packed <= MOST_BYTES


def test_the_script_evaluates_nothing() -> None:
    """No eval, no Function, no import: a strict policy allows it."""
    script = SDK.read_text()
    for word in ("eval(", "new Function", "import(", "importScripts", ".innerHTML"):
        assert word not in script


def test_the_lock_file_names_no_registry() -> None:
    """Versions and hashes are enough."""
    assert '"resolved"' not in (SOURCES / "package-lock.json").read_text()


def run(*command: str) -> None:
    """Runs a command in sdk/; its output is the message of a failure."""
    done = subprocess.run(command, cwd=SOURCES, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
