"""Who is offered a project: the first free advisor in the order in which they were added."""

from __future__ import annotations

from advisor_matching.v1.types_pb2 import (
    AvailabilityStatus,
    ExclusionReason,
    MatchCriteria,
    MatchStatus,
    PendingReason,
    PreferenceRule,
    Project,
    ProjectComplexity,
    RuleEffect,
)
from matching_client.testing.entries import AdvisorEntry
from matching_client.testing.values import now
from matching_client.testing.world import World

_DECLINED = (MatchStatus.MATCH_STATUS_CLIENT_DECLINED, MatchStatus.MATCH_STATUS_ADVISOR_DECLINED)
_BUSY = (ExclusionReason.EXCLUSION_REASON_BUSY, ExclusionReason.EXCLUSION_REASON_AT_CAPACITY)
NOT_FREE = frozenset({*_BUSY, ExclusionReason.EXCLUSION_REASON_OFFLINE})
"""What keeps advisors from being offered something, though they are eligible."""


def first_free(
    world: World, project: Project, criteria: MatchCriteria, *, allow_previous: bool
) -> AdvisorEntry | None:
    """The advisor to offer the project to."""
    for advisor in world.advisors.values():
        if exclusion(world, project, criteria, advisor, allow_previous=allow_previous) is None:
            return advisor
    return None


def exclusion(
    world: World, project: Project, criteria: MatchCriteria, advisor: AdvisorEntry, *, allow_previous: bool
) -> ExclusionReason | None:
    """Why an advisor is not offered the project; None: nothing is in the way."""
    excluded, required = _by_rules(world, project, criteria)
    checks = (
        (not advisor.profile.active, ExclusionReason.EXCLUSION_REASON_INACTIVE),
        (advisor.id == project.owner_id, ExclusionReason.EXCLUSION_REASON_OWNER),
        (
            advisor.id in criteria.exclude_advisor_ids,
            ExclusionReason.EXCLUSION_REASON_EXCLUDED_BY_CRITERIA,
        ),
        (advisor.id in excluded, ExclusionReason.EXCLUSION_REASON_EXCLUDED_BY_RULE),
        (bool(required) and advisor.id not in required, ExclusionReason.EXCLUSION_REASON_NOT_REQUIRED),
        (_works_on(world, project, advisor), ExclusionReason.EXCLUSION_REASON_ALREADY_ACTIVE),
        (
            not allow_previous and _was_declined(world, project, advisor),
            ExclusionReason.EXCLUSION_REASON_COOL_DOWN,
        ),
        (
            advisor.status == AvailabilityStatus.AVAILABILITY_STATUS_OFFLINE,
            ExclusionReason.EXCLUSION_REASON_OFFLINE,
        ),
        (
            advisor.status == AvailabilityStatus.AVAILABILITY_STATUS_BUSY,
            ExclusionReason.EXCLUSION_REASON_BUSY,
        ),
        (world.load(advisor.id) >= advisor.slots, ExclusionReason.EXCLUSION_REASON_AT_CAPACITY),
    )
    return next((reason for holds, reason in checks if holds), None)


def pending_reason(
    world: World, project: Project, criteria: MatchCriteria, *, allow_previous: bool
) -> PendingReason:
    """Why nobody was found: somebody eligible is there and not offline, or nobody is."""
    reasons = {
        exclusion(world, project, criteria, advisor, allow_previous=allow_previous)
        for advisor in world.advisors.values()
    }
    if reasons.isdisjoint({None, *_BUSY}):
        return PendingReason.PENDING_REASON_NO_ADVISORS_AVAILABLE
    return PendingReason.PENDING_REASON_ALL_ADVISORS_BUSY


def _by_rules(world: World, project: Project, criteria: MatchCriteria) -> tuple[set[str], set[str]]:
    """Whom the rules that apply exclude, and whom they require. BOOST has no effect here."""
    applying = [rule for _, rule in world.rules.values() if rule and _applies(rule, project, criteria)]
    excluded = {rule.advisor_id for rule in applying if rule.effect == RuleEffect.RULE_EFFECT_EXCLUDE}
    required = {rule.advisor_id for rule in applying if rule.effect == RuleEffect.RULE_EFFECT_REQUIRE}
    return excluded, required


def _applies(rule: PreferenceRule, project: Project, criteria: MatchCriteria) -> bool:
    moment = now().ToNanoseconds()
    if rule.HasField("active_from") and moment < rule.active_from.ToNanoseconds():
        return False
    if rule.HasField("active_until") and moment >= rule.active_until.ToNanoseconds():
        return False
    stack = criteria.tech_stack if criteria.HasField("tech_stack") else project.technology_stack
    complexity = criteria.project_complexity or project.project_complexity
    match rule.WhichOneof("scope"):
        case "project_id":
            return rule.project_id == project.id
        case "framework":
            return rule.framework.casefold() == stack.framework.casefold()
        case "complexity":
            return rule.complexity == (complexity or ProjectComplexity.PROJECT_COMPLEXITY_MEDIUM)
        case _:
            return True


def _works_on(world: World, project: Project, advisor: AdvisorEntry) -> bool:
    return (project.id, advisor.id) in world.workspaces or any(
        entry.holds_slot and not entry.is_open and entry.advisor_id == advisor.id
        for entry in world.matches_of(project.id)
    )


def _was_declined(world: World, project: Project, advisor: AdvisorEntry) -> bool:
    return any(
        entry.match.status in _DECLINED and entry.advisor_id == advisor.id
        for entry in world.matches_of(project.id)
    )
