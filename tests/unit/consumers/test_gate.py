"""The gate complains loudly, and not all the time."""

from __future__ import annotations

from structlog.testing import capture_logs

from consumers.gate import Gate


async def test_a_pause_is_told_at_once_and_then_every_half_minute() -> None:
    """An operator sees it in any log tail, and the log stays readable."""
    now = [1000.0]
    gate = Gate(0.0, 0.0, clock=lambda: now[0])
    with capture_logs() as logs:
        for seconds in (0, 5, 24, 2, 27):
            now[0] += seconds
            await gate.refused("CLAIM_HTTP_401")
    loud = [entry for entry in logs if entry["log_level"] == "error"]
    assert len(loud) == 2
    assert loud[0]["reason"] == "CLAIM_HTTP_401"


async def test_it_opens_only_for_its_prober() -> None:
    """An answer to an older call proves nothing about the key."""
    gate = Gate(0.0, 0.0)
    gate.accepted()
    await gate.refused("CLAIM_HTTP_401")
    assert gate.shut
    gate.accepted()
    assert not gate.shut
