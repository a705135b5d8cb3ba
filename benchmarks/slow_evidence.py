"""An evidence service that grants every claim after 50 ms, and costs next to nothing.

    python -m benchmarks.slow_evidence

It prints `address 127.0.0.1:PORT`. A share token is `share-of-` and its CDR's id.
"""

from __future__ import annotations

import asyncio
import re
from typing import cast

import uvloop

DELAY_SECONDS = 0.05
_REQUEST = re.compile(rb"(?:POST \S*/v1/shares/share-of-|GET \S*/v1/cdrs/)([\w.:-]+) HTTP/1.1\r\n")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Connection(asyncio.Protocol):
    """One connection of a client that sends its next request after the answer."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is there."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass
        self._data = b""

    def data_received(self, data: bytes) -> None:
        """Answers 50 ms after a request is whole."""
        self._data += data
        head, found, body = self._data.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if not found or len(body) < int(length[1] if length else 0):
            return
        self._data = b""
        request = _REQUEST.match(head + b"\r\n")
        answer = _answer(request[1]) if request else _NOT_FOUND
        asyncio.get_running_loop().call_later(DELAY_SECONDS, self._transport.write, answer)


def _answer(cdr_id: bytes) -> bytes:
    body = (
        b'{"ok":true,"data":{"claimed":true,"alreadyClaimed":false,"cdrId":"%b",'
        b'"domainId":"bench","shareEventId":"event-%b"},"requestId":"request-%b"}'
    ) % (cdr_id, cdr_id, cdr_id)
    return _HEAD % (b"200 OK", len(body)) + body


_HEAD = b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
_NOT_FOUND = _HEAD % (b"404 Not Found", 2) + b"{}"


async def main() -> None:
    """Serves for ever."""
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", 0)
    print(f"address 127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
