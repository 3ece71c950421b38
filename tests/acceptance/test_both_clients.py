"""The synchronous and the asynchronous client against a real server: one test for both, so that they stay alike."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice

import pytest

from advisor_matching.v1.types_pb2 import MatchStatus, ProjectEvent, WorkspaceProvisioning
from matching_client import (
    AsyncRenewingClaims,
    Claims,
    DuplicateMatchRequest,
    EtagMismatch,
    EventIdInvalid,
    InvalidArgument,
    InvalidTransition,
    MatchingClient,
    MatchNotFound,
    NoAdvisorsAvailable,
    PermissionDenied,
    ProjectNotFound,
    RenewingClaims,
    StreamEvicted,
    Unauthenticated,
    Unavailable,
    Watch,
)
from tests.support.on_loop import Connect, on_loop
from tests.support.rounds import rounds
from tests.support.wait import eventually
from tests.support.world import ADMIN, SERVICE, World

KINDS: dict[str, Connect] = {"sync": MatchingClient, "async": on_loop}
LIFE = [
    "advisor.matched",
    "advisor.client_approved",
    "advisor.accepted",
    "advisor.finalized",
    "message.new",
    "advisor.workspace_ready",
]


class Callers:
    """Whoever calls a world by one kind of client."""

    def __init__(self, world: World, connection: MatchingClient) -> None:
        self._world = world
        self.connection = connection

    def client(self, project: str) -> MatchingClient:
        owner = self._world.value("SELECT owner_id FROM projects WHERE id = :id", id=project)
        return self.by(str(owner), "client")

    def by(self, user_id: str, role: str) -> MatchingClient:
        return self.connection.as_user(user_id=user_id, email="ada@example.com", roles=[role])


@contextmanager
def calling(world: World, connect: Connect, **arguments: object) -> Iterator[Callers]:
    """Callers of the world's first server."""
    end = world.servers.all[0].endpoint
    who = {} if "claims" in arguments else {"user_id": str(SERVICE), "roles": ["service"]}
    # Back as soon as a killed server is.
    options = [("grpc.max_reconnect_backoff_ms", 200)]
    with connect(
        end.address,
        **{"key_id": end.key_id, "secret": end.secret, "channel_options": options} | who | arguments,
    ) as connection:
        yield Callers(world, connection)


@pytest.fixture(params=list(KINDS))
def callers(request: pytest.FixtureRequest, world: World) -> Iterator[Callers]:
    """Callers by either client."""
    with calling(world, KINDS[request.param]) as made:
        yield made


class Reader:
    """Reads a watch in a thread of its own."""

    def __init__(self, watch: Watch) -> None:
        self.events: list[ProjectEvent] = []
        self.watch = watch
        self._thread = threading.Thread(target=self._run, name="reader")
        self._thread.start()

    def _run(self) -> None:
        for event in self.watch:
            self.events.append(event)

    def wait_for(self, count: int) -> list[int]:
        """The numbers of the events, once there are so many."""
        eventually(lambda: len(self.events) >= count, timeout=20, what=f"{count} events are seen")
        return [event.seq for event in self.events]

    def close(self) -> None:
        self.watch.close()
        self._thread.join(10)
        assert not self._thread.is_alive()


def test_a_match_goes_through_its_whole_life(world: World, callers: Callers) -> None:
    advisor, project = world.new_advisor(), world.new_project()
    owner, mine, admin = (
        callers.client(project),
        callers.by(advisor, "advisor"),
        callers.by(str(ADMIN), "admin"),
    )
    created = owner.create_match(project)
    match = created.match
    assert (created.already_open, match.matched_advisor.id) == (False, advisor)
    assert owner.create_match(project).already_open
    with owner.watch(project, from_start=True) as watch:
        assert owner.submit_client_decision(match.id, "approved", etag=match.etag).match.id == match.id
        answer = mine.submit_advisor_decision(match.id, "Approved")
        assert answer.status == MatchStatus.MATCH_STATUS_FINALIZED
        assert answer.workspace_provisioning == WorkspaceProvisioning.WORKSPACE_PROVISIONING_QUEUED
        events = list(islice(watch, len(LIFE)))
    assert [event.type for event in events] == LIFE
    assert watch.last_event_id == events[-1].id
    assert list(owner.iter_project_events(project, page_size=2)) == events

    sent = owner.send_message(project, "hello", mode="plan").message
    assert next(mine.iter_messages(project, page_size=1)).id == sent.id
    assert [found.id for found in owner.iter_project_matches(project, statuses=["finalized"])] == [match.id]
    assert list(owner.iter_project_matches(project, statuses=["pending"])) == []
    assert mine.update_availability(status="busy").reason == mine.get_availability().reason
    assert admin.get_pool_status().total_advisors == 1
    assert [job.match_id for job in admin.iter_provisioning_jobs(statuses=["completed"])] == [match.id]
    assert admin.release_advisor(project, advisor)
    assert owner.get_service_info().service == "advisor-matching"


