"""What asking for an advisor would come to, without asking."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from matching_server.domain.calls import Call
from matching_server.domain.errors import ProjectNotFound
from matching_server.domain.model import AdvisorSummary, ExclusionReason
from matching_server.domain.scoring import Ranking, RankingRequest, exclusion_of
from matching_server.operations import choosing
from matching_server.operations.commands import SimulateMatch
from matching_server.operations.runner import Runner
from matching_server.storage.database import asking
from matching_server.storage.project_context import project_context


@dataclass(frozen=True, slots=True)
class Simulation:
    """Who could be offered the project, best first, and who could not, by id."""

    ranking: Ranking
    excluded: tuple[tuple[AdvisorSummary, ExclusionReason], ...]


def simulate_match(runner: Runner, call: Call, command: SimulateMatch) -> Simulation:
    """Ranks the pool for a project as it is stored now, as CreateMatch would. Writes nothing.

    Raises:
        ProjectNotFound: no such project.
    """

    policy = runner.policy

    def read(conn: Connection) -> tuple[RankingRequest, datetime]:
        context = project_context(asking(conn), command.project_id, command.criteria, policy.decline_cooldown)
        if context is None:
            raise ProjectNotFound(command.project_id)
        request = choosing.ranking_request(
            context,
            command.criteria,
            allow_previous=False,
            policy=policy,
            assignment=choosing.assignment_of(conn, context),
        )
        return request, context.now

    request, now = runner.database.read_only(read)
    ranking, everybody = runner.picture.survey(request, now, command.limit)
    excluded: list[tuple[AdvisorSummary, ExclusionReason]] = []
    for advisor in sorted(everybody, key=lambda advisor: advisor.id):
        if len(excluded) == command.limit:
            break
        reason = exclusion_of(advisor, request)
        if reason is not None:
            excluded.append((advisor.summary, reason))
    return Simulation(ranking, tuple(excluded))
