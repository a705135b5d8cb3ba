"""The `leadgate` command: a client of the gateway's API, for people and scripts.

It knows the wire contract and nothing of the services behind it. What is slow to load
is imported by the commands that use it, so that help and completion stay quick.
"""

from __future__ import annotations


def main() -> None:
    """Runs the command line and ends the process with one of `leadgate.process.ExitCode`."""
    from leadgate.cli.app import app

    app()