def test_each_refusal_is_its_own_error(world: World, callers: Callers) -> None:
    advisor, project = world.new_advisor(slots=1), world.new_project()
    owner = callers.client(project)
    match = owner.create_match(project).match
    with pytest.raises(DuplicateMatchRequest) as refused:
        owner.create_match(project, fail_if_open=True, correlation_id="mine-1")
    assert (refused.value.match_id, refused.value.correlation_id) == (match.id, "mine-1")
    with pytest.raises(InvalidArgument) as invalid:
        owner.get_match("no id")
    assert [violation.field for violation in invalid.value.field_violations] == ["match_id"]
    with pytest.raises(EtagMismatch):
        owner.submit_client_decision(match.id, "approved", etag="stale")
    with pytest.raises(PermissionDenied):
        owner.get_pool_status()
    with pytest.raises(MatchNotFound):
        callers.by(world.new_person(), "client").get_match(match.id)
    with pytest.raises(ProjectNotFound):
        owner.watch(world.new_project())
    with pytest.raises(EventIdInvalid):
        owner.watch(project, last_event_id="none")
    owner.submit_client_decision(match.id, "declined")
    with pytest.raises(InvalidTransition) as illegal:
        callers.by(advisor, "advisor").submit_advisor_decision(match.id, "approved")
    assert illegal.value.metadata == {
        "match_id": match.id,
        "from": "client_declined",
        "to": "advisor_accepted",
    }
    callers.by(advisor, "advisor").update_availability(status="offline")
    other = world.new_project()
    with pytest.raises(NoAdvisorsAvailable):
        callers.client(other).create_match(other, require_immediate=True)


def test_a_key_that_the_server_does_not_know_is_unauthenticated(world: World) -> None:
    for connect in KINDS.values():
        with calling(world, connect, secret="x" * 64) as callers, pytest.raises(Unauthenticated) as refused:
            callers.by(world.new_person(), "client").list_advisors()
        assert refused.value.detail == "SIGNATURE_INVALID"


def test_a_stream_that_is_replaced_ends_and_does_not_come_back(world: World, callers: Callers) -> None:
    project = world.new_project()
    owner = callers.client(project)
    first = owner.watch(project, watch_id="mine")
    with owner.watch(project, watch_id="mine"):
        with pytest.raises(StreamEvicted):
            next(first)
        assert list(first) == []


def test_claims_that_expire_in_mid_stream_are_renewed(world: World) -> None:
    """Both clients at once: they wait for the same second."""
    project = world.new_project()
    owner = str(world.value("SELECT owner_id FROM projects WHERE id = :id", id=project))
    fetched = {"sync": 0, "async": 0}

    def claims(kind: str) -> Claims:
        fetched[kind] += 1
        return Claims(owner, roles=["client"], expires=int(time.time()) + 2)

    async def awaited() -> Claims:
        return claims("async")

    providers = {
        "sync": RenewingClaims(lambda: claims("sync"), margin=0.5),
        "async": AsyncRenewingClaims(awaited, margin=0.5),
    }
    with ExitStack() as stack:
        readers = []
        for kind, connect in KINDS.items():
            callers = stack.enter_context(calling(world, connect, claims=providers[kind]))
            readers.append(Reader(callers.connection.watch(project)))
            stack.callback(readers[-1].close)
        eventually(lambda: min(fetched.values()) > 1, timeout=10, what="the claims have been renewed")
        world.new_advisor()
        world.client(project).create_match(project)
        for reader in readers:
            assert reader.wait_for(1) == [1]


def test_calls_and_watches_outlive_a_killed_server(own: World) -> None:
    """Both clients at once: calls that begin while the server is away succeed, watches miss nothing."""
    server = own.start()
    own.new_advisor(slots=100)
    project = own.new_project()
    with ExitStack() as stack:
        clients, readers = [], []
        for connect in KINDS.values():
            clients.append(stack.enter_context(calling(own, connect)).client(project))
            readers.append(Reader(clients[-1].watch(project)))
            stack.callback(readers[-1].close)
        made = 0
        for _ in range(rounds(2)):
            server.kill()
            with pytest.raises(Unavailable):
                clients[0].get_project(project, timeout=0.2)
            coming = threading.Thread(target=server.start)
            coming.start()
            for client in clients:
                match = client.create_match(project, allow_previous=True, timeout=30.0).match
                client.submit_client_decision(match.id, "declined")
                made += 2
            coming.join()
        for reader in readers:
            assert reader.wait_for(made) == list(range(1, made + 1))
            assert reader.watch.last_event_id == reader.events[-1].id
