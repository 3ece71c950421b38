"""What only the asynchronous client can get wrong; what both promise is tested with both, see `on_loop`."""

from __future__ import annotations

import asyncio
import gc
import inspect
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import grpc
import pytest

from advisor_matching.v1.event_service_pb2 import WatchProjectEventsRequest, WatchProjectEventsResponse
from advisor_matching.v1.match_service_pb2 import GetMatchRequest, GetMatchResponse
from matching_client import (
    AsyncMatchingClient,
    AsyncWatch,
    Cancelled,
    Claims,
    DeadlineExceeded,
    MatchingClient,
    Watch,
)
from tests.unit.client.scripted import (
    GET_MATCH,
    KEY_ID,
    PATIENCE,
    PROJECT,
    SECRET,
    USER,
    WATCH,
    ScriptedServer,
    answer,
    event,
    fail,
    stream,
)

CODE = grpc.StatusCode
FOUND = answer(GetMatchResponse(match={"id": "m"}))


@asynccontextmanager
async def connected(server: ScriptedServer, **arguments: Any) -> AsyncIterator[AsyncMatchingClient]:
    """A client of the scripted server."""
    who = arguments if "claims" in arguments else {"user_id": USER, **arguments}
    async with AsyncMatchingClient(server.address, key_id=KEY_ID, secret=SECRET, **who) as client:
        yield client


async def eventually(condition: Callable[[], bool]) -> None:
    """Waits until it holds, not so long that the server lets go by itself."""
    async with asyncio.timeout(PATIENCE / 2):
        while not condition():
            await asyncio.sleep(0.005)


def tasks() -> set[asyncio.Task[Any]]:
    """The tasks that there are beside the current one."""
    return asyncio.all_tasks() - {asyncio.current_task()}


class Held:
    """A step that answers nothing for as long as it is called, and tells when it is and when no longer."""

    def __init__(self) -> None:
        self.called, self.gone = threading.Event(), threading.Event()

    def __call__(self, body: bytes, context: grpc.ServicerContext) -> bytes:
        context.add_callback(self.gone.set)
        self.called.set()
        self.gone.wait(PATIENCE)
        return b""


