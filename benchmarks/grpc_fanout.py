"""A bare grpcio server of streams: what is published to it goes to all that are open, as it is.

Streams are answered from callbacks, as the service's are; each belongs to one of so many sending threads, so that
its messages stay in order.

Usage: python -m benchmarks.grpc_fanout PORT THREADS SENDERS
"""

from __future__ import annotations

import itertools
import queue
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import grpc

Send = Callable[[bytes], None]


class _Sender:
    """A thread, and its streams."""

    def __init__(self) -> None:
        self.streams: dict[Send, None] = {}
        self.messages: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            message = self.messages.get()
            for send in list(self.streams):
                send(message)


class _Watch:
    """Opens a stream."""

    experimental_non_blocking = True

    def __init__(self, senders: list[_Sender]) -> None:
        self._senders = itertools.cycle(senders)

    def __call__(self, request: bytes, context: grpc.ServicerContext, send_response_callback: Send) -> None:
        streams = next(self._senders).streams
        context.send_initial_metadata(())
        streams[send_response_callback] = None
        if not context.add_callback(lambda: streams.pop(send_response_callback)):
            del streams[send_response_callback]


class _Replay:
    """Sends a message so many times to the one who asks: four bytes of number, and the message."""

    experimental_non_blocking = True

    def __call__(self, request: bytes, context: grpc.ServicerContext, send_response_callback: Send) -> None:
        number, message = int.from_bytes(request[:4], "big"), request[4:]
        context.send_initial_metadata(())
        for _ in range(number):
            send_response_callback(message)


def main() -> None:
    """Serves until it is ended."""
    port, threads, count = (int(word) for word in sys.argv[1:])
    senders = [_Sender() for _ in range(count)]

    def publish(message: bytes, context: grpc.ServicerContext) -> bytes:
        for sender in senders:
            sender.messages.put(message)
        return b""

    handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
        "Watch": grpc.unary_stream_rpc_method_handler(_Watch(senders)),
        "Replay": grpc.unary_stream_rpc_method_handler(_Replay()),
        "Publish": grpc.unary_unary_rpc_method_handler(publish),
    }
    server = grpc.server(
        ThreadPoolExecutor(threads),
        handlers=[grpc.method_handlers_generic_handler("bench.Fanout", handlers)],
        options=[("grpc.so_reuseport", 0)],
    )
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    main()
