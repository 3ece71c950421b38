"""What admins send about preference rules, handed on in the domain's types. The limits are in ``fields``."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field, ValidationInfo, field_validator

from matching_server.domain.rules import RuleEffect, RuleTerms
from matching_server.rpc.fields import (
    ComplexityIn,
    Id,
    Moment,
    OfService,
    Points,
    ReasonText,
    RequestModel,
    RuleEffectIn,
    Word,
)


class PreferenceRuleInput(RequestModel):
    """A ``PreferenceRule`` to add. More than one scope does not come through the wire."""

    id: OfService = None
    advisor_id: Id
    effect: RuleEffectIn
    boost: Points = Field(default=0.0, validate_default=True)
    project_id: Id | None = None
    framework: Word | None = None
    complexity: ComplexityIn | None = None
    active_from: Moment | None = None
    active_until: Moment | None = None
    reason: ReasonText = None
    created_by: OfService = None
    created_at: OfService = None

    @field_validator("boost")
    @classmethod
    def _points_for_boost_alone(cls, points: float, info: ValidationInfo) -> float:
        effect = info.data.get("effect")
        if effect is RuleEffect.BOOST and not points:
            raise ValueError("must not be 0 where the effect is BOOST")
        if effect is not None and effect is not RuleEffect.BOOST and points:
            raise ValueError("must be 0 unless the effect is BOOST")
        return points

    @field_validator("active_until")
    @classmethod
    def _ends_after_its_start(cls, until: datetime | None, info: ValidationInfo) -> datetime | None:
        since = info.data.get("active_from")
        if since is not None and until is not None and until <= since:
            raise ValueError("must be after active_from")
        return until


class CreatePreferenceRuleInput(RequestModel):
    """A ``CreatePreferenceRuleRequest``."""

    rule: PreferenceRuleInput

    def terms(self) -> RuleTerms:
        """What the rule says."""
        given = self.rule
        return RuleTerms(
            advisor_id=given.advisor_id,
            effect=given.effect,
            boost=given.boost,
            project_id=given.project_id,
            framework=given.framework,
            complexity=given.complexity,
            active_from=given.active_from,
            active_until=given.active_until,
            reason=given.reason,
        )


class RuleIdInput(RequestModel):
    """A request that names a rule."""

    rule_id: Id
