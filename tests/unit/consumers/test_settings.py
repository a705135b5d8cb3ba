"""Settings: all mistakes at once, no secret shown."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

import consumers
from consumers.app import policy
from consumers.settings import Collect, ConsumerSettings
from leadgate.settings import SettingsError, load, rows, shown

GOOD: dict[str, Any] = {
    "api_key": "buyer-a.0123456789abcdef",
    "buyer": "buyer-a",
    "evidence_hosts": "evidence.example.com, 127.0.0.1:8080;networks=127.0.0.0/8;insecure=true",
    "evidence_api_key": "buyera.0123456789abcdef",
}


def environment(patch: pytest.MonkeyPatch, **values: str) -> None:
    """Sets `LEADGATE_…` variables."""
    for name, value in values.items():
        patch.setenv(f"LEADGATE_{name.upper()}", value)


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the defaults of the issue."""
    environment(monkeypatch, **GOOD)
    settings = load(ConsumerSettings)
    assert [host.authority for host in settings.evidence_hosts] == [
        "evidence.example.com",
        "127.0.0.1:8080",
    ]
    assert settings.evidence_hosts[1].insecure
    assert (settings.in_flight, settings.kafka_bootstrap, settings.sink) == (64, "", "stdout")
    assert policy(settings).collect
    assert policy(settings).verify is not None


def test_every_mistake_is_in_one_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody mends six settings in six starts."""
    environment(
        monkeypatch,
        gateway="nowhere",
        buyer="Buyer A",
        evidence_hosts="a b, c;d",
        collect="perhaps",
        sink="ftp://x",
        in_flight="0",
    )
    with pytest.raises(SettingsError) as caught:
        load(ConsumerSettings)
    named = {problem.split(":")[0] for problem in caught.value.problems}
    assert named == {
        f"LEADGATE_{name}"
        for name in (
            "GATEWAY",
            "API_KEY",
            "BUYER",
            "EVIDENCE_HOSTS",
            "EVIDENCE_API_KEY",
            "COLLECT",
            "SINK",
            "IN_FLIGHT",
        )
    }


@pytest.mark.parametrize(
    ("collect", "expected"),
    [
        ("collect", (True, False)),
        ("save", (False, False)),
        ("save-and-deliver-unpaid", (False, True)),
    ],
)
def test_collect_names_the_policy(collect: str, expected: tuple[bool, bool]) -> None:
    """Unpaid evidence passes by name only."""
    found = policy(load(ConsumerSettings, **GOOD, collect=Collect(collect)))
    assert (found.collect, found.take_unpaid) == expected


def test_verify_off_checks_nothing() -> None:
    """And its key names are the buyer's."""
    assert policy(load(ConsumerSettings, **GOOD, verify="off")).verify is None
    keys = load(ConsumerSettings, **GOOD, verify_phone_keys="tel, mobile").verify_keys
    assert keys is not None
    assert keys.phone == ("tel", "mobile")


def test_a_webhook_needs_a_secret() -> None:
    """An unsigned lead could be anybody's."""
    with pytest.raises(SettingsError, match="LEADGATE_SINK_SECRET"):
        load(ConsumerSettings, **GOOD, sink="https://hooks.example.com/leads")


def test_secrets_are_never_shown() -> None:
    """What the start-up log prints."""
    settings = load(ConsumerSettings, **GOOD, sink_secret="whsec_c2VjcmV0")
    text = f"{shown(settings)} {settings!r}"
    assert "0123456789abcdef" not in text
    assert "c2VjcmV0" not in text


def test_every_setting_says_what_it_is() -> None:
    """The table in the README is made of these."""
    table = list(rows(ConsumerSettings))
    assert all(meaning for _, _, meaning in table)
    assert ("LEADGATE_IN_FLIGHT", "64") in {(name, default) for name, default, _ in table}


def test_every_public_name_is_there() -> None:
    """`__all__` is what users may rely on."""
    assert len(set(consumers.__all__)) == len(consumers.__all__)
    assert all(hasattr(consumers, name) for name in consumers.__all__)


BLOCKED = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"sqlalchemy", "alembic", "sqlite3", "psycopg", "fastapi"}:
            raise ImportError(name)
sys.meta_path.insert(0, Block())
import consumers, consumers.app, consumers.__main__, consumers.testing
"""


def test_no_database_library_is_reachable() -> None:
    """Who installs the buyer's side alone gets none, and needs none."""
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
