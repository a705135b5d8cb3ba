"""`python -m benchmarks.evidence_render`: images and reports a minute, and memory of drawing.

As found, without a goal: pages of three sizes, drawn one after the other by one renderer,
as the service does it. Memory is the proportional set size of the renderer's process and
of all below it (its driver, and Chromium's processes), at most and at the end.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from evidence.renderer import ChromiumRenderer, chromium_at

_SIZES = (50, 1000, 5000)
_VIEW = {"width": 1280, "height": 800, "devicePixelRatio": 1}
_STYLE = (
    "body { font: 15px/1.5 sans-serif; margin: 40px } .row { display: flex; gap: 12px }"
    " .row b { color: #1457a8 } .row input { border: 1px solid #999; border-radius: 6px }"
)
_SAMPLE_SECONDS = 0.2


@dataclass
class Drawn:
    """What was measured of pages of one size."""

    nodes: int
    upload_bytes: int
    image_bytes: int = 0
    image_seconds: list[float] = field(default_factory=list)
    report_seconds: list[float] = field(default_factory=list)
    most_bytes: int = 0

    @property
    def each_minute(self) -> float:
        """Captures a minute, each with its image and its report."""
        return 60 * len(self.image_seconds) / sum(self.image_seconds + self.report_seconds)


async def main() -> int:
    """Measures and shows; exit code 2 without Chromium."""
    arguments = _arguments()
    console = Console()
    chromium = chromium_at(arguments.chromium)
    if chromium is None:
        console.print("no Chromium on this machine", style="red")
        return 2
    async with ChromiumRenderer(chromium) as renderer:
        await renderer.draw(_upload(10), "gzip")  # the browser's start is not a page's time
        measured = [await _measured(renderer, nodes, arguments.pages) for nodes in _SIZES]
        end = sum(_pss(pid) for pid in _family(renderer.pid or 0))
    console.print(_table(measured))
    console.print(f"memory after {1 + len(_SIZES) * arguments.pages} pages: {end / 1e6:,.0f} MB")
    return 0


async def _measured(renderer: ChromiumRenderer, nodes: int, pages: int) -> Drawn:
    upload = _upload(nodes)
    drawn = Drawn(nodes, len(upload))
    watching = asyncio.create_task(_watch(renderer.pid or 0, drawn))
    for _ in range(pages):
        start = time.perf_counter()
        image = await renderer.draw(upload, "gzip")
        between = time.perf_counter()
        await renderer.printed('<h1>Report</h1><img src="image.png" width="600">', image)
        drawn.image_seconds.append(between - start)
        drawn.report_seconds.append(time.perf_counter() - between)
        drawn.image_bytes = len(image)
    watching.cancel()
    return drawn


async def _watch(pid: int, drawn: Drawn) -> None:
    while True:
        drawn.most_bytes = max(drawn.most_bytes, sum(_pss(one) for one in _family(pid)))
        await asyncio.sleep(_SAMPLE_SECONDS)


def _upload(nodes: int) -> bytes:
    """A page of about so many nodes, as the library uploads it."""
    rows = [_row(number) for number in range(nodes // 5)]
    style = _element(1, "style", {"_cssText": _STYLE}, [])
    body = [
        _element(2, "html", {}, [_element(3, "head", {}, [style]), _element(4, "body", {}, rows)])
    ]
    envelope = {"snapshot": {"type": 0, "id": 5, "childNodes": body}, "viewport": _VIEW}
    return gzip.compress(json.dumps(envelope).encode())


def _row(number: int) -> dict[str, Any]:
    text = {"type": 3, "id": 10, "textContent": f"Question {number}: what was it that you saw?"}
    label = _element(11, "b", {}, [text])
    answer = _element(12, "input", {"value": f"answer {number}", "name": f"field-{number}"}, [])
    return _element(13, "div", {"class": "row", "data-number": number}, [label, answer])


def _element(
    number: int, tag: str, attributes: dict[str, Any], children: list[Any]
) -> dict[str, Any]:
    return {
        "type": 2,
        "id": number,
        "tagName": tag,
        "attributes": attributes,
        "childNodes": children,
    }


def _family(pid: int) -> Iterator[int]:
    """A process and all below it."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        children.setdefault(parent, []).append(int(folder.name))
    waiting = [pid]
    while waiting:
        yield (here := waiting.pop())
        waiting += children.get(here, [])


def _pss(pid: int) -> int:
    """The proportional set size of a process, in bytes; 0 of one that is gone."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def _table(measured: list[Drawn]) -> Table:
    names = (
        "nodes",
        "upload",
        "image",
        "image p50",
        "image max",
        "report p50",
        "captures",
        "memory",
    )
    table = Table(*names, title="one renderer", caption="memory: most at once, proportional")
    for drawn in measured:
        table.add_row(
            f"{drawn.nodes:,}",
            f"{drawn.upload_bytes / 1e3:,.0f} kB",
            f"{drawn.image_bytes / 1e3:,.0f} kB",
            f"{statistics.median(drawn.image_seconds):.2f} s",
            f"{max(drawn.image_seconds):.2f} s",
            f"{statistics.median(drawn.report_seconds):.2f} s",
            f"{drawn.each_minute:,.0f}/min",
            f"{drawn.most_bytes / 1e6:,.0f} MB",
        )
    return table


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measures the drawing of evidence, as found.")
    parser.add_argument("--pages", type=int, default=10, help="of each size (10)")
    parser.add_argument("--chromium", default="auto", help="path of the browser")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
