"""`matching admin`: steering, explaining and repairing."""

from __future__ import annotations

from typing import Annotated

import typer

from advisor_matching.v1.types_pb2 import AssignmentType, WorkspaceRole
from matching_client.commands import admin_views, notifications, provisioning, rules, views
from matching_client.commands.call import Call, command
from matching_client.commands.criteria import (
    Complexity,
    Exclude,
    Factors,
    Framework,
    Languages,
    Looking,
    Weights,
)
from matching_client.commands.failures import ExitCode
from matching_client.commands.options import (
    AdvisorId,
    All,
    MatchFilter,
    MatchId,
    PageSize,
    PageToken,
    ProjectFilter,
    ProjectId,
    Reason,
    RequestId,
    text_of,
)
from matching_client.commands.pages import show_pages
from matching_client.commands.words import words_option

group = typer.Typer(name="admin", help="Steer, explain and repair; for admins.")
group.add_typer(rules.group)
group.add_typer(provisioning.group)
group.add_typer(notifications.group)


@command(group, "assign", method="AdminService/AssignAdvisor")
def assign(
    call: Call,
    project_id: ProjectId,
    advisor_id: AdvisorId,
    assignment_type: Annotated[
        str | None,
        words_option(
            AssignmentType, "manual offers it, emergency finalizes at once; manual unless said.", "--type"
        ),
    ] = None,
    role: Annotated[
        str | None, words_option(WorkspaceRole, "As what; advisor unless said.", "--role")
    ] = None,
    reason: Reason = "",
    request_id: RequestId = None,
) -> None:
    """Puts an advisor on a project."""
    answer = call.client.assign_advisor(
        str(project_id),
        str(advisor_id),
        reason=reason,
        assignment_type=assignment_type,
        role=role,
        request_id=text_of(request_id),
    )
    call.show(answer, lambda: views.match(answer.match))


@command(group, "release", method="AdminService/ReleaseAdvisor")
def release(call: Call, project_id: ProjectId, advisor_id: AdvisorId, reason: Reason = "") -> None:
    """Ends an advisor's part in a project, and frees the slot."""
    released = call.client.release_advisor(str(project_id), str(advisor_id), reason=reason)
    told = "released" if released else "they held nothing on the project; nothing has changed"
    call.show({"released": released}, lambda: [told])


@command(group, "pool", method="AdminService/GetPoolStatus")
def pool(call: Call) -> None:
    """Counts the active advisors by status and by load."""
    answer = call.client.get_pool_status()
    call.show(answer, lambda: admin_views.pool(answer))


@command(group, "simulate", method="AdminService/SimulateMatch")
def simulate(
    call: Call,
    project_id: ProjectId,
    framework: Framework = "",
    language: Languages = None,
    factor: Factors = None,
    complexity: Complexity = None,
    exclude: Exclude = None,
    weight: Weights = None,
    limit: Annotated[
        int, typer.Option(min=0, max=1000, help="So many of each kind at most; 0 means 50.")
    ] = 0,
) -> None:
    """Ranks the pool for a project as `matches create` would, and says why others are left out. Writes nothing."""
    answer = call.client.simulate_match(
        str(project_id),
        criteria=Looking(framework, language, factor, complexity, exclude, weight).criteria(),
        limit=limit,
    )
    call.show(answer, lambda: admin_views.simulation(answer))


@command(group, "explain", method="AdminService/ExplainMatch")
def explain(call: Call, match_id: MatchId) -> None:
    """Says why a match has the advisor it has, computed again from what was stored."""
    answer = call.client.explain_match(str(match_id))
    call.show(answer, lambda: admin_views.explanation(answer))


@command(group, "interventions", method="AdminService/ListInterventions")
def interventions(
    call: Call,
    project: ProjectFilter = None,
    match: MatchFilter = None,
    type: Annotated[str, typer.Option(help="Only of this kind.")] = "",
    *,
    page_size: PageSize = 0,
    page_token: PageToken = "",
    all_pages: All = False,
) -> None:
    """Lists what needed, or was done by, an admin, newest first."""
    show_pages(
        call,
        lambda token: call.client.list_interventions(
            project_id=text_of(project),
            match_id=text_of(match),
            intervention_type=type,
            page_size=page_size,
            page_token=token,
        ),
        lambda page: page.interventions,
        admin_views.interventions,
        page_token=page_token,
        all_pages=all_pages,
    )


@command(group, "audit", method="AdminService/AuditInvariants")
def audit(call: Call) -> None:
    """Checks every invariant of the data. The exit code is 1 where one does not hold."""
    answer = call.client.audit_invariants()
    call.show(
        answer,
        lambda: admin_views.violations(answer.violations, f"all {len(answer.checked)} invariants hold"),
    )
    if answer.violations:
        raise typer.Exit(ExitCode.UNEXPECTED)


@command(group, "repair", method="AdminService/RepairInvariants")
def repair(
    call: Call,
    invariants: Annotated[
        list[str] | None, typer.Argument(help="Those to repair, as `audit` names them; all where left out.")
    ] = None,
    request_id: RequestId = None,
) -> None:
    """Repairs what can be repaired safely. The exit code is 1 where something is left."""
    answer = call.client.repair_invariants(invariants or (), request_id=text_of(request_id))
    repaired = f"repaired: {views.listed(answer.repaired) or 'nothing'}"
    call.show(answer, lambda: [repaired, *admin_views.violations(answer.violations, "no violation is left")])
    if answer.violations:
        raise typer.Exit(ExitCode.UNEXPECTED)
