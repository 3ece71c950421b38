"""Bytes, messages and headers at random: every method refuses them in the contract's words, and the server stays well.

``make robustness`` sends 100,000 messages to each method, two thirds of them well-formed.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import grpc
import psutil
import pytest
from google.protobuf import message_factory
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import DecodeError, Message
from hypothesis import strategies as st

from matching_client import Claims, MatchingError
from matching_client.catalog import methods, path_of
from matching_client.signing import START_HEADER
from matching_client.status_details import from_rpc_error
from matching_server.embedded import EmbeddedServices
from matching_server.rpc.server import MAX_REQUEST_BYTES
from tests.support.contract import in_order, name_of
from tests.support.databases import TestDatabases
from tests.support.messages import batches, requests
from tests.support.raw import SignedCall, sign
from tests.support.rounds import SCALE, rounds
from tests.support.world import ADMIN, SERVICE, World
from tests.support.worlds import shared_world

MOST_GROWTH = 256 << 20
"""Bytes. What a server keeps at hand for many calls with large messages, reached after the first thousands and not
exceeded in 100,000: a leak of 3 kB a message would show.
"""
_SECONDS = 30.0
_C = grpc.StatusCode
REFUSED_HERE = {
    _C.INVALID_ARGUMENT,
    _C.NOT_FOUND,
    _C.PERMISSION_DENIED,
    _C.FAILED_PRECONDITION,
    _C.ALREADY_EXISTS,
    _C.ABORTED,
    _C.OUT_OF_RANGE,
}
"""How a signed request may be refused, whatever it says."""
ROLES = (("client",), ("advisor",), ("service",), ("admin",), ("client", "advisor", "service", "admin"), ())
ALL_METHODS = list(methods())
# The full count takes minutes on a machine that does nothing else.
pytestmark = pytest.mark.timeout(600 * max(1.0, SCALE))
every_method = pytest.mark.parametrize("method", ALL_METHODS, ids=name_of)


@pytest.fixture(scope="module")
def shared(
    databases: TestDatabases, services: EmbeddedServices, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    """One server, on which nobody calls too often."""
    generous = {"calls_per_user": 1_000_000_000, "sweep_seconds": 1, "event_retention_days": 3650}
    directory = tmp_path_factory.mktemp("servers")
    for world in shared_world(databases, services, directory, servers=[()], settings=generous):
        before = memory(world)
        yield world
        assert memory(world) - before < MOST_GROWTH


def memory(world: World) -> int:
    """Bytes that the server holds."""
    return int(psutil.Process(world.servers.all[0].pid).memory_info().rss)


@dataclass(frozen=True)
class Attempt:
    """A call that somebody makes in some role."""

    body: bytes
    who: str
    roles: Sequence[str]


@dataclass(frozen=True)
class Target:
    """A server with something in it, and who there is to call it."""

    world: World
    channel: grpc.Channel
    people: Sequence[str]
    known: Sequence[str]
    """Ids that mean something."""
    ids: Mapping[str, str]
    """What a request that is in order is about."""

    def good(self, method: MethodDescriptor) -> Message:
        """A request that somebody may make, about what there is."""
        request: Any = in_order(method)
        for part in (request, *(value for field, value in request.ListFields() if field.message_type)):
            for name, value in self.ids.items():
                if name in part.DESCRIPTOR.fields_by_name:
                    setattr(part, name, value)
        return request  # type: ignore[no-any-return]

    def send(self, method: MethodDescriptor, calls: Sequence[Attempt]) -> None:
        """Makes all the calls at once. Raises AssertionError where one is answered as none may be."""
        endpoint = self.world.servers.all[0].endpoint
        begun = []
        for one in calls:
            signed = sign(endpoint, Claims(one.who, roles=one.roles), path_of(method), one.body)
            begun.append((signed, begin(self.channel, method, signed)))
        for signed, call in begun:
            assert_proper(method, signed.body, end(method, call))


def begin(channel: grpc.Channel, method: MethodDescriptor, signed: SignedCall) -> Any:
    """The call, under way."""
    if method.server_streaming:
        stream: Any = channel.unary_stream(signed.path)
        return stream(signed.body, metadata=signed.headers, timeout=_SECONDS)
    unary: Any = channel.unary_unary(signed.path)
    return unary.future(signed.body, metadata=signed.headers, timeout=_SECONDS)


def end(method: MethodDescriptor, call: Any) -> MatchingError | None:
    """How it is refused; None where it is answered, or its stream opens."""
    # A stream that opens says at once where; one that does not ends.
    if method.server_streaming and START_HEADER in dict(call.initial_metadata()):
        call.cancel()
        return None
    code = call.code()
    return None if code is _C.OK else from_rpc_error(call)


def assert_proper(method: MethodDescriptor, body: bytes, error: MatchingError | None) -> None:
    """The answer, or a refusal in the words of the contract."""
    if error is None:
        return
    if len(body) > MAX_REQUEST_BYTES:
        assert error.code is _C.RESOURCE_EXHAUSTED
        return
    told = f"{name_of(method)} {len(body)} {body[:2_000]!r}: {error.code} {error.reason} {error}"
    assert error.code in REFUSED_HERE, told
    assert error.reason, told
    assert error.correlation_id, told
    parsed = message_factory.GetMessageClass(method.input_type)
    if error.reason == "MALFORMED_REQUEST":
        with pytest.raises(DecodeError):
            parsed.FromString(body)


@pytest.fixture
def target(world: World) -> Iterator[Target]:
    """Matches in several states; the server is well at the end, and has not grown."""
    ready, working, finalized = world.finalized()
    world.service().update_availability(working, status="AVAILABILITY_STATUS_BUSY")
    project, advisor, match = world.matched()
    world.service().update_availability(advisor, status="AVAILABILITY_STATUS_BUSY")
    waits = world.new_project()
    pending = world.service().create_match(waits).match.id
    owners = [world.value("SELECT owner_id FROM projects WHERE id = :id", id=id_) for id_ in (project, ready)]
    people = [*map(str, owners), advisor, str(uuid.uuid4()), str(SERVICE), str(ADMIN)]
    known = [project, ready, waits, match.id, finalized.id, pending, advisor, people[0]]
    with grpc.insecure_channel(world.servers.all[0].address) as channel:
        ids = {"project_id": project, "match_id": match.id, "advisor_id": advisor}
        yield Target(world, channel, people, known, ids)
    healthy(world)


def healthy(world: World) -> None:
    """The server serves others, knows of no defect of its own, and its data is sound."""
    server = world.servers.all[0]
    assert world.admin().get_service_info().status == "healthy"
    assert world.service().create_match(world.new_project()).match.id
    log = server.log(last=1_000_000)
    assert "internal error" not in log
    assert "Traceback" not in log
    world.assert_sound()


def attempts(bodies: st.SearchStrategy[bytes], target: Target) -> st.SearchStrategy[Attempt]:
    """Calls by somebody in some role, often in the right one."""
    owner, _, advisor, _, service, admin = target.people
    anyhow = st.tuples(st.sampled_from(target.people), st.sampled_from(ROLES))
    rightly = st.sampled_from(
        ((owner, ("client",)), (advisor, ("advisor",)), (service, ("service",)), (admin, ("admin",)))
    )
    return st.builds(lambda body, caller: Attempt(body, *caller), bodies, rightly | anyhow)


def crossed(found: Sequence[Attempt]) -> Attempt:
    """What comes of two messages one behind the other: later fields win, lists and messages within are joined."""
    first, second = random.choice(found), random.choice(found)
    return replace(second, body=first.body + second.body)


def damaged(found: Sequence[Attempt]) -> Attempt:
    """One with some of its bytes as they come."""
    one = random.choice(found)
    body = bytearray(one.body)
    for _ in range(random.randint(1, 3)):
        if body:
            body[random.randrange(len(body))] = random.getrandbits(8)
    return replace(one, body=bytes(body))


@every_method
def test_whatever_a_message_says_it_is_answered_or_refused_in_the_words_of_the_contract(
    target: Target, method: MethodDescriptor
) -> None:
    messages = requests(target.good(method), target.known)
    for calls in batches(attempts(messages, target), rounds(64, full=66_700), crossed):
        target.send(method, calls)


@every_method
def test_bytes_that_are_no_message_are_called_so(target: Target, method: MethodDescriptor) -> None:
    cut = st.builds(
        lambda body, at: body[: at % (len(body) + 1)],
        requests(target.good(method), target.known),
        st.integers(0),
    )
    for calls in batches(attempts(st.binary(max_size=200) | cut, target), rounds(64, full=33_300), damaged):
        target.send(method, calls)


def test_a_message_that_is_too_large_is_refused_by_grpc_itself(target: Target) -> None:
    for method in ALL_METHODS:
        call = SignedCall(path_of(method), bytes(MAX_REQUEST_BYTES + 1), ())
        error = end(method, begin(target.channel, method, call))
        assert error is not None, name_of(method)
        assert error.code is _C.RESOURCE_EXHAUSTED
