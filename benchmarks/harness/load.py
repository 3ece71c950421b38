"""Load: a process of its own that makes prepared calls, so many at a time, and says how long they took.

Nothing is built, signed or parsed while the clock runs: gRPC calls are raw bytes with their metadata, HTTP
requests are raw bytes, and either way each caller is a coroutine that waits for its answer. What remains is what
the two cost a client: HTTP/1.1 over a bare stream about a third of grpcio. The generator shares the machine with
what is measured, so a comparison of the two leans towards HTTP.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import grpc
import grpc.aio

from benchmarks.harness.remote import Remote
from benchmarks.harness.results import BenchmarkError

Metadata = tuple[tuple[str, str], ...]
Caller = Callable[[int], Awaitable[bytes]]
"""Makes the call of that number, and returns its answer."""

_READY_SECONDS = 10.0
_WINDOW_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class GrpcCall:
    """A call as it goes over the wire."""

    body: bytes
    metadata: Metadata = ()


@dataclass(frozen=True, slots=True)
class GrpcLoad:
    """Calls of one method. The callers are spread over the addresses."""

    addresses: tuple[str, ...]
    method: str
    calls: Sequence[GrpcCall]
    callers: int
    timeout: float = 10.0
    """Seconds that a call may take."""
    budget: float = _WINDOW_SECONDS
    """Seconds after which no further call is begun."""


@dataclass(frozen=True, slots=True)
class HttpLoad:
    """HTTP/1.1 requests, whole, to a port of this machine; each caller keeps its connection."""

    port: int
    requests: Sequence[bytes]
    callers: int


@dataclass(frozen=True, slots=True)
class Window:
    """What came of a load. Starts, latencies and answers are in the order of the calls."""

    seconds: float
    """From the first call's beginning to the last one's end."""
    starts: list[float]
    """When each call was made, in seconds by one clock."""
    latencies: list[float]
    """Seconds that each call took, by the same clock."""
    answers: list[bytes]
    generator_seconds: float
    """CPU time that making the calls took."""

    @property
    def rate(self) -> float:
        """Calls a second."""
        return len(self.latencies) / self.seconds

    @property
    def p50(self) -> float:
        """The median latency in milliseconds."""
        return 1000 * statistics.median(self.latencies)


class LoadGenerator(Remote):
    """The process, for as long as the block runs."""

    def __init__(self) -> None:
        super().__init__(_serve, "load generator")

    def run(self, load: GrpcLoad | HttpLoad) -> Window:
        """Makes the calls, and returns when the last one has its answer.

        Raises:
            BenchmarkError: a call failed.
        """
        window = self.ask(load)
        assert isinstance(window, Window)
        return window


def _serve(pipe: Connection) -> None:
    """The generator's main loop."""
    gc.disable()
    while True:
        try:
            load = pipe.recv()
        except EOFError:
            return
        try:
            result: Window | str = asyncio.run(
                _run_grpc(load) if isinstance(load, GrpcLoad) else _run_http(load)
            )
        except Exception as error:
            result = str(error) or repr(error)
        pipe.send(result)
        del load, result
        gc.collect()


async def _run_grpc(load: GrpcLoad) -> Window:
    async with AsyncExitStack() as open_:
        callers = []
        for address in load.addresses:
            channel = await open_.enter_async_context(grpc.aio.insecure_channel(address))
            await asyncio.wait_for(channel.channel_ready(), _READY_SECONDS)
            callers.append(_grpc_caller(channel, load))
        spread = itertools.islice(itertools.cycle(callers), load.callers)
        return await _timed(list(spread), len(load.calls), load.budget)


def _grpc_caller(channel: grpc.aio.Channel, load: GrpcLoad) -> Caller:
    # Without serializers, bytes go out and come in as they are.
    method: Any = channel.unary_unary(load.method)

    async def call(number: int) -> bytes:
        made = load.calls[number]
        answer: bytes = await method(made.body, metadata=made.metadata, timeout=load.timeout)
        return answer

    return call


async def _run_http(load: HttpLoad) -> Window:
    async with AsyncExitStack() as open_:
        callers = []
        for _ in range(load.callers):
            reader, writer = await asyncio.open_connection("127.0.0.1", load.port)
            open_.enter_context(closing(writer))
            callers.append(_http_caller(reader, writer, load))
        return await _timed(callers, len(load.requests), _WINDOW_SECONDS)


def _http_caller(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, load: HttpLoad) -> Caller:
    async def call(number: int) -> bytes:
        writer.write(load.requests[number])
        # The twin's answers all have a length.
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
        answer = await reader.readexactly(length)
        if not head.startswith(b"http/1.1 2"):
            raise BenchmarkError(f"{head.splitlines()[0].decode()}: {answer[:500].decode(errors='replace')}")
        return answer

    return call


async def _timed(callers: Sequence[Caller], count: int, budget: float) -> Window:
    """Lets the callers share the calls out among themselves, each with one under way at a time."""
    answers: list[bytes] = [b""] * count
    starts: list[float] = [0.0] * count
    latencies: list[float] = [0.0] * count
    numbers = itertools.count()

    async def run(call: Caller) -> None:
        while (number := next(numbers)) < count and time.perf_counter() < deadline:
            starts[number] = time.perf_counter()
            answers[number] = await call(number)
            latencies[number] = time.perf_counter() - starts[number]

    cpu = time.process_time()
    started = time.perf_counter()
    deadline = started + budget
    try:
        async with asyncio.TaskGroup() as group:
            for caller in callers:
                group.create_task(run(caller))
    except ExceptionGroup as group_error:
        raise BenchmarkError(f"a call failed: {told(group_error.exceptions[0])}") from None
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    # The numbers were given out in order, so what was not begun in time is the rest.
    made = sum(1 for latency in latencies if latency)
    return Window(seconds, starts[:made], latencies[:made], answers[:made], cpu)


def told(error: BaseException) -> str:
    """In a line: what a call was answered, or what else went wrong."""
    if isinstance(error, grpc.aio.AioRpcError):
        return f"{error.code().name}: {error.details()}"
    return str(error) or repr(error)
