from __future__ import annotations

import asyncio
import math
import threading
import time
import uuid
from concurrent import futures

import grpc
import pytest

from advisor_matching.v1.chat_service_pb2 import SendMessageRequest
from advisor_matching.v1.match_service_pb2 import CreateMatchRequest, GetMatchRequest, GetMatchResponse
from matching_client import (
    Cancelled,
    Claims,
    DatabaseError,
    DeadlineExceeded,
    Draining,
    EtagMismatch,
    InternalError,
    MatchingClient,
    MatchingError,
    TooManyRequests,
    TransactionConflict,
    Unavailable,
    retry,
)
from tests.support.on_loop import Connect, on_loop
from tests.unit.client.scripted import (
    CREATE_MATCH,
    GET_MATCH,
    KEY_ID,
    PATIENCE,
    SECRET,
    USER,
    ScriptedServer,
    answer,
    fail,
)

CODE = grpc.StatusCode
FOUND = answer(GetMatchResponse(match={"id": "m"}))


@pytest.fixture(params=[MatchingClient, on_loop], ids=["sync", "async"])
def connect(request: pytest.FixtureRequest) -> Connect:
    """Either client."""
    made: Connect = request.param
    return made


def test_each_attempt_has_a_new_nonce_and_the_same_request_id(
    client: MatchingClient, server: ScriptedServer
) -> None:
    server.script(
        CREATE_MATCH,
        fail(CODE.UNAVAILABLE),
        fail(CODE.UNAVAILABLE, "DATABASE_ERROR"),
        fail(CODE.ABORTED, "TRANSACTION_CONFLICT"),
        lambda body, context: b"",
    )
    client.create_match("p", correlation_id="mine")
    assert len(server.received) == 4
    for call in server.received:
        call.assert_signed()
        assert call.metadata["x-correlation-id"] == "mine"
    assert len({call.part("nonce") for call in server.received}) == 4
    [body] = {call.body for call in server.received}
    assert uuid.UUID(CreateMatchRequest.FromString(body).request_id).version == 4


def test_each_attempt_has_the_time_that_is_left(client: MatchingClient, server: ScriptedServer) -> None:
    later = fail(CODE.UNAVAILABLE, "DATABASE_ERROR", retry_after=0.1)
    server.script(GET_MATCH, later, later, FOUND)
    client.get_match("m", timeout=1.0)
    # On the wire a timeout is rounded up to about a hundredth of it.
    left = [call.timeout or 0.0 for call in server.received]
    assert 1.1 > left[0] > left[1] + 0.05 > left[2] + 0.1 > 0.1


def test_two_calls_have_two_request_ids(client: MatchingClient, server: ScriptedServer) -> None:
    client.create_match("p")
    client.create_match("p")
    first, second = (CreateMatchRequest.FromString(call.body).request_id for call in server.received)
    assert first != second


def test_the_callers_own_ids_are_kept(client: MatchingClient, server: ScriptedServer) -> None:
    client.create_match("p", request_id="mine")
    client.send_message("p", "hello", client_msg_id="also mine")
    created, sent = server.received
    assert CreateMatchRequest.FromString(created.body).request_id == "mine"
    assert SendMessageRequest.FromString(sent.body).client_msg_id == "also mine"


def test_the_callers_message_is_never_changed() -> None:
    request = SendMessageRequest(project_id="p")
    filled = retry.with_own_ids(request)
    assert filled.client_msg_id
    assert not request.client_msg_id
    without = GetMatchRequest(match_id="m")
    assert retry.with_own_ids(without) is without


@pytest.mark.parametrize(
    ("code", "reason", "kind"),
    [
        (CODE.ABORTED, "ETAG_MISMATCH", EtagMismatch),
        (CODE.RESOURCE_EXHAUSTED, "TOO_MANY_REQUESTS", TooManyRequests),
        (CODE.INTERNAL, "INTERNAL_ERROR", InternalError),
        (CODE.DEADLINE_EXCEEDED, "", DeadlineExceeded),
        (CODE.UNKNOWN, "", MatchingError),
    ],
)
def test_what_cannot_be_cured_is_not_retried(
    client: MatchingClient,
    server: ScriptedServer,
    code: grpc.StatusCode,
    reason: str,
    kind: type[MatchingError],
) -> None:
    server.script(GET_MATCH, fail(code, reason))
    with pytest.raises(kind):
        client.get_match("m")
    assert len(server.received) == 1


