from __future__ import annotations

import socket

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from advisor_matching.v1 import system_service_pb2
from matching_server.domain.model import Role
from matching_server.rpc.access import SERVICES, Kind, methods_of
from matching_server.rpc.admission import Turns
from matching_server.rpc.health import Health
from matching_server.rpc.pipeline import Pipeline
from matching_server.rpc.server import CannotListen, build_server, listen
from matching_server.rpc.system_service import SystemService
from tests.unit.rpc.serving import KEYS, path, serving
from tests.unit.rpc.signing import claims, headers

ALL_ROLES = claims(roles=[role.value for role in Role])


def test_what_is_not_served_says_so_to_those_who_may_call_it() -> None:
    with serving({"ChatService": object()}) as server:
        for service in SERVICES.values():
            for method in methods_of(service):
                if method.kind is Kind.STREAM:
                    continue
                answer = server.raw(method.path, b"", headers(method.path, b"", ALL_ROLES))
                assert (answer.code, answer.reason) == (grpc.StatusCode.UNIMPLEMENTED, "UNIMPLEMENTED")
                assert (
                    answer.message == f"{method.name} is part of the contract but not served by this release"
                )
                if method.roles is not None:
                    assert server.raw(method.path, b"", []).code is grpc.StatusCode.UNAUTHENTICATED
                    nobody = headers(method.path, b"", claims(roles=[]))
                    assert server.raw(method.path, b"", nobody).reason == "PERMISSION_DENIED"


def test_a_stream_that_is_not_served_says_so() -> None:
    with serving({}) as server:
        call = server.watch(b"")
        with pytest.raises(grpc.RpcError):
            next(call)
        assert call.code() is grpc.StatusCode.UNIMPLEMENTED


def test_a_servicer_for_no_service_is_refused() -> None:
    with pytest.raises(ValueError, match="no service ChatServise"):
        build_server(
            Pipeline(KEYS, Turns(1), lambda _: None), {"ChatServise": object()}, Health(), reflect=False
        )


def test_the_service_tells_about_itself() -> None:
    with serving({"SystemService": SystemService(lambda: "healthy", auto_provision=True)}) as server:
        answer = server.raw(path("SystemService", "GetServiceInfo"), b"", [])
        assert answer.body is not None
        info = system_service_pb2.GetServiceInfoResponse.FromString(answer.body)
        assert (info.service, info.status) == ("advisor-matching", "healthy")
        assert info.feature_flags.auto_provision
        assert info.version
        assert info.timestamp.seconds > 0


def test_health_is_told_per_service_and_overall() -> None:
    with serving({}) as server:
        stub = health_pb2_grpc.HealthStub(server.channel)

        def status(service: str) -> str:
            answer = stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=10)
            name: str = health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
            return name

        names = ["", *(service.full_name for service in SERVICES.values())]
        assert {status(name) for name in names} == {"NOT_SERVING"}
        server.health.set_serving(True)
        assert {status(name) for name in names} == {"SERVING"}
        watch = stub.Watch(health_pb2.HealthCheckRequest(), timeout=10)
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        server.health.drain()
        assert next(watch).status == health_pb2.HealthCheckResponse.NOT_SERVING
        server.health.set_serving(True)
        assert status("") == "NOT_SERVING"
        watch.cancel()


def test_reflection_lists_the_services_where_it_is_on() -> None:
    ask = reflection_pb2.ServerReflectionRequest(list_services="")
    with serving({}, reflect=True) as server:
        stub = reflection_pb2_grpc.ServerReflectionStub(server.channel)
        [answer] = stub.ServerReflectionInfo(iter([ask]), timeout=10)
        listed = {service.name for service in answer.list_services_response.service}
        assert {service.full_name for service in SERVICES.values()} < listed
        assert "grpc.health.v1.Health" in listed
    with serving({}) as server:
        stub = reflection_pb2_grpc.ServerReflectionStub(server.channel)
        with pytest.raises(grpc.RpcError) as caught:
            list(stub.ServerReflectionInfo(iter([ask]), timeout=10))
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_a_taken_port_is_one_clear_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, serving({}) as server:
        for port in (taken.getsockname()[1], server.port):
            other = build_server(Pipeline(KEYS, Turns(1), lambda _: None), {}, Health(), reflect=False)
            with pytest.raises(CannotListen, match=f"127.0.0.1:{port}"):
                listen(other, f"127.0.0.1:{port}")
            other.stop(None)


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536", "no host:1"]
)
def test_an_address_that_is_none_is_one_clear_error(address: str) -> None:
    server = build_server(Pipeline(KEYS, Turns(1), lambda _: None), {}, Health(), reflect=False)
    with pytest.raises(CannotListen, match=f"cannot listen on {address}"):
        listen(server, address)


def test_an_oversized_message_never_reaches_the_pipeline() -> None:
    with serving({}) as server:
        full = path("MatchService", "GetMatch")
        answer = server.raw(full, b"\0" * (2 << 20), headers(full))
        assert answer.code is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_claims_that_are_too_long_get_an_answer_of_ours() -> None:
    with serving({}) as server:
        full = path("MatchService", "GetMatch")
        answer = server.raw(full, b"", headers(full, b"", claims() + " " * 4096))
        assert answer.reason == "AUTHENTICATION_ERROR"
