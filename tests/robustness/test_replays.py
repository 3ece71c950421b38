"""A signed mutation or stream is good once: not again, not twice at once, elsewhere, or after any restart."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Callable
from functools import partial

import grpc
import pytest
import redis
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message

from advisor_matching.v1.availability_service_pb2 import UpdateAvailabilityRequest
from advisor_matching.v1.event_service_pb2 import WatchProjectEventsRequest
from advisor_matching.v1.match_service_pb2 import CreateMatchRequest
from advisor_matching.v1.types_pb2 import AvailabilityStatus
from matching_client import Claims, MatchingError, Unauthenticated
from matching_client.catalog import path_of
from matching_client.signing import Credentials
from matching_server.embedded import EmbeddedServices
from tests.support.at_once import together
from tests.support.contract import ONCE, in_order, name_of
from tests.support.raw import SignedCall, sign
from tests.support.rounds import rounds
from tests.support.wait import eventually
from tests.support.world import ADMIN, SERVICE, World

PACKAGE = "/advisor_matching.v1"
CREATE = f"{PACKAGE}.MatchService/CreateMatch"
UPDATE = f"{PACKAGE}.AvailabilityService/UpdateAvailability"
WATCH = f"{PACKAGE}.EventService/WatchProjectEvents"
PLATFORM = Claims(str(SERVICE), roles=["service"])
EVERYBODY = Claims(str(ADMIN), roles=["client", "advisor", "service", "admin"])


def make(call: SignedCall, channel: grpc.Channel) -> bytes:
    """The answer, or the first message of the stream."""
    return call.open(channel) if call.path == WATCH else call.send(channel)


def assert_replayed(world: World, call: SignedCall, server: int = 0) -> None:
    with world.channel(server) as channel, pytest.raises(Unauthenticated) as refused:
        make(call, channel)
    assert refused.value.detail == "REPLAYED"


def calls(world: World) -> list[SignedCall]:
    """A mutation of each kind, and a stream: signed, and not yet made."""
    offline = AvailabilityStatus.AVAILABILITY_STATUS_OFFLINE
    watched, advisor = world.new_project(), world.new_advisor(status="offline")
    world.client(watched).create_match(watched)
    requests: list[tuple[str, Message]] = [
        (CREATE, CreateMatchRequest(project_id=world.new_project())),
        (CREATE, CreateMatchRequest(project_id=world.new_project(), request_id=str(uuid.uuid4()))),
        (UPDATE, UpdateAvailabilityRequest(advisor_id=advisor, status=offline)),
        (WATCH, WatchProjectEventsRequest(project_id=watched, from_start=True)),
    ]
    endpoint = world.servers.all[0].endpoint
    return [sign(endpoint, PLATFORM, path, request) for path, request in requests]


@pytest.mark.parametrize("method", ONCE, ids=name_of)
def test_a_nonce_that_has_been_seen_is_refused_by_every_mutation_and_stream(
    world: World, method: MethodDescriptor
) -> None:
    endpoint, nonce = world.servers.all[0].endpoint, secrets.token_hex(16)
    body = in_order(method).SerializeToString()
    headers = Credentials(endpoint.key_id, endpoint.secret, EVERYBODY).headers(
        path_of(method), body, nonce=nonce
    )
    world.execute(
        "INSERT INTO used_nonces (kid, nonce, call_id) VALUES (:kid, :nonce, gen_random_uuid())",
        kid=endpoint.key_id,
        nonce=nonce,
    )
    assert_replayed(world, SignedCall(path_of(method), body, headers))
    assert world.value("SELECT count(*) FROM used_nonces") == 1


def test_a_signed_mutation_or_stream_is_good_once_on_whichever_server(world: World) -> None:
    for call in calls(world):
        with world.channel() as channel:
            make(call, channel)
        before = world.statuses()
        for server in (0, 1):
            assert_replayed(world, call, server)
        assert world.statuses() == before


def test_of_many_at_the_same_moment_one_is_heard(world: World) -> None:
    with world.channel(0) as first, world.channel(1) as second:
        for _ in range(rounds(2, full=20)):
            for call in calls(world):
                ended = together([partial(make, call, channel) for channel in (first, second) * 6])
                refusals = [error for error in ended if isinstance(error, MatchingError)]
                assert len(refusals) == len(ended) - 1
                assert {error.metadata.get("detail") for error in refusals} == {"REPLAYED"}


def test_a_replay_is_refused_after_a_restart_of_everything(
    mortal: World, own_services: EmbeddedServices
) -> None:
    server = mortal.start()
    made = calls(mortal)
    with mortal.channel() as channel:
        for call in made:
            make(call, channel)

    def flush() -> None:
        with redis.Redis.from_url(own_services.redis_url) as client:
            client.flushall()

    def crash_everything() -> None:
        server.kill()
        own_services.postgres.kill()
        own_services.redis.kill()
        own_services.postgres.restart()
        own_services.redis.restart()
        mortal.reconnect()
        server.start()

    happenings: list[Callable[[], None]] = [flush, server.restart, crash_everything, flush]
    for happening in happenings:
        happening()
        eventually(lambda: mortal.admin().get_service_info().status == "healthy", what="the server is well")
        for call in made:
            assert_replayed(mortal, call)
