"""What a test can make the fake do; that it answers as the service does is for `tests/contract`."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import grpc
import pytest

from advisor_matching.v1.event_service_pb2 import WatchProjectEventsRequest
from advisor_matching.v1.types_pb2 import (
    ClosedReason,
    MatchEvent,
    MatchStatus,
    PendingReason,
    Project,
    ProjectComplexity,
    WorkspaceProvisioning,
)
from matching_client import (
    AdvisorNotFound,
    AllAdvisorsBusy,
    Claims,
    DeadlineExceeded,
    Draining,
    EtagMismatch,
    EventsCompacted,
    InvalidTransition,
    MatchingClient,
    MatchNotFound,
    NoAdvisorsAvailable,
    PermissionDenied,
    ProjectNotFound,
    StreamEvicted,
    Unauthenticated,
    Unavailable,
    testing,
)
from matching_client.catalog import methods
from matching_client.testing import FakeMatching
from matching_client.testing.access import ROLES
from matching_client.testing.checks import EVENT_TYPES
from matching_client.testing.lifecycle import DECISIONS
from matching_client.testing.refusals import REASONS
from matching_client.testing.services import HANDLERS
from matching_client.testing.values import word_of
from matching_server.domain.events import EventType
from matching_server.domain.lifecycle import TRANSITIONS, decision_action
from matching_server.domain.model import Decision, Side
from matching_server.rpc.access import ACCESS
from matching_server.rpc.errors import CODES
from tests.support.parties import refused

APPROVED, DECLINED = "DECISION_APPROVED", "DECISION_DECLINED"
_S = MatchStatus


@pytest.fixture
def fake() -> Iterator[FakeMatching]:
    """With workspaces that are ready at once."""
    with FakeMatching() as fake:
        yield fake


@pytest.fixture
def project(fake: FakeMatching) -> Project:
    """A project."""
    return fake.add_project()


@pytest.fixture
def owner(fake: FakeMatching, project: Project) -> MatchingClient:
    """The project's owner."""
    return fake.client(user_id=project.owner_id)


# --------------------------------------------------------------------------------------- made from the service's tables


def test_it_has_every_method_of_the_contract() -> None:
    assert {method.name for method in methods()} == {*HANDLERS, "WatchProjectEvents"}


def test_its_roles_are_those_of_the_service() -> None:
    assert {
        method: None if access is None else {role.value for role in access}
        for by_method in ACCESS.values()
        for method, access in by_method.items()
    } == ROLES


def test_its_decisions_are_those_of_the_lifecycle() -> None:
    words = {
        (word_of(status, MatchStatus), side, decision): word_of(target, MatchStatus)
        for (status, (side, decision)), target in DECISIONS.items()
    }
    numbers = {Decision.APPROVED: 1, Decision.DECLINED: 2}
    assert words == {
        (step.source.value, side.value, number): step.target.value
        for step in TRANSITIONS
        for side in Side
        for decision, number in numbers.items()
        if step.source is not None and step.action is decision_action(side, decision)
    }


def test_its_errors_have_the_reasons_and_codes_of_the_service() -> None:
    codes = {reason: kind("").code for kind, reason in REASONS.items()}
    assert codes == {reason.value: code for reason, code in CODES.items()}


def test_its_events_have_the_names_of_the_service() -> None:
    assert set(EVENT_TYPES) == {type_.value for type_ in EventType}


def test_its_public_surface_is_pinned() -> None:
    assert set(testing.__all__) == {"Call", "FakeMatching"}
    assert {name for name in vars(FakeMatching) if not name.startswith("_")} == {
        *("connection", "environ", "client", "close"),
        *("add_project", "add_advisor", "next_match", "next_pending", "fail_next"),
        *("match", "events", "calls", "offer", "expire", "finish_provisioning", "fail_provisioning"),
        *("emit", "break_streams", "end_streams", "forget_events"),
    }


