"""Programs under measurement: started as users start them, watched, and ended.

Every program runs in a process of its own, with shipped defaults; what a benchmark
must set (addresses, files, keys) comes through the documented environment.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.ledger import Ledger
from benchmarks.load import Target
from leadgate import keys

ROOT = Path(__file__).resolve().parent.parent
_START_SECONDS = 30
_STOP_SECONDS = 60


class ProgramError(Exception):
    """A program that did not start or did not stop; the text has the end of its log."""


class Program:
    """A running Python program whose output goes to a file."""

    def __init__(self, log: Path, module: str, environment: Mapping[str, str]) -> None:
        self.log = log
        self.name = module
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module],
                cwd=ROOT,
                env=_clean_environment() | dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def resident_bytes(self) -> int:
        """Its resident memory now."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        match = re.search(r"^VmRSS:\s+(\d+) kB$", status, re.MULTILINE)
        assert match, "the program has ended"
        return int(match[1]) * 1024

    def said(self, pattern: str, *, seconds: float = _START_SECONDS) -> str:
        """Waits until its log has a match and returns the first group of it."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            match = re.search(pattern, self.log.read_text(errors="replace"))
            if match:
                return match[1]
            if self._process.poll() is not None:
                break
            time.sleep(0.02)
        raise ProgramError(f"{self.name} did not say {pattern}:\n{self._tail()}")

    def stop(self) -> None:
        """Asks it to drain and end (SIGTERM). Raises `ProgramError` if it does not, or fails."""
        self._process.send_signal(signal.SIGTERM)
        try:
            code = self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            raise ProgramError(f"{self.name} did not stop:\n{self._tail()}") from None
        if code != 0:
            raise ProgramError(f"{self.name} ended with {code}:\n{self._tail()}")

    def kill(self) -> None:
        """Ends it at once, where it still runs."""
        self._process.kill()
        self._process.wait()

    def _tail(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])


@contextmanager
def running(
    directory: Path, module: str, environment: Mapping[str, str] | None = None
) -> Iterator[Program]:
    """Runs `python -m module`, with its log in `directory`, and kills it after the block."""
    log = directory / f"{module}-{time.monotonic_ns()}.log"
    program = Program(log, module, environment or {})
    try:
        yield program
    finally:
        program.kill()


@contextmanager
def echo(directory: Path) -> Iterator[Target]:
    """The bare server, until the block ends."""
    with running(directory, "benchmarks.echo") as program:
        # The key is no use to it, but it is part of every request.
        yield Target(program.said(r"address (\S+)"), str(keys.mint()))


@dataclass(frozen=True)
class Gateway:
    """A gateway that serves: where, who may call it, and what it has stored."""

    program: Program
    target: Target
    ledger: Ledger
    buyer_keys: Mapping[str, str]


@dataclass(frozen=True)
class Market:
    """What a gateway of a benchmark knows: one generator, the buyers and one evidence host.

    Its database is in `directory` and lasts as long as that: several gateways may
    serve it, one after the other.
    """

    directory: Path
    buyers: tuple[str, ...]
    transport: str
    evidence_host: str = "evidence.example.com"

    @contextmanager
    def gateway(self, **settings: str) -> Iterator[Gateway]:
        """Runs `python -m gateway` until the block ends, then drains it."""
        self.directory.mkdir(parents=True, exist_ok=True)
        secrets = {name: str(keys.mint()) for name in ("generator", *self.buyers)}
        document = self.directory / "market.yaml"
        document.write_text(json.dumps(self._document(secrets)))
        database = self.directory / "ledger.db"
        environment = {_variable(name): secret for name, secret in secrets.items()} | {
            "LEADGATE_LISTEN": "127.0.0.1:0",
            "LEADGATE_DATABASE_URL": f"sqlite:///{database}",
            "LEADGATE_MARKET": str(document),
        }
        with running(self.directory, "gateway", environment | settings) as program:
            address = program.said(r'"address": ?"([^"]+)"')
            target = Target(address, secrets.pop("generator"))
            yield Gateway(program, target, Ledger(database), secrets)
            program.stop()

    def _document(self, secrets: Mapping[str, str]) -> dict[str, object]:
        """The market document; YAML takes JSON as it is."""
        keys_of = {name: [{"env": _variable(name)}] for name in secrets}
        private = {"networks": ["127.0.0.0/8"], "insecure": True}
        host = {"host": self.evidence_host}
        return {
            "generators": [{"id": "bench-generator", "keys": keys_of["generator"]}],
            "buyers": [
                {"id": name, "transport": self.transport, "accepts": ["*"], "keys": keys_of[name]}
                for name in self.buyers
            ],
            "evidence_hosts": [host | private if ":" in self.evidence_host else host],
        }


def _variable(name: str) -> str:
    return f"BENCH_{name.upper().replace('-', '_')}_KEY"


def _clean_environment() -> dict[str, str]:
    """This environment without settings of leadgate: shipped defaults are measured."""
    return {name: value for name, value in os.environ.items() if not name.startswith("LEADGATE_")}
