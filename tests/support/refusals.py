"""Refused calls with all that comes back with them, and a defect to be refused for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc
from google.protobuf.message import Message

from advisor_matching.v1.event_service_pb2 import WatchProjectEventsRequest
from advisor_matching.v1.match_service_pb2 import CreateMatchRequest
from matching_client import Claims
from matching_client.catalog import find_method, path_of
from tests.support.raw import Metadata, open_stream, sign
from tests.support.world import ADMIN, SERVICE, World

PLATFORM, ADMINS = Claims(str(SERVICE), roles=["service"]), Claims(str(ADMIN), roles=["admin"])
ASKED = "who-asked.1"
"""The correlation id of every call here."""
SECRET = "hunter2"
"""What a defect gives away."""


def owner(world: World, project: str) -> Claims:
    """The project's owner."""
    who = world.value("SELECT owner_id FROM projects WHERE id = :id", id=project)
    return Claims(str(who), roles=["client"])


def begin(
    world: World, name: str, request: Message | bytes, who: Claims | None = PLATFORM, server: int = 0
) -> Any:
    """A call that has begun, of whichever kind."""
    path = path_of(find_method(name))
    endpoint = world.servers.all[server].endpoint
    # Nothing is read ahead of who reads, but for the 64 kB of HTTP/2.
    channel = grpc.insecure_channel(endpoint.address, options=[("grpc.http2.bdp_probe", 0)])
    call = sign(endpoint, who or PLATFORM, path, request)
    headers: Metadata = (call.headers if who else ()) + (("x-correlation-id", ASKED),)
    return open_stream(channel, path, call.body, headers, seconds=60)


def refusal(call: Any) -> Any:
    """With what it ends, after whatever comes before; an answer fails the test."""
    try:
        for _ in call:
            pass
    except grpc.RpcError as error:
        return error
    raise AssertionError("the call was answered")


def refused(
    world: World, name: str, request: Message | bytes, who: Claims | None = PLATFORM, **more: int
) -> Any:
    """How a call is refused."""
    return refusal(begin(world, name, request, who, **more))


def opened(world: World, project: str, who: Claims, server: int = 0) -> Any:
    """A watch that has begun."""
    request = WatchProjectEventsRequest(project_id=project)
    call = begin(world, "EventService/WatchProjectEvents", request, who, server)
    assert dict(call.initial_metadata())["x-correlation-id"] == ASKED
    return call


@contextmanager
def trap(world: World, table: str) -> Iterator[None]:
    """Whoever writes to the table meets a defect that nobody has thought of, and that tells a secret."""
    world.execute(
        f"""
        CREATE FUNCTION trap() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN RAISE EXCEPTION 'the password is {SECRET}' USING ERRCODE = 'ZZ999', DETAIL = '{SECRET}'; END $$;
        CREATE TRIGGER trap BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION trap()
        """
    )
    try:
        yield
    finally:
        world.execute("DROP FUNCTION trap CASCADE")


def trapped(world: World) -> Any:
    """How a call is refused that meets the defect."""
    with trap(world, "advisor_match_requests"):
        return refused(world, "MatchService/CreateMatch", CreateMatchRequest(project_id=world.new_project()))
