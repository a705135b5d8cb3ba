"""Settings: read from the environment, every mistake at once, secrets never shown."""

from __future__ import annotations

from typing import Annotated

import pytest
from pydantic import Field, SecretStr

from gateway.settings import GatewaySettings
from leadgate.settings import Settings, SettingsError, load, rows, shown


class Example(Settings):
    """Settings as a part declares them."""

    needed: str
    """What must be given."""

    count: Annotated[int, Field(ge=1, le=9)] = 3
    """How many,
    from 1 to 9."""

    secret: SecretStr | None = None
    """What nobody may see."""


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """By their names in capitals, with defaults; what is empty counts as unset."""
    monkeypatch.setenv("LEADGATE_NEEDED", "given")
    monkeypatch.setenv("LEADGATE_COUNT", "")
    settings = load(Example)
    assert (settings.needed, settings.count) == ("given", 3)


def test_overrides_win_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test or a command says itself counts."""
    monkeypatch.setenv("LEADGATE_NEEDED", "given")
    assert load(Example, needed="said").needed == "said"


def test_every_mistake_is_one_line_and_holds_no_value(monkeypatch: pytest.MonkeyPatch) -> None:
    """The missing one and the wrong one, each by its variable."""
    monkeypatch.setenv("LEADGATE_COUNT", "canary")
    with pytest.raises(SettingsError) as refused:
        load(Example)
    problems = refused.value.problems
    assert problems[0] == "LEADGATE_NEEDED: required, and not set"
    assert problems[1].startswith("LEADGATE_COUNT: ")
    assert "canary" not in str(refused.value)


def test_the_shown_settings_have_asterisks_for_secrets() -> None:
    """A start-up log tells whether a secret was given, and not which."""
    settings = load(Example, needed="given", secret="canary")
    assert shown(settings) == {"needed": "given", "count": "3", "secret": "********"}
    assert "canary" not in repr(settings)
    assert shown(load(Example, needed="given"))["secret"] == ""


def test_a_table_of_settings_can_be_made_from_the_code() -> None:
    """Variable, default and meaning on one line each."""
    assert list(rows(Example)) == [
        ("LEADGATE_NEEDED", "required", "What must be given."),
        ("LEADGATE_COUNT", "3", "How many, from 1 to 9."),
        ("LEADGATE_SECRET", "", "What nobody may see."),
    ]


def test_settings_do_not_change() -> None:
    """They are read once."""
    settings = load(Example, needed="given")
    with pytest.raises(ValueError, match="frozen"):
        settings.count = 4


def test_every_setting_of_the_gateway_says_what_it_means() -> None:
    """None is without a text, and all defaults are sound."""
    assert all(meaning for _, _, meaning in rows(GatewaySettings))
    assert load(GatewaySettings).listen == "127.0.0.1:50051"


@pytest.mark.parametrize(
    ("listen", "served"),
    [
        ("127.0.0.1:0", True),
        ("127.8.9.1:50051", True),
        ("[::1]:50051", True),
        ("localhost:50051", True),
        ("0.0.0.0:50051", False),
        ("[::]:50051", False),
        ("10.0.0.1:50051", False),
        ("localhost.example.com:50051", False),
        ("127.0.0.1", False),
        (":50051", False),
        ("127.0.0.1:65536", False),
        ("127.0.0.1:-1", False),
        ("127.0.0.1:http", False),
        ("unix:/tmp/socket", False),
    ],
)
def test_only_loopback_is_served_without_tls(listen: str, served: bool) -> None:
    """And only what is an address and a port."""
    if served:
        assert load(GatewaySettings, listen=listen).listen == listen
        return
    with pytest.raises(SettingsError, match="LEADGATE_LISTEN"):
        load(GatewaySettings, listen=listen)


def test_a_wrong_flag_does_not_hide_a_wrong_address() -> None:
    """Both are named, though one is judged by the other."""
    with pytest.raises(SettingsError) as refused:
        load(GatewaySettings, allow_plaintext="canary", listen="0.0.0.0:1")
    named = {problem.partition(":")[0] for problem in refused.value.problems}
    assert named == {"LEADGATE_ALLOW_PLAINTEXT", "LEADGATE_LISTEN"}
