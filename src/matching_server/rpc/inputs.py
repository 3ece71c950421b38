"""What callers send, one model per request, handed on in the domain's types. The limits are in ``fields``."""

from __future__ import annotations

from typing import Annotated, Self
from uuid import UUID

from pydantic import AfterValidator, Field, model_validator

from matching_server.domain import model
from matching_server.domain.model import Side
from matching_server.operations import commands
from matching_server.rpc.fields import (
    DEFAULT_PAGE,
    DEFAULT_SIMULATED,
    MAX_EXCLUSIONS,
    MAX_SIMULATED,
    Address,
    AssignmentTypeIn,
    AvailabilityStatusIn,
    ComplexityIn,
    DecisionIn,
    Email,
    Etag,
    EventTypeIn,
    ExpiresIn,
    Few,
    Id,
    Locale,
    Name,
    OptionalWord,
    PageSize,
    PageToken,
    ReasonText,
    RequestModel,
    StatusIn,
    WatchId,
    Weight,
    Words,
    WorkspaceRoleIn,
    Zone,
    no_repeats,
)


class TechStackInput(RequestModel):
    """A ``TechStack``."""

    framework: OptionalWord = None
    languages: Words = ()
    complexity_factors: Words = ()

    def value(self) -> model.TechStack:
        """The stack in the domain's type."""
        return model.TechStack(self.framework, self.languages, self.complexity_factors)


class WeightsInput(RequestModel):
    """``ScoringWeights``; a weight left out of a given message is 0."""

    availability: Weight = 0.0
    skills: Weight = 0.0
    timezone: Weight = 0.0
    preference: Weight = 0.0

    @model_validator(mode="after")
    def _some_weight(self) -> Self:
        if not (self.availability or self.skills or self.timezone or self.preference):
            raise ValueError("has only zero weights")
        return self

    def value(self) -> model.ScoringWeights:
        """The weights in the domain's type."""
        return model.ScoringWeights(**dict(self))


class CriteriaInput(RequestModel):
    """``MatchCriteria``."""

    tech_stack: TechStackInput | None = None
    scoring_weights: WeightsInput | None = None
    project_complexity: ComplexityIn | None = None
    exclude_advisor_ids: Annotated[tuple[Id, ...], Field(max_length=MAX_EXCLUSIONS)] = ()

    def value(self) -> model.MatchCriteria:
        """The criteria in the domain's type."""
        return model.MatchCriteria(
            tech_stack=self.tech_stack.value() if self.tech_stack else None,
            scoring_weights=self.scoring_weights.value() if self.scoring_weights else None,
            project_complexity=self.project_complexity,
            exclude_advisor_ids=self.exclude_advisor_ids,
        )


class CreateMatchInput(RequestModel):
    """A ``CreateMatchRequest``."""

    project_id: Id
    criteria: CriteriaInput | None = None
    expires_in: ExpiresIn | None = None
    fail_if_open: bool = False
    require_immediate: bool = False
    allow_previous: bool = False

    def command(self) -> commands.CreateMatch:
        """What is asked."""
        return commands.CreateMatch(
            project_id=self.project_id,
            criteria=self.criteria.value() if self.criteria else model.MatchCriteria(),
            expires_in=self.expires_in,
            fail_if_open=self.fail_if_open,
            require_immediate=self.require_immediate,
            allow_previous=self.allow_previous,
        )


class SimulateMatchInput(RequestModel):
    """A ``SimulateMatchRequest``."""

    project_id: Id
    criteria: CriteriaInput | None = None
    limit: Annotated[int, Field(ge=0, le=MAX_SIMULATED)] = 0

    def command(self) -> commands.SimulateMatch:
        """What is asked."""
        criteria = self.criteria.value() if self.criteria else model.MatchCriteria()
        return commands.SimulateMatch(self.project_id, criteria, self.limit or DEFAULT_SIMULATED)


class MatchIdInput(RequestModel):
    """A request that names a match."""

    match_id: Id


class ProjectIdInput(RequestModel):
    """A request that names a project."""

    project_id: Id


class AdvisorIdInput(RequestModel):
    """A request that names an advisor."""

    advisor_id: Id


class PageInput(RequestModel):
    """The page of a list."""

    page_size: PageSize = DEFAULT_PAGE
    page_token: PageToken = None

    def page(self) -> commands.Page:
        """The page in the use cases' type."""
        return commands.Page(self.page_size, self.page_token)


class ListProjectMatchesInput(PageInput):
    """A ``ListProjectMatchesRequest``."""

    project_id: Id
    statuses: Few[StatusIn] = ()

    def command(self) -> commands.ListProjectMatches:
        """What is asked."""
        return commands.ListProjectMatches(self.project_id, tuple(dict.fromkeys(self.statuses)), self.page())


class DecisionInput(RequestModel):
    """A ``SubmitClientDecisionRequest`` or a ``SubmitAdvisorDecisionRequest``."""

    match_id: Id
    decision: DecisionIn
    reason: ReasonText = None
    etag: Etag = None

    def command(self, side: Side) -> commands.SubmitDecision:
        """What is asked, by that side."""
        return commands.SubmitDecision(self.match_id, side, self.decision, self.reason, self.etag)


