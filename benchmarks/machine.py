"""What a run was measured on: hardware and versions."""

from __future__ import annotations

import os
import platform
import re
import sqlite3
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks.programs import ROOT
from scripts import kafka

_PACKAGES = ("grpcio", "protobuf", "uvloop", "aiokafka", "sqlalchemy", "httpx-aiohttp", "aiohttp")


def described(directory: Path) -> dict[str, str]:
    """The machine, by what a line is about. `directory` is where the ledgers are."""
    return {
        "processor": f"{_cpu()}, {os.cpu_count()} cores",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 1e9:.0f} GB",
        "disk": _file_system(directory),
        "system": platform.platform(),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "kafka": kafka.version(),
        **{name: _version(name) for name in _PACKAGES},
        "leadgate": _commit(),
    }


def _cpu() -> str:
    found = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
    return found[1] if found else platform.machine()


def _file_system(directory: Path) -> str:
    command = ["df", "--output=fstype", str(directory)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.split()[-1]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or _version("leadgate")
