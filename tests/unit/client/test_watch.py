from __future__ import annotations

import gc
import json
import math
import threading
import time
from collections.abc import Iterator
from itertools import islice
from typing import Any

import grpc
import pytest

from matching_client import (
    Claims,
    DeadlineExceeded,
    EventIdUnknown,
    EventsCompacted,
    InternalError,
    InvalidArgument,
    MatchingClient,
    MatchingError,
    PermissionDenied,
    ProjectNotFound,
    StreamEvicted,
    Unauthenticated,
    Unavailable,
    Unimplemented,
    Watch,
    WatchPositionUnknown,
)
from tests.support.on_loop import Connect, on_loop
from tests.unit.client.scripted import (
    KEY_ID,
    PATIENCE,
    PROJECT,
    SECRET,
    USER,
    WATCH,
    ScriptedServer,
    StreamStep,
    event,
    fail,
    heartbeat,
    stream,
)

CODE = grpc.StatusCode
EXPIRED: dict[str, Any] = {"metadata": {"detail": "CLAIMS_EXPIRED"}}


@pytest.fixture(params=[MatchingClient, on_loop], ids=["sync", "async"])
def connect(request: pytest.FixtureRequest) -> Connect:
    """Either client."""
    made: Connect = request.param
    return made


def seqs(watch: Watch, count: int) -> list[int]:
    return [received.seq for received in islice(watch, count)]


def resumed_from(server: ScriptedServer) -> list[str]:
    """Where each stream was asked to go on."""
    return [call.watch.last_event_id for call in server.received]


def test_events_come_in_order_and_heartbeats_do_not_show(
    client: MatchingClient, server: ScriptedServer
) -> None:
    server.script(WATCH, stream(event(1), heartbeat("event-1"), event(2), event(3), hold=True))
    with client.watch(PROJECT) as watch:
        assert seqs(watch, 3) == [1, 2, 3]
        assert watch.last_event_id == "event-3"
    server.received[0].assert_signed()


def test_the_request_says_what_was_asked_for(client: MatchingClient, server: ScriptedServer) -> None:
    server.script(WATCH, stream(hold=True))
    client.watch(
        PROJECT, last_event_id="event-7", types=["message.new"], watch_id="mine", correlation_id="c-1"
    ).close()
    client.watch(PROJECT, from_start=True).close()
    asked, whole = server.received
    assert (asked.watch.project_id, asked.watch.last_event_id) == (PROJECT, "event-7")
    assert (list(asked.watch.types), asked.watch.watch_id) == (["message.new"], "mine")
    assert asked.metadata["x-correlation-id"] == "c-1"
    assert not asked.watch.from_start
    assert whole.watch.from_start
    assert len(whole.watch.watch_id) == 36


@pytest.mark.parametrize("watch_id", ["", "a b", "x" * 65])
def test_a_watch_id_that_the_service_would_refuse_is_refused(client: MatchingClient, watch_id: str) -> None:
    with pytest.raises(ValueError, match="watch_id"):
        client.watch(PROJECT, watch_id=watch_id)


@pytest.mark.parametrize("interval", [0, -1.0, math.nan, math.inf])
def test_an_interval_that_no_heartbeat_can_have_is_refused(
    client: MatchingClient, server: ScriptedServer, interval: float
) -> None:
    with pytest.raises(ValueError, match="heartbeat_interval is"):
        client.watch(PROJECT, heartbeat_interval=interval)
    assert server.received == []