def held_stream(*messages: bytes) -> tuple[Any, threading.Event]:
    """A stream that is held open, and what is set when it is gone."""
    gone = threading.Event()

    def serve(body: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        context.add_callback(gone.set)
        context.send_initial_metadata((("x-sheen-event-id", "the-start"),))
        yield from messages
        gone.wait(PATIENCE)

    return serve, gone


# ----------------------------------------------------------------------------------------------------------- alike

AWAITED = {"AsyncIterator": "Iterator", "AsyncWatch": "Watch", "Claims | Awaitable[Claims]": "Claims"}


def shape(member: object) -> object:
    """Parameters with their defaults and annotations, and what is returned, as text."""
    if isinstance(member, property):
        return "property", shape(member.fget)
    if isinstance(member, staticmethod | classmethod):
        return type(member), shape(member.__func__)
    if not inspect.isfunction(member):
        return type(member)
    told = str(inspect.signature(member))
    for there, here in AWAITED.items():
        told = told.replace(there, here)
    return told


@pytest.mark.parametrize(("sync", "other"), [(MatchingClient, AsyncMatchingClient), (Watch, AsyncWatch)])
def test_both_clients_have_the_same_names_parameters_defaults_and_types(sync: type, other: type) -> None:
    renamed = {
        "__aenter__": "__enter__",
        "__aexit__": "__exit__",
        "__anext__": "__next__",
        "__aiter__": "__iter__",
    }

    def members(kind: type) -> dict[str, object]:
        return {
            renamed.get(name, name): inspect.getattr_static(kind, name)
            for name in dir(kind)
            if name in renamed or name in renamed.values() or name == "__init__" or name[0] != "_"
        }

    ours, theirs = members(sync), members(other)
    assert ours.keys() == theirs.keys()
    for name in ours.keys() - {"__enter__", "__iter__"}:
        assert str(shape(theirs[name])).replace("Async", "") == str(shape(ours[name])), name


def test_whatever_calls_is_awaited_and_nothing_else_is() -> None:
    plain = {"as_user", "from_connection_file", "from_env", "closed"}
    for name in dir(AsyncMatchingClient):
        member = inspect.getattr_static(AsyncMatchingClient, name)
        if name[0] != "_" and inspect.isfunction(member):
            awaited = inspect.iscoroutinefunction(member)
            assert awaited != (name in plain or name.startswith("iter_")), name


# ------------------------------------------------------------------------------------------------------- on a loop


def test_a_client_can_be_made_before_there_is_a_loop(server: ScriptedServer) -> None:
    server.script(GET_MATCH, FOUND)
    client = AsyncMatchingClient(server.address, key_id=KEY_ID, secret=SECRET, user_id=USER)

    async def use() -> str:
        async with client:
            return (await client.get_match("m")).id

    assert asyncio.run(use()) == "m"


def test_many_tasks_call_at_once(server: ScriptedServer) -> None:
    server.script(GET_MATCH, FOUND)

    async def use() -> None:
        async with connected(server) as client:
            await asyncio.gather(*(client.get_match("m") for _ in range(100)))

    asyncio.run(use())
    assert len({call.part("nonce") for call in server.received}) == 100


# -------------------------------------------------------------------------------------------------------- cancelled


def test_a_cancelled_task_cancels_its_call(server: ScriptedServer) -> None:
    held = Held()
    server.script(GET_MATCH, held)

    async def use() -> None:
        async with connected(server) as client:
            calling = asyncio.create_task(client.get_match("m"))
            await eventually(held.called.is_set)
            calling.cancel()
            with pytest.raises(asyncio.CancelledError):
                await calling
            await eventually(held.gone.is_set)

    asyncio.run(use())
    assert len(server.received) == 1


def test_a_task_is_cancelled_while_it_waits_to_try_again(server: ScriptedServer) -> None:
    server.script(GET_MATCH, fail(CODE.UNAVAILABLE, "DATABASE_ERROR", retry_after=PATIENCE / 2))

    async def use() -> None:
        async with connected(server, timeout=PATIENCE) as client:
            calling = asyncio.create_task(client.get_match("m"))
            await eventually(lambda: len(server.received) == 1)
            calling.cancel()
            with pytest.raises(asyncio.CancelledError):
                await calling

    began = time.monotonic()
    asyncio.run(use())
    assert time.monotonic() - began < PATIENCE / 4


def test_a_task_that_is_cancelled_while_it_waits_for_the_start_leaves_no_stream(
    server: ScriptedServer,
) -> None:
    gone, called = threading.Event(), threading.Event()

    def silent(body: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        context.add_callback(gone.set)
        called.set()
        gone.wait(PATIENCE)
        yield from ()

    server.script(WATCH, silent)

    async def use() -> None:
        async with connected(server) as client:
            watching = asyncio.create_task(client.watch(PROJECT))
            await eventually(called.is_set)
            watching.cancel()
            with pytest.raises(asyncio.CancelledError):
                await watching
            await eventually(gone.is_set)

    asyncio.run(use())


def test_a_cancelled_task_cancels_its_stream_and_the_watch_can_go_on(server: ScriptedServer) -> None:
    first, gone = held_stream(event(1))
    server.script(WATCH, first, stream(event(2), hold=True))

    async def use() -> None:
        async with connected(server) as client, await client.watch(PROJECT) as watch:
            assert (await anext(watch)).seq == 1
            reading = asyncio.create_task(anext(watch))
            await asyncio.sleep(0.02)
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading
            await eventually(gone.is_set)
            assert (await anext(watch)).seq == 2

    asyncio.run(use())
    assert [call.watch.last_event_id for call in server.received] == ["", "event-1"]


def test_waiting_for_the_next_event_with_a_limit_loses_none(server: ScriptedServer) -> None:
    """Each time that the limit is reached the stream is cancelled; the next wait resumes it."""

    def slow(body: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        context.send_initial_metadata((("x-sheen-event-id", "event-0"),))
        last = int(WatchProjectEventsRequest.FromString(body).last_event_id.removeprefix("event-") or 0)
        for seq in range(last + 1, 6):
            yield event(seq)
            threading.Event().wait(0.15)

    server.script(WATCH, slow)

    async def use() -> list[int]:
        seen: list[int] = []
        async with connected(server) as client, await client.watch(PROJECT) as watch:
            async with asyncio.timeout(PATIENCE):
                while len(seen) < 5:
                    with suppress(TimeoutError):
                        seen.append((await asyncio.wait_for(anext(watch), 0.05)).seq)
        return seen

    assert asyncio.run(use()) == [1, 2, 3, 4, 5]
    assert len(server.received) > 1


# ------------------------------------------------------------------------------------------------------------ closed


def test_closing_leaves_no_task_and_no_thread(server: ScriptedServer) -> None:
    held = Held()
    server.script(GET_MATCH, held)
    server.script(WATCH, stream(event(1), hold=True))
    before = set(threading.enumerate())

    async def use() -> None:
        client = AsyncMatchingClient(server.address, key_id=KEY_ID, secret=SECRET, user_id=USER)
        mine, others = await client.watch(PROJECT), await client.as_user(user_id=USER).watch(PROJECT)
        assert (await anext(mine)).seq == (await anext(others)).seq == 1
        waiting = [asyncio.create_task(anext(mine)), asyncio.create_task(anext(others))]
        calling = asyncio.create_task(client.get_match("m"))
        await eventually(held.called.is_set)
        await client.close()
        await client.close()
        outcomes = await asyncio.gather(*waiting, calling, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [StopAsyncIteration, StopAsyncIteration, Cancelled]
        # What grpc.aio itself runs for a call ends as soon as the core has let go of it.
        await eventually(lambda: not tasks())
        for call in (client.get_match("m"), client.watch(PROJECT)):
            with pytest.raises(RuntimeError, match="closed"):
                await call
        assert client.closed

    asyncio.run(use())
    deadline = time.monotonic() + PATIENCE
    for thread in set(threading.enumerate()) - before:
        # grpc.aio has one thread for all clients of a process, which ends with the last.
        if not thread.name.startswith("scripted"):
            thread.join(deadline - time.monotonic())
            assert not thread.is_alive(), thread.name


def test_a_watch_that_is_let_go_ends_its_stream(server: ScriptedServer) -> None:
    held, gone = held_stream(event(1))
    server.script(WATCH, held)

    async def use() -> None:
        async with connected(server) as client:
            watch = await client.watch(PROJECT)
            assert (await anext(watch)).seq == 1
            del watch
            gc.collect()
            await eventually(gone.is_set)

    asyncio.run(use())


def test_a_client_that_was_never_used_closes(server: ScriptedServer) -> None:
    async def use() -> None:
        async with connected(server):
            pass
        assert not tasks()

    asyncio.run(use())
    assert server.received == []


# ------------------------------------------------------------------------------------------------------------ claims


class IdentityService:
    """Gives claims, each time after a moment, and other ones each time."""

    def __init__(self, seconds: float = 0.01) -> None:
        self.asked = 0
        self._seconds = seconds

    async def claims(self) -> Claims:
        self.asked += 1
        await asyncio.sleep(self._seconds)
        return Claims(f"user-{self.asked}")


def test_claims_that_have_to_be_awaited_are_asked_for_at_each_attempt(server: ScriptedServer) -> None:
    identity = IdentityService()
    server.script(GET_MATCH, fail(CODE.UNAVAILABLE), fail(CODE.UNAVAILABLE), FOUND)
    server.script(WATCH, stream(event(1), end=(CODE.UNAVAILABLE, "")), stream(event(2), hold=True))

    async def use() -> None:
        async with connected(server, claims=identity.claims) as client:
            assert (await client.get_match("m")).id == "m"
            async with await client.watch(PROJECT) as watch:
                assert [(await anext(watch)).seq, (await anext(watch)).seq] == [1, 2]
            assert (await client.get_service_info()).service == ""

    asyncio.run(use())
    signed = server.of(GET_MATCH) + server.of(WATCH)
    for number, call in enumerate(signed, start=1):
        call.assert_signed()
        assert f'"userId":"user-{number}"' in str(call.metadata["x-sheen-claims"])
    assert identity.asked == len(signed) == 5, "what goes unsigned asks for no claims"


def test_waiting_for_claims_blocks_nobody_else(server: ScriptedServer) -> None:
    server.script(GET_MATCH, FOUND)

    async def use() -> None:
        given = asyncio.Event()

        async def claims() -> Claims:
            await given.wait()
            return Claims(USER)

        async with connected(server) as client:
            waiting = asyncio.create_task(client.as_user(claims=claims).get_match("m"))
            assert (await client.get_match("m")).id == "m"
            assert not waiting.done()
            given.set()
            assert (await waiting).id == "m"

    asyncio.run(use())


def test_claims_that_do_not_come_within_the_timeout_are_a_deadline_exceeded(server: ScriptedServer) -> None:
    async def use() -> None:
        async with connected(server, claims=IdentityService(PATIENCE).claims) as client:
            with pytest.raises(DeadlineExceeded, match="claims"):
                await client.get_match("m", timeout=0.05)
            with pytest.raises(DeadlineExceeded):
                await client.watch(PROJECT, timeout=0.05)
            assert not tasks()

    began = time.monotonic()
    asyncio.run(use())
    assert time.monotonic() - began < PATIENCE / 2
    assert server.received == []


@pytest.mark.parametrize("kind", [ConnectionError, TimeoutError])
def test_an_error_of_the_identity_service_reaches_the_caller(
    server: ScriptedServer, kind: type[Exception]
) -> None:
    error = kind("the identity service is away")

    async def claims() -> Claims:
        raise error

    async def use() -> None:
        async with connected(server, claims=claims) as client:
            for call in (client.get_match("m"), client.watch(PROJECT)):
                with pytest.raises(kind) as caught:
                    await call
                assert caught.value is error

    asyncio.run(use())


# ------------------------------------------------------------------------------------------------------------- stubs


@pytest.mark.parametrize("claims", [Claims(USER), lambda: Claims(USER), IdentityService().claims])
def test_the_stubs_sign_what_they_send(server: ScriptedServer, claims: Any) -> None:
    server.script(GET_MATCH, FOUND)
    server.script(WATCH, stream(event(1), event(2)))
    mine = (("x-correlation-id", "mine"),)

    async def use() -> None:
        async with connected(server, claims=claims) as client:
            call = client.stubs.match.GetMatch(GetMatchRequest(match_id="m"), timeout=5.0, metadata=mine)
            ended: list[object] = []
            call.add_done_callback(ended.append)
            assert (await call).match.id == "m"
            assert (await call.code(), call.done(), call.cancelled()) == (CODE.OK, True, False)
            assert (await call.details(), len(await call.trailing_metadata())) == ("", 0)
            await eventually(lambda: len(ended) == 1)
            whole = client.stubs.event.WatchProjectEvents(WatchProjectEventsRequest(project_id="p"))
            assert [response.event.seq async for response in whole] == [1, 2]
            read = client.stubs.event.WatchProjectEvents(WatchProjectEventsRequest(project_id="p"))
            assert ("x-sheen-event-id", "the-start") in list(await read.initial_metadata())
            assert isinstance(first := await read.read(), WatchProjectEventsResponse)
            assert first.event.seq == 1

    asyncio.run(use())
    assert len(server.received) == 3
    for received in server.received:
        received.assert_signed()
    assert server.received[0].metadata["x-correlation-id"] == "mine"
    assert 0 < (server.received[0].timeout or 0) < 5.2


def test_a_call_that_is_cancelled_before_its_claims_are_there_is_never_made(server: ScriptedServer) -> None:
    identity = IdentityService()

    async def use() -> None:
        async with connected(server, claims=identity.claims) as client:
            for call in (
                client.stubs.match.GetMatch(GetMatchRequest()),
                client.stubs.event.WatchProjectEvents(WatchProjectEventsRequest()),
            ):
                assert not call.done()
                assert call.cancel()
                assert not call.cancel()
                assert call.done()
                assert call.cancelled()
                with pytest.raises(asyncio.CancelledError):
                    await call.code()

    asyncio.run(use())
    assert server.received == []
