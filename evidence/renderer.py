"""Pictures and reports: a child process that draws, started when needed, killed when stuck.

The child has neither the database nor a secret of the service. Whatever becomes of it,
a page that kills it or a kill -9, costs the job in hand one attempt: the next starts a
new one. It is replaced after a number of pages, for what a browser leaks.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import structlog

from evidence import pipe
from evidence.assets import PageAssets
from evidence.pipe import PipeClosed
from leadgate.share_url import Network

log = structlog.get_logger("evidence.renderer")

DRAW_SECONDS = 60.0
_NAMES = ("chromium", "chromium-browser", "google-chrome")
_START_SECONDS = 30.0
_END_SECONDS = 3.0
_PAGES_PER_CHILD = 200
_KEPT_VARIABLES = ("PATH", "LANG", "LC_ALL", "FONTCONFIG_FILE", "FONTCONFIG_PATH")


class DrawingFailed(Exception):
    """A page cannot be drawn. `code` is UPPER_SNAKE; `hopeless`: nor at another time."""

    def __init__(self, code: str, *, hopeless: bool = False) -> None:
        super().__init__(code)
        self.code = code
        self.hopeless = hopeless


class Renderer(Protocol):
    """Draws pages and prints reports, one at a time."""

    async def draw(self, upload: bytes, encoding: str) -> bytes:
        """The picture of a capture's upload as PNG; raises `DrawingFailed`."""
        ...

    async def printed(self, html: str, picture: bytes) -> bytes:
        """A report as PDF, which may show `picture` as `image.png`; raises `DrawingFailed`."""
        ...


def chromium_at(setting: str) -> str | None:
    """The browser that a setting means: `off`, `auto` for the system's, or a path.

    None where there is none, or the package that drives it is not installed.
    """
    names = _NAMES if setting == "auto" else (setting,)
    found = next((path for name in names if (path := shutil.which(name))), None)
    return found if setting != "off" and find_spec("playwright") else None