def test_watch_returns_once_the_start_is_fixed(client: MatchingClient, server: ScriptedServer) -> None:
    fixed = threading.Event()

    def slow(body: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        threading.Event().wait(0.1)
        fixed.set()
        yield from stream(event(1), hold=True)(body, context)

    server.script(WATCH, slow)
    with client.watch(PROJECT) as watch:
        assert fixed.is_set()
        assert watch.last_event_id == "the-start"
        assert seqs(watch, 1) == [1]


@pytest.mark.parametrize("header", ["the-start", ""], ids=["with its place", "without its place"])
def test_a_quiet_stream_is_established_without_a_message(
    client: MatchingClient, server: ScriptedServer, header: str
) -> None:
    server.script(WATCH, stream(start=header, hold=True))
    with client.watch(PROJECT, timeout=PATIENCE) as watch:
        assert watch.last_event_id == header


REFUSALS: list[tuple[grpc.StatusCode, str, type[MatchingError]]] = [
    (CODE.NOT_FOUND, "PROJECT_NOT_FOUND", ProjectNotFound),
    (CODE.INVALID_ARGUMENT, "INVALID_ARGUMENT", InvalidArgument),
    (CODE.UNAUTHENTICATED, "AUTHENTICATION_ERROR", Unauthenticated),
    (CODE.PERMISSION_DENIED, "PERMISSION_DENIED", PermissionDenied),
    (CODE.OUT_OF_RANGE, "EVENTS_COMPACTED", EventsCompacted),
    (CODE.OUT_OF_RANGE, "EVENT_ID_UNKNOWN", EventIdUnknown),
    (CODE.ABORTED, "STREAM_EVICTED", StreamEvicted),
    (CODE.INTERNAL, "INTERNAL_ERROR", InternalError),
    (CODE.UNIMPLEMENTED, "", Unimplemented),
]


@pytest.mark.parametrize(("code", "reason", "kind"), REFUSALS)
def test_a_refusal_is_raised_by_watch_itself(
    client: MatchingClient,
    server: ScriptedServer,
    code: grpc.StatusCode,
    reason: str,
    kind: type[MatchingError],
) -> None:
    server.script(WATCH, fail(code, reason))
    with pytest.raises(kind):
        client.watch(PROJECT)
    assert len(server.received) == 1


@pytest.mark.parametrize(("code", "reason", "kind"), REFUSALS)
def test_what_ends_a_watch_is_raised_once_and_not_retried(
    client: MatchingClient,
    server: ScriptedServer,
    code: grpc.StatusCode,
    reason: str,
    kind: type[MatchingError],
) -> None:
    server.script(WATCH, stream(event(1), end=(code, reason)))
    watch = client.watch(PROJECT)
    assert seqs(watch, 1) == [1]
    with pytest.raises(kind):
        next(watch)
    assert list(watch) == []
    assert len(server.received) == 1


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (CODE.UNAVAILABLE, ""),
        (CODE.UNAVAILABLE, "DRAINING"),
        (CODE.UNAVAILABLE, "DATABASE_ERROR"),
        (CODE.CANCELLED, ""),
        (CODE.RESOURCE_EXHAUSTED, "SLOW_CONSUMER"),
        (CODE.RESOURCE_EXHAUSTED, "TOO_MANY_REQUESTS"),
        (CODE.ABORTED, "TRANSACTION_CONFLICT"),
        (CODE.INTERNAL, ""),
    ],
)
def test_a_broken_stream_is_resumed_without_loss_or_duplicates(
    client: MatchingClient, server: ScriptedServer, code: grpc.StatusCode, reason: str
) -> None:
    server.script(
        WATCH,
        stream(event(1), event(2), end=(code, reason)),
        stream(event(2), event(3), end=(code, reason)),
        stream(end=(code, reason)),
        stream(event(4), hold=True),
    )
    with client.watch(PROJECT) as watch:
        assert seqs(watch, 4) == [1, 2, 3, 4]
    assert resumed_from(server) == ["", "event-2", "event-3", "event-3"]
    assert len({call.watch.watch_id for call in server.received}) == 1
    assert len({call.part("nonce") for call in server.received}) == 4
    for call in server.received:
        call.assert_signed()


def test_a_stream_that_the_server_ends_in_order_is_resumed(
    client: MatchingClient, server: ScriptedServer
) -> None:
    server.script(WATCH, stream(event(1)), stream(event(2), hold=True))
    with client.watch(PROJECT) as watch:
        assert seqs(watch, 2) == [1, 2]


def test_a_watch_outlives_its_server(server: ScriptedServer, connect: Connect) -> None:
    server.script(WATCH, stream(event(1), hold=True))
    with (
        connect(server.address, key_id=KEY_ID, secret=SECRET, user_id=USER) as client,
        client.watch(PROJECT) as watch,
    ):
        assert seqs(watch, 1) == [1]
        server.stop()
        server.script(WATCH, stream(event(2), hold=True))
        server.start()
        assert seqs(watch, 1) == [2]
        assert resumed_from(server)[-1] == "event-1"


