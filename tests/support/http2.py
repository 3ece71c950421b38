"""Headers that no gRPC library would send: just enough HTTP/2 for one call, by hand."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import BinaryIO

Headers = Sequence[tuple[bytes, bytes]]

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _SETTINGS = 0, 1, 4
_END_STREAM, _END_HEADERS = 1, 4
_EMPTY_MESSAGE = bytes(5)
_SECONDS = 10.0


def status_of(address: str, path: str, headers: Headers) -> int:
    """Calls with an empty message and these headers beside those of the protocol; returns the gRPC status.

    Raises:
        EOFError: the server closed the connection instead.
    """
    with _connected(address) as connection:
        connection.sendall(
            _PREFACE
            + _frame(_SETTINGS, 0, 0, b"")
            + _frame(_HEADERS, _END_HEADERS, 1, _block(address, path, headers))
            + _frame(_DATA, _END_STREAM, 1, _EMPTY_MESSAGE)
        )
        with connection.makefile("rb") as reader:
            return _status(reader)


@contextmanager
def headers_only(address: str, path: str, count: int) -> Iterator[None]:
    """A connection with so many calls that have sent their headers, and send nothing more."""
    block = _block(address, path, ())
    begun = [_frame(_HEADERS, _END_HEADERS, 2 * number + 1, block) for number in range(count)]
    with _connected(address) as connection:
        connection.sendall(_PREFACE + _frame(_SETTINGS, 0, 0, b"") + b"".join(begun))
        yield


def _connected(address: str) -> closing[socket.socket]:
    host, _, port = address.partition(":")
    return closing(socket.create_connection((host, int(port)), _SECONDS))


def _block(address: str, path: str, headers: Headers) -> bytes:
    """The headers of a call, these beside those of the protocol."""
    usual = [
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", path.encode()),
        (b":authority", address.encode()),
        (b"te", b"trailers"),
        (b"content-type", b"application/grpc"),
    ]
    return b"".join(b"\0" + _literal(name) + _literal(value) for name, value in (*usual, *headers))


def _status(reader: BinaryIO) -> int:
    """What gRPC's core says in its trailers, which it does not compress."""
    name = b"grpc-status"
    while True:
        head = reader.read(9)
        if len(head) < 9:
            raise EOFError
        payload = reader.read(int.from_bytes(head[:3], "big"))
        if head[3] == _HEADERS and name in payload:
            value = payload[payload.index(name) + len(name) :]
            return int(value[1 : 1 + value[0]])


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack("!I", len(payload))[1:] + struct.pack("!BBI", kind, flags, stream) + payload


def _literal(text: bytes) -> bytes:
    """A string of a header that is neither indexed nor compressed."""
    assert len(text) < 127
    return bytes([len(text)]) + text