class ChromiumRenderer:
    """Renders in a child process with a headless Chromium; an async context manager.

    `networks`: private networks that assets of pages may be fetched from. The child
    ends after `idle_seconds` without a page: a browser holds half a gigabyte.
    """

    def __init__(
        self, chromium: str, networks: Iterable[Network] = (), *, idle_seconds: float = 120.0
    ) -> None:
        self._chromium = chromium
        self._networks = tuple(networks)
        self._idle_seconds = idle_seconds
        self._child: _Child | None = None
        self._turn = asyncio.Lock()
        self._rest: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if self._rest is not None:
            self._rest.cancel()
        await self._end()

    @property
    def pid(self) -> int | None:
        """The child's process id, while there is one."""
        return self._child.pid if self._child else None

    async def draw(self, upload: bytes, encoding: str) -> bytes:
        """The picture of a capture's upload as PNG; raises `DrawingFailed`."""
        return await self._asked({"do": "draw", "encoding": encoding}, upload)

    async def printed(self, html: str, picture: bytes) -> bytes:
        """A report as PDF, which may show `picture` as `image.png`; raises `DrawingFailed`."""
        page = html.encode(errors="replace")
        return await self._asked({"do": "print", "html_bytes": len(page)}, page + picture)

    async def _asked(self, header: dict[str, Any], body: bytes) -> bytes:
        async with self._turn:
            if self._rest is not None:
                self._rest.cancel()
            child = await self._ready()
            try:
                async with asyncio.timeout(DRAW_SECONDS), PageAssets(self._networks) as assets:
                    return await child.ask(header, body, assets)
            except TimeoutError:
                await self._end()
                raise DrawingFailed("DRAWING_TIMEOUT") from None
            except PipeClosed:
                await self._end()
                raise DrawingFailed("RENDERER_DIED") from None
            except asyncio.CancelledError:
                await self._end()  # its answer would be taken for that to the next job
                raise
            finally:
                self._rest = asyncio.create_task(self._end_idle())

    async def _end_idle(self) -> None:
        await asyncio.sleep(self._idle_seconds)
        # Whoever takes the turn first cancels this, or finds no child.
        async with self._turn:
            await self._end()

    async def _ready(self) -> _Child:
        if self._child is not None and self._child.pages >= _PAGES_PER_CHILD:
            await self._end()
        if self._child is None:
            try:
                async with asyncio.timeout(_START_SECONDS):
                    self._child = await _Child.started(self._chromium)
            except (TimeoutError, PipeClosed, OSError) as error:
                log.error("renderer does not start", error=type(error).__name__)
                raise DrawingFailed("RENDERER_NOT_STARTED") from None
        return self._child

    async def _end(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            await asyncio.shield(child.end())


class _Child:
    """The process, in a group and a folder of its own."""

    def __init__(
        self, process: asyncio.subprocess.Process, folder: tempfile.TemporaryDirectory[str]
    ) -> None:
        if process.stdin is None or process.stdout is None:
            raise PipeClosed
        self._process = process
        self._stdin = process.stdin
        self._stdout = process.stdout
        self._folder = folder
        self.pages = 0

    @property
    def pid(self) -> int:
        """Its process id, and that of its group."""
        return self._process.pid

    @classmethod
    async def started(cls, chromium: str) -> _Child:
        """Starts one and waits until its browser is up; raises `PipeClosed`."""
        folder = tempfile.TemporaryDirectory(prefix="leadgate-render-", ignore_cleanup_errors=True)
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "evidence.drawing",
            chromium,
            folder.name,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            # What a browser says may quote the page.
            stderr=asyncio.subprocess.DEVNULL,
            cwd=folder.name,
            env=_environment(folder.name),
            start_new_session=True,
        )
        child = cls(process, folder)
        try:
            header, _ = await pipe.receive(child._stdout)
        except BaseException:
            await asyncio.shield(child.end())
            raise
        log.info("renderer started", pid=process.pid, chromium=header.get("ready"))
        return child

    async def ask(self, header: dict[str, Any], body: bytes, assets: PageAssets) -> bytes:
        """Sends a job, fetches what its page names meanwhile, and returns what came of it."""
        self.pages += 1
        await pipe.send(self._stdin, header, body)
        fetches: set[asyncio.Task[None]] = set()
        try:
            while True:
                said, content = await pipe.receive(self._stdout)
                if "asset" not in said:
                    return _content(said, content)
                fetches.add(asyncio.create_task(self._hand(said, assets)))
        finally:
            for fetch in fetches:
                fetch.cancel()
            await asyncio.gather(*fetches, return_exceptions=True)

    async def _hand(self, said: dict[str, Any], assets: PageAssets) -> None:
        found = await assets.fetch(str(said["url"]), str(said["kind"]))
        kind, content = found or ("", b"")
        header = {"do": "asset", "number": said["asset"], "found": found is not None, "type": kind}
        with suppress(PipeClosed):
            await pipe.send(self._stdin, header, content)

    async def end(self) -> None:
        """Ends it with its browser, by force if need be; its folder goes with it."""
        self._stdin.close()
        try:
            async with asyncio.timeout(_END_SECONDS):
                await self._process.wait()
        except TimeoutError:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            await self._process.wait()
        await asyncio.to_thread(self._folder.cleanup)


def _content(said: dict[str, Any], content: bytes) -> bytes:
    if "done" in said:
        return content
    if "failed" in said:
        raise DrawingFailed(str(said["failed"]), hopeless=True)
    log.warning("page not drawn", error=said.get("broke"))
    raise DrawingFailed("DRAWING_FAILED")


def _environment(folder: str) -> dict[str, str]:
    """What the child is told: nothing of the service's own settings."""
    kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    # Where this package is, if it is not installed.
    source = str(Path(__file__).parents[1])
    return {**kept, "HOME": folder, "TMPDIR": folder, "PYTHONPATH": source}
