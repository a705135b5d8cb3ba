"""Evidence for tests: a service in this process, and a client of it that is valid by default.

async with an_evidence_service(tmp_path) as evidence:
    generator = await evidence.org("generator-a", auto_collect=False)
    cdr = await evidence.cdr(generator)
    answer = await evidence.claim(buyer, cdr.share_url)
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from evidence.app import service
from evidence.settings import EvidenceSettings
from leadgate.settings import load

OPERATOR_KEY = "operator.0123456789abcdef0123"
PUBLIC_URL = "https://evidence.example.com"
DOMAIN = "www.example.com"


class ATime:
    """A clock in Unix milliseconds that stands still until it is moved."""

    def __init__(self, now_ms: int = 1_800_000_000_000) -> None:
        self.now_ms = now_ms

    def __call__(self) -> int:
        """Tells the time."""
        return self.now_ms


@dataclass(frozen=True)
class AnOrg:
    """An org with its key."""

    org_id: str
    key: str


@dataclass(frozen=True)
class ACdr:
    """A CDR with its first share."""

    cdr_id: str
    share_url: str
    data: dict[str, Any]


class EvidenceClient:
    """Speaks to an evidence service as its operator and as its orgs."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http

    async def admin(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """POSTs to the admin API and returns `data`; fails on anything but 200."""
        answer = await self.post(OPERATOR_KEY, f"/admin/v1{path}", body)
        assert answer.status_code == 200, answer.text
        data: dict[str, Any] = answer.json()["data"]
        return data

    async def org(self, org_id: str, *, auto_collect: bool = True) -> AnOrg:
        """Makes an org with a key and one domain."""
        await self.admin("/orgs", {"orgId": org_id, "name": "An org", "autoCollect": auto_collect})
        await self.admin("/domains", {"orgId": org_id, "name": DOMAIN})
        made = await self.admin("/keys", {"orgId": org_id})
        return AnOrg(org_id, made["key"])

    async def cdr(self, owner: AnOrg, **fields: Any) -> ACdr:
        """Makes a CDR of an org, shared at once."""
        body = {"orgId": owner.org_id, "domain": DOMAIN, "autoShare": True} | fields
        data = await self.admin("/cdrs", body)
        return ACdr(data["cdrId"], data.get("shareUrl", ""), data)

    async def share(self, org: AnOrg, cdr: ACdr) -> str:
        """Makes a share and returns its URL."""
        answer = await self.post(org.key, f"/v1/cdrs/{cdr.cdr_id}/share")
        assert answer.status_code == 200, answer.text
        return str(answer.json()["data"]["shareUrl"])

    async def claim(self, org: AnOrg, share_url: str, *, collect: bool = True) -> httpx.Response:
        """Claims a share URL."""
        path = share_url.removeprefix(str(self.http.base_url).rstrip("/"))
        return await self.post(
            org.key, path.removeprefix(PUBLIC_URL), None if collect else {"collect": False}
        )

    async def state(self, org: AnOrg, cdr: ACdr) -> str:
        """The CDR's state for an org, or the code of the error."""
        answer = await self.get(org.key, f"/v1/cdrs/{cdr.cdr_id}")
        return str(answer.json().get("data", {}).get("state") or answer.json()["error"]["code"])

    async def charges(self, org: AnOrg) -> list[tuple[str, str]]:
        """What an org was billed: (CDR, reason), oldest first."""
        answer = await self.get(OPERATOR_KEY, f"/admin/v1/orgs/{org.org_id}/charges")
        return [(charge["cdrId"], charge["reason"]) for charge in answer.json()["data"]["charges"]]

    async def post(self, key: str, path: str, body: dict[str, Any] | None = None) -> httpx.Response:
        """POSTs with a key, and a JSON body if there is one."""
        return await self.http.post(path, headers={"x-api-key": key}, json=body)

    async def get(self, key: str, path: str) -> httpx.Response:
        """GETs with a key."""
        return await self.http.get(path, headers={"x-api-key": key})


@asynccontextmanager
async def an_evidence_service(
    folder: Path, clock: ATime | None = None, **settings: Any
) -> AsyncIterator[EvidenceClient]:
    """Runs a service in this process, over a database in `folder`; `settings` beside these.

    It has no Chromium unless `settings` name one: few tests want pictures.
    """
    defaults = {
        "database_url": f"sqlite:///{folder / 'evidence.db'}",
        "operator_key": OPERATOR_KEY,
        "chromium": "off",
    }
    loaded = load(EvidenceSettings, **defaults | settings)
    async with service(loaded, PUBLIC_URL, clock or ATime()) as app:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://in-process") as http:
            yield EvidenceClient(http)


def data_of(answer: httpx.Response) -> dict[str, Any]:
    """The data of a success, whose envelope is checked."""
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body.keys() == {"ok", "data", "requestId"}
    assert body["ok"] is True
    data: dict[str, Any] = body["data"]
    return data


def code_of(answer: httpx.Response) -> tuple[int, str]:
    """Status and code of an error, whose envelope is checked."""
    body = answer.json()
    assert body.keys() == {"ok", "error"}, answer.text
    assert body["ok"] is False
    assert body["error"].keys() == {"code", "message", "requestId"}
    return answer.status_code, body["error"]["code"]
