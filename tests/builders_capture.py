"""Uploads for tests: pages, envelopes and their requests, valid by default.

answer = await upload(evidence, client_id, an_envelope(a_page(a_disclosure("tcpa"))))
"""

from __future__ import annotations

import gzip
import json
import uuid
from itertools import count
from typing import Any

import httpx

from tests.builders_evidence import DOMAIN, AnOrg, EvidenceClient

Json = dict[str, Any]

ORIGIN = f"https://{DOMAIN}"
_ids = count(1)


def an_element(tag: str, *children: Json, **attributes: Any) -> Json:
    """An element of a snapshot; `data_ec_submit` is written for `data-ec-submit`."""
    named = {key.rstrip("_").replace("_", "-"): value for key, value in attributes.items()}
    return {
        "type": 2,
        "id": next(_ids),
        "tagName": tag,
        "attributes": named,
        "childNodes": list(children),
    }


def a_text(text: str) -> Json:
    """A text node."""
    return {"type": 3, "id": next(_ids), "textContent": text}


def a_page(*children: Json) -> Json:
    """A document with these elements in its body."""
    html = an_element("html", an_element("head"), an_element("body", *children))
    return {"type": 0, "id": next(_ids), "childNodes": [html]}


def a_disclosure(key: str, *children: Json, text: str = "I agree to be called.") -> Json:
    """A tagged disclosure with its text."""
    return an_element("p", a_text(text), *children, data_ec_disclosure=key)


def an_envelope(page: Json | None = None, **fields: Any) -> Json:
    """An upload's envelope: a page without any disclosure, unless given."""
    return {
        "v": 1,
        "captureId": str(uuid.uuid4()),
        "cid": "cid_a",
        "sessionId": str(uuid.uuid4()),
        "captureTime": 1_799_999_999_000,
        "sdkVersion": "1.0.0",
        "page": {"url": f"{ORIGIN}/form?step=1", "title": "A form", "language": "en"},
        "viewport": {"width": 390, "height": 844, "devicePixelRatio": 3},
        "custom": {},
        "subGroupIds": [],
        "autoShare": False,
        "disclosures": [],
        "highlight": None,
        "controls": [],
        "interactions": [],
        "inlineAssets": False,
        "snapshot": page or a_page(an_element("h1", a_text("Hello"))),
    } | fields


async def a_client(
    evidence: EvidenceClient, org: AnOrg, client_id: str = "cid_a", **fields: Any
) -> str:
    """Makes a client id of an org."""
    body = {"orgId": org.org_id, "clientId": client_id} | fields
    return str((await evidence.admin("/clients", body))["clientId"])


def packed(envelope: Json) -> bytes:
    """An envelope's bytes as the library sends them."""
    return gzip.compress(json.dumps(envelope, separators=(",", ":")).encode(), mtime=0)


async def upload(
    evidence: EvidenceClient,
    envelope: Json,
    *,
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
    **query: Any,
) -> httpx.Response:
    """POSTs an upload as the library does; `body`, `headers` and `query` override."""
    asked = {
        "cid": envelope["cid"],
        "captureId": envelope["captureId"],
        "encoding": "gzip",
        "attempt": 1,
        "deferred": 0,
    }
    sent = {
        "content-type": "text/plain;charset=UTF-8",
        "origin": ORIGIN,
        "user-agent": "a-browser/1.0",
    }
    return await evidence.http.post(
        "/v1/captures",
        params=asked | query,
        headers=sent | (headers or {}),
        content=packed(envelope) if body is None else body,
    )


async def captured(evidence: EvidenceClient, envelope: Json, **how: Any) -> Json:
    """Uploads, and returns `data`; fails on anything but 200."""
    answer = await upload(evidence, envelope, **how)
    assert answer.status_code == 200, answer.text
    data: Json = answer.json()["data"]
    return data
