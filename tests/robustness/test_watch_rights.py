"""A right to watch that ends: the event that ended it still comes, and then the word that nothing is there."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from uuid import UUID

import pytest

from matching_client import MatchingClient, ProjectNotFound, Watch
from tests.support.history import History
from tests.support.rounds import FULL_SCALE, SCALE
from tests.support.watching import watching
from tests.support.world import World

Tell = Callable[[str], None]
LOOKED_UP_WITHIN, HEARD_WITHIN = 33.0, 5.0
"""Seconds: rights are looked up every 30 s where no event moves them, and at once where one does."""


def ready(world: World) -> tuple[str, str]:
    """A project and its active advisor."""
    project, advisor, match = world.finalized()
    world.wait_for_ready(match.id)
    return project, advisor


def types_until_nothing_is_there(watch: Watch) -> list[str]:
    """What comes before the end, which must be the one of who has no right."""
    types: list[str] = []
    with pytest.raises(ProjectNotFound):
        types.extend(event.type for event in watch)
    return types


def types_until_they_hear(watch: Watch) -> list[str]:
    """The same, where an event says that the right has ended: nobody waits for the next look."""
    began = time.monotonic()
    types = types_until_nothing_is_there(watch)
    assert time.monotonic() - began < HEARD_WITHIN
    return types


def test_a_release_ends_the_advisors_right_and_nobody_elses(world: World) -> None:
    project, advisor = ready(world)
    with (
        watching(world.advisor(advisor, server=1), project) as released,
        watching(world.client(project), project) as owner,
    ):
        world.admin().release_advisor(project, advisor)
        assert types_until_they_hear(released) == ["advisor.released"]
        assert next(owner).type == "advisor.released"
        History(world.conn).messages(UUID(project), 1, size=1)
        assert next(owner).type == "message.new"
    assert_no_right(world.advisor(advisor), project)


def test_a_deactivation_ends_the_right_that_an_offer_gives(world: World) -> None:
    project, advisor, _ = world.matched()
    with watching(world.advisor(advisor, server=1), project) as watch:
        world.admin().deactivate_advisor(advisor)
        assert types_until_they_hear(watch) == ["advisor.match_expired"]
    assert_no_right(world.advisor(advisor), project)


def test_a_deactivated_advisor_goes_on_in_projects_that_they_have(world: World) -> None:
    project, advisor = ready(world)
    with watching(world.advisor(advisor), project) as watch:
        world.admin().deactivate_advisor(advisor)
        History(world.conn).messages(UUID(project), 1, size=1)
        assert next(watch).type == "message.new"
    with watching(world.advisor(advisor, server=1), project, from_start=True) as again:
        assert next(again).seq == 1


@pytest.mark.skipif(SCALE < FULL_SCALE, reason="takes the half minute between two looks at rights")
def test_rights_that_the_platform_ends_by_sql_end_soon(world: World, tell: Tell) -> None:
    """Ownership that is moved, and an access row that is no longer active: no event tells of them."""
    project, advisor = ready(world)
    callers = {"owner": world.client(project), "advisor": world.advisor(advisor)}
    watches = {name: caller.watch(project) for name, caller in callers.items()}
    platform = world.service().watch(project)
    began = time.monotonic()
    world.execute(
        "UPDATE projects SET owner_id = :id WHERE id = :project", id=world.new_person(), project=project
    )
    world.execute(
        "UPDATE project_advisors SET status = 'inactive' WHERE project_id = :project", project=project
    )
    History(world.conn).messages(UUID(project), 1, size=1)
    # Who is not told by then is not told at all.
    limits = [threading.Timer(LOOKED_UP_WITHIN, watch.close) for watch in watches.values()]
    for limit in limits:
        limit.start()
    for name, watch in watches.items():
        assert types_until_nothing_is_there(watch) == ["message.new"], name
    took = time.monotonic() - began
    for limit in limits:
        limit.cancel()
    for caller in callers.values():
        assert_no_right(caller, project)
    with watching(world.client(project), project) as new_owner:
        History(world.conn).messages(UUID(project), 1, size=1)
        assert [next(new_owner).seq, next(platform).seq, next(platform).seq] == [8, 7, 8]
    platform.close()
    # The slot that goes with the row is still taken, as the audit would say.
    world.execute(
        "UPDATE project_advisors SET status = 'active' WHERE project_id = :project", project=project
    )
    tell(f"after {took:.0f} s")


def assert_no_right(caller: MatchingClient, project: str) -> None:
    """They are told that there is no such project."""
    with pytest.raises(ProjectNotFound), watching(caller, project) as watch:
        next(watch)