def test_the_place_to_store_never_runs_ahead_of_what_was_handed_out(
    client: MatchingClient, server: ScriptedServer
) -> None:
    server.script(WATCH, stream(event(1), heartbeat("event-1"), event(2), heartbeat("event-9"), hold=True))
    with client.watch(PROJECT) as watch:
        stored = [watch.last_event_id]
        for received in islice(watch, 2):
            assert received.id == watch.last_event_id
            threading.Event().wait(0.05)
            stored.append(watch.last_event_id)
    assert stored == ["the-start", "event-1", "event-2"]
    assert watch.last_event_id == "event-2", "it can be asked for after the end"


def test_heartbeats_move_the_place_to_resume_from(client: MatchingClient, server: ScriptedServer) -> None:
    server.script(
        WATCH,
        stream(event(1), heartbeat("event-9"), end=(CODE.UNAVAILABLE, "")),
        stream(event(10), hold=True),
    )
    with client.watch(PROJECT, types=["message.new"]) as watch:
        assert seqs(watch, 2) == [1, 10]
    assert resumed_from(server) == ["", "event-9"]


def test_a_stream_that_broke_before_its_first_message_resumes_from_its_start(
    client: MatchingClient, server: ScriptedServer
) -> None:
    server.script(WATCH, stream(end=(CODE.UNAVAILABLE, "")), stream(event(1), hold=True))
    with client.watch(PROJECT) as watch:
        assert seqs(watch, 1) == [1]
    assert resumed_from(server) == ["", "the-start"]


