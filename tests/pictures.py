"""Pictures in tests: which colours are where in a PNG, without an imaging library."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Picture:
    """The pixels of a picture, row by row."""

    width: int
    height: int
    rows: list[bytes]
    channels: int

    def at(self, x: int, y: int) -> Colour:
        """The colour of one pixel."""
        red, green, blue = self.rows[y][x * self.channels : x * self.channels + 3]
        return red, green, blue

    def has(self, colour: Colour) -> bool:
        """Whether any pixel has exactly this colour."""
        return any(self.at(x, y) == colour for y in range(self.height) for x in range(self.width))


def a_png(colour: Colour, size: int = 8) -> bytes:
    """A square of one colour."""
    rows = (b"\0" + bytes(colour) * size) * size
    header = struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def picture(png: bytes) -> Picture:
    """Reads a PNG of 8 bits a channel, with or without alpha, not interlaced."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    width, height, depth, kind, _, _, interlaced = struct.unpack(">IIBBBBB", png[16:29])
    channels = {2: 3, 6: 4}[kind]
    assert (depth, interlaced) == (8, 0)
    packed, place = b"", 8
    while place < len(png):
        (length,) = struct.unpack(">I", png[place : place + 4])
        if png[place + 4 : place + 8] == b"IDAT":
            packed += png[place + 8 : place + 8 + length]
        place += length + 12
    return Picture(
        width, height, _rows(zlib.decompress(packed), width * channels, channels), channels
    )


def _rows(data: bytes, stride: int, channels: int) -> list[bytes]:
    rows: list[bytes] = []
    before = bytes(stride)
    for start in range(0, len(data), stride + 1):
        before = _unfiltered(data[start], data[start + 1 : start + 1 + stride], before, channels)
        rows.append(before)
    return rows


def _unfiltered(kind: int, row: bytes, above: bytes, channels: int) -> bytes:
    line = bytearray(row)
    for at in range(len(line)):
        left = line[at - channels] if at >= channels else 0
        corner = above[at - channels] if at >= channels else 0
        guess = (0, left, above[at], (left + above[at]) // 2, _paeth(left, above[at], corner))
        line[at] = (line[at] + guess[kind]) & 0xFF
    return bytes(line)


def _paeth(left: int, above: int, corner: int) -> int:
    guess = left + above - corner
    return min((left, above, corner), key=lambda near: abs(guess - near))
