"""Who may see and touch what. What a caller may not see does not exist for them."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import Connection

from matching_server.domain.errors import MatchNotFound, ProjectNotFound
from matching_server.domain.model import ActorType, Caller, Match, Role
from matching_server.storage import directory, matches


def own_project(conn: Connection, caller: Caller, project_id: UUID) -> None:
    """The caller owns the project, or acts for the platform.

    Raises:
        ProjectNotFound: there is no such project, or not for them.
    """
    owner = directory.owner_of(conn, project_id)
    if owner is None or not may_act_for(caller, owner):
        raise ProjectNotFound(project_id)


def may_act_for(caller: Caller, owner_id: UUID) -> bool:
    """Whether the caller may act on what belongs to that owner."""
    return caller.acts_for_platform or (Role.CLIENT in caller.roles and caller.user_id == owner_id)


def readable_match(conn: Connection, caller: Caller, match: Match | None, match_id: UUID) -> Match:
    """The match, for its project's owner, its advisor, and who acts for the platform.

    Raises:
        MatchNotFound: there is no such match, or not for them.
    """
    if match is None:
        raise MatchNotFound(match_id)
    if caller.acts_for_platform or is_advisor_of(caller, match):
        return match
    owner = directory.owner_of(conn, match.project_id)
    if owner is None or not may_act_for(caller, owner):
        raise MatchNotFound(match_id)
    return match


def is_advisor_of(caller: Caller, match: Match) -> bool:
    """Whether the match is, or was, offered to the caller."""
    return Role.ADVISOR in caller.roles and match.matched_advisor_id == caller.user_id


def readable_project(conn: Connection, caller: Caller, project_id: UUID) -> None:
    """The project may be read by its owner, its active advisors, those it is offered to, and the platform.

    Raises:
        ProjectNotFound: there is no such project, or not for them.
    """
    owner = directory.owner_of(conn, project_id)
    if owner is None:
        raise ProjectNotFound(project_id)
    if may_act_for(caller, owner):
        return
    is_advisor = Role.ADVISOR in caller.roles and (
        directory.is_active_advisor(conn, project_id, caller.user_id)
        or bool(matches.offered(conn, project_id, caller.user_id))
    )
    if not is_advisor:
        raise ProjectNotFound(project_id)


def place_in_chat(conn: Connection, caller: Caller, project_id: UUID, owner_id: UUID | None) -> ActorType:
    """As what the caller takes part in a project's chat: its owner, an active advisor, or else a service.

    An admin has no part in it.

    Raises:
        ProjectNotFound: there is no such project (``owner_id`` is ``None``), or not for them.
    """
    if owner_id is not None:
        if Role.CLIENT in caller.roles and caller.user_id == owner_id:
            return ActorType.CLIENT
        if Role.ADVISOR in caller.roles and directory.is_active_advisor(conn, project_id, caller.user_id):
            return ActorType.ADVISOR
        if Role.SERVICE in caller.roles:
            return ActorType.ASSISTANT
    raise ProjectNotFound(project_id)
