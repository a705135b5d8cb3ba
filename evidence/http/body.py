"""Request bodies: bounded while they are read, and every mistake in one answer."""

from __future__ import annotations

import json
from typing import Any, NoReturn, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from evidence.errors import InvalidArgument, PayloadTooLarge

M = TypeVar("M", bound=BaseModel)


async def read(request: Request, limit_bytes: int) -> bytes:
    """Reads the body, or raises `PayloadTooLarge` without reading on past the limit."""
    length = request.headers.get("content-length", "0")
    if length.isdecimal() and int(length[:20]) > limit_bytes:
        raise PayloadTooLarge(f"the body may have at most {limit_bytes} bytes")
    chunks, size = [], 0
    async for chunk in request.stream():
        chunks.append(chunk)
        size += len(chunk)
        if size > limit_bytes:
            raise PayloadTooLarge(f"the body may have at most {limit_bytes} bytes")
    return b"".join(chunks)


async def read_object(request: Request, limit_bytes: int) -> dict[str, Any]:
    """Reads an optional JSON object: no body is an empty one. Raises `InvalidArgument`."""
    body = await read(request, limit_bytes)
    if not body.strip():
        return {}
    try:
        value = json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise InvalidArgument("the body is not JSON") from None
    if not isinstance(value, dict):
        raise InvalidArgument("the body must be a JSON object")
    return value


async def read_model(request: Request, kind: type[M], limit_bytes: int) -> M:
    """Reads a required JSON object of a given form.

    Raises `InvalidArgument` that names each field that is wrong, and no value.
    """
    body = await read(request, limit_bytes)
    try:
        return kind.model_validate_json(body or b"{}")
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False, include_input=False)
        raise InvalidArgument("; ".join(_problem(dict(problem)) for problem in problems)) from None


def _problem(problem: dict[str, Any]) -> str:
    if problem["type"] == "json_invalid":
        return "the body is not JSON"
    # Only the first name is one of ours: below it are keys that the caller chose.
    name, *rest = problem["loc"] or ("body",)
    where = "".join([str(name), *(f"[{part}]" for part in rest if isinstance(part, int))])
    return f"{where}: {str(problem['msg']).removeprefix('Value error, ')}"


def _refuse_constant(_: str) -> NoReturn:
    raise ValueError
