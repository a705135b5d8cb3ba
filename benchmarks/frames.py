"""HTTP/2 frames on a plain socket: the cheapest client that can send a new body each time.

`h2load` sends one body over and over, which the gateway would answer as a repeat;
`ghz` and grpc's own clients burn as much CPU as the server they measure. This one knows
just enough of RFC 9113 to call a gRPC method, and costs about as much as `h2load`.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator, Mapping
from typing import NamedTuple, Self

DATA, HEADERS, _RST_STREAM, _SETTINGS, _PING, _GOAWAY, _WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM = 1
_ACK = 1
_END_HEADERS = 4
_INITIAL_WINDOW_SIZE = 4  # a setting
_FRAME_MAX = 16_384
_READ_BYTES = 1 << 18
_WINDOW = 1 << 30
_STATIC_ENTRIES = 61
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_TIMEOUT_SECONDS = 60


class Frame(NamedTuple):
    """A frame of a call: `kind` is DATA or HEADERS."""

    kind: int
    flags: int
    stream: int
    payload: bytes


class CallError(Exception):
    """A call or the connection was refused; the text has what the server sent."""


class Connection:
    """One connection that calls one gRPC method, over and over, with the same metadata.

    `open` and `send` queue; `frames` sends what is queued, waits for the server and
    yields what came. Flow control is kept in both directions.
    """

    def __init__(self, address: str, method: str, metadata: Mapping[str, str]) -> None:
        host, _, port = address.rpartition(":")
        self._socket = socket.create_connection((host, int(port)), _TIMEOUT_SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # A timeout kept by the kernel: Python's own would cost a poll() at every read.
        self._socket.setblocking(True)
        timeout = struct.pack("ll", _TIMEOUT_SECONDS, 0)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeout)
        self._first, self._next = _header_blocks(method, address, metadata)
        settings = struct.pack(">HI", _INITIAL_WINDOW_SIZE, _WINDOW)
        update = struct.pack(">I", _WINDOW)
        self._out = [_PREFACE, _frame(_SETTINGS, 0, 0, settings)]
        self._out.append(_frame(_WINDOW_UPDATE, 0, 0, update))
        self._in = b""
        self._stream = -1
        self._window = 65_535
        self._stream_window = 65_535
        self._credits: dict[int, int] = {}
        self._unsent: dict[int, tuple[bytes, bool]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def open(self) -> int:
        """Begins a call and returns its stream."""
        self._stream += 2
        block = self._next if self._stream > 1 else self._first
        self._out.append(_frame(HEADERS, _END_HEADERS, self._stream, block))
        self._credits[self._stream] = self._stream_window
        return self._stream

    def send(self, stream: int, body: bytes, *, end: bool) -> None:
        """Queues bytes of a call, as far as its windows allow; the rest goes later."""
        if stream in self._unsent:
            body = self._unsent[stream][0] + body
        self._unsent[stream] = (body, end)
        self._push(stream)

    def close(self, stream: int) -> None:
        """Forgets a call that has ended."""
        self._credits.pop(stream, None)
        self._unsent.pop(stream, None)

    @property
    def backlog_bytes(self) -> int:
        """What waits for the server to widen a window."""
        return sum(len(body) for body, _ in self._unsent.values())

    def frames(self) -> Iterator[Frame]:
        """Sends what is queued, reads once, and yields the frames of calls that came."""
        if self._out:
            self._socket.sendall(b"".join(self._out))
            self._out.clear()
        received = self._socket.recv(_READ_BYTES)
        if not received:
            raise CallError("the server closed the connection")
        data = self._in + received if self._in else received
        at, end = 0, len(data)
        while end - at >= 9:
            size = int.from_bytes(data[at : at + 3], "big")
            if end - at - 9 < size:
                break
            frame = Frame(
                data[at + 3],
                data[at + 4],
                int.from_bytes(data[at + 5 : at + 9], "big"),
                data[at + 9 : at + 9 + size],
            )
            at += 9 + size
            if frame.kind <= HEADERS:
                yield frame
            else:
                self._control(frame)
        self._in = data[at:]

    def _push(self, stream: int) -> None:
        body, end = self._unsent[stream]
        at, size = 0, len(body)
        while at < size or (end and not size):
            room = min(_FRAME_MAX, self._window, self._credits[stream], size - at)
            if room <= 0 and size:
                self._unsent[stream] = (body[at:], end)
                return
            last = end and at + room == size
            piece = body if room == size else body[at : at + room]
            self._out.append(_frame(DATA, END_STREAM if last else 0, stream, piece))
            self._window -= room
            self._credits[stream] -= room
            at += room
            if last:
                break
        del self._unsent[stream]

    def _control(self, frame: Frame) -> None:
        if frame.kind == _SETTINGS and not frame.flags & _ACK:
            self._settle(frame.payload)
        elif frame.kind == _PING and not frame.flags & _ACK:
            self._out.append(_frame(_PING, _ACK, 0, frame.payload))
        elif frame.kind == _WINDOW_UPDATE:
            self._widen(frame.stream, int.from_bytes(frame.payload, "big"))
        elif frame.kind in (_GOAWAY, _RST_STREAM):
            raise CallError(f"the server ended the call: {frame.payload!r}")

    def _settle(self, settings: bytes) -> None:
        for name, value in struct.iter_unpack(">HI", settings):
            if name == _INITIAL_WINDOW_SIZE:
                for stream in self._credits:
                    self._credits[stream] += value - self._stream_window
                self._stream_window = value
        self._out.append(_frame(_SETTINGS, _ACK, 0, b""))
        self._push_all()

    def _widen(self, stream: int, by: int) -> None:
        if stream == 0:
            self._window += by
        elif stream in self._credits:
            self._credits[stream] += by
        self._push_all()

    def _push_all(self) -> None:
        for stream in list(self._unsent):
            self._push(stream)


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    head = struct.pack(">IBI", len(payload) << 8 | kind, flags, stream)
    return head + payload


def _header_blocks(method: str, authority: str, metadata: Mapping[str, str]) -> tuple[bytes, bytes]:
    """The headers of a first call, which fill the server's table, and of all later ones."""
    fields = [
        b"\x44" + _text(method),  # :path
        b"\x41" + _text(authority),  # :authority
        b"\x5f" + _text("application/grpc"),  # content-type
        b"\x40" + _text("te") + _text("trailers"),
        *(b"\x40" + _text(name) + _text(value) for name, value in metadata.items()),
    ]
    method_and_scheme = b"\x83\x86"  # POST, http
    newest_first = range(_STATIC_ENTRIES + len(fields), _STATIC_ENTRIES, -1)
    indexed = bytes(0x80 | index for index in newest_first)
    return method_and_scheme + b"".join(fields), method_and_scheme + indexed


def _text(value: str) -> bytes:
    """A string literal of HPACK; longer ones would need a second byte of length."""
    assert len(value) < 127
    return bytes([len(value)]) + value.encode()