def cut_on(signal: threading.Event) -> StreamStep:
    """A stream of a server that does not say where it starts, and that breaks on the signal without a message."""

    def serve(body: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        yield from ()
        context.send_initial_metadata(())
        signal.wait(PATIENCE)
        context.abort(CODE.UNAVAILABLE, "broken")

    return serve


def test_nothing_is_skipped_in_silence_where_the_place_is_unknown(
    client: MatchingClient, server: ScriptedServer
) -> None:
    cut = threading.Event()
    server.script(WATCH, cut_on(cut), stream(event(1), hold=True))
    watch = client.watch(PROJECT)
    cut.set()
    with pytest.raises(WatchPositionUnknown) as caught:
        next(watch)
    assert isinstance(caught.value.__cause__, Unavailable)
    assert len(server.received) == 1


def test_from_the_start_begins_anew_where_nothing_came_yet(
    client: MatchingClient, server: ScriptedServer
) -> None:
    cut = threading.Event()
    server.script(WATCH, cut_on(cut), stream(event(1), hold=True))
    with client.watch(PROJECT, from_start=True) as watch:
        cut.set()
        assert seqs(watch, 1) == [1]
    assert [call.watch.from_start for call in server.received] == [True, True]


def test_expired_claims_are_replaced_by_fresh_ones(server: ScriptedServer, connect: Connect) -> None:
    users = iter("12345")
    server.script(
        WATCH,
        stream(event(1), end=(CODE.UNAUTHENTICATED, "AUTHENTICATION_ERROR"), **EXPIRED),
        stream(event(2), end=(CODE.UNAUTHENTICATED, "AUTHENTICATION_ERROR"), **EXPIRED),
        stream(event(3), hold=True),
    )
    with (
        connect(server.address, key_id=KEY_ID, secret=SECRET, claims=lambda: Claims(next(users))) as client,
        client.watch(PROJECT) as watch,
    ):
        assert seqs(watch, 3) == [1, 2, 3]
    claims = [json.loads(str(call.metadata["x-sheen-claims"]))["userId"] for call in server.received]
    assert claims == ["1", "2", "3"]


def test_claims_that_are_always_expired_are_a_refusal(client: MatchingClient, server: ScriptedServer) -> None:
    server.script(WATCH, fail(CODE.UNAUTHENTICATED, "AUTHENTICATION_ERROR", **EXPIRED))
    with pytest.raises(Unauthenticated):
        client.watch(PROJECT)
    assert len(server.received) == 2


def test_a_dead_connection_is_noticed_by_the_silence(client: MatchingClient, server: ScriptedServer) -> None:
    server.script(WATCH, stream(event(1), hold=True), stream(event(2), hold=True))
    with client.watch(PROJECT, heartbeat_interval=0.04) as watch:
        began = time.monotonic()
        assert seqs(watch, 2) == [1, 2]
        assert 0.1 <= time.monotonic() - began < PATIENCE / 2
    assert resumed_from(server) == ["", "event-1"]


def test_heartbeats_keep_a_quiet_connection_alive(client: MatchingClient, server: ScriptedServer) -> None:
    def quiet(body: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        for _ in range(10):
            threading.Event().wait(0.05)
            yield heartbeat("event-0")
        yield event(1)

    server.script(WATCH, quiet)
    with client.watch(PROJECT, heartbeat_interval=0.1) as watch:
        assert seqs(watch, 1) == [1]
    assert len(server.received) == 1


def test_a_slow_caller_is_not_silence(client: MatchingClient, server: ScriptedServer) -> None:
    server.script(WATCH, stream(event(1), event(2), hold=True))
    with client.watch(PROJECT, heartbeat_interval=0.02) as watch:
        assert seqs(watch, 1) == [1]
        threading.Event().wait(0.2)
        assert seqs(watch, 1) == [2]
    assert len(server.received) == 1


def test_a_service_out_of_reach_is_tried_within_the_timeout(
    client: MatchingClient, server: ScriptedServer
) -> None:
    server.script(WATCH, fail(CODE.UNAVAILABLE), fail(CODE.CANCELLED), stream(event(1), hold=True))
    with client.watch(PROJECT) as watch:
        assert seqs(watch, 1) == [1]
    server.script(WATCH, fail(CODE.UNAVAILABLE))
    with pytest.raises(Unavailable):
        client.watch(PROJECT, timeout=0.2)


def test_a_start_that_never_comes_ends_in_deadline_exceeded(
    client: MatchingClient, server: ScriptedServer
) -> None:
    def silent(body: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        gone = threading.Event()
        context.add_callback(gone.set)
        gone.wait(PATIENCE)
        yield from ()

    server.script(WATCH, silent)
    began = time.monotonic()
    with pytest.raises(DeadlineExceeded):
        client.watch(PROJECT, timeout=0.2)
    assert time.monotonic() - began < PATIENCE / 2


@pytest.mark.parametrize("busy", ["reading", "reconnecting"])
def test_closing_from_another_thread_ends_the_iteration_and_leaves_no_thread(
    client: MatchingClient, server: ScriptedServer, busy: str
) -> None:
    first = stream(
        event(1), hold=busy == "reading", end=None if busy == "reading" else (CODE.UNAVAILABLE, "")
    )
    server.script(WATCH, first, fail(CODE.UNAVAILABLE))
    before = set(threading.enumerate())
    watch = client.watch(PROJECT)
    got_first, seen = threading.Event(), []

    def iterate() -> None:
        for received in watch:
            seen.append(received.seq)
            got_first.set()

    reader = threading.Thread(target=iterate)
    reader.start()
    assert got_first.wait(PATIENCE)
    watch.close()
    watch.close()
    # Sooner than the server lets go of the stream.
    reader.join(PATIENCE / 2)
    assert not reader.is_alive()
    assert seen == [1]
    assert_gone(set(threading.enumerate()) - before)


def test_a_watch_that_is_let_go_leaves_no_thread(client: MatchingClient, server: ScriptedServer) -> None:
    server.script(WATCH, stream(event(1), hold=True))
    before = set(threading.enumerate())
    assert seqs(client.watch(PROJECT), 1) == [1]
    gc.collect()
    assert_gone(set(threading.enumerate()) - before)


def assert_gone(threads: set[threading.Thread]) -> None:
    """The client's threads have ended, or do so within the test's patience."""
    deadline = time.monotonic() + PATIENCE
    for thread in threads:
        if not thread.name.startswith("scripted"):
            thread.join(max(deadline - time.monotonic(), 0))
            assert not thread.is_alive(), thread.name
