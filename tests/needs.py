"""What a test needs of the machine: at a desk its absence skips, with `CI` set it fails."""

from __future__ import annotations

import os
import shutil
from typing import NoReturn

import pytest


def tool(name: str) -> str:
    """The path of a command such as `kcat`; without it the test ends here."""
    return shutil.which(name) or missing(f"`{name}` is not installed")


def missing(reason: str) -> NoReturn:
    """Ends the test: skipped at a desk, failed where everything is promised to be there."""
    if os.environ.get("CI", "").lower() in ("", "0", "false"):
        pytest.skip(reason)
    pytest.fail(reason, pytrace=False)
