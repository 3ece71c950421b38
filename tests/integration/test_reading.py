"""Who may read matches and projects, and what reads show."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest

from matching_server.domain.errors import ProjectNotFound
from matching_server.domain.model import ClosedReason, MatchStatus, Role, Side
from matching_server.operations import directory, matching
from matching_server.operations.commands import ListProjectMatches, Page
from tests.integration.world import World, call
from tests.support.seed import insert_advisors

S = MatchStatus


def test_a_projects_matches_are_listed_newest_first_in_pages_and_by_status(world: World) -> None:
    insert_advisors(world.conn, 5)
    project = world.project()
    made = [world.decline(world.create(project), Side.CLIENT) for _ in range(4)]
    made.append(world.create(project))
    world.create()
    by = world.client(project)
    seen: list[UUID] = []
    before = None
    while True:
        page = matching.list_project_matches(
            world.runner, by, ListProjectMatches(project, page=Page(2, before))
        )
        seen += [match.id for match in page.items]
        if page.next is None:
            break
        before = page.next
    assert seen == [match.id for match in reversed(made)]
    declined = matching.list_project_matches(
        world.runner, by, ListProjectMatches(project, (S.CLIENT_DECLINED, S.PENDING))
    )
    assert [match.id for match in declined.items] == [match.id for match in reversed(made[:4])]


@pytest.mark.parametrize("statuses", [(), (S.EXPIRED,), (S.MATCHED,)])
def test_reads_show_an_overdue_match_expired(world: World, statuses: tuple[MatchStatus, ...]) -> None:
    advisor = world.advisor()
    match = world.create()
    world.make_overdue(match.id)
    by = world.client(match.project_id)
    page = matching.list_project_matches(world.runner, by, ListProjectMatches(match.project_id, statuses))
    shown = [(one.status, one.closed_reason) for one in page.items]
    assert shown == ([] if statuses == (S.MATCHED,) else [(S.EXPIRED, ClosedReason.EXPIRED)])
    assert matching.get_match(world.runner, by, match.id).status is S.EXPIRED
    assert world.load(advisor) == 0
    assert world.told(match.project_id) == ["advisor.matched", "advisor.match_expired"]


def test_a_project_and_its_match_are_read_by_who_has_to_do_with_them(world: World) -> None:
    advisor, other = world.advisor(), world.advisor(status="busy")
    match = world.create()
    owner, project = world.owner(match.project_id), match.project_id
    for by in (call(owner, Role.CLIENT), call(advisor, Role.ADVISOR), call(), call(uuid4(), Role.ADMIN)):
        assert matching.get_match(world.runner, by, match.id) == match
        assert directory.get_project(world.runner, by, project).id == project
    for by in (call(other, Role.ADVISOR), call(owner, Role.ADVISOR), call(advisor, Role.CLIENT)):
        with pytest.raises(Exception, match=f"no match with id {match.id}"):
            matching.get_match(world.runner, by, match.id)
        with pytest.raises(ProjectNotFound):
            directory.get_project(world.runner, by, project)
        with pytest.raises(ProjectNotFound):
            matching.list_project_matches(world.runner, by, ListProjectMatches(project))


def test_an_advisor_reads_project_and_match_while_it_is_theirs(world: World) -> None:
    advisor = world.advisor()
    by = call(advisor, Role.ADVISOR)
    finalized = world.approve(world.create())
    assert matching.get_match(world.runner, by, finalized.id).status is S.FINALIZED
    # Without the flag there is no workspace yet, and the project is the advisor's all the same.
    assert directory.get_project(world.runner, by, finalized.project_id).id == finalized.project_id
    declined = world.decline(world.create(), Side.ADVISOR)
    assert matching.get_match(world.runner, by, declined.id).status is S.ADVISOR_DECLINED
    with pytest.raises(ProjectNotFound):
        directory.get_project(world.runner, by, declined.project_id)
