"""A bare grpcio server: any method, any bytes, answered with as many bytes as it was told.

Usage: python -m benchmarks.grpc_echo PORT THREADS ANSWER_BYTES
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

import grpc


class _Everything(grpc.GenericRpcHandler):
    """Answers every method alike."""

    def __init__(self, answer: bytes) -> None:
        self._handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(
            lambda request, context: answer
        )

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:
        return self._handler


def main() -> None:
    """Serves until it is ended."""
    port, threads, answer_bytes = (int(word) for word in sys.argv[1:])
    server = grpc.server(
        ThreadPoolExecutor(threads),
        handlers=[_Everything(b"x" * answer_bytes)],
        options=[("grpc.so_reuseport", 0)],
    )
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    main()