def test_a_project_and_an_advisor_are_as_the_test_says(fake: FakeMatching) -> None:
    project = fake.add_project(project_complexity="complex", owner_locale="de")
    assert project.project_complexity == ProjectComplexity.PROJECT_COMPLEXITY_COMPLEX
    assert project.owner_locale == "de"
    advisor = fake.add_advisor(skills=["payments"], rating=4.5, slots=1, status="busy", auto_accept=True)
    assert (list(advisor.skills), advisor.rating, advisor.active) == (["payments"], 4.5, True)
    seen = fake.client(user_id=advisor.id, roles=["advisor"]).get_availability()
    assert (seen.max_capacity, seen.reason, seen.preferences.auto_accept) == (1, "busy", True)
    with pytest.raises(ValueError, match="ASLEEP"):
        fake.add_advisor(status="asleep")
    with pytest.raises(ValueError, match="id is not a UUID"):
        fake.add_advisor(id="ada")
    with pytest.raises(ValueError, match="owner_timezone is not an IANA time zone"):
        fake.add_project(owner_timezone="Mars")


def test_the_client_does_not_import_it() -> None:
    code = "import matching_client, sys; assert 'matching_client.testing' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


# -------------------------------------------------------------------------------------------------------- what is asked


def test_the_first_free_advisor_is_offered_the_project(fake: FakeMatching) -> None:
    fake.add_advisor(status="busy")
    first, second = fake.add_advisor(slots=1), fake.add_advisor()
    platform = fake.client(roles=["service"])
    offered = [platform.create_match(fake.add_project().id).match.matched_advisor.id for _ in range(3)]
    assert offered == [first.id, second.id, second.id]


def test_a_scripted_match_goes_to_whom_the_test_says(fake: FakeMatching) -> None:
    fake.add_advisor()
    away = fake.add_advisor(display_name="Ada", status="AVAILABILITY_STATUS_OFFLINE")
    fake.next_match(away.id, score=87.5, reason="because")
    fake.next_pending("no_advisors_available")
    answers = []
    for _ in range(3):
        project = fake.add_project()
        answers.append(fake.client(user_id=project.owner_id).create_match(project.id).match)
    chosen, waiting, usual = answers
    assert (chosen.matched_advisor.display_name, chosen.score, chosen.match_reason) == (
        "Ada",
        87.5,
        "because",
    )
    assert waiting.pending_reason == PendingReason.PENDING_REASON_NO_ADVISORS_AVAILABLE
    assert usual.matched_advisor.id != away.id
    with pytest.raises(AdvisorNotFound):
        fake.next_match("nobody")


def test_a_match_that_is_to_wait_waits_until_the_test_ends_it(
    fake: FakeMatching, project: Project, owner: MatchingClient
) -> None:
    fake.next_pending()
    match = owner.create_match(project.id).match
    advisor = fake.add_advisor()
    assert owner.get_match(match.id).status == _S.MATCH_STATUS_PENDING
    assert fake.offer(match.id, advisor.id, score=50).status == _S.MATCH_STATUS_MATCHED
    assert [event.type for event in fake.events(project.id)] == ["advisor.match_pending", "advisor.matched"]
    with pytest.raises(ValueError, match="does not wait"):
        fake.offer(match.id, advisor.id)


def test_who_would_not_wait_gets_the_scripted_reason(
    fake: FakeMatching, project: Project, owner: MatchingClient
) -> None:
    fake.add_advisor()
    for reason, kind in (
        ("ALL_ADVISORS_BUSY", AllAdvisorsBusy),
        ("NO_ADVISORS_AVAILABLE", NoAdvisorsAvailable),
    ):
        fake.next_pending(f"PENDING_REASON_{reason}")
        with pytest.raises(kind):
            owner.create_match(project.id, require_immediate=True)
    assert owner.create_match(project.id, require_immediate=True).match.matched_advisor.id


def test_the_next_call_fails_as_the_test_wants(
    fake: FakeMatching, project: Project, owner: MatchingClient
) -> None:
    fake.fail_next("GetProject", ProjectNotFound)
    fake.fail_next("GetProject", "ETAG_MISMATCH")
    fake.fail_next("GetProject", InvalidTransition("no", metadata={"from": "a", "to": "b"}))
    errors = [refused(lambda: owner.get_project(project.id)) for _ in range(3)]
    assert [type(error) for error in errors] == [ProjectNotFound, EtagMismatch, InvalidTransition]
    assert [error.reason for error in errors] == ["PROJECT_NOT_FOUND", "ETAG_MISMATCH", "INVALID_TRANSITION"]
    assert all(error.correlation_id for error in errors)
    assert errors[2].metadata == {"from": "a", "to": "b"}
    assert owner.get_project(project.id) == project
    for method, error in (("GetNothing", ProjectNotFound), ("GetProject", "NO_REASON")):
        with pytest.raises(ValueError, match="the contract has no"):
            fake.fail_next(method, error)


