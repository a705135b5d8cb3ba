"""docs/buyers.md, followed to the letter: a buyer without Python settles a delivery."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests import needs
from tests.processes import Process, running

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "buyers.md").read_text(encoding="utf-8")


def commands(*kinds: str) -> str:
    """The page's shell blocks of these kinds, in the order they stand there, as a script."""
    blocks = re.findall(r"^```sh (\S+)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    return "set -euo pipefail\ntrap 'kill $(jobs -p) || true' EXIT\n" + "\n".join(
        text for kind, text in blocks if kind in kinds
    )


@asynccontextmanager
async def demo(folder: Path, **env: str) -> AsyncIterator[Process]:
    """`leadgate demo --keep` in its place, `.demo` of a folder."""
    command = ["-m", "leadgate.cli", "demo", "--keep", "--leads", "4"]
    async with running(*command, env=env, cwd=folder) as process:
        await process.line("Everything keeps running", seconds=90)
        yield process
        assert await process.stop(seconds=60) == 0


async def follow(folder: Path, script: str) -> Process:
    """Runs a script there as a buyer would; returns it ended."""
    tools = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    command = ["bash", "-c", script]
    async with running(command=command, cwd=folder, env={"PATH": tools}) as shell:
        assert await shell.ended(seconds=60) == 0
        return shell


@pytest.mark.timeout(180)
async def test_a_buyer_with_grpcurl_and_curl_takes_a_lead_to_its_report(tmp_path: Path) -> None:
    """From the stream to DELIVERED, with the commands of the page and nothing else."""
    for name in ("grpcurl", "curl", "jq", "openssl"):
        needs.tool(name)
    async with demo(tmp_path):
        shell = await follow(tmp_path, commands("setup", "pull", "work", "pull-end"))
    assert any("DELIVERED" in line for line in shell.output)


@pytest.mark.timeout(180)
async def test_a_buyer_with_kcat_takes_a_lead_to_its_report(tmp_path: Path, kafka: str) -> None:
    """From the topic to DELIVERED, with the commands of the page and nothing else."""
    for name in ("kcat", "grpcurl", "curl", "jq", "openssl"):
        needs.tool(name)
    wait = "until kcat -q -b $KAFKA -C -t leads.$BUYER_THREE -o beginning -e | grep -q .; "
    async with demo(tmp_path, LEADGATE_KAFKA_BOOTSTRAP=kafka):
        setup = commands("setup") + f"\n{wait}do sleep 0.2; done\n"
        shell = await follow(tmp_path, setup + commands("kafka", "work"))
    assert any("ce_id=" in line for line in shell.output)
    assert any("DELIVERED" in line for line in shell.output)
