"""The evidence side of the demo: what a form's capture and a generator's back end would do."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from leadgate.cli.demo.people import Person
from leadgate.cli.demo.processes import DemoError
from leadgate.v1 import lead_pb2 as pb

DISCLOSURE = "By pressing the button I agree to be called about my request."


class Evidence:
    """Calls the evidence service as its operator and as the generator."""

    def __init__(self, http: httpx.AsyncClient, operator_key: str, generator: str) -> None:
        self._http = http
        self._operator_key = operator_key
        self._generator = generator
        self._generator_key = ""

    async def prepare(self, buyers: list[str]) -> dict[str, str]:
        """Sets up an org for the generator and for each buyer; returns the buyers' keys."""
        keys = {org: await self._org(org) for org in (self._generator, *buyers)}
        self._generator_key = keys.pop(self._generator)
        await self._admin(
            "domains", {"orgId": self._generator, "name": "forms.example.com", "domainId": "forms"}
        )
        return keys

    async def capture(self, person: Person) -> pb.Cdr:
        """Records that a person agreed on the form."""
        now = datetime.now(UTC)
        data = await self._admin(
            "cdrs",
            {
                "orgId": self._generator,
                "domain": "forms",
                "captureTime": int(now.timestamp() * 1000),
                "customMetadata": person.custom(),
                "disclosures": [{"key": "calls", "language": DISCLOSURE, "agreed": True}],
            },
        )
        cdr = pb.Cdr(
            cdr_id=data["cdrId"],
            package_id=data["packageData"]["packageId"],
            custom_json=json.dumps(person.custom()),
            disclosures=[pb.Disclosure(key="calls", language=DISCLOSURE, agreed=True)],
        )
        cdr.capture_time.FromDatetime(now)
        return cdr

    async def share(
        self, cdr: pb.Cdr, lifetime: timedelta = timedelta(days=30), say_when: bool = True
    ) -> pb.Share:
        """Makes a share URL for one buyer; `say_when` tells the gateway when it expires."""
        answer = await self._http.post(
            f"/v1/cdrs/{cdr.cdr_id}/share",
            headers={"X-API-Key": self._generator_key},
            json={"expiresInMs": max(1, int(lifetime.total_seconds() * 1000))},
        )
        data = _data(answer)
        share = pb.Share(cdr_id=cdr.cdr_id, share_url=data["shareUrl"])
        if say_when:
            share.share_expire_time.FromMilliseconds(int(data["shareExpiresAt"]))
        return share

    async def invalidate(self, cdr: pb.Cdr) -> None:
        """Takes evidence back, as an operator would who found it worthless."""
        await self._admin(f"cdrs/{cdr.cdr_id}/invalidate", {})

    async def is_visible(self, cdr_id: str, key: str) -> bool:
        """Whether the org of that key holds the CDR."""
        answer = await self._http.get(f"/v1/cdrs/{cdr_id}", headers={"X-API-Key": key})
        return answer.status_code == httpx.codes.OK

    async def _org(self, org_id: str) -> str:
        await self._admin("orgs", {"orgId": org_id, "name": org_id})
        return str((await self._admin("keys", {"orgId": org_id}))["key"])

    async def _admin(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = await self._http.post(
            f"/admin/v1/{path}", headers={"X-API-Key": self._operator_key}, json=body
        )
        return _data(answer)


def _data(answer: httpx.Response) -> dict[str, Any]:
    if answer.status_code != httpx.codes.OK:
        raise DemoError(f"the evidence service answered {answer.status_code}")
    data: dict[str, Any] = answer.json()["data"]
    return data
