"""What a transaction leaves to do is told in full."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from uuid import UUID, uuid4

import pytest

from matching_server.domain.model import Advisor, AssignmentType, Match, MatchStatus, Role, Side
from matching_server.operations import (
    assignments,
    availability,
    backlog,
    claiming,
    directory,
    matching,
    provisioning,
    upkeep,
)
from matching_server.operations.commands import AssignAdvisor, ReleaseAdvisor, UpdateAvailability
from tests.integration.jobs import finalized, take
from tests.integration.world import World, call

RECORD = """
CREATE TABLE written (advisor_id uuid);
CREATE FUNCTION record_written() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO written VALUES (NEW.advisor_id);
    RETURN NULL;
END $$;
CREATE TRIGGER record_written AFTER INSERT OR UPDATE ON advisor_availability
    FOR EACH ROW EXECUTE FUNCTION record_written();
"""
OUTBOX = "SELECT count(*) FROM notification_outbox"
Step = Callable[[World], object]


def overdue(world: World) -> Match:
    match = world.create()
    world.make_overdue(match.id)
    return match


def read_overdue(world: World) -> Step:
    match = overdue(world)
    return lambda world: matching.get_match(world.runner, call(), match.id)


def sweep_overdue(world: World) -> Step:
    overdue(world)
    return lambda world: upkeep.expire_overdue(world.runner)


def replace_overdue(world: World) -> Step:
    project = overdue(world).project_id
    return lambda world: world.create(project)


def offer(world: World) -> Step:
    project = world.project()
    return lambda world: world.create(project)


def offer_to_who_accepts_at_once(world: World) -> Step:
    world.run("UPDATE advisor_availability SET availability_preferences = '{\"auto_accept\": true}'")
    return offer(world)


def serve_the_backlog(world: World) -> Step:
    world.run("UPDATE advisor_availability SET status = 'busy'")
    assert world.create().status is MatchStatus.PENDING
    world.run("UPDATE advisor_availability SET status = 'available'")
    return lambda world: backlog.run_pass(world.runner)


def claim_what_waits(world: World) -> Step:
    world.run("UPDATE advisor_availability SET status = 'busy'")
    waiting = world.create()
    by = call(world.ask("SELECT id FROM advisors"), Role.ADVISOR)
    return lambda world: claiming.claim_match(world.runner, by, waiting.id)


def assign(type_: AssignmentType, world: World) -> Step:
    advisor, project = world.ask("SELECT id FROM advisors"), world.project()
    command = AssignAdvisor(project, advisor, assignment_type=type_)
    return lambda world: assignments.assign_advisor(world.runner, call(), command, lambda _: b"")


def assign_in_place_of_another(world: World) -> Step:
    project = world.create().project_id
    command = AssignAdvisor(project, world.advisor())
    return lambda world: assignments.assign_advisor(world.runner, call(), command, lambda _: b"")


def release(world: World) -> Step:
    match = finalized(world)
    assert match.matched_advisor_id is not None
    command = ReleaseAdvisor(match.project_id, match.matched_advisor_id)
    return lambda world: assignments.release_advisor(world.runner, call(), command)


def release_from_the_workspace(world: World) -> Step:
    match = finalized(world)
    provisioning.attempt(world.runner, take(world))
    assert match.matched_advisor_id is not None
    command = ReleaseAdvisor(match.project_id, match.matched_advisor_id)
    return lambda world: assignments.release_advisor(world.runner, call(), command)


def decline(side: Side, world: World) -> Step:
    match = world.create()
    return lambda world: world.decline(match, side)


def change(world: World) -> Step:
    advisor = world.ask("SELECT id FROM advisors")
    command = UpdateAvailability(advisor, max_concurrent_projects=7)
    return lambda world: availability.update_availability(world.runner, call(), command)


def withdraw(world: World) -> Step:
    advisor = world.create().matched_advisor_id
    assert advisor is not None
    command = UpdateAvailability(advisor, decline_open_offers=True)
    return lambda world: availability.update_availability(world.runner, call(), command)


def new_advisor(world: World) -> Step:
    return lambda world: directory.upsert_advisor(world.runner, call(), profile(uuid4()))


def inactive_profile(world: World) -> Step:
    advisor = world.create().matched_advisor_id
    assert advisor is not None
    return lambda world: directory.upsert_advisor(world.runner, call(), profile(advisor, active=False))


def deactivate(world: World) -> Step:
    advisor = world.create().matched_advisor_id
    assert advisor is not None
    return lambda world: directory.deactivate_advisor(world.runner, call(), advisor, None)


def give_up_a_workspace(world: World) -> Step:
    finalized(world)
    job = take(world)
    world.run("UPDATE advisors SET active = false")
    return lambda world: provisioning.attempt(world.runner, job)


def close_an_orphan(world: World) -> Step:
    project = world.create().project_id
    world.run("DELETE FROM projects WHERE id = :id", id=project)
    return lambda world: upkeep.close_orphans(world.runner)


def profile(advisor: UUID, *, active: bool = True) -> Advisor:
    return Advisor(advisor, "Ada", (), (), active=active)


@pytest.mark.parametrize(
    "prepare",
    [
        offer,
        offer_to_who_accepts_at_once,
        serve_the_backlog,
        claim_what_waits,
        partial(assign, AssignmentType.MANUAL),
        partial(assign, AssignmentType.EMERGENCY),
        assign_in_place_of_another,
        release,
        release_from_the_workspace,
        partial(decline, Side.CLIENT),
        partial(decline, Side.ADVISOR),
        read_overdue,
        sweep_overdue,
        replace_overdue,
        change,
        withdraw,
        new_advisor,
        inactive_profile,
        deactivate,
        give_up_a_workspace,
        close_an_orphan,
    ],
    ids=lambda prepare: (
        getattr(prepare, "__name__", None) or f"{prepare.func.__name__} {prepare.args[0].value}"
    ),
)
def test_whoever_writes_an_availability_row_or_a_notification_says_so(
    world: World, prepare: Callable[[World], Step]
) -> None:
    """What is kept of an advisor elsewhere is dropped by these effects, and by nothing else."""
    world = world.under(auto_provision=True)
    world.advisor()
    step = prepare(world)
    world.conn.exec_driver_sql(RECORD)
    notifications = world.ask(OUTBOX)
    world.effects.clear()
    step(world)
    written = {row[0] for row in world.rows("SELECT advisor_id FROM written")}
    told = set[UUID]().union(*(effects.availability_changed for effects in world.effects))
    assert written
    assert told >= written
    queued = any(effects.notification_queued for effects in world.effects)
    assert queued is (world.ask(OUTBOX) > notifications)
