"""The match lifecycle: one table of transitions, from which code, tests and the diagram in the docs derive.

Pure: nothing here knows a clock, a database or a caller.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from matching_server.domain.errors import InvalidTransition
from matching_server.domain.model import OPEN_STATUSES, Decision, MatchStatus, Side


class Action(StrEnum):
    """What moves a match."""

    CREATE_MATCHED = "create_matched"
    CREATE_PENDING = "create_pending"
    ADVISOR_FOUND = "advisor_found"
    CLIENT_APPROVE = "client_approve"
    ADVISOR_ACCEPT = "advisor_accept"
    CLIENT_DECLINE = "client_decline"
    ADVISOR_DECLINE = "advisor_decline"
    EMERGENCY_FINALIZE = "emergency_finalize"
    EXPIRE = "expire"
    ROLL_BACK = "roll_back"
    RETRY_PROVISIONING = "retry_provisioning"
    RELEASE = "release"


@dataclass(frozen=True, slots=True)
class Transition:
    """One legal step. ``source`` is ``None`` where the match does not exist yet."""

    source: MatchStatus | None
    action: Action
    target: MatchStatus


_S = MatchStatus
_WITH_ADVISOR = (_S.MATCHED, _S.CLIENT_APPROVED, _S.ADVISOR_ACCEPTED)
_OPEN = (_S.PENDING, *_WITH_ADVISOR)


def _each(sources: Iterable[MatchStatus], action: Action, target: MatchStatus) -> tuple[Transition, ...]:
    return tuple(Transition(source, action, target) for source in sources)


TRANSITIONS: tuple[Transition, ...] = (
    Transition(None, Action.CREATE_MATCHED, _S.MATCHED),
    Transition(None, Action.CREATE_PENDING, _S.PENDING),
    Transition(_S.PENDING, Action.ADVISOR_FOUND, _S.MATCHED),
    Transition(_S.MATCHED, Action.CLIENT_APPROVE, _S.CLIENT_APPROVED),
    Transition(_S.MATCHED, Action.ADVISOR_ACCEPT, _S.ADVISOR_ACCEPTED),
    Transition(_S.CLIENT_APPROVED, Action.ADVISOR_ACCEPT, _S.FINALIZED),
    Transition(_S.ADVISOR_ACCEPTED, Action.CLIENT_APPROVE, _S.FINALIZED),
    Transition(_S.MATCHED, Action.EMERGENCY_FINALIZE, _S.FINALIZED),
    *_each(_OPEN, Action.CLIENT_DECLINE, _S.CLIENT_DECLINED),
    *_each(_WITH_ADVISOR, Action.ADVISOR_DECLINE, _S.ADVISOR_DECLINED),
    *_each(_OPEN, Action.EXPIRE, _S.EXPIRED),
    Transition(_S.FINALIZED, Action.ROLL_BACK, _S.MATCHED),
    Transition(_S.FINALIZED, Action.ROLL_BACK, _S.CLIENT_APPROVED),
    Transition(_S.FINALIZED, Action.ROLL_BACK, _S.ADVISOR_ACCEPTED),
    Transition(_S.FINALIZED, Action.ROLL_BACK, _S.EXPIRED),
    *_each(_WITH_ADVISOR, Action.RETRY_PROVISIONING, _S.FINALIZED),
    Transition(_S.FINALIZED, Action.RELEASE, _S.EXPIRED),
)
"""Every legal step of a match, and nothing else is legal."""

LEGAL_STEPS: frozenset[tuple[MatchStatus | None, MatchStatus]] = frozenset(
    (t.source, t.target) for t in TRANSITIONS
)
"""The pairs of statuses that may follow each other, whatever moved the match."""

_TARGETS: dict[tuple[MatchStatus | None, Action], tuple[MatchStatus, ...]] = {}
_NOMINAL: dict[Action, MatchStatus] = {}
for _t in TRANSITIONS:
    _TARGETS[_t.source, _t.action] = (*_TARGETS.get((_t.source, _t.action), ()), _t.target)
    _NOMINAL.setdefault(_t.action, _t.target)

_DECISION_ACTIONS = {
    (Side.CLIENT, Decision.APPROVED): Action.CLIENT_APPROVE,
    (Side.CLIENT, Decision.DECLINED): Action.CLIENT_DECLINE,
    (Side.ADVISOR, Decision.APPROVED): Action.ADVISOR_ACCEPT,
    (Side.ADVISOR, Decision.DECLINED): Action.ADVISOR_DECLINE,
}


def decision_action(side: Side, decision: Decision) -> Action:
    """What a side's decision does to a match."""
    return _DECISION_ACTIONS[side, decision]


def next_status(current: MatchStatus | None, action: Action, match_id: UUID | None = None) -> MatchStatus:
    """The status that ``action`` leads to; ``match_id`` is for the error.

    Raises:
        InvalidTransition: no such step; ``from`` is the current status, ``to`` the one that was asked for.
    """
    targets = _TARGETS.get((current, action))
    if targets is None:
        raise InvalidTransition(current, _NOMINAL[action], match_id)
    return targets[0]


def rollback_status(previous: MatchStatus | None) -> MatchStatus:
    """Where a failed provisioning returns a match to: its status before, else ``matched``."""
    candidates = _TARGETS[MatchStatus.FINALIZED, Action.ROLL_BACK]
    if previous in candidates and previous in OPEN_STATUSES:
        return previous
    return MatchStatus.MATCHED
