"""What `leadgate evidence …` prints of the service's answers."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any


def printed(data: Mapping[str, Any], *, as_line: bool = False) -> None:
    """Prints one answer as JSON: a document, or one line of many."""
    text = json.dumps(data, indent=None if as_line else 2, ensure_ascii=False)
    sys.stdout.write(text + "\n")


def moment(unix_ms: int | None) -> str:
    """A time as a person reads it, in UTC to the second; empty without one."""
    if unix_ms is None:
        return ""
    return f"{datetime.fromtimestamp(unix_ms / 1000, UTC):%Y-%m-%d %H:%M:%S}Z"


def yes(value: object) -> str:
    """A switch as a person reads it."""
    return "yes" if value else "no"
