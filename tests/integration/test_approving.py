"""The usual approval in two statements leaves behind what the general case leaves behind, or nothing at all."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest

from matching_server.domain.errors import MatchNotFound, Unauthenticated
from matching_server.domain.model import Decision, Match, MatchStatus, Role, Side
from matching_server.operations import approving
from matching_server.storage import approvals
from matching_server.storage.database import Database
from tests.integration.world import World, call
from tests.support.locks import held, wait_for_waiter_on

CLIENT, ADVISOR = Side.CLIENT, Side.ADVISOR
TABLES = {
    "advisor_match_requests": ("created_at", "updated_at", "expires_at"),
    "project_events": ("created_at",),
    "project_event_heads": (),
    "notification_outbox": ("id", "created_at", "updated_at", "next_attempt_at"),
    "workspace_provisioning_queue": ("id", "created_at", "updated_at", "next_retry_at"),
    "used_nonces": ("used_at",),
}
"""What approvals leave behind, and the columns that differ from one to the next."""
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[T ][\d:.+]+|datetime\.datetime\([^)]*\)")


def written(world: World) -> dict[str, list[str]]:
    rows = {}
    for table, own in TABLES.items():
        columns = " - ".join(["to_jsonb(t)", *(f"'{name}'" for name in own)])
        found = world.rows(f"SELECT ({columns})::text FROM {table} t")
        rows[table] = sorted(_MOMENT.sub("NOW", str(row[0])) for row in found)
    return rows


def by(world: World, match: Match, side: Side, nonce: str | None = None) -> Any:
    if side is CLIENT:
        return world.client(match.project_id, nonce=nonce)
    return call(match.matched_advisor_id, Role.ADVISOR, nonce=nonce)


def told(match: Match) -> Mapping[str, Any]:
    fields = {name: getattr(match, name) for name in Match.__dataclass_fields__}
    return {name: _MOMENT.sub("NOW", repr(value)) for name, value in fields.items() if "_at" not in name}


def _must_not_run(*_: Any, **__: Any) -> None:
    raise AssertionError("the general case ran")


@pytest.mark.parametrize("auto_provision", [True, False])
@pytest.mark.parametrize(
    "order", [(CLIENT, ADVISOR), (ADVISOR, CLIENT)], ids=["client first", "advisor first"]
)
def test_both_ways_write_and_answer_the_same(
    world: World, monkeypatch: pytest.MonkeyPatch, order: tuple[Side, Side], auto_provision: bool
) -> None:
    world = world.under(auto_provision=auto_provision)
    world.advisor(slots=5)
    match = world.create()
    calls = [by(world, match, side, nonce=f"0{n}" * 16) for n, side in enumerate(order)]
    found = []
    for usual in (True, False):
        if not usual:
            world.run("DELETE FROM workspace_provisioning_queue")
            world.run("DELETE FROM used_nonces")
            world.run("DELETE FROM notification_outbox WHERE type <> 'match_offered'")
            world.run("DELETE FROM project_events WHERE seq > 1")
            world.run("UPDATE project_event_heads SET last_seq = 1")
            world.run(
                "UPDATE advisor_match_requests SET status = 'matched', client_decision = NULL,"
                " client_decision_reason = NULL, client_decided_at = NULL, advisor_decision = NULL,"
                " advisor_decision_reason = NULL, advisor_decided_at = NULL, provisioning_state = NULL"
            )
            world.run("ALTER TABLE advisor_match_requests DISABLE TRIGGER USER")
            world.run(
                "UPDATE advisor_match_requests SET version = :v, previous_status = NULL", v=match.version
            )
            world.run("ALTER TABLE advisor_match_requests ENABLE TRIGGER USER")
            monkeypatch.setattr(approving, "approve_at_once", lambda *_: None)
        world.effects.clear()
        answers = [
            world.decide(match, side, Decision.APPROVED, caller, reason="so")
            for side, caller in zip(order, calls, strict=True)
        ]
        effects = [
            (
                [(event.seq, event.type, event.user_id) for event in done.events],
                done.notification_queued,
                done.job_queued,
            )
            for done in world.effects
        ]
        stored = [told(world.match(match.id)), told(answers[-1])]
        assert stored[0] == stored[1]
        found.append((written(world), [told(answer) for answer in answers], effects))
    assert found[0] == found[1]


def test_the_usual_case_is_two_statements(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.advisor()
    match = world.create()
    monkeypatch.setattr("matching_server.operations.runner.Runner.run", _must_not_run)
    assert world.approve(match, ADVISOR).status is MatchStatus.ADVISOR_ACCEPTED
    assert world.approve(match, CLIENT).status is MatchStatus.FINALIZED


def test_a_replay_is_refused_and_leaves_nothing(world: World) -> None:
    world.advisor(slots=5)
    first, second = world.create(), world.create()
    advisor = by(world, first, ADVISOR, nonce="00" * 16)
    world.decide(first, ADVISOR, Decision.APPROVED, advisor)
    replayed = call(advisor.caller.user_id, Role.ADVISOR, nonce="00" * 16)
    with pytest.raises(Unauthenticated):
        world.decide(second, ADVISOR, Decision.APPROVED, replayed)
    assert world.match(second.id).status is MatchStatus.MATCHED


CHANGES: dict[str, tuple[Callable[[World, Match], object], type[Exception] | None]] = {
    "the other side": (lambda world, match: world.approve(match, ADVISOR), None),
    "the row": (lambda world, _: world.run("UPDATE advisor_match_requests SET match_reason = 'x'"), None),
    "the owner": (lambda world, _: _another_owner(world), MatchNotFound),
}


def _another_owner(world: World) -> None:
    other = uuid4()
    world.run("INSERT INTO auth.users (id) VALUES (:id)", id=other)
    world.run("UPDATE projects SET owner_id = :id", id=other)


@pytest.mark.parametrize("change", CHANGES)
def test_what_changed_since_the_look_is_left_to_the_general_case(
    world: World, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    """It may be the same answer, or another one."""
    world.advisor()
    match = world.create()
    look = approvals.look
    meddle, error = CHANGES[change]

    def then_changed(*args: Any) -> Any:
        seen = look(*args)
        monkeypatch.undo()
        meddle(world, match)
        return seen

    monkeypatch.setattr(approvals, "look", then_changed)
    owner = by(world, match, CLIENT)
    if error is not None:
        with pytest.raises(error):
            world.decide(match, CLIENT, Decision.APPROVED, owner)
        assert world.match(match.id).status is MatchStatus.MATCHED
        return
    decided = world.decide(match, CLIENT, Decision.APPROVED, owner)
    expected = MatchStatus.FINALIZED if change == "the other side" else MatchStatus.CLIENT_APPROVED
    assert decided.status is world.match(match.id).status is expected
    assert decided.match_reason == world.match(match.id).match_reason


def test_a_project_that_another_transaction_has_is_waited_for(world: World) -> None:
    world.advisor()
    match = world.create()
    with (
        held(world.conn, "SELECT 1 FROM project_event_heads FOR UPDATE") as holder,
        ThreadPoolExecutor() as pool,
    ):
        decided = pool.submit(world.approve, match, CLIENT)
        wait_for_waiter_on(world.conn, holder)
        holder.rollback()
        assert decided.result().status is MatchStatus.CLIENT_APPROVED


def test_an_answer_that_is_lost_is_found_to_be_done(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.advisor()
    match = world.create()
    try_once = Database.try_once
    lost = []

    def lose(self: Database, *args: Any) -> None:
        lost.append(try_once(self, *args))

    monkeypatch.setattr(Database, "try_once", lose)
    decided = world.decide(match, CLIENT, Decision.APPROVED, by(world, match, CLIENT, nonce="00" * 16))
    assert len(lost) == 1
    assert lost[0] is not None
    assert decided.status is MatchStatus.CLIENT_APPROVED
    assert world.told(match.project_id) == ["advisor.matched", "advisor.client_approved"]