class PreferencesInput(RequestModel):
    """``AvailabilityPreferences``."""

    auto_accept: bool = False
    preferred_complexity: Annotated[Few[ComplexityIn], AfterValidator(no_repeats)] = ()
    preferred_frameworks: Words = ()

    def value(self) -> model.AvailabilityPreferences:
        """The preferences in the domain's type."""
        return model.AvailabilityPreferences(**dict(self))


class GetAvailabilityInput(RequestModel):
    """A ``GetAvailabilityRequest``."""

    advisor_id: Id | None = None

    def advisor(self, caller: UUID) -> UUID:
        """Whose availability: the caller's own where nobody is named."""
        return self.advisor_id or caller


class UpdateAvailabilityInput(GetAvailabilityInput):
    """An ``UpdateAvailabilityRequest``."""

    status: AvailabilityStatusIn | None = None
    max_concurrent_projects: Annotated[int, Field(ge=1, le=100)] | None = None
    preferences: PreferencesInput | None = None
    decline_open_offers: bool = False

    def command(self, caller: UUID) -> commands.UpdateAvailability:
        """What is asked."""
        return commands.UpdateAvailability(
            advisor_id=self.advisor(caller),
            status=self.status,
            max_concurrent_projects=self.max_concurrent_projects,
            preferences=self.preferences.value() if self.preferences else None,
            decline_open_offers=self.decline_open_offers,
        )


class ProjectInput(RequestModel):
    """A ``Project`` to store."""

    id: Id
    owner_id: Id
    name: Name
    technology_stack: TechStackInput | None = None
    project_complexity: ComplexityIn | None = None
    owner_timezone: Zone = None
    owner_locale: Locale = None


class UpsertProjectInput(RequestModel):
    """An ``UpsertProjectRequest``."""

    project: ProjectInput

    def value(self) -> model.Project:
        """The project in the domain's type."""
        given = self.project
        return model.Project(
            id=given.id,
            owner_id=given.owner_id,
            name=given.name,
            tech_stack=given.technology_stack.value() if given.technology_stack else model.TechStack(),
            project_complexity=given.project_complexity,
            owner_timezone=given.owner_timezone,
            owner_locale=given.owner_locale,
        )


class AdvisorInput(RequestModel):
    """An ``Advisor`` to store."""

    id: Id
    display_name: Name
    email: Email = None
    skills: Words = ()
    specialties: Words = ()
    languages: Words = ()
    frameworks: Words = ()
    timezone: Zone = None
    rating: Annotated[float, Field(ge=0, le=5, allow_inf_nan=False)] | None = None
    avatar_url: Address = None
    active: bool | None = None


class UpsertAdvisorInput(RequestModel):
    """An ``UpsertAdvisorRequest``."""

    advisor: AdvisorInput

    def value(self) -> model.Advisor:
        """The advisor in the domain's type."""
        return model.Advisor(**dict(self.advisor))


class ListAdvisorsInput(PageInput):
    """A ``ListAdvisorsRequest``."""

    skill: OptionalWord = None
    framework: OptionalWord = None
    available: bool | None = None

    def command(self) -> commands.ListAdvisors:
        """What is asked."""
        return commands.ListAdvisors(self.skill, self.framework, self.available, self.page())


class DeactivateAdvisorInput(AdvisorIdInput):
    """A ``DeactivateAdvisorRequest``."""

    reason: ReasonText = None


class AssignAdvisorInput(RequestModel):
    """An ``AssignAdvisorRequest``."""

    project_id: Id
    advisor_id: Id
    reason: ReasonText = None
    assignment_type: AssignmentTypeIn = model.AssignmentType.MANUAL
    role: WorkspaceRoleIn = model.WorkspaceRole.ADVISOR

    def command(self) -> commands.AssignAdvisor:
        """What is asked."""
        return commands.AssignAdvisor(**dict(self))


class ReleaseAdvisorInput(RequestModel):
    """A ``ReleaseAdvisorRequest``."""

    project_id: Id
    advisor_id: Id
    reason: ReasonText = None

    def command(self) -> commands.ReleaseAdvisor:
        """What is asked."""
        return commands.ReleaseAdvisor(**dict(self))


class WatchProjectInput(RequestModel):
    """A ``WatchProjectEventsRequest``. Whether ``last_event_id`` is of this log is checked with the log."""

    project_id: Id
    last_event_id: str | None = None
    from_start: bool = False
    types: Few[EventTypeIn] = ()
    watch_id: WatchId = None

    def command(self) -> commands.WatchProject:
        """What is asked."""
        return commands.WatchProject(
            project_id=self.project_id,
            last_event_id=self.last_event_id,
            from_start=self.from_start,
            types=frozenset(self.types),
            watch_id=self.watch_id,
        )


class ListEventsInput(RequestModel):
    """A ``ListProjectEventsRequest``. Whether ``after_event_id`` is of this log is checked with the log."""

    project_id: Id
    after_event_id: str | None = None
    page_size: PageSize = DEFAULT_PAGE

    def command(self) -> commands.ListEvents:
        """What is asked."""
        return commands.ListEvents(self.project_id, self.after_event_id, self.page_size)
