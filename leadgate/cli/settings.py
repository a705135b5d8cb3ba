"""Settings of the `leadgate` command, read from the environment."""

from __future__ import annotations

from pydantic import SecretStr, field_validator

from leadgate import keys
from leadgate.settings import Settings


class ClientSettings(Settings):
    """Where the gateway is, and who is calling."""

    gateway: str = "127.0.0.1:50051"
    """Address of the gateway, `host:port`."""

    api_key: SecretStr = SecretStr("")
    """Key `<key_id>.<secret>` of the operator, generator or buyer who calls. Only
    `health` and `demo` work without."""

    @field_validator("api_key")
    @classmethod
    def _is_a_key(cls, value: SecretStr) -> SecretStr:
        secret = value.get_secret_value()
        if secret and keys.parse(secret) is None:
            raise ValueError("not a key: `<key_id>.<secret>`, as `leadgate keys create` shows it")
        return value
