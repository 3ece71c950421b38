"""What every call has in common: signatures, correlation ids, privacy, health and reflection."""

from __future__ import annotations

import uuid

import grpc
import pytest
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from advisor_matching.v1.event_service_pb2 import WatchProjectEventsRequest
from advisor_matching.v1.match_service_pb2 import CreateMatchRequest, GetMatchRequest
from advisor_matching.v1.types_pb2 import Advisor
from matching_client import Claims, MatchNotFound
from matching_client.signing import Credentials
from tests.support.raw import Metadata, SignedCall, answer, open_stream, sign
from tests.support.wait import eventually
from tests.support.world import SERVICE, World

PACKAGE = "/advisor_matching.v1"
CREATE, GET = f"{PACKAGE}.MatchService/CreateMatch", f"{PACKAGE}.MatchService/GetMatch"
WATCH = f"{PACKAGE}.EventService/WatchProjectEvents"
PLATFORM = Claims(str(SERVICE), roles=["service"])


def signed(world: World, path: str, request: Message) -> SignedCall:
    return sign(world.servers.all[0].endpoint, PLATFORM, path, request)


def test_a_signed_read_may_be_repeated(world: World) -> None:
    _, _, match = world.matched()
    call = signed(world, GET, GetMatchRequest(match_id=match.id))
    with world.channel() as channel:
        assert call.send(channel) == call.send(channel)


def test_a_key_that_allows_it_signs_without_the_body(world: World) -> None:
    project = world.new_project()
    endpoint = world.servers.all[0].endpoint
    headers = Credentials(endpoint.key_id, endpoint.secret, PLATFORM).headers(CREATE, None)
    body = CreateMatchRequest(project_id=project).SerializeToString()
    with world.channel() as channel:
        SignedCall(CREATE, body, headers).send(channel)
    assert world.statuses() == {"pending": 1}


def test_the_correlation_id_comes_back_with_answers_errors_and_streams(world: World) -> None:
    project = world.new_project()
    call = signed(world, CREATE, CreateMatchRequest(project_id=project))
    given: Metadata = (("x-correlation-id", "order-66.b_1"),)
    with world.channel() as channel:
        _, metadata = answer(channel, CREATE, call.body, call.headers + given)
        assert metadata["x-correlation-id"] == "order-66.b_1"
        watch = signed(world, WATCH, WatchProjectEventsRequest(project_id=project))
        opened = open_stream(channel, WATCH, watch.body, watch.headers + given)
        assert dict(opened.initial_metadata())["x-correlation-id"] == "order-66.b_1"
        opened.cancel()
    with pytest.raises(MatchNotFound) as refused:
        world.service().get_match(str(uuid.uuid4()), correlation_id="lost-1")
    assert refused.value.correlation_id == "lost-1"
    stored = "SELECT correlation_id FROM {} WHERE project_id = :id"
    for table in ("project_events", "advisor_match_requests"):
        assert world.values(stored.format(table), id=project) == ["order-66.b_1"]
    assert '"correlation_id":"order-66.b_1"' in world.servers.all[0].log()


@pytest.mark.parametrize("given", [None, "has space", "x" * 129, "semi;colon"])
def test_a_correlation_id_is_made_where_none_is_given_or_it_is_improper(
    world: World, given: str | None
) -> None:
    headers: Metadata = () if given is None else (("x-correlation-id", given),)
    with world.channel() as channel:
        _, metadata = answer(channel, f"{PACKAGE}.SystemService/GetServiceInfo", b"", headers)
    made = str(metadata["x-correlation-id"])
    assert made != given
    assert 1 <= len(made) <= 128


def test_an_email_address_is_shown_to_its_owner_and_the_platform_alone(world: World) -> None:
    project, advisor, match = world.matched()
    email = f"{advisor}@example.com"
    others = [world.client(project), world.advisor(world.new_advisor())]
    for caller, sees in [(other, False) for other in others] + [
        (world.advisor(advisor), True),
        (world.service(), True),
        (world.admin(), True),
    ]:
        found = [caller.get_advisor(advisor), *caller.list_advisors().advisors]
        shown: list[Advisor] = [one for one in found if one.id == advisor]
        assert len(shown) == 2
        assert {one.email for one in shown} == ({email} if sees else {""})
    owner = world.client(project)
    everything = [owner.get_match(match.id), owner.get_project(project), *world.watched(project, 1)]
    assert not any(b"@" in message.SerializeToString() for message in everything)


def test_health_is_answered_unsigned_for_every_service(world: World) -> None:
    with world.channel() as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        for service in ("", "advisor_matching.v1.MatchService", "advisor_matching.v1.SystemService"):
            said = stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=5)
            assert said.status == health_pb2.HealthCheckResponse.SERVING
        with pytest.raises(grpc.RpcError) as refused:
            stub.Check(health_pb2.HealthCheckRequest(service="no.such.Service"), timeout=5)
    assert refused.value.code() == grpc.StatusCode.NOT_FOUND


def test_health_watchers_are_told_of_the_end(own: World) -> None:
    server = own.start()
    with own.channel() as channel:
        stream = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(), timeout=20)
        assert next(stream).status == health_pb2.HealthCheckResponse.SERVING
        server.ask_to_end()
        assert next(stream).status == health_pb2.HealthCheckResponse.NOT_SERVING
        stream.cancel()
    eventually(lambda: not server.running, what="the server has ended")


def test_reflection_lists_every_service_of_the_contract(world: World) -> None:
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    with world.channel() as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        [said] = stub.ServerReflectionInfo(iter([request]), timeout=5)
    names = {service.name for service in said.list_services_response.service}
    short = ("Match", "Decision", "Availability", "Admin", "Event", "Chat", "Directory", "System")
    assert names >= {f"advisor_matching.v1.{name}Service" for name in short} | {"grpc.health.v1.Health"}


def test_the_service_says_what_it_is_to_anybody(world: World) -> None:
    with world.channel() as channel:
        answer(channel, f"{PACKAGE}.SystemService/GetServiceInfo", b"")
    said = world.service().get_service_info()
    assert (said.service, said.status) == ("advisor-matching", "healthy")
    assert said.feature_flags.auto_provision
