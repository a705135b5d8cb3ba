"""The API described: OpenAPI made from the routes, and a page of it to read.

A route says what its code cannot: the form of its body (`takes`) and its query
(`asks`). Everything else is derived: the text from the endpoint's docstring, the path's
parameters from the path, the key, the envelope and the errors from which API it is of.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from fastapi import FastAPI, Request
from fastapi.openapi.utils import get_openapi
from jinja2 import Environment
from pydantic import BaseModel
from starlette.responses import HTMLResponse, Response

_REF = "#/components/schemas/{model}"
_PARAMETER = re.compile(r"{(\w+)}")
_LEGACY = re.compile(r"/(domains|snapshots|shareLeadValidation|collectLeadValidation)(/|$)")
_KEYLESS = ("/.well-known/", "/sdk/", "/v1/downloads/", "/v1/captures")
_HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "x-content-type-options": "nosniff",
}
_ERRORS = {
    "400": "INVALID_ARGUMENT: the message names every field that is wrong",
    "401": "UNAUTHENTICATED: no key, or not one of ours",
    "403": "FORBIDDEN: a good key that may not do this",
    "404": "NOT_FOUND: absent or not accessible",
    "405": "METHOD_NOT_ALLOWED",
    "409": "CONFLICT: the id is taken",
    "410": "GONE: the share has expired; CDR_INVALID: the CDR was invalidated",
    "412": "FAILED_PRECONDITION: a step that must come first is missing",
    "413": "PAYLOAD_TOO_LARGE",
    "429": "RESOURCE_EXHAUSTED: nothing was stored; Retry-After says when to come again",
    "500": "INTERNAL: the log has it under the request id",
}
_LEGACY_STATUS = ("400", "401", "404", "405", "409", "410", "500")
_SCHEMAS: Mapping[str, Any] = {
    "Success": {
        "type": "object",
        "required": ["ok", "data", "requestId"],
        "properties": {
            "ok": {"const": True},
            "data": {"type": "object"},
            "requestId": {"type": "string", "format": "uuid"},
        },
    },
    "Error": {
        "type": "object",
        "required": ["ok", "error"],
        "properties": {
            "ok": {"const": False},
            "error": {
                "type": "object",
                "required": ["code", "message", "requestId"],
                "properties": {
                    "code": {"type": "string"},
                    "message": {"type": "string"},
                    "requestId": {"type": "string", "format": "uuid"},
                },
            },
        },
    },
    "LegacyAnswer": {"type": "object"},
    "LegacyError": {
        "type": "object",
        "required": ["error"],
        "properties": {"error": {"type": "string"}},
    },
}

PAGE: Mapping[str, Mapping[str, Any]] = {
    "pageSize": {"type": "integer", "minimum": 1, "maximum": 100, "default": 20},
    "pageToken": {"type": "string", "description": "where the page before has ended"},
}
"""Query of a list."""

CDRS: Mapping[str, Mapping[str, Any]] = {
    **PAGE,
    "order": {"type": "string", "enum": ["asc", "desc"], "default": "desc"},
    "metadataKey": {"type": "string", "description": "`outer.inner` inside an object"},
    "metadataValue": {"type": "string", "description": "a string, else compact JSON"},
}
"""Query of a list of CDRs."""


def takes(model: type[BaseModel] | Mapping[str, Any]) -> dict[str, Any]:
    """What a route says of its JSON body: a model, or the schema itself where it is optional."""
    if isinstance(model, Mapping):
        schema, required = dict(model), False
    else:
        schema, required = model.model_json_schema(ref_template=_REF), True
    content = {"application/json": {"schema": schema}}
    return {"openapi_extra": {"requestBody": {"required": required, "content": content}}}


def asks(query: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """What a route says of its query: a schema for each parameter."""
    named = [{"name": name, "in": "query", "schema": schema} for name, schema in query.items()]
    return {"openapi_extra": {"parameters": named}}


def fields(**properties: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of an object whose fields may all be left out."""
    return {"type": "object", "properties": properties}


def add_routes(app: FastAPI) -> None:
    """Serves `/openapi.json`, and `/docs` to read; add it behind all other routes."""

    async def page(_: Request) -> Response:
        return HTMLResponse(_template().render(api=app.openapi()), headers=_HEADERS)

    app.openapi = cache(lambda: _document(app))  # type: ignore[method-assign]
    app.get("/docs", include_in_schema=False)(page)


@cache
def _template() -> Any:
    text = files("evidence").joinpath("templates/reference.html").read_text(encoding="utf-8")
    return Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(text)


def _document(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(title=app.title, version="1", routes=app.routes)
    schemas = dict(_SCHEMAS)
    for path, operations in document["paths"].items():
        for operation in operations.values():
            _complete(path, operation, schemas)
    document["components"] = {
        "schemas": schemas,
        "securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": "X-API-Key"}},
    }
    return document


def _complete(path: str, operation: dict[str, Any], schemas: dict[str, Any]) -> None:
    words, _, more = operation.get("description", "").partition("\n\n")
    operation["summary"], operation["description"] = words.replace("\n", " "), more
    named = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _PARAMETER.findall(path)
    ]
    operation["parameters"] = named + operation.get("parameters", [])
    operation["responses"] = _responses(path)
    if not path.startswith(_KEYLESS):
        operation["security"] = [{"key": []}]
    content = operation.get("requestBody", {}).get("content", {})
    for body in content.values():
        schemas.update(body["schema"].pop("$defs", {}))


def _responses(path: str) -> dict[str, Any]:
    if path.startswith(_KEYLESS) or path == "/admin/v1/export" or _is_file(path):
        return {"200": {"description": "Done"}, "default": _answer("Refused", "Error")}
    if _LEGACY.match(path):
        refused = {code: _answer(_ERRORS[code], "LegacyError") for code in _LEGACY_STATUS}
        return {"200": _answer("Done", "LegacyAnswer"), **refused}
    refused = {code: _answer(text, "Error") for code, text in _ERRORS.items()}
    return {"200": _answer("Done", "Success"), **refused}


def _is_file(path: str) -> bool:
    return path.endswith(("/image", "/report"))


def _answer(description: str, schema: str) -> dict[str, Any]:
    reference = {"$ref": _REF.format(model=schema)}
    return {
        "description": description,
        "content": {"application/json": {"schema": reference}},
    }
