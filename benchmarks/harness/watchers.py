"""Watchers: a process of its own that holds open streams, and notes what comes on them and when."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection as Pipe

from benchmarks.harness import http2, lives
from benchmarks.harness.load import GrpcCall, Window
from benchmarks.harness.remote import Remote
from benchmarks.harness.results import BenchmarkError

_CONNECTIONS = 8
_AT_ONCE = 32
_ATTEMPTS = 5
_OPEN_SECONDS = 120.0
_PATIENCE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Receipt:
    """One message: when it had come (perf_counter, which all processes of a machine share), on which stream."""

    at: float
    watcher: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Heard:
    """What came: how many messages, when the last, and the messages where they are kept."""

    count: int
    last: float
    receipts: list[Receipt]
    seconds: float
    """CPU time that this process has taken since it was last asked."""


@dataclass(frozen=True, slots=True)
class _Open:
    address: str
    method: str
    calls: Sequence[GrpcCall]
    marker: bytes
    keep: bool


@dataclass(frozen=True, slots=True)
class _Await:
    count: int


@dataclass(frozen=True, slots=True)
class _Close:
    pass


class Watchers(Remote):
    """The process, for as long as the block runs."""

    def __init__(self) -> None:
        super().__init__(_serve, "watchers' process")

    def open(
        self, address: str, method: str, calls: Sequence[GrpcCall], *, marker: bytes = b"", keep: bool = True
    ) -> float:
        """Opens a stream a call, beside those that are open; returns the moment before the first was asked for.

        Only messages that contain ``marker`` count, so that heartbeats need not; ``keep`` keeps them.

        Raises:
            BenchmarkError: one cannot be opened.
        """
        return float(self.ask(_Open(address, method, calls, marker, keep)))

    def hear(self, count: int) -> Heard:
        """Waits until so many messages have come since this was last asked.

        Raises:
            BenchmarkError: they have not within a minute, or a stream has ended.
        """
        heard = self.ask(_Await(count))
        assert isinstance(heard, Heard)
        return heard

    def live(self, load: lives.Lives) -> Window:
        """Lets matches live; watcher n sees the n-th project of the load.

        Raises:
            BenchmarkError: a call failed, or an end was not seen.
        """
        window = self.ask(load)
        assert isinstance(window, Window)
        return window

    def close(self) -> None:
        """Closes all streams, and forgets what came."""
        self.ask(_Close())


class _Watching:
    """What the process does."""

    def __init__(self) -> None:
        self._cpu = time.process_time()
        self._begin()

    def _begin(self) -> None:
        self._connections: list[http2.Connection] = []
        self._watchers = 0
        self._marker, self._keep = b"", True
        self._lost: str | None = None
        self._forget()

    def _forget(self) -> None:
        self._count, self._last = 0, 0.0
        self._receipts: list[Receipt] = []
        self._wanted = 0
        self._reached = asyncio.Event()
        self._seen: dict[int, asyncio.Event] = {}

    async def answer(self, request: object) -> object:
        """Does what is asked for."""
        if isinstance(request, _Open):
            return await self._open(request)
        if isinstance(request, _Await):
            return await self._await(request.count)
        if isinstance(request, lives.Lives):
            return await lives.run(request, self._see)
        for connection in self._connections:
            connection.close()
        await asyncio.sleep(0)
        self._begin()
        return True

    async def _open(self, request: _Open) -> float:
        self._marker, self._keep = request.marker, request.keep
        made = [
            await http2.connect(request.address, self._hear, self._lose)
            for _ in range(min(_CONNECTIONS, len(request.calls)))
        ]
        self._connections += made
        first, self._watchers = self._watchers, self._watchers + len(request.calls)
        places = asyncio.Semaphore(_AT_ONCE)

        async def open_one(number: int, call: GrpcCall) -> None:
            async with places:
                for attempt in range(_ATTEMPTS):
                    # A server may turn streams away while many are opened.
                    await asyncio.sleep(0.1 * attempt)
                    connection = made[number % len(made)]
                    if await connection.open(request.address, request.method, call, number):
                        return
            raise BenchmarkError(f"the stream of watcher {number} was refused")

        async with asyncio.timeout(_OPEN_SECONDS):
            began = time.perf_counter()
            await asyncio.gather(*(open_one(first + n, call) for n, call in enumerate(request.calls)))
        return began

    async def _await(self, count: int) -> Heard:
        self._wanted = count
        if self._count < count:
            try:
                async with asyncio.timeout(_PATIENCE_SECONDS):
                    await self._reached.wait()
            except TimeoutError:
                pass
        if self._lost is not None:
            raise BenchmarkError(self._lost)
        if self._count != count:
            raise BenchmarkError(f"{count} messages were to come, and {self._count} did")
        before, self._cpu = self._cpu, time.process_time()
        heard = Heard(self._count, self._last, self._receipts, self._cpu - before)
        self._forget()
        return heard

    async def _see(self, watcher: int) -> None:
        """Waits for a watcher's next message."""
        if self._lost is not None:
            raise BenchmarkError(self._lost)
        await self._seen.setdefault(watcher, asyncio.Event()).wait()

    def _hear(self, watcher: int, body: bytes) -> None:
        if self._marker not in body:
            return
        self._last = time.perf_counter()
        self._count += 1
        if self._keep:
            self._receipts.append(Receipt(self._last, watcher, body))
            self._seen.setdefault(watcher, asyncio.Event()).set()
        if self._count == self._wanted:
            self._reached.set()

    def _lose(self, sentence: str) -> None:
        self._lost = self._lost or sentence
        self._reached.set()


def _serve(pipe: Pipe) -> None:
    gc.disable()
    asyncio.run(_answer_all(pipe))


async def _answer_all(pipe: Pipe) -> None:
    watching, loop = _Watching(), asyncio.get_running_loop()
    while True:
        try:
            request = await loop.run_in_executor(None, pipe.recv)
        except EOFError:
            return
        try:
            answer = await watching.answer(request)
        except Exception as error:
            answer = str(error) or repr(error)
        pipe.send(answer)
        del request, answer
        gc.collect()
