"""README's first steps, run as they stand there."""

from __future__ import annotations

import os
import re
import socket
import sys
from pathlib import Path

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
    assert text.count("ACCEPTED") == 3
    assert "2 lines: 2 new, 0 repeats, 0 refused" in shell.errors


def a_free_port() -> int:
    """A port nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
