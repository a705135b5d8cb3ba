"""The renderer's process, `python -m evidence.drawing CHROMIUM FOLDER`: a browser behind a pipe.

It reads `draw` and `print` messages from stdin, one at a time, and answers on stdout
with the picture of a snapshot, or the PDF of a report; in between it asks the service
for what a page names. It has no database and no secret. It ends with its stdin, and
takes its folder with it: whoever started it may have been killed.
"""

from __future__ import annotations

import asyncio
import itertools
import shutil
import sys
from contextlib import suppress
from typing import Any

import msgspec
from playwright.async_api import Browser

from evidence import pipe
from evidence.chromium import Sheet, chromium, draw, printed
from evidence.errors import EvidenceError
from evidence.inert import SnapshotError, inert_html
from evidence.snapshot import unpacked

_RECURSION = 5000  # levels of JSON that a snapshot of 300 nodes' depth may have, and more
_Asset = tuple[str, bytes] | None


async def main(path: str, folder: str) -> None:
    """Serves until stdin ends, then removes the folder."""
    sys.setrecursionlimit(_RECURSION)
    try:
        await _serve(path)
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


async def _serve(path: str) -> None:
    reader, writer = await _streams()
    async with chromium(path) as browser:
        await pipe.send(writer, {"ready": browser.version})
        desk = _Desk(browser, writer)
        with suppress(pipe.PipeClosed):
            while True:
                desk.take(*await pipe.receive(reader))


class _Desk:
    """What is in hand: one job, and the assets it waits for."""

    def __init__(self, browser: Browser, writer: asyncio.StreamWriter) -> None:
        self._browser = browser
        self._writer = writer
        self._numbers = itertools.count(1)
        self._asked: dict[int, asyncio.Future[_Asset]] = {}
        self._job: asyncio.Task[None] | None = None

    def take(self, header: dict[str, Any], body: bytes) -> None:
        """Takes a message: an asset that was asked for, or the next job."""
        if header["do"] != "asset":
            self._job = asyncio.create_task(self._do(header, body))
        elif (waiting := self._asked.pop(header["number"], None)) and not waiting.done():
            waiting.set_result((header["type"], body) if header["found"] else None)

    async def _do(self, header: dict[str, Any], body: bytes) -> None:
        try:
            content = await self._content(header, body)
        except SnapshotError as error:
            await pipe.send(self._writer, {"failed": error.code})
        except Exception as error:
            # Whatever Chromium has trouble with: the service tries again, and counts. The
            # message may quote the page, so it stays here.
            await pipe.send(self._writer, {"broke": type(error).__name__})
        else:
            await pipe.send(self._writer, {"done": True}, content)

    async def _content(self, header: dict[str, Any], body: bytes) -> bytes:
        if header["do"] == "print":
            html, picture = body[: header["html_bytes"]], body[header["html_bytes"] :]
            return await printed(self._browser, html.decode(), picture)
        html_text, sheet = _drawn_up(body, header["encoding"])
        return await draw(self._browser, html_text, sheet, self._ask)

    async def _ask(self, url: str, kind: str) -> _Asset:
        number = next(self._numbers)
        answer: asyncio.Future[_Asset] = asyncio.get_running_loop().create_future()
        self._asked[number] = answer
        await pipe.send(self._writer, {"asset": number, "url": url[:8192], "kind": kind})
        return await answer


def _drawn_up(upload: bytes, encoding: str) -> tuple[str, Sheet]:
    """The inert page of an upload, and what to draw it on."""
    try:
        envelope = msgspec.json.decode(unpacked(upload, encoding or "identity"))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, EvidenceError):
        raise SnapshotError("SNAPSHOT_UNREADABLE") from None
    if not isinstance(envelope, dict):
        raise SnapshotError("SNAPSHOT_UNREADABLE")
    highlight = envelope.get("highlight")
    used = highlight.get("nodeId") if isinstance(highlight, dict) else None
    html = inert_html(envelope.get("snapshot", {}), used if isinstance(used, int) else None)
    return html, Sheet.of(envelope.get("viewport"))


async def _streams() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin.buffer)
    transport, protocol = await loop.connect_write_pipe(
        asyncio.streams.FlowControlMixin, sys.stdout.buffer
    )
    return reader, asyncio.StreamWriter(transport, protocol, None, loop)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
