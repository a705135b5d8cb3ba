"""Ids that callers see."""

from __future__ import annotations

import uuid_utils


def mint_id(prefix: str) -> str:
    """Makes an id such as `cdr_0190…`; ids of one kind sort by the time they were made."""
    return f"{prefix}_{uuid_utils.uuid7().hex}"