@pytest.mark.parametrize(
    ("code", "reason", "kind"),
    [
        (CODE.UNAVAILABLE, "", Unavailable),
        (CODE.UNAVAILABLE, "DATABASE_ERROR", DatabaseError),
        (CODE.UNAVAILABLE, "DRAINING", Draining),
        (CODE.ABORTED, "TRANSACTION_CONFLICT", TransactionConflict),
    ],
)
def test_retries_end_with_the_timeout_and_raise_the_last_error(
    client: MatchingClient,
    server: ScriptedServer,
    code: grpc.StatusCode,
    reason: str,
    kind: type[MatchingError],
) -> None:
    server.script(GET_MATCH, fail(code, reason))
    began = time.monotonic()
    with pytest.raises(kind):
        client.get_match("m", timeout=0.3)
    assert time.monotonic() - began < 0.3 + 1
    assert len(server.received) > 1


def test_the_service_says_when_to_come_back(client: MatchingClient, server: ScriptedServer) -> None:
    server.script(GET_MATCH, fail(CODE.UNAVAILABLE, "DATABASE_ERROR", retry_after=0.2), FOUND)
    began = time.monotonic()
    assert client.get_match("m").id == "m"
    assert time.monotonic() - began >= 0.2


def test_a_return_after_the_timeout_is_not_waited_for(client: MatchingClient, server: ScriptedServer) -> None:
    server.script(GET_MATCH, fail(CODE.UNAVAILABLE, "DATABASE_ERROR", retry_after=30))
    began = time.monotonic()
    with pytest.raises(DatabaseError) as caught:
        client.get_match("m", timeout=PATIENCE)
    assert time.monotonic() - began < PATIENCE / 2
    assert caught.value.retry_after == 30
    assert len(server.received) == 1


def silent(body: bytes, context: grpc.ServicerContext) -> bytes:
    gone = threading.Event()
    context.add_callback(gone.set)
    gone.wait(PATIENCE)
    return b""


def test_a_silent_server_ends_in_deadline_exceeded(client: MatchingClient, server: ScriptedServer) -> None:
    server.script(GET_MATCH, silent)
    with pytest.raises(DeadlineExceeded):
        client.get_match("m", timeout=0.1)


@pytest.mark.parametrize("endless", [math.inf, math.nan, 1e11])
def test_a_timeout_that_no_clock_can_count_is_refused_and_not_taken_for_none(
    client: MatchingClient, server: ScriptedServer, connect: Connect, endless: float
) -> None:
    with pytest.raises(ValueError, match="timeout is at most"):
        client.get_match("m", timeout=endless)
    with pytest.raises(ValueError, match="timeout is at most"):
        client.watch("p", timeout=endless)
    with pytest.raises(ValueError, match="timeout is at most"):
        connect(server.address, key_id=KEY_ID, secret=SECRET, user_id=USER, timeout=endless)
    with pytest.raises(TypeError, match="timeout is a number of seconds, not None"):
        client.get_match("m", timeout=None)  # type: ignore[arg-type]
    assert server.received == []


def test_a_call_under_way_when_its_client_is_closed_is_cancelled_and_not_tried_again(
    client: MatchingClient, server: ScriptedServer
) -> None:
    called = threading.Event()

    def held(body: bytes, context: grpc.ServicerContext) -> bytes:
        called.set()
        return silent(body, context)

    server.script(GET_MATCH, held)
    with futures.ThreadPoolExecutor(1) as pool:
        calling = pool.submit(client.get_match, "m")
        assert called.wait(PATIENCE)
        client.close()
        with pytest.raises(Cancelled):
            calling.result(PATIENCE)
    assert len(server.received) == 1


def test_a_client_that_is_closed_while_its_claims_are_asked_for_cancels_the_call(
    server: ScriptedServer, connect: Connect
) -> None:
    asked, closed = threading.Event(), threading.Event()

    def claims() -> Claims:
        asked.set()
        assert closed.wait(PATIENCE)
        return Claims(USER)

    async def awaited() -> Claims:
        return await asyncio.to_thread(claims)

    provider = claims if connect is MatchingClient else awaited
    with (
        connect(server.address, key_id=KEY_ID, secret=SECRET, claims=provider) as client,
        futures.ThreadPoolExecutor(1) as pool,
    ):
        calling = pool.submit(client.get_match, "m")
        assert asked.wait(PATIENCE)
        client.close()
        closed.set()
        with pytest.raises(Cancelled):
            calling.result(PATIENCE)
    assert server.received == []


def test_backoff_is_full_jitter_under_a_doubling_bound() -> None:
    for attempt, bound in ((1, 0.05), (2, 0.1), (6, 1.6), (7, 2.0), (10_000, 2.0)):
        waits = [retry.backoff(attempt, 2.0) for _ in range(200)]
        assert 0 <= min(waits) < bound / 4
        assert bound * 3 / 4 < max(waits) <= bound
    assert 3.0 <= retry.backoff(1, 2.0, retry_after=3.0) <= 3.05
