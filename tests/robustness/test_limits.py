"""What a server takes before it refuses more, and that others are served meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from itertools import count
from uuid import uuid4

import grpc
import pytest

from advisor_matching.v1.event_service_pb2 import WatchProjectEventsRequest
from matching_client import MatchingClient, TooManyRequests
from matching_client.status_details import from_rpc_error
from tests.support.wait import eventually
from tests.support.watching import watching
from tests.support.world import World

Tell = Callable[[str], None]


@pytest.fixture
def limited(own: World) -> World:
    """Two servers that take little."""
    own.start_together(2, "--no-workers", calls_per_user=20, max_streams=3)
    return own


def refused_after(client: MatchingClient, project: str) -> tuple[int, TooManyRequests]:
    """How many calls go through, and how the next one is refused."""
    for number in count():
        try:
            client.get_project(project)
        except TooManyRequests as refused:
            return number, refused
    raise AssertionError


def test_a_user_who_calls_too_often_is_refused_on_every_server_and_nobody_else(
    limited: World, tell: Tell
) -> None:
    project, other = limited.new_project(), limited.new_project()
    done, refused = refused_after(limited.client(project, server=0), project)
    # A window can end meanwhile, and another one begin.
    assert 20 <= done <= 40
    assert refused.retry_after is not None
    assert 0 < refused.retry_after <= 10
    elsewhere = limited.client(project, server=1)
    spared, _ = refused_after(elsewhere, project)
    assert spared <= 20
    limited.client(other).get_project(other)
    for _ in range(50):
        limited.service().get_project(project)
    eventually(lambda: may_call(elsewhere, project), timeout=15, what="the next window begins")
    tell(f"{done} calls here, {spared} there before it heard of them")


def may_call(client: MatchingClient, project: str) -> bool:
    try:
        client.get_project(project)
    except TooManyRequests:
        return False
    return True


def test_a_server_takes_so_many_streams_and_another_one_when_one_has_ended(limited: World) -> None:
    project = limited.new_project()
    with ExitStack() as stack:
        watches = [
            stack.enter_context(watching(limited.caller(uuid4(), "service"), project)) for _ in range(3)
        ]
        assert refusal(limited, project, server=0) == "TOO_MANY_REQUESTS"
        assert refusal(limited, project, server=1) is None
        watches[0].close()
        eventually(lambda: refusal(limited, project, server=0) is None, what="there is room again")


def refusal(world: World, project: str, *, server: int) -> str | None:
    """Why another stream is refused, ``None`` where it is not; it is closed at once."""
    stream = world.caller(uuid4(), "service", server=server).stubs.event.WatchProjectEvents(
        WatchProjectEventsRequest(project_id=project), timeout=10
    )
    if "x-sheen-event-id" in dict(stream.initial_metadata()):
        stream.cancel()
        return None
    with pytest.raises(grpc.RpcError) as refused:
        next(stream)
    return from_rpc_error(refused.value).reason