@pytest.mark.parametrize("kind", [Unavailable, Draining])
def test_the_client_repeats_what_is_worth_it_and_the_calls_show_it(
    fake: FakeMatching, project: Project, owner: MatchingClient, kind: type[Unavailable]
) -> None:
    fake.add_advisor()
    fake.fail_next("CreateMatch", kind)
    assert owner.create_match(project.id).match.id
    first, second = [call for call in fake.calls if call.method == "CreateMatch"]
    assert first.request == second.request
    assert first.request.request_id
    assert first.claims == Claims(project.owner_id, "", ["client"], first.claims.expires)  # type: ignore[union-attr]
    fake.fail_next("CreateMatch", kind, times=100)
    # The last attempt may be cut off by the end of the time.
    with pytest.raises((kind, DeadlineExceeded)):
        owner.create_match(project.id, timeout=0.3)


def test_a_refused_call_is_among_the_calls(fake: FakeMatching, project: Project) -> None:
    advisor = fake.client(roles=["advisor"])
    with pytest.raises(PermissionDenied):
        advisor.create_match(project.id)
    (call,) = fake.calls
    assert (call.method, call.request.project_id) == ("CreateMatch", project.id)


def test_a_wrong_secret_is_noticed(fake: FakeMatching) -> None:
    address, key_id = fake.connection.address, fake.connection.key_id
    with (
        MatchingClient(address, key_id=key_id, secret="s" * 32, user_id="1", roles=["client"]) as client,
        pytest.raises(Unauthenticated),
    ):
        client.list_advisors()
    assert not fake.calls


