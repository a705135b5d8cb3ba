"""The API as it is described: complete, readable, and what the service really does."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.builders_evidence import DOMAIN, OPERATOR_KEY, EvidenceClient, an_evidence_service
from tests.services.test_evidence_process import an_evidence_process

CHECKS = [
    not_a_server_error,
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
]
EXAMPLES = 6


async def test_every_endpoint_is_described(tmp_path: Path) -> None:
    """Text, parameters, key, answers; a body where the endpoint takes one."""
    async with an_evidence_service(tmp_path) as evidence:
        document = (await evidence.http.get("/openapi.json")).json()
    operations = {
        f"{method.upper()} {path}": operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }
    assert len(operations) > 40
    for name, operation in operations.items():
        assert operation["summary"], name
        assert "{" not in name or operation["parameters"], name
        assert "200" in operation["responses"], name
    assert operations["POST /v1/shares/{token}"]["security"]
    body = operations["POST /admin/v1/orgs"]["requestBody"]["content"]["application/json"]
    assert set(body["schema"]["properties"]) == {"orgId", "name", "autoCollect"}
    listed = operations["GET /v1/domains/{domain_id}/cdrs"]["parameters"]
    assert {"pageSize", "order", "metadataKey"} <= {one["name"] for one in listed}


async def test_the_page_of_the_api_stands_alone(tmp_path: Path) -> None:
    """Every path is on it, and nothing is fetched or run."""
    async with an_evidence_service(tmp_path) as evidence:
        page = await evidence.http.get("/docs")
        document = (await evidence.http.get("/openapi.json")).json()
    assert page.status_code == 200
    assert all(path in page.text for path in document["paths"])
    assert "<script" not in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]


@pytest.mark.timeout(240)
async def test_the_service_keeps_to_its_description(tmp_path: Path) -> None:
    """Whatever fits the description, and what does not, is answered as described: never 500."""
    async with an_evidence_process(tmp_path) as (_, evidence):
        org = await evidence.org("generator")
        spare = await evidence.admin("/keys", {"orgId": "generator"})
        cdr = await evidence.cdr(org, cdrId="cdr_1", packageId="pkg_1")
        known = {
            "org_id": "generator",
            "cdr_id": cdr.cdr_id,
            "transaction_id": cdr.cdr_id,
            "package_id": "pkg_1",
            "lead_validation_id": "pkg_1",
            "domain_id": DOMAIN,
            "key_id": spare["keyId"],
            "token": cdr.share_url.rpartition("/")[2],
        }
        keys = {"/admin": OPERATOR_KEY, "": org.key}
        await asyncio.to_thread(keeps_to_it, evidence, keys, known)


def keeps_to_it(
    evidence: EvidenceClient, keys: Mapping[str, str], known: Mapping[str, str]
) -> None:
    """Calls every operation with what Schemathesis makes up, by its ids and by known ones."""
    schema = schemathesis.openapi.from_url(f"{evidence.http.base_url}/openapi.json")
    for found in schema.get_all_operations():
        operation: Any = found.ok()  # type: ignore[union-attr]
        key = next(key for prefix, key in keys.items() if operation.path.startswith(prefix))
        for mode in GenerationMode:
            for ids in ({}, known):
                hold(operation, mode, {"x-api-key": key}, ids)


def hold(
    operation: Any, mode: GenerationMode, headers: Mapping[str, str], ids: Mapping[str, str]
) -> None:
    """Holds one operation to its description."""
    if mode is GenerationMode.NEGATIVE and not (operation.body or operation.query):
        return

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(max_examples=EXAMPLES, database=None, suppress_health_check=list(HealthCheck))
    def called(case: Any) -> None:
        for name in case.path_parameters.keys() & ids.keys():
            case.path_parameters[name] = ids[name]
        case.call_and_validate(headers=dict(headers), checks=CHECKS)

    called()
