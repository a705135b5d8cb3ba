"""README's first steps and the examples, run as they stand there."""

from __future__ import annotations

import os
import re
import socket
import sys
from pathlib import Path

import pytest

from consumers import DeliveredLead, Reject
from examples import handler
from leadgate.v1.delivery_pb2 import LeadRecord
from tests.processes import running

ROOT = Path(__file__).resolve().parents[2]


async def test_the_first_steps_of_the_readme_work(tmp_path: Path) -> None:
    """From nothing to two submitted leads and their events, in a folder of their own."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    [steps] = re.findall(r"^```sh start\n(.*?)^```", readme, re.MULTILINE | re.DOTALL)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    address = f"127.0.0.1:{a_free_port()}"
    env = {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "LEADGATE_LISTEN": address,
        "LEADGATE_GATEWAY": address,
        "PYTHONPATH": str(ROOT),
    }
    script = f"set -euo pipefail\ntrap 'kill $(jobs -p) && wait' EXIT\n{steps}"
    command = ["bash", "-c", script]
    async with running(command=command, env=env, cwd=tmp_path) as shell:
        assert await shell.ended(seconds=50) == 0
    text = "\n".join(shell.output)
    assert "buyer buyer-one: created" in text
    assert text.count("DELIVERY_STATE_PENDING") == 2
    assert text.count("ACCEPTED") == 3
    assert "2 lines: 2 new, 0 repeats, 0 refused" in shell.errors


async def test_the_example_of_a_handler_takes_and_turns_down() -> None:
    """As a buyer would run it with LEADGATE_SINK=python:handler:take."""
    record = LeadRecord(delivery_id="lead.buyer")
    with pytest.raises(Reject):
        await handler.take(DeliveredLead(record, ()))
    record.lead.attributes["homeowner"] = "yes"
    await handler.take(DeliveredLead(record, ()))
    assert "lead.buyer" in handler.TAKEN


def a_free_port() -> int:
    """A port nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