def test_code_that_reads_the_environment_finds_it(
    fake: FakeMatching, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in fake.environ.items():
        monkeypatch.setenv(name, value)
    project = fake.add_project()
    with MatchingClient.from_env(user_id=project.owner_id, roles=["client"]) as client:
        assert client.get_project(project.id) == project


# ------------------------------------------------------------------------------------------------- what happens then


def finalize(fake: FakeMatching, project: Project) -> str:
    """A match that both sides have approved."""
    fake.add_advisor()
    owner = fake.client(user_id=project.owner_id)
    match = owner.create_match(project.id).match
    owner.submit_client_decision(match.id, APPROVED)
    fake.client(user_id=match.matched_advisor.id, roles=["advisor"]).submit_advisor_decision(
        match.id, APPROVED
    )
    return match.id


def test_a_workspace_is_ready_at_once(fake: FakeMatching, project: Project) -> None:
    match_id = finalize(fake, project)
    assert fake.match(match_id).workspace_provisioning == WorkspaceProvisioning.WORKSPACE_PROVISIONING_READY
    assert fake.events(project.id)[-1].type == "advisor.workspace_ready"
    with pytest.raises(ValueError, match="provisioning='manual'"):
        fake.finish_provisioning(match_id)


def test_a_workspace_is_made_by_hand_or_fails() -> None:
    with FakeMatching(provisioning="manual") as fake:
        made, failed = (finalize(fake, fake.add_project()) for _ in range(2))
        assert fake.match(made).workspace_provisioning == WorkspaceProvisioning.WORKSPACE_PROVISIONING_QUEUED
        assert fake.finish_provisioning(made).status == _S.MATCH_STATUS_FINALIZED
        assert fake.fail_provisioning(failed, "no disk").status == _S.MATCH_STATUS_CLIENT_APPROVED
        (job,) = (
            fake.client(roles=["admin"])
            .list_provisioning_jobs(statuses=["PROVISIONING_JOB_STATUS_FAILED"])
            .jobs
        )
        assert (job.last_error, job.attempt_count) == ("no disk", 3)


def test_without_provisioning_there_is_no_workspace() -> None:
    with FakeMatching(provisioning="off") as fake:
        project = fake.add_project()
        match = fake.match(finalize(fake, project))
        assert match.status == _S.MATCH_STATUS_FINALIZED
        assert not match.workspace_provisioning
        admin = fake.client(roles=["admin"])
        assert not admin.get_service_info().feature_flags.auto_provision
        admin.retry_provisioning(match.id)
        assert fake.events(project.id)[-1].type == "advisor.workspace_ready"


def test_a_match_expires_when_the_test_says(
    fake: FakeMatching, project: Project, owner: MatchingClient
) -> None:
    fake.add_advisor()
    match = owner.create_match(project.id).match
    assert fake.expire(match.id).closed_reason == ClosedReason.CLOSED_REASON_EXPIRED
    with pytest.raises(ValueError, match="not open"):
        fake.expire(match.id)
    with pytest.raises(MatchNotFound):
        fake.expire("nothing")


# ------------------------------------------------------------------------------------------------ events and streams


def test_a_watch_goes_on_when_its_stream_breaks(
    fake: FakeMatching, project: Project, owner: MatchingClient
) -> None:
    with owner.watch(project.id) as watch:
        fake.emit(project.id, "advisor.matched", MatchEvent(match_id="1"))
        assert next(watch).match.match_id == "1"
        assert fake.break_streams() == 1
        fake.emit(project.id, "something.new")
        event = next(watch)
        assert (event.type, event.seq, event.WhichOneof("payload")) == ("something.new", 2, None)
    asked = [call.request.last_event_id for call in fake.calls if call.method == "WatchProjectEvents"]
    assert len(asked) == 2
    assert asked[1] == fake.events(project.id)[0].id


def test_a_watch_ends_with_the_error_that_the_test_wants(
    fake: FakeMatching, project: Project, owner: MatchingClient
) -> None:
    with owner.watch(project.id) as watch:
        assert fake.end_streams(StreamEvicted) == 1
        with pytest.raises(StreamEvicted):
            next(watch)


def test_events_that_are_forgotten_cannot_be_resumed_from(
    fake: FakeMatching, project: Project, owner: MatchingClient
) -> None:
    first, second = (fake.emit(project.id, "advisor.matched") for _ in range(2))
    fake.forget_events(project.id)
    with pytest.raises(EventsCompacted) as compacted:
        owner.watch(project.id, last_event_id=first.id)
    assert compacted.value.oldest_event_id == second.id
    fake.emit(project.id, "advisor.accepted")
    with owner.watch(project.id, from_start=True) as watch:
        assert next(watch).type == "advisor.accepted"


def test_silence_is_filled_with_heartbeats() -> None:
    with FakeMatching(heartbeat_seconds=0.05) as fake:
        project = fake.add_project()
        stream = fake.client(user_id=project.owner_id).stubs.event.WatchProjectEvents
        call = stream(WatchProjectEventsRequest(project_id=project.id), timeout=5)
        beat = next(call).event
        call.cancel()
    assert (beat.type, beat.id, beat.seq) == ("heartbeat", "", 0)
    assert beat.heartbeat.last_event_id


def test_a_stream_ends_with_its_claims(fake: FakeMatching, project: Project) -> None:
    claims = Claims(project.owner_id, roles=["client"], expires=int(time.time()) + 1)
    client = fake.client(roles=["client"]).as_user(claims=claims)
    with client.watch(project.id) as watch, pytest.raises(Unauthenticated) as ended:
        next(watch)
    assert ended.value.detail == "CLAIMS_EXPIRED"


def test_nothing_is_left_when_it_is_closed() -> None:
    before = set(threading.enumerate())
    with FakeMatching() as fake:
        project = fake.add_project()
        address = fake.connection.address
        client = fake.client(user_id=project.owner_id)
        watch = client.watch(project.id)
        assert {thread.name.split("_")[0] for thread in set(threading.enumerate()) - before} >= {
            "fake-matching"
        }
    fake.close()
    assert list(watch) == []
    names = {thread.name for thread in set(threading.enumerate()) - before}
    assert not {name for name in names if name.startswith(("fake-matching", "matching-watch"))}
    with grpc.insecure_channel(address) as channel, pytest.raises(grpc.FutureTimeoutError):
        grpc.channel_ready_future(channel).result(timeout=0.2)
