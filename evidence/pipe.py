"""Messages between the service and its renderer: a JSON object, and bytes behind it.

On the wire: the lengths of both, 4 bytes each, big end first; then both.
"""

from __future__ import annotations

import asyncio
import json
import struct
from typing import Any

MAX_HEADER_BYTES = 64 * 1024
MAX_BODY_BYTES = 96 * 1024 * 1024
_LENGTHS = struct.Struct(">II")

Message = tuple[dict[str, Any], bytes]


class PipeClosed(Exception):
    """The other side is gone, or has sent what is no message."""


async def send(writer: asyncio.StreamWriter, header: dict[str, Any], body: bytes = b"") -> None:
    """Sends a message; raises `PipeClosed`."""
    text = json.dumps(header).encode()
    try:
        writer.write(_LENGTHS.pack(len(text), len(body)) + text)
        writer.write(body)
        await writer.drain()
    except (OSError, RuntimeError):
        raise PipeClosed from None


async def receive(reader: asyncio.StreamReader) -> Message:
    """Receives a message; raises `PipeClosed`."""
    try:
        header_bytes, body_bytes = _LENGTHS.unpack(await reader.readexactly(_LENGTHS.size))
        if header_bytes > MAX_HEADER_BYTES or body_bytes > MAX_BODY_BYTES:
            raise PipeClosed
        header = json.loads(await reader.readexactly(header_bytes))
        return dict(header), await reader.readexactly(body_bytes)
    except (asyncio.IncompleteReadError, OSError, ValueError, TypeError):
        raise PipeClosed from None
