"""A renderer that draws the same picture of every page, at once."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

from tests.pictures import a_png

PICTURE = a_png((0, 0, 255))
REPORT = b"%PDF-1.7 a report"


class FakeRenderer:
    """Stands in for `evidence.renderer.ChromiumRenderer`."""

    def __init__(self, *_: Any) -> None:
        self.drawn: list[bytes] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        return

    async def draw(self, upload: bytes, encoding: str) -> bytes:
        """The picture."""
        self.drawn.append(upload)
        return PICTURE

    async def printed(self, html: str, picture: bytes) -> bytes:
        """The report."""
        assert "image.png" in html
        assert picture == PICTURE
        return REPORT
