"""Keeping the directory of projects and advisors."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from sqlalchemy import Connection

from matching_server.domain.calls import Call
from matching_server.domain.errors import AdvisorNotFound, ProjectNotFound
from matching_server.domain.interventions import InterventionType
from matching_server.domain.model import Advisor, Caller, ClosedReason, Project
from matching_server.operations import transitions
from matching_server.operations.commands import ListAdvisors, PageOf
from matching_server.operations.runner import Runner
from matching_server.storage import availability, directory, interventions, matches
from matching_server.storage.database import Transaction
from matching_server.storage.event_log import lock_project


def upsert_project(runner: Runner, call: Call, project: Project) -> Project:
    """Creates or replaces a project; what is kept with its owner holds for all their projects."""
    return runner.run(_save_project, call, project)


def _save_project(tx: Transaction, call: Call, project: Project) -> Project:
    directory.save_project(tx, project)
    return directory.get_project(tx.conn, project.id) or project


def get_project(runner: Runner, call: Call, project_id: UUID) -> Project:
    """A project, for its owner, its advisors, those it is offered to, and the platform.

    Raises:
        ProjectNotFound: no such project for the caller.
    """

    def read(conn: Connection, call: Call) -> Project:
        found = directory.get_project_for(conn, project_id, call.caller)
        if found is None:
            raise ProjectNotFound(project_id)
        return found

    return runner.read(read, call)


def upsert_advisor(runner: Runner, call: Call, advisor: Advisor) -> Advisor:
    """Creates or replaces a profile; ``active`` of ``False`` is a deactivation."""
    saved = runner.run(_save_advisor, call, advisor)
    if advisor.active is False:
        _close_offers(runner, call, advisor.id)
    return saved


def _save_advisor(tx: Transaction, call: Call, advisor: Advisor) -> Advisor:
    # The row that decides claims first: whoever claims at this moment is seen by the closing of offers.
    availability.lock(tx, advisor.id)
    directory.save_advisor(tx, advisor)
    return directory.get_advisor(tx.conn, advisor.id) or advisor


def deactivate_advisor(runner: Runner, call: Call, advisor_id: UUID, reason: str | None) -> Advisor:
    """Takes an advisor out of matching and closes their open offers; active projects go on.

    Raises:
        AdvisorNotFound: no such advisor.
    """
    deactivated = runner.run(_deactivate, call, advisor_id, reason)
    _close_offers(runner, call, advisor_id)
    return deactivated


def _deactivate(tx: Transaction, call: Call, advisor_id: UUID, reason: str | None) -> Advisor:
    current = availability.lock(tx, advisor_id)
    if current is None:
        raise AdvisorNotFound(advisor_id)
    if current.advisor_active:
        directory.deactivate_advisor(tx, advisor_id)
        interventions.log(
            tx,
            InterventionType.ADVISOR_DEACTIVATED,
            reason=reason,
            details={"advisorId": str(advisor_id)},
        )
    advisor = directory.get_advisor(tx.conn, advisor_id)
    assert advisor is not None
    return advisor


def _close_offers(runner: Runner, call: Call, advisor_id: UUID) -> None:
    """Project by project, after the deactivation has committed: no claim can add one any more."""
    offers = runner.database.read(lambda conn: matches.open_offers(conn, advisor_id))
    for project_id, match_id in offers:
        runner.continue_run(_close_offer, call, project_id, match_id)


def _close_offer(tx: Transaction, call: Call, project_id: UUID, match_id: UUID) -> None:
    with lock_project(tx, project_id) as log:
        match = matches.lock(tx, match_id)
        if log is None or match is None or not match.is_open:
            return
        why = ClosedReason.EXPIRED if match.overdue else ClosedReason.ADVISOR_DEACTIVATED
        transitions.expire(tx, log, match, why, actor=call.caller.user_id)


def get_advisor(runner: Runner, call: Call, advisor_id: UUID) -> Advisor:
    """An advisor's profile, active or not; the e-mail address only for themselves and the platform.

    Raises:
        AdvisorNotFound: no such advisor.
    """
    found = runner.database.read(lambda conn: directory.get_advisor(conn, advisor_id))
    if found is None:
        raise AdvisorNotFound(advisor_id)
    return _shown_to(call.caller, found)


def list_advisors(runner: Runner, call: Call, command: ListAdvisors) -> PageOf[Advisor]:
    """A page of the active advisors that meet every filter, newest first."""
    rows = runner.database.read(
        lambda conn: directory.list_advisors(
            conn,
            skill=command.skill,
            framework=command.framework,
            available=command.available,
            before=command.page.before,
            limit=command.page.size + 1,
        )
    )
    page = PageOf.cut(rows, command.page.size, lambda row: (row[1], row[0].id))
    return PageOf(tuple(_shown_to(call.caller, advisor) for advisor, _ in page.items), page.next)


def _shown_to(caller: Caller, advisor: Advisor) -> Advisor:
    if caller.acts_for_platform or caller.user_id == advisor.id:
        return advisor
    return replace(advisor, email=None)
