"""The connection of `leadgate evidence …` to an evidence service, as its operator.

with connect() as service:
    service.post("/orgs", {"orgId": "acme"})
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import httpx
from pydantic import SecretStr, field_validator

from leadgate import keys
from leadgate.cli.refusal import Refused
from leadgate.process import ExitCode
from leadgate.settings import Settings, SettingsError, load

ANSWER_SECONDS = 30.0
"""How long the service may take to answer."""

_HINTS = {
    401: "LEADGATE_EVIDENCE_OPERATOR_KEY is not the one the service was started with",
    403: "this needs the operator's key, not an org's",
    404: "check the id",
    429: "the service has more work than it takes: try again in a moment",
}
_EXIT_CODES = {400: ExitCode.USAGE, 401: ExitCode.SETTINGS, 403: ExitCode.SETTINGS}


class EvidenceClientSettings(Settings):
    """Where the evidence service is, and the key of its operator."""

    evidence_url: str = "http://127.0.0.1:8080"
    """Base of the evidence service's API, such as `https://evidence.example.com`."""

    evidence_operator_key: SecretStr = SecretStr("")
    """Key `<key_id>.<secret>` of the evidence service's operator. `evidence verify`
    works without."""

    @field_validator("evidence_operator_key")
    @classmethod
    def _is_a_key(cls, value: SecretStr) -> SecretStr:
        secret = value.get_secret_value()
        if secret and keys.parse(secret) is None:
            raise ValueError("not a key: `<key_id>.<secret>`, as `leadgate keys mint` makes one")
        return value

    @field_validator("evidence_url")
    @classmethod
    def _is_a_url(cls, value: str) -> str:
        if not value.startswith(("http://", "https://")):
            raise ValueError("must be http(s)://host[:port]")
        return value.rstrip("/")


class Service:
    """Calls the admin API; an answer that is an error raises `Refused`."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    def get(self, path: str, **query: Any) -> dict[str, Any]:
        """The data of a GET; a query of None is left out."""
        given = {name: value for name, value in query.items() if value is not None}
        return self._data(self._http.get(f"/admin/v1{path}", params=given))

    def post(self, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The data of a POST."""
        return self._data(self._http.post(f"/admin/v1{path}", json=body or {}))

    def send(self, method: str, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """The data of a request of another method."""
        return self._data(self._http.request(method, f"/admin/v1{path}", json=body))

    def every(self, path: str, name: str, **query: Any) -> Iterator[dict[str, Any]]:
        """The items of every page of a list."""
        token = None
        while True:
            page = self.get(path, pageToken=token, **query)
            yield from page[name]
            token = page.get("nextPageToken")
            if token is None:
                return

    def lines(self, path: str, **query: Any) -> Iterator[bytes]:
        """The body of a GET, as it comes."""
        with self._http.stream("GET", f"/admin/v1{path}", params=query) as answer:
            if answer.status_code != httpx.codes.OK:
                answer.read()
                self._data(answer)
            yield from answer.iter_raw()

    def _data(self, answer: httpx.Response) -> dict[str, Any]:
        try:
            body = answer.json()
            if answer.status_code == httpx.codes.OK:
                data: dict[str, Any] = body["data"]
                return data
            error = f"{body['error']['code']}: {body['error']['message']}"
        except (ValueError, KeyError, TypeError):
            error = f"HTTP {answer.status_code}: what answers there is no evidence service"
        hint = _HINTS.get(answer.status_code)
        code = _EXIT_CODES.get(answer.status_code, ExitCode.FAILED)
        raise Refused([error, hint] if hint else [error], code)


@contextmanager
def connect() -> Iterator[Service]:
    """Connects to the service of the environment; failures raise `Refused`."""
    settings = _settings()
    key = settings.evidence_operator_key.get_secret_value()
    if not key:
        raise Refused(["LEADGATE_EVIDENCE_OPERATOR_KEY: required, and not set"], ExitCode.SETTINGS)
    # No redirects and no proxies: the key goes where the setting says, and nowhere else.
    with httpx.Client(
        base_url=settings.evidence_url,
        headers={"x-api-key": key},
        timeout=ANSWER_SECONDS,
        trust_env=False,
    ) as http:
        try:
            yield Service(http)
        except httpx.TransportError:
            raise Refused(
                [
                    "the evidence service cannot be reached",
                    f"is it running at {settings.evidence_url}? LEADGATE_EVIDENCE_URL says where",
                ],
                ExitCode.UNAVAILABLE,
            ) from None


def part(text: str) -> str:
    """An id as a part of a path; none leads to another path."""
    return quote(text, safe="")


def _settings() -> EvidenceClientSettings:
    try:
        return load(EvidenceClientSettings)
    except SettingsError as error:
        raise Refused(error.problems, ExitCode.SETTINGS) from None
