"""Settings from environment variables: every mistake in one error, no secret shown.

A part declares a frozen subclass of `Settings`; under each field stands its
meaning, unit and default. `load` reads it, `shown` is what a start-up log may
print, `rows` is the table in the README.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from pydantic import SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

S = TypeVar("S", bound="Settings")


class SettingsError(Exception):
    """Settings that cannot be used. `problems` names each variable and what to do."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class Settings(BaseSettings):
    """Base of every part's settings: frozen, named `LEADGATE_…`, values never echoed."""

    model_config = SettingsConfigDict(
        env_prefix="LEADGATE_",
        frozen=True,
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
        extra="ignore",
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Reads arguments and the environment only: no .env file, no secrets folder."""
        return init_settings, env_settings


def load(kind: type[S], **overrides: Any) -> S:
    """Reads the settings from the environment; `overrides` win, by field name.

    Raises `SettingsError` with one line for every variable that is missing or wrong.
    An empty variable counts as unset.
    """
    try:
        return kind(**overrides, _env_ignore_empty=True)  # type: ignore[call-arg]
    except ValidationError as error:
        problems = [_problem(kind, dict(item)) for item in error.errors(include_url=False)]
        raise SettingsError(problems) from None


def shown(settings: Settings) -> dict[str, str]:
    """The settings as a log may print them: by field name, secrets as asterisks."""
    return {name: _plain(value) for name, value in settings}


def rows(kind: type[Settings]) -> Iterator[tuple[str, str, str]]:
    """Yields (variable, default, meaning) of every setting, in the order declared."""
    for name, field in kind.model_fields.items():
        default = "required" if field.is_required() else _plain(field.get_default())
        yield variable(kind, name), default, " ".join((field.description or "").split())


def variable(kind: type[Settings], name: str) -> str:
    """The environment variable of a field."""
    alias = kind.model_fields[name].validation_alias
    return alias if isinstance(alias, str) else f"{kind.model_config['env_prefix']}{name.upper()}"


def _problem(kind: type[Settings], error: Mapping[str, Any]) -> str:
    message = str(error["msg"]).removeprefix("Value error, ")
    location = [str(part) for part in error["loc"]]
    if not location:
        return message
    known = location[0] if location[0] in kind.model_fields else location[0].lower()
    name = variable(kind, known) if known in kind.model_fields else location[0]
    where = ".".join([name, *location[1:]])
    return f"{where}: {'required, and not set' if error['type'] == 'missing' else message}"


def _plain(value: Any) -> str:
    if isinstance(value, SecretStr):
        return "********" if value.get_secret_value() else ""
    if isinstance(value, (list, tuple)):
        return ",".join(_plain(item) for item in value)
    return "" if value is None else str(value)
