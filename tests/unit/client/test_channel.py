from __future__ import annotations

import json
import threading
import time

import grpc
import grpc_testing
import pytest
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message_factory import GetMessageClass

from advisor_matching.v1 import match_service_pb2
from advisor_matching.v1.event_service_pb2 import WatchProjectEventsRequest
from advisor_matching.v1.match_service_pb2 import CreateMatchRequest, GetMatchRequest, GetMatchResponse
from advisor_matching.v1.match_service_pb2_grpc import MatchServiceStub
from matching_client import Claims, Credentials, MatchingClient
from matching_client.catalog import methods, path_of
from matching_client.channel import SigningChannel
from tests.unit.client.scripted import (
    GET_MATCH,
    KEY_ID,
    PATIENCE,
    SECRET,
    USER,
    WATCH,
    Received,
    ScriptedServer,
    answer,
    stream,
)

CREDENTIALS = Credentials(KEY_ID, SECRET, Claims(USER, "", ("client",)))
FOUND = GetMatchResponse(match={"id": "m"})


@pytest.mark.parametrize("method", list(methods()), ids=lambda method: str(method.full_name))
def test_the_bytes_signed_are_the_bytes_received(
    client: MatchingClient, server: ScriptedServer, method: MethodDescriptor
) -> None:
    request = GetMessageClass(method.input_type)()
    for name in ("project_id", "match_id", "request_id"):
        if name in request.DESCRIPTOR.fields_by_name:
            setattr(request, name, f"a {name}")
    service = method.containing_service.name.removesuffix("Service").lower()
    call = getattr(getattr(client.stubs, service), method.name)(request, timeout=PATIENCE)
    if method.server_streaming:
        assert list(call) == []
    [received] = server.received
    assert received.method == path_of(method)
    assert received.body == request.SerializeToString()
    if service == "system":
        assert "x-sheen-claims" not in received.metadata
        assert "x-sheen-signature" not in received.metadata
    else:
        received.assert_signed()
        assert received.part("body") == "sha256"


def test_a_request_is_serialized_once(server: ScriptedServer) -> None:
    serializations: list[object] = []

    def serialize(request: object) -> bytes:
        serializations.append(request)
        return b"%d" % len(serializations)

    with SigningChannel(grpc.insecure_channel(server.address), CREDENTIALS) as channel:
        assert channel.unary_unary(GET_MATCH, serialize, bytes)("a request", timeout=PATIENCE) == b""
    assert serializations == ["a request"]
    [received] = server.received
    assert received.body == b"1"
    received.assert_signed()


def test_streams_get_claims_for_an_hour_and_calls_for_five_minutes(
    client: MatchingClient, server: ScriptedServer
) -> None:
    server.script(WATCH, stream())
    list(client.stubs.event.WatchProjectEvents(WatchProjectEventsRequest(project_id="p"), timeout=PATIENCE))
    client.stubs.match.GetMatch(GetMatchRequest())
    watch, unary = server.received
    for call, lifetime in ((watch, 3600), (unary, 300)):
        expires = json.loads(str(call.metadata["x-sheen-claims"]))["expires"]
        assert expires - int(call.part("ts")) == lifetime


def test_metadata_of_the_caller_is_kept(client: MatchingClient, server: ScriptedServer) -> None:
    client.stubs.match.GetMatch(GetMatchRequest(), metadata=(("x-correlation-id", "mine"),))
    assert server.received[0].metadata["x-correlation-id"] == "mine"
    server.received[0].assert_signed()


def test_all_ways_of_calling_are_signed(client: MatchingClient, server: ScriptedServer) -> None:
    server.script(GET_MATCH, answer(FOUND))
    request = GetMatchRequest(match_id="m")
    assert client.stubs.match.GetMatch(request) == FOUND
    response, call = client.stubs.match.GetMatch.with_call(request)
    assert (response, call.code()) == (FOUND, grpc.StatusCode.OK)
    assert client.stubs.match.GetMatch.future(request).result(PATIENCE) == FOUND
    assert len(server.received) == 3
    for received in server.received:
        received.assert_signed()


def test_a_stream_of_requests_cannot_be_signed(client: MatchingClient) -> None:
    channel = SigningChannel(grpc.insecure_channel("127.0.0.1:1"), CREDENTIALS)
    with channel:
        with pytest.raises(NotImplementedError):
            channel.stream_unary(GET_MATCH)
        with pytest.raises(NotImplementedError):
            channel.stream_stream(GET_MATCH)
        assert channel.stream_stream("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo") is not None


def test_a_scripted_channel_sees_bytes_and_headers() -> None:
    """grpcio-testing's channel, which knows neither serializers nor sockets."""
    scripted = grpc_testing.channel(
        match_service_pb2.DESCRIPTOR.services_by_name.values(), grpc_testing.strict_real_time()
    )
    stub = MatchServiceStub(SigningChannel(scripted, CREDENTIALS))
    request = CreateMatchRequest(project_id="p", request_id="r")
    answers: list[object] = []
    calling = threading.Thread(target=lambda: answers.append(stub.CreateMatch(request, timeout=PATIENCE)))
    calling.start()
    method = match_service_pb2.DESCRIPTOR.services_by_name["MatchService"].methods_by_name["CreateMatch"]
    metadata, body, rpc = scripted.take_unary_unary(method)
    rpc.send_initial_metadata(())
    rpc.terminate(b"an answer", (), grpc.StatusCode.OK, "")
    calling.join(PATIENCE)
    assert answers == [b"an answer"]
    assert body == request.SerializeToString()
    received = Received(path_of(method), body, dict(metadata), None)
    received.assert_signed()
    assert abs(int(received.part("ts")) - time.time()) < PATIENCE
