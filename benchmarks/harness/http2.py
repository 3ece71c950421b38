"""Server streams over bare HTTP/2: a reader that takes a few microseconds a message.

A reader made with grpcio takes about as long over a message as a server does, so that on one machine it would bound
all servers alike. This one knows what a well-behaved server of server streams sends, and nothing more; headers it does
not decode, so it can tell that a stream was refused or has ended, and not why.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable

from benchmarks.harness.load import GrpcCall
from benchmarks.harness.results import BenchmarkError

Hear = Callable[[int, bytes], None]
"""Told of each message: the number of its stream, and its bytes."""

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_FRAME = struct.Struct(">BHBBI")
_DATA, _HEADERS, _RESET, _SETTINGS, _PING, _GO_AWAY, _WINDOW = 0, 1, 3, 4, 6, 7, 8
_ACK = _END_STREAM = 1
_END_HEADERS = 4
_INITIAL_WINDOW = 4
_WIDE, _DEFAULT_WINDOW = 2**31 - 1, 65_535
_REFILL = 2**24


class Connection(asyncio.Protocol):
    """One connection, and its streams.

    Args:
        hear: told of each message.
        lost: told once, in a sentence, when a stream that was open or the connection has ended by itself.
    """

    def __init__(self, hear: Hear, lost: Callable[[str], None]) -> None:
        self._hear = hear
        self._lost = lost
        self._next = 1
        self._rest = b""
        self._taken = 0
        self._opening: dict[int, asyncio.Future[bool]] = {}
        self._numbers: dict[int, int] = {}
        self._partial: dict[int, bytes] = {}
        self._closing = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Says hello, and that the server need never wait for a window."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        windows = _frame(_SETTINGS, 0, 0, struct.pack(">HI", _INITIAL_WINDOW, _WIDE))
        transport.write(_PREFACE + windows + _widen(_WIDE - _DEFAULT_WINDOW))

    def open(self, authority: str, method: str, call: GrpcCall, number: int) -> asyncio.Future[bool]:
        """Opens a stream; true once the server has sent its headers, false if it has refused it instead."""
        stream, self._next = self._next, self._next + 2
        opened = self._opening[stream] = asyncio.get_running_loop().create_future()
        self._numbers[stream] = number
        head = _head(authority, method, call)
        body = struct.pack(">BI", 0, len(call.body)) + call.body
        self._transport.write(
            _frame(_HEADERS, _END_HEADERS, stream, head) + _frame(_DATA, _END_STREAM, stream, body)
        )
        return opened

    def close(self) -> None:
        """Ends the connection, and with it its streams."""
        self._closing = True
        self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tells, unless it was closed here."""
        for opened in self._opening.values():
            if not opened.done():
                opened.set_result(False)
        if not self._closing:
            self._lost("a connection of the watchers was lost")

    def data_received(self, data: bytes) -> None:
        """Takes the frames apart."""
        buffer = self._rest + data if self._rest else data
        at, end = 0, len(buffer)
        while end - at >= 9:
            high, low, kind, flags, stream = _FRAME.unpack_from(buffer, at)
            stop = at + 9 + (high << 16 | low)
            if stop > end:
                break
            if kind == _DATA:
                self._take(stream, buffer[at + 9 : stop])
            else:
                self._control(kind, flags, stream, buffer[at + 9 : stop])
            at = stop
        self._rest = buffer[at:]
        self._taken += len(data)
        if self._taken > _REFILL:
            self._transport.write(_widen(self._taken))
            self._taken = 0

    def _take(self, stream: int, data: bytes) -> None:
        """Hands on the messages that are whole: five bytes of gRPC's own before each."""
        if stream in self._partial:
            data = self._partial.pop(stream) + data
        at, end = 0, len(data)
        while end - at >= 5:
            stop = at + 5 + int.from_bytes(data[at + 1 : at + 5], "big")
            if stop > end:
                break
            self._hear(self._numbers[stream], data[at + 5 : stop])
            at = stop
        if at < end:
            self._partial[stream] = data[at:]

    def _control(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == _SETTINGS and not flags & _ACK:
            self._transport.write(_frame(_SETTINGS, _ACK, 0, b""))
        elif kind == _PING and not flags & _ACK:
            self._transport.write(_frame(_PING, _ACK, 0, payload))
        elif kind == _HEADERS and not flags & _END_STREAM:
            if not self._opening[stream].done():
                self._opening[stream].set_result(True)
        elif kind in (_HEADERS, _RESET):
            self._ended(stream)
        elif kind == _GO_AWAY and not self._closing:
            self._lost("the server has sent the watchers away")

    def _ended(self, stream: int) -> None:
        opened = self._opening[stream]
        if not opened.done():
            opened.set_result(False)
        elif opened.result() and not self._closing:
            self._lost(f"the server has ended the stream of watcher {self._numbers[stream]}")


async def connect(address: str, hear: Hear, lost: Callable[[str], None]) -> Connection:
    """A connection to host:port.

    Raises:
        BenchmarkError: nobody listens there.
    """
    host, _, port = address.rpartition(":")
    try:
        loop = asyncio.get_running_loop()
        _, made = await loop.create_connection(lambda: Connection(hear, lost), host, int(port))
    except OSError as error:
        raise BenchmarkError(f"the watchers cannot connect: {error.strerror}") from None
    return made


def _head(authority: str, method: str, call: GrpcCall) -> bytes:
    fields = (
        (":method", "POST"),
        (":scheme", "http"),
        (":path", method),
        (":authority", authority),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
        *call.metadata,
    )
    # Literals that nobody is to remember, neither compressed.
    return b"".join(b"\x00" + _text(name) + _text(value) for name, value in fields)


def _text(value: str) -> bytes:
    data = value.encode()
    if len(data) < 127:
        return bytes([len(data)]) + data
    rest, length = len(data) - 127, bytearray([127])
    while rest >= 128:
        length.append(rest % 128 + 128)
        rest //= 128
    return bytes([*length, rest]) + data


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return _FRAME.pack(len(payload) >> 16, len(payload) & 0xFFFF, kind, flags, stream) + payload


def _widen(by: int) -> bytes:
    return _frame(_WINDOW, 0, 0, struct.pack(">I", by))
