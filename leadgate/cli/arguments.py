"""How arguments are read: times, states and roles as people write them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

Since = Annotated[
    str,
    typer.Option(help="Accepted at or after: `2026-01-31`, `2026-01-31T08:00Z`, or `2h` ago."),
]
Until = Annotated[str, typer.Option(help="Accepted before; written like --since.")]
Limit = Annotated[int, typer.Option(min=0, help="How many at most; 0 for all.")]
DeliveryId = Annotated[str, typer.Argument(help="The delivery, `<lead_id>.<buyer_id>`.")]
LeadId = Annotated[str, typer.Argument(help="The lead.")]
Buyer = Annotated[str, typer.Option(help="Only this buyer's.")]

_AGO = re.compile(r"(\d{1,6})\s*([smhd])", re.ASCII)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def time_of(text: str, option: str) -> datetime | None:
    """Reads an ISO 8601 time (UTC where it names no zone) or an age such as `90m`.

    None for an empty text. Raises `typer.BadParameter` for anything else.
    """
    if not text:
        return None
    if ago := _AGO.fullmatch(text):
        return datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            "not a time: write 2026-01-31, 2026-01-31T08:00Z, or an age such as 90m, 2h, 7d",
            param_hint=option,
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def set_times(request: Any, since: str, until: str) -> None:
    """Fills `accepted_from` and `accepted_until` of a request where they are given."""
    if start := time_of(since, "--since"):
        request.accepted_from.FromDatetime(start)
    if end := time_of(until, "--until"):
        request.accepted_until.FromDatetime(end)


def number_of(enum: Any, prefix: str, text: str, option: str) -> Any:
    """The number of an enum value written as people do: `buyer-rejected`, `OPERATOR`.

    0 for an empty text. Raises `typer.BadParameter`, listing what is known.
    """
    if not text:
        return 0
    name = prefix + text.upper().replace("-", "_")
    known = [key for key in enum.keys() if not key.endswith("_UNSPECIFIED")]  # noqa: SIM118
    if name not in known:
        choices = ", ".join(key.removeprefix(prefix).lower() for key in known)
        raise typer.BadParameter(f"one of: {choices}", param_hint=option)
    return enum.Value(name)
