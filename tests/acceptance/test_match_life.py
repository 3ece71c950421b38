"""A match from the request to the workspace, and every way in which it ends before."""

from __future__ import annotations

from typing import Any

import pytest

from advisor_matching.v1.types_pb2 import (
    ActorType,
    ChatMessageType,
    ChatMode,
    MatchStatus,
    WorkspaceProvisioning,
)
from matching_client import EtagMismatch, InvalidTransition, MatchNotFound
from tests.support.watching import watching
from tests.support.world import World

APPROVED, DECLINED = "DECISION_APPROVED", "DECISION_DECLINED"
WELCOME = "Advisor has joined the workspace and is ready to help!"
_EVENT_OF = {"client": "advisor.client_approved", "advisor": "advisor.accepted"}
_STATUS_OF = {
    "client": MatchStatus.MATCH_STATUS_CLIENT_APPROVED,
    "advisor": MatchStatus.MATCH_STATUS_ADVISOR_ACCEPTED,
}


def decide(
    world: World, side: str, project: str, advisor: str, match_id: str, decision: str, **kw: Any
) -> Any:
    """One side's decision."""
    if side == "client":
        return world.client(project).submit_client_decision(match_id, decision, **kw)
    return world.advisor(advisor).submit_advisor_decision(match_id, decision, **kw)


@pytest.mark.parametrize("order", [("client", "advisor"), ("advisor", "client")], ids="-then-".join)
def test_a_match_lives_from_the_request_to_the_workspace(world: World, order: tuple[str, str]) -> None:
    project, advisor, match = world.matched(locale="de-AT")
    first, second = order
    with watching(world.client(project, server=1), project, from_start=True) as watch:
        answer = decide(world, first, project, advisor, match.id, APPROVED, reason="fits")
        assert answer.status == answer.match.status == _STATUS_OF[first]
        assert not answer.workspace_provisioning
        answer = decide(world, second, project, advisor, match.id, APPROVED)
        assert answer.status == MatchStatus.MATCH_STATUS_FINALIZED
        assert answer.workspace_provisioning == WorkspaceProvisioning.WORKSPACE_PROVISIONING_QUEUED
        events = [next(watch) for _ in range(6)]

    assert [event.seq for event in events] == [1, 2, 3, 4, 5, 6]
    assert [event.type for event in events] == [
        "advisor.matched",
        _EVENT_OF[first],
        _EVENT_OF[second],
        "advisor.finalized",
        "message.new",
        "advisor.workspace_ready",
    ]
    assert {event.match.match_id for event in events[:4]} == {match.id}
    assert events[0].match.advisor_id == advisor
    assert events[1].match.reason == "fits"
    ready = events[5].workspace_ready
    assert (ready.match_id, ready.advisor_id, ready.project_id) == (match.id, advisor, project)
    _assert_workspace(world, project, advisor, match.id)
    _assert_welcome(world, events[4].message, project, advisor, match.id)


def _assert_workspace(world: World, project: str, advisor: str, match_id: str) -> None:
    seen = world.advisor(advisor).get_match(match_id)
    assert seen.status == MatchStatus.MATCH_STATUS_FINALIZED
    assert seen.workspace_provisioning == WorkspaceProvisioning.WORKSPACE_PROVISIONING_READY
    assert world.load(advisor) == 1
    access = world.row("SELECT * FROM project_advisors")
    assert (str(access["project_id"]), str(access["advisor_id"])) == (project, advisor)
    assert (access["status"], access["role"]) == ("active", "advisor")
    session = world.row("SELECT * FROM unified_chat_sessions")
    assert (str(session["project_id"]), str(session["user_id"])) == (project, advisor)
    assert (session["session_state"], session["preferred_locale"]) == ("active", "de-AT")
    job = world.row("SELECT status, attempt_count FROM workspace_provisioning_queue")
    assert job == {"status": "completed", "attempt_count": 1}


def _assert_welcome(world: World, message: Any, project: str, advisor: str, match_id: str) -> None:
    assert message.text == WELCOME
    assert message.actor_type == ActorType.ACTOR_TYPE_SYSTEM
    assert message.message_type == ChatMessageType.CHAT_MESSAGE_TYPE_SYSTEM
    assert message.mode == ChatMode.CHAT_MODE_PLAN
    assert not message.HasField("user_id")
    said = message.response_data
    assert (said.event_code, said.advisor_id, said.match_id) == ("advisor_joined", advisor, match_id)
    assert said.HasField("timestamp")
    assert message.seq == 5
    stored = world.row("SELECT id, project_id, seq, text FROM unified_chat_messages")
    assert {name: str(value) for name, value in stored.items()} == {
        "id": message.id,
        "project_id": project,
        "seq": "5",
        "text": WELCOME,
    }


def test_without_auto_provision_nothing_is_queued_and_the_project_may_ask_again(own: World) -> None:
    own.start(auto_provision="false")
    project, advisor, match = own.finalized()
    assert not match.workspace_provisioning
    assert own.value("SELECT count(*) FROM workspace_provisioning_queue") == 0
    assert not own.service().get_service_info().feature_flags.auto_provision

    second = own.new_advisor(slots=1)
    again = own.client(project).create_match(project)
    assert not again.already_open
    assert again.match.id != match.id
    assert own.load(advisor) == 1, "the slot stays held until it is released"
    assert again.match.matched_advisor.id == second
    assert own.event_types(project)[-2:] == ["advisor.finalized", "advisor.matched"]


