"""How many calls are let in and worked on, and that callers who send nothing keep nobody waiting."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc

from advisor_matching.v1 import match_service_pb2 as pb
from matching_server import metrics
from matching_server.domain.calls import Call
from matching_server.rpc import admission
from tests.support.wait import eventually
from tests.unit.rpc.serving import Answer, Serving, path, rich_status, serving
from tests.unit.rpc.signing import headers

GET_MATCH = path("MatchService", "GetMatch")


class Slow:
    """A MatchService whose reads last until they are let go."""

    def __init__(self, *, already_let_go: bool = False) -> None:
        self.begun = threading.Semaphore(0)
        self.count = 0
        self.go_on = threading.Event()
        if already_let_go:
            self.go_on.set()

    def get_match(self, request: pb.GetMatchRequest, call: Call) -> pb.GetMatchResponse:
        self.count += 1
        self.begun.release()
        assert self.go_on.wait(20)
        return pb.GetMatchResponse()


class Callers:
    """Calls that wait for their answers, each in a thread."""

    def __init__(self, server: Serving) -> None:
        self.answers: list[Answer] = []
        self._server = server
        self._threads: list[threading.Thread] = []

    def add(self, count: int = 1) -> None:
        for _ in range(count):
            thread = threading.Thread(target=self._call)
            thread.start()
            self._threads.append(thread)

    def _call(self) -> None:
        self.answers.append(get_match(self._server))

    def join(self) -> None:
        for thread in self._threads:
            thread.join(20)


def get_match(server: Serving) -> Answer:
    return server.raw(GET_MATCH, b"", headers(GET_MATCH, b""))


@contextmanager
def slow(*, turns: int, most_calls: int = admission.MOST_CALLS) -> Iterator[tuple[Slow, Serving, Callers]]:
    servicer = Slow()
    with serving({"MatchService": servicer}, turns=turns, most_calls=most_calls) as server:
        callers = Callers(server)
        try:
            yield servicer, server, callers
        finally:
            servicer.go_on.set()
            callers.join()


def say_nothing(server: Serving) -> Any:
    """A call that consists of its headers."""
    method: Any = server.channel.stream_unary(GET_MATCH)
    never = threading.Event()

    def nothing() -> Iterator[bytes]:
        never.wait()
        yield b""

    return method.future(nothing(), metadata=headers(GET_MATCH, b""), timeout=60)


def test_callers_who_send_headers_and_nothing_else_keep_nobody_from_their_turn() -> None:
    with slow(turns=2) as (servicer, server, _):
        servicer.go_on.set()
        silent = [say_nothing(server) for _ in range(100)]
        for _ in range(20):
            assert get_match(server).code is grpc.StatusCode.OK
        assert not any(call.done() for call in silent)
        for call in silent:
            call.cancel()


def test_so_many_are_worked_on_at_once_and_the_others_in_turn() -> None:
    with slow(turns=2) as (servicer, _, callers):
        callers.add(5)
        for _ in range(2):
            assert servicer.begun.acquire(timeout=10)
        assert not servicer.begun.acquire(timeout=0.2)
        servicer.go_on.set()
        callers.join()
        assert [answer.code for answer in callers.answers] == [grpc.StatusCode.OK] * 5


def test_who_is_here_who_runs_and_who_waits_is_shown() -> None:
    def shown() -> tuple[float | None, ...]:
        names = ("open", "running", "waiting")
        return tuple(metrics.REGISTRY.get_sample_value(f"matching_calls_{name}") for name in names)

    with slow(turns=2) as (servicer, server, callers):
        callers.add(5)
        eventually(lambda: shown() == (5, 2, 3), what="two of five run")
        silent = say_nothing(server)
        eventually(lambda: shown() == (6, 2, 3), what="one more is here")
        silent.cancel()
        servicer.go_on.set()
        callers.join()
        eventually(lambda: shown() == (0, 0, 0), what="nobody is left")


def test_one_too_many_is_refused_on_arrival_and_told_when_to_come_again() -> None:
    with slow(turns=1, most_calls=3) as (servicer, server, callers):
        callers.add(3)
        assert servicer.begun.acquire(timeout=10)
        refused = eventually(lambda: refusal_of(server), what="all places are taken")
        assert refused is not None
        assert refused.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert refused.reason == "TOO_MANY_REQUESTS"
        assert refused.detail(error_details_pb2.RetryInfo).retry_delay.ToSeconds() == 1
        assert refused.detail(error_details_pb2.RequestInfo).request_id == refused.initial["x-correlation-id"]
        assert health_of(server) == "SERVING"
        servicer.go_on.set()
        callers.join()
        assert {answer.code for answer in callers.answers} == {grpc.StatusCode.OK}
        assert servicer.count == 3


def refusal_of(server: Serving) -> Answer | None:
    """The answer to a call that sends headers alone, so that it takes a place for no longer than this."""
    call = say_nothing(server)
    try:
        call.result(timeout=0.5)
    except grpc.FutureTimeoutError:
        call.cancel()
        return None
    except grpc.RpcError:
        return Answer(call.code(), None, call.details(), dict(call.initial_metadata()), rich_status(call))
    raise AssertionError("it was answered")


def health_of(server: Serving) -> str:
    server.health.set_serving(True)
    stub = health_pb2_grpc.HealthStub(server.channel)
    status = stub.Check(health_pb2.HealthCheckRequest(), timeout=10).status
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(status))


def test_what_nobody_waits_for_is_not_begun() -> None:
    with slow(turns=1) as (servicer, server, callers):
        callers.add()
        assert servicer.begun.acquire(timeout=10)
        method: Any = server.channel.unary_unary(GET_MATCH)
        with pytest.raises(grpc.RpcError) as late:
            method(b"", metadata=headers(GET_MATCH, b""), timeout=0.3)
        assert late.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        servicer.go_on.set()
        callers.join()
        assert get_match(server).code is grpc.StatusCode.OK
        assert servicer.count == 2, "the late one was never begun"


def test_without_a_deadline_a_caller_is_told_when_no_turn_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "DEFAULT_DEADLINE_SECONDS", 0.2)
    with slow(turns=1) as (servicer, server, callers):
        callers.add()
        assert servicer.begun.acquire(timeout=10)
        method: Any = server.channel.unary_unary(GET_MATCH)
        with pytest.raises(grpc.RpcError) as refused:
            method(b"", metadata=headers(GET_MATCH, b""))
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert servicer.count == 1


def test_who_leaves_while_they_wait_gives_their_place_back() -> None:
    with slow(turns=1, most_calls=8) as (servicer, server, callers):
        callers.add()
        assert servicer.begun.acquire(timeout=10)
        for _ in range(10):
            waiting = [say_nothing(server) for _ in range(7)]
            for call in waiting:
                call.cancel()
        servicer.go_on.set()
        callers.join()
        eventually(lambda: get_match(server).code is grpc.StatusCode.OK, what="there is room again")


def test_a_user_who_calls_too_often_is_told_how_long_to_wait_and_the_platform_may() -> None:
    counted: list[UUID] = []

    def count_call(user_id: UUID) -> float | None:
        counted.append(user_id)
        return 2.5 if len(counted) > 1 else None

    with serving({"MatchService": Slow(already_let_go=True)}, count_call=count_call) as server:
        request = pb.GetMatchRequest()
        assert server.call("MatchService", "GetMatch", request).code is grpc.StatusCode.OK
        refused = server.call("MatchService", "GetMatch", request)
        assert (refused.code, refused.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_REQUESTS")
        assert refused.detail(error_details_pb2.RetryInfo).retry_delay.ToMilliseconds() == 2_500
        for role in ("service", "admin"):
            answer = server.call("MatchService", "GetMatch", request, roles=[role])
            assert answer.code is grpc.StatusCode.OK
        assert len(counted) == 2
