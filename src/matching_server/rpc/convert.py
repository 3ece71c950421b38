"""The domain's values as messages of the contract. The other direction is ``inputs``."""

from __future__ import annotations

from advisor_matching.v1 import directory_service_pb2, match_service_pb2, types_pb2
from matching_server.domain import model
from matching_server.domain.model import ClosedReason, MatchStatus, ProjectComplexity
from matching_server.operations.commands import CreatedMatch, PageOf
from matching_server.rpc import enums
from matching_server.rpc.paging import encode_page_token


def match_message(match: model.Match) -> types_pb2.Match:
    """A match. One that is open past its ``expires_at`` reads as what the next write will make of it."""
    status, previous, closed = match.status, match.previous_status, match.closed_reason
    if match.overdue and match.is_open:
        status, previous, closed = MatchStatus.EXPIRED, match.status, ClosedReason.EXPIRED
    pending = match.pending_reason if status is MatchStatus.PENDING else None
    advisor = match.matched_advisor
    return types_pb2.Match(
        id=str(match.id),
        project_id=str(match.project_id),
        requested_by=str(match.requested_by),
        status=enums.MATCH_STATUS.to_wire(status),
        previous_status=enums.MATCH_STATUS.to_wire(previous),
        matched_advisor=advisor_summary_message(advisor) if advisor else None,
        score=match.score,
        match_reason=match.match_reason,
        pending_reason=enums.PENDING_REASON.to_wire(pending),
        closed_reason=enums.CLOSED_REASON.to_wire(closed),
        client_decision=_decision_message(match.client_decision),
        advisor_decision=_decision_message(match.advisor_decision),
        workspace_provisioning=enums.WORKSPACE_PROVISIONING.to_wire(match.provisioning_state),
        assignment_type=enums.ASSIGNMENT_TYPE.to_wire(match.assignment_type),
        criteria=criteria_message(match.criteria),
        expires_at=match.expires_at,
        created_at=match.created_at,
        updated_at=match.updated_at,
        etag=match.etag,
    )


def created_match_message(created: CreatedMatch) -> match_service_pb2.CreateMatchResponse:
    """The answer to CreateMatch."""
    return match_service_pb2.CreateMatchResponse(
        match=match_message(created.match), already_open=created.already_open
    )


def match_page_message(page: PageOf[model.Match]) -> match_service_pb2.ListProjectMatchesResponse:
    """A page of a project's matches."""
    return match_service_pb2.ListProjectMatchesResponse(
        matches=[match_message(match) for match in page.items], next_page_token=encode_page_token(page.next)
    )


def claimable_page_message(page: PageOf[model.Match]) -> match_service_pb2.ListClaimableMatchesResponse:
    """A page of what an advisor may claim."""
    return match_service_pb2.ListClaimableMatchesResponse(
        matches=[match_message(match) for match in page.items], next_page_token=encode_page_token(page.next)
    )


def criteria_message(criteria: model.MatchCriteria) -> types_pb2.MatchCriteria:
    """Criteria, as the request gave them."""
    stack, weights = criteria.tech_stack, criteria.scoring_weights
    return types_pb2.MatchCriteria(
        tech_stack=tech_stack_message(stack) if stack else None,
        scoring_weights=weights_message(weights) if weights else None,
        project_complexity=enums.PROJECT_COMPLEXITY.to_wire(criteria.project_complexity),
        exclude_advisor_ids=[str(id_) for id_ in criteria.exclude_advisor_ids],
    )


def tech_stack_message(stack: model.TechStack) -> types_pb2.TechStack:
    """Technologies of a project."""
    return types_pb2.TechStack(
        framework=stack.framework, languages=stack.languages, complexity_factors=stack.complexity_factors
    )


def weights_message(weights: model.ScoringWeights) -> types_pb2.ScoringWeights:
    """Weights of the score's factors."""
    return types_pb2.ScoringWeights(
        availability=weights.availability,
        skills=weights.skills,
        timezone=weights.timezone,
        preference=weights.preference,
    )


def _decision_message(decision: model.RecordedDecision | None) -> types_pb2.DecisionRecord | None:
    if decision is None:
        return None
    return types_pb2.DecisionRecord(
        decision=enums.DECISION.to_wire(decision.decision),
        reason=decision.reason,
        decided_at=decision.decided_at,
    )


def advisor_summary_message(advisor: model.AdvisorSummary) -> types_pb2.AdvisorSummary:
    """An advisor as others see them."""
    return types_pb2.AdvisorSummary(
        id=str(advisor.id),
        display_name=advisor.display_name,
        skills=advisor.skills,
        specialties=advisor.specialties,
        rating=advisor.rating,
        avatar_url=advisor.avatar_url,
    )


def advisor_message(advisor: model.Advisor) -> types_pb2.Advisor:
    """An advisor's profile. ``email`` is there if the domain left it in."""
    return types_pb2.Advisor(
        id=str(advisor.id),
        display_name=advisor.display_name,
        email=advisor.email,
        skills=advisor.skills,
        specialties=advisor.specialties,
        languages=advisor.languages,
        frameworks=advisor.frameworks,
        timezone=advisor.timezone,
        rating=advisor.rating,
        avatar_url=advisor.avatar_url,
        active=advisor.active is not False,
    )


def advisor_page_message(page: PageOf[model.Advisor]) -> directory_service_pb2.ListAdvisorsResponse:
    """A page of the directory."""
    return directory_service_pb2.ListAdvisorsResponse(
        advisors=[advisor_message(advisor) for advisor in page.items],
        next_page_token=encode_page_token(page.next),
    )


def project_message(project: model.Project) -> types_pb2.Project:
    """A project. A complexity that nobody stated reads as MEDIUM."""
    stated = project.tech_stack != model.TechStack()
    return types_pb2.Project(
        id=str(project.id),
        owner_id=str(project.owner_id),
        name=project.name,
        technology_stack=tech_stack_message(project.tech_stack) if stated else None,
        project_complexity=enums.PROJECT_COMPLEXITY.to_wire(
            project.project_complexity or ProjectComplexity.MEDIUM
        ),
        owner_timezone=project.owner_timezone,
        owner_locale=project.owner_locale,
    )


def availability_message(availability: model.Availability) -> types_pb2.Availability:
    """Whether an advisor can be offered a project, and why not."""
    reason = availability.reason
    return types_pb2.Availability(
        advisor_id=str(availability.advisor_id),
        is_available=reason is None,
        status=enums.AVAILABILITY_STATUS.to_wire(availability.status),
        current_capacity=availability.current_projects,
        max_capacity=availability.max_concurrent_projects,
        reason=reason.value if reason else None,
        preferences=preferences_message(availability.preferences),
        last_active=availability.last_active,
        updated_at=availability.updated_at,
    )


def preferences_message(preferences: model.AvailabilityPreferences) -> types_pb2.AvailabilityPreferences:
    """An advisor's wishes."""
    return types_pb2.AvailabilityPreferences(
        auto_accept=preferences.auto_accept,
        preferred_complexity=[
            enums.PROJECT_COMPLEXITY.to_wire(complexity) for complexity in preferences.preferred_complexity
        ],
        preferred_frameworks=preferences.preferred_frameworks,
    )
