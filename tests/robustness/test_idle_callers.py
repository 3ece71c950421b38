"""Callers who begin calls and say nothing more, by the dozen: others are served, and soon."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import grpc
import psutil
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2_grpc

from matching_client import MatchingError
from matching_client.catalog import find_method, path_of
from tests.robustness.conftest import Tell
from tests.support.http2 import headers_only
from tests.support.wait import eventually
from tests.support.world import World

CREATE = path_of(find_method("MatchService/CreateMatch"))
WATCH = path_of(find_method("EventService/WatchProjectEvents"))
REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
SOON = 5.0
"""Seconds; it is a fraction of one where the machine has nothing else to do."""


def served(world: World) -> float:
    """Seconds that health, a read, a mutation and a watch take together."""
    began = time.monotonic()
    with world.channel() as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=SOON)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
    project = world.new_project()
    assert world.client(project).create_match(project, timeout=SOON).match.project_id == project
    assert world.client(project).get_project(project, timeout=SOON).id == project
    assert world.watched(project, 1)[0].seq == 1
    return time.monotonic() - began


@contextmanager
def idle_reflection(world: World, count: int) -> Iterator[None]:
    """So many reflection streams that ask nothing."""
    over = threading.Event()

    def nothing() -> Iterator[bytes]:
        over.wait(60)
        yield from ()

    with world.channel() as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        streams = [stub.ServerReflectionInfo(nothing()) for _ in range(count)]
        try:
            yield
        finally:
            for stream in streams:
                stream.cancel()
            over.set()


def test_idle_reflection_streams_keep_nobody_waiting(world: World, tell: Tell) -> None:
    served(world)
    with idle_reflection(world, 60):
        seconds = [served(world) for _ in range(3)]
    assert max(seconds) < SOON
    tell(f"60 idle streams, others are served within {max(seconds):.2f} s")


@pytest.mark.parametrize(
    ("path", "callers"),
    # Of reflection more than there are threads for all other calls.
    [(CREATE, 240), (WATCH, 240), (REFLECTION, 600)],
    ids=["a mutation", "a stream", "reflection"],
)
def test_callers_who_send_headers_alone_keep_nobody_waiting(
    world: World, tell: Tell, path: str, callers: int
) -> None:
    server = world.servers.all[0]
    served(world)
    with ExitStack() as stack:
        for _ in range(callers // 60):
            stack.enter_context(headers_only(server.address, path, 60))
        seconds = [served(world) for _ in range(3)]
        threads = psutil.Process(server.pid).num_threads()
    assert max(seconds) < SOON
    tell(f"{callers} callers, others are served within {max(seconds):.2f} s, {threads} threads")


def test_more_than_there_is_room_for_are_turned_away_until_they_are_gone(world: World) -> None:
    server, project = world.servers.all[0], world.new_project()

    def told() -> MatchingError | None:
        try:
            world.service().create_match(project, timeout=0.5)
        except MatchingError as error:
            return error
        return None

    with headers_only(server.address, CREATE, 600):
        refused = eventually(told, what="a call is turned away")
        assert refused is not None
        assert refused.reason == "TOO_MANY_REQUESTS"
        assert refused.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert refused.retry_after
        with world.channel() as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            stub.Check(health_pb2.HealthCheckRequest(), timeout=SOON)
    eventually(lambda: told() is None, what="calls are let in again")
    served(world)
