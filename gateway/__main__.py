"""`python -m gateway`: runs the broker with settings from the environment."""

from __future__ import annotations

import asyncio
import sys

from gateway.app import serve
from gateway.settings import GatewaySettings
from leadgate import logs, process
from leadgate.settings import load


async def main(stop: asyncio.Event) -> None:
    """Serves until a signal asks to stop."""
    await serve(load(GatewaySettings), stop)


if __name__ == "__main__":
    logs.configure("gateway")
    sys.exit(process.run(main))