@pytest.mark.parametrize("side", ["client", "advisor"])
def test_a_decline_frees_the_slot_and_puts_the_advisor_in_cool_down(world: World, side: str) -> None:
    project, advisor, match = world.matched()
    assert world.load(advisor) == 1
    answer = decide(world, side, project, advisor, match.id, DECLINED, reason="not now")
    assert answer.status == MatchStatus.Value(f"MATCH_STATUS_{side.upper()}_DECLINED")
    assert world.load(advisor) == 0
    assert world.event_types(project)[-1] == "advisor.match_declined"

    owner = world.client(project)
    waiting = owner.create_match(project).match
    assert waiting.status == MatchStatus.MATCH_STATUS_PENDING
    owner.submit_client_decision(waiting.id, DECLINED)
    other = world.new_project()
    assert world.client(other).create_match(other).match.matched_advisor.id == advisor
    assert owner.create_match(project, allow_previous=True).match.matched_advisor.id == advisor
    assert world.load(advisor) == 2


def test_a_decline_is_possible_after_the_other_side_has_approved(world: World) -> None:
    project, advisor, match = world.matched()
    decide(world, "client", project, advisor, match.id, APPROVED)
    answer = decide(world, "advisor", project, advisor, match.id, DECLINED)
    assert answer.status == MatchStatus.MATCH_STATUS_ADVISOR_DECLINED
    assert answer.match.client_decision.decision != answer.match.advisor_decision.decision
    assert world.load(advisor) == 0


def test_repeating_ones_own_decision_is_fine_in_any_status_and_changes_nothing(world: World) -> None:
    project, advisor, match = world.matched()
    sides = ("client", "client", "advisor", "client", "advisor")
    seen = [decide(world, side, project, advisor, match.id, APPROVED).status for side in sides]
    first, final = MatchStatus.MATCH_STATUS_CLIENT_APPROVED, MatchStatus.MATCH_STATUS_FINALIZED
    assert seen == [first, first, final, final, final]
    world.wait_for_ready(match.id)
    etag = world.client(project).get_match(match.id).etag
    for side in ("client", "advisor"):
        again = decide(world, side, project, advisor, match.id, APPROVED, etag="stale")
        assert (again.status, again.match.etag) == (final, etag)
    assert len(world.event_types(project)) == 6
    assert world.value("SELECT count(*) FROM workspace_provisioning_queue") == 1


def test_repeating_a_decline_is_fine(world: World) -> None:
    project, advisor, match = world.matched()
    first = decide(world, "advisor", project, advisor, match.id, DECLINED, reason="busy")
    again = decide(world, "advisor", project, advisor, match.id, DECLINED, reason="other words")
    assert again == first
    assert world.load(advisor) == 0


def test_a_decision_with_an_etag_is_made_on_the_match_as_it_was_read_or_not_at_all(world: World) -> None:
    project, advisor, match = world.matched()
    decide(world, "client", project, advisor, match.id, APPROVED, etag=match.etag)
    with pytest.raises(EtagMismatch) as refused:
        decide(world, "advisor", project, advisor, match.id, APPROVED, etag=match.etag)
    assert refused.value.match_id == match.id
    assert world.status(match.id) == "client_approved"
    newest = world.advisor(advisor).get_match(match.id).etag
    answer = decide(world, "advisor", project, advisor, match.id, APPROVED, etag=newest)
    assert answer.status == MatchStatus.MATCH_STATUS_FINALIZED


def test_an_illegal_step_is_refused_with_where_from_and_where_to(world: World) -> None:
    project, advisor, match = world.finalized()
    for side in ("client", "advisor"):
        _assert_refused(world, side, (project, advisor, match.id), DECLINED, "finalized", f"{side}_declined")

    other = world.new_project()
    offered = world.client(other).create_match(other).match
    assert offered.matched_advisor.id == advisor
    declined = (other, advisor, offered.id)
    decide(world, "client", *declined, DECLINED)
    _assert_refused(world, "advisor", declined, APPROVED, "client_declined", "advisor_accepted")
    _assert_refused(world, "client", declined, APPROVED, "client_declined", "client_approved")


def _assert_refused(
    world: World, side: str, of: tuple[str, str, str], decision: str, source: str, target: str
) -> None:
    with pytest.raises(InvalidTransition) as refused:
        decide(world, side, *of, decision)
    assert refused.value.metadata == {"match_id": of[2], "from": source, "to": target}


def test_a_client_cannot_approve_while_nobody_has_been_found(world: World) -> None:
    project = world.new_project()
    match = world.client(project).create_match(project).match
    _assert_refused(world, "client", (project, "", match.id), APPROVED, "pending", "client_approved")
    assert decide(world, "client", project, "", match.id, DECLINED).status == (
        MatchStatus.MATCH_STATUS_CLIENT_DECLINED
    )


def test_an_advisor_who_accepts_by_themselves_has_accepted_with_the_match(world: World) -> None:
    advisor = world.new_advisor(preferences={"auto_accept": True})
    project = world.new_project()
    match = world.client(project).create_match(project).match
    assert match.status == MatchStatus.MATCH_STATUS_ADVISOR_ACCEPTED
    assert match.matched_advisor.id == advisor
    assert world.event_types(project) == ["advisor.matched", "advisor.accepted"]
    answer = decide(world, "client", project, advisor, match.id, APPROVED)
    assert answer.status == MatchStatus.MATCH_STATUS_FINALIZED
    world.wait_for_ready(match.id)


def test_nobody_decides_for_another_side(world: World) -> None:
    project, advisor, match = world.matched()
    both = ("client", "advisor")
    with pytest.raises(MatchNotFound):
        world.caller(advisor, *both).submit_client_decision(match.id, APPROVED)
    owner = world.value("SELECT owner_id FROM projects WHERE id = :id", id=project)
    with pytest.raises(MatchNotFound):
        world.caller(owner, *both).submit_advisor_decision(match.id, APPROVED)
    assert world.status(match.id) == "matched"
