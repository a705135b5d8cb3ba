"""The report of a CDR as HTML, ready to be printed: the viewer's template on paper."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from evidence.commands import CdrView
from evidence.custody import Custody
from evidence.dossier import dossier

TEMPLATES = Path(__file__).with_name("templates")

_WIDTH_MM = 180.0
_SLICE_MM = 240.0
_MAX_SLICES = 60


@dataclass(frozen=True, slots=True)
class Slice:
    """What of the picture goes on one sheet, in millimetres of paper."""

    offset_mm: float
    height_mm: float


@cache
def templates() -> Environment:
    """The templates: everything put into them is escaped, and what is missing is an error."""
    loader = PackageLoader("evidence", "templates")
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)


def report_html(view: CdrView, custody: Custody, picture: bytes) -> str:
    """The report; it shows the picture, a PNG, as `image.png`, over as many sheets as it needs."""
    template = templates().get_template("report.html")
    style = Markup((TEMPLATES / "style.css").read_text())  # noqa: S704 - a file of ours
    slices = slices_of(*png_size(picture))
    return template.render(dossier=dossier(view, custody), style=style, slices=slices)


def slices_of(width: int, height: int) -> list[Slice]:
    """Cuts a picture of so many pixels into sheets."""
    whole_mm = height / width * _WIDTH_MM
    count = min(_MAX_SLICES, max(1, -int(-whole_mm // _SLICE_MM)))
    return [
        Slice(round(at * _SLICE_MM, 2), round(min(_SLICE_MM, whole_mm - at * _SLICE_MM), 2))
        for at in range(count)
    ]


def png_size(picture: bytes) -> tuple[int, int]:
    """Width and height of a PNG in pixels; both 1 for anything else."""
    if picture[:8] != b"\x89PNG\r\n\x1a\n" or len(picture) < 24:
        return 1, 1
    width, height = struct.unpack(">II", picture[16:24])
    return max(1, width), max(1, height)
