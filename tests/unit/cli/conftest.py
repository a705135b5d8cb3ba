"""Runs `leadgate` commands against a fake gateway, as a person would."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from typer.testing import CliRunner

from leadgate.cli.app import app
from tests.unit.cli.fake_gateway import KEY, FakeGateway, serving

Run = Callable[..., Any]


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGateway]:
    """A fake gateway that the command finds through the environment."""
    fake = FakeGateway()
    with serving(fake) as address:
        monkeypatch.setenv("LEADGATE_GATEWAY", address)
        monkeypatch.setenv("LEADGATE_API_KEY", KEY)
        yield fake


@pytest.fixture
def run() -> Run:
    """Runs a command line; the result has `exit_code`, `stdout` and `stderr`."""

    def run(*arguments: object) -> Any:
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    return run
