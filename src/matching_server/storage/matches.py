"""Matches: one project's requests for an advisor. Writers hold the lock of the project's event head."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Boolean,
    Connection,
    Select,
    bindparam,
    func,
    insert,
    literal_column,
    select,
    text,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import psycopg

from matching_server.domain.model import (
    AdvisorSummary,
    AssignmentType,
    Caller,
    ClosedReason,
    Decision,
    Match,
    MatchStatus,
    PendingReason,
    ProvisioningState,
    RecordedDecision,
    Side,
)
from matching_server.storage.database import Transaction
from matching_server.storage.eligibility import CLAIMABLE
from matching_server.storage.json_values import criteria_from_json, criteria_to_json, words
from matching_server.storage.reach import OWNED, reach
from matching_server.storage.tables import HELD, OFFERED, OPEN, UNSETTLED, advisors, projects
from matching_server.storage.tables import advisor_match_requests as matches

_PART = f"({OFFERED} OR status = 'finalized')"

# How the advisor was chosen is long, and asked for by itself (`scoring_features`).
_SELECT: Select[Any] = select(
    *(column for column in matches.c if column is not matches.c.scoring_features),
    literal_column(f"(({OPEN}) AND expires_at <= clock_timestamp())", Boolean).label("overdue"),
    advisors.c.display_name,
    advisors.c.skills,
    advisors.c.specialties,
    advisors.c.rating,
    advisors.c.avatar_url,
).select_from(matches.outerjoin(advisors, matches.c.matched_advisor_id == advisors.c.id))
_LOCK = _SELECT.where(matches.c.id == bindparam("match_id")).with_for_update(of=matches)
_OWNER = select(projects.c.owner_id).where(projects.c.id == matches.c.project_id).scalar_subquery()
_LOCK_WITH_OWNER = _LOCK.add_columns(_OWNER.label("owner_id"))
_LOCK_BY_SIDE = {
    Side.CLIENT: _LOCK_WITH_OWNER.where(bindparam("as_client") == _OWNER),
    Side.ADVISOR: _LOCK_WITH_OWNER.where(matches.c.matched_advisor_id == bindparam("as_advisor")),
}
_REACHED = _SELECT.where(
    matches.c.id == bindparam("match_id"),
    text(
        "(:for_platform OR matched_advisor_id = :as_advisor OR EXISTS ("
        f"SELECT FROM projects p WHERE p.id = advisor_match_requests.project_id AND {OWNED}))"
    ),
)

AS_DRIVER_READS_ONE = str(
    _SELECT.where(text("advisor_match_requests.id = :match_id")).compile(dialect=psycopg.dialect())  # type: ignore[no-untyped-call]
)
"""The query of match ``match_id`` in the driver's form; ``from_driver`` reads its rows."""
_DriverRow = namedtuple("_DriverRow", [column.name for column in _SELECT.selected_columns])  # type: ignore[misc]


def from_driver(row: Sequence[Any]) -> Match:
    """The match of a row of ``AS_DRIVER_READS_ONE``."""
    return _match(_DriverRow._make(row))


def get(conn: Connection, match_id: UUID) -> Match | None:
    """The match, without a lock."""
    row = conn.execute(_SELECT.where(matches.c.id == match_id)).one_or_none()
    return _match(row) if row else None


def get_for(conn: Connection, match_id: UUID, caller: Caller) -> Match | None:
    """The match, where the caller owns its project, it is or was offered to them, or they act for the platform."""
    row = conn.execute(_REACHED, {"match_id": match_id, **reach(caller)}).one_or_none()
    return _match(row) if row else None


def project_of(conn: Connection, match_id: UUID) -> UUID | None:
    """Whose match it is: what has to be locked before the match is."""
    return conn.execute(select(matches.c.project_id).where(matches.c.id == match_id)).scalar_one_or_none()


def lock(tx: Transaction, match_id: UUID) -> Match | None:
    """The match, its row locked."""
    row = tx.conn.execute(_LOCK, {"match_id": match_id}).one_or_none()
    return _match(row) if row else None


def lock_by_side(
    tx: Transaction, match_id: UUID, side: Side, caller: Caller
) -> tuple[Match | None, UUID | None]:
    """The match of which the caller is that side, its row locked, and whose project it is.

    The owner is ``None`` where the platform has deleted the project.
    """
    row = tx.conn.execute(_LOCK_BY_SIDE[side], {"match_id": match_id, **reach(caller)}).one_or_none()
    return (_match(row), row.owner_id) if row else (None, None)


def lock_unsettled(tx: Transaction, project_id: UUID) -> Match | None:
    """The project's one match that is open or still being provisioned, its row locked."""
    row = tx.conn.execute(
        _SELECT.where(matches.c.project_id == project_id, text(f"({UNSETTLED})")).with_for_update(of=matches)
    ).one_or_none()
    return _match(row) if row else None


def lock_part(tx: Transaction, project_id: UUID, advisor_id: UUID) -> Match | None:
    """The match by which an advisor has, or had, their part in a project, its row locked.

    The one that holds their slot, else the newest whose workspace was made.
    """
    row = tx.conn.execute(
        _SELECT.where(
            matches.c.project_id == project_id, matches.c.matched_advisor_id == advisor_id, text(_PART)
        )
        .order_by(text(f"({HELD}) DESC"), matches.c.created_at.desc())
        .limit(1)
        .with_for_update(of=matches)
    ).one_or_none()
    return _match(row) if row else None


def list_of_project(
    conn: Connection,
    project_id: UUID,
    *,
    statuses: Sequence[MatchStatus],
    before: tuple[datetime, UUID] | None,
    limit: int,
) -> list[Match]:
    """A page of a project's matches, newest first, those after the ``before`` position."""
    query = _SELECT.where(matches.c.project_id == project_id)
    if statuses:
        query = query.where(matches.c.status.in_([status.value for status in statuses]))
    if before is not None:
        query = query.where(tuple_(matches.c.created_at, matches.c.id) < tuple_(*before))
    query = query.order_by(matches.c.created_at.desc(), matches.c.id.desc()).limit(limit)
    return [_match(row) for row in conn.execute(query)]


def list_claimable(
    conn: Connection,
    advisor_id: UUID,
    cooldown: timedelta,
    *,
    after: tuple[datetime, UUID],
    limit: int,
) -> list[Match]:
    """A page of the pending matches that an advisor may claim, oldest first, those after the position."""
    query = _SELECT.where(text(f"{matches.name}.id IN ({CLAIMABLE})")).order_by(
        matches.c.created_at, matches.c.id
    )
    time, id_ = after
    values = {
        "advisor_id": advisor_id,
        "cooldown": cooldown,
        "after_time": time,
        "after_id": id_,
        "limit": limit,
    }
    return [_match(row) for row in conn.execute(query, values)]


@dataclass(frozen=True, slots=True)
class ClaimRecord:
    """What a claimed advisor adds to a match."""

    advisor: AdvisorSummary
    score: float | None
    reason: str
    load_at_claim: int
    slots_at_claim: int
    features: dict[str, Any]
    """The record of the choice, see ``domain.scoring.explain``."""

    def columns(self) -> dict[str, Any]:
        """As it is stored."""
        return {
            "matched_advisor_id": self.advisor.id,
            "match_score": self.score,
            "match_reason": self.reason,
            "scoring_features": self.features,
            "load_at_claim": self.load_at_claim,
            "slots_at_claim": self.slots_at_claim,
        }

    def fields(self) -> dict[str, Any]:
        """As a match shows it."""
        return {
            "matched_advisor_id": self.advisor.id,
            "matched_advisor": self.advisor,
            "score": self.score,
            "match_reason": self.reason,
        }


def add(tx: Transaction, match: Match, *, claim: ClaimRecord | None = None) -> Match:
    """Stores a new match, as ``pending`` or, with what its claim says, ``matched``."""
    values = {
        "id": match.id,
        "project_id": match.project_id,
        "requested_by": match.requested_by,
        "match_criteria": criteria_to_json(match.criteria),
        "status": match.status.value,
        "pending_reason": match.pending_reason.value if match.pending_reason else None,
        "assignment_type": match.assignment_type.value if match.assignment_type else None,
        "expires_in": match.expires_in,
        "expires_at": match.expires_at,
        "allow_previous": match.allow_previous,
        "correlation_id": tx.correlation_id,
        "created_at": match.created_at,
        "updated_at": match.updated_at,
    }
    if claim is not None:
        values |= claim.columns()
    tx.conn.execute(insert(matches).values(values))
    return replace(match, **claim.fields()) if claim else match


def serve(tx: Transaction, match: Match, claim: ClaimRecord) -> Match:
    """A pending match gets its advisor, by an admin's assignment where it says so."""
    changes = {
        "status": MatchStatus.MATCHED.value,
        "pending_reason": None,
        "assignment_type": match.assignment_type.value if match.assignment_type else None,
    }
    changed = _update(tx, match, **changes, **claim.columns())
    return replace(changed, status=MatchStatus.MATCHED, pending_reason=None, **claim.fields())


def move(
    tx: Transaction,
    match: Match,
    status: MatchStatus,
    *,
    closed_reason: ClosedReason | None = None,
    provisioning_state: ProvisioningState | None = None,
    expires_at: datetime | None = None,
) -> Match:
    """Takes a match to another status. What is not given stays."""
    changes: dict[str, Any] = {"status": status.value}
    fields: dict[str, Any] = {"status": status, "previous_status": match.status}
    if closed_reason is not None:
        changes["closed_reason"] = closed_reason.value
        fields["closed_reason"] = closed_reason
    if provisioning_state is not None:
        changes["provisioning_state"] = provisioning_state.value
        fields["provisioning_state"] = provisioning_state
    if expires_at is not None:
        changes["expires_at"] = fields["expires_at"] = expires_at
    return replace(_update(tx, match, **changes), **fields)


def decide(
    tx: Transaction,
    match: Match,
    side: Side,
    decision: RecordedDecision,
    status: MatchStatus,
    *,
    provisioning_state: ProvisioningState | None,
) -> Match:
    """Records a side's answer together with the status, and the state of the workspace, that it leads to."""
    columns = {
        "status": status.value,
        **_decision_columns(side, decision),
        "provisioning_state": provisioning_state.value if provisioning_state else None,
    }
    return replace(
        _update(tx, match, **columns).with_decision(side, decision),
        status=status,
        previous_status=match.status,
        provisioning_state=provisioning_state,
    )


def queue_again(tx: Transaction, match: Match, restored: Mapping[Side, RecordedDecision]) -> Match:
    """Finalized, with these decisions besides those that are there, and the workspace queued."""
    queued = ProvisioningState.QUEUED
    columns: dict[str, Any] = {"status": MatchStatus.FINALIZED.value, "provisioning_state": queued.value}
    for side, decision in restored.items():
        columns |= _decision_columns(side, decision)
    changed = _update(tx, match, **columns)
    for side, decision in restored.items():
        changed = changed.with_decision(side, decision)
    previous = match.previous_status if match.status is MatchStatus.FINALIZED else match.status
    return replace(changed, status=MatchStatus.FINALIZED, previous_status=previous, provisioning_state=queued)


def withdraw_decision(tx: Transaction, match: Match, side: Side) -> Match:
    """The side has to decide again."""
    columns = (f"{side.value}_{column}" for column in ("decision", "decision_reason", "decided_at"))
    return _update(tx, match, **dict.fromkeys(columns)).with_decision(side, None)


def cancel_workspace(tx: Transaction, match: Match) -> Match:
    """There will be no workspace by the job that was queued; the status stays."""
    return replace(_update(tx, match, provisioning_state=None), provisioning_state=None)


def _decision_columns(side: Side, decision: RecordedDecision) -> dict[str, Any]:
    return {
        f"{side.value}_decision": decision.decision.value,
        f"{side.value}_decision_reason": decision.reason,
        f"{side.value}_decided_at": decision.decided_at,
    }


def _update(tx: Transaction, match: Match, **columns: Any) -> Match:
    """Writes and reads back what the trigger changes with every write."""
    row = tx.conn.execute(
        update(matches)
        .where(matches.c.id == match.id)
        .values(columns)
        .returning(matches.c.version, matches.c.updated_at)
    ).one()
    return replace(match, version=row.version, updated_at=row.updated_at)


def overdue(conn: Connection, limit: int) -> list[tuple[UUID, UUID]]:
    """Open matches past their expiry, as (project, match)."""
    rows = conn.execute(
        select(matches.c.project_id, matches.c.id)
        # Not clock_timestamp(), which is volatile: the index can only be asked for what stays put.
        .where(text(OPEN), matches.c.expires_at <= func.statement_timestamp())
        .order_by(matches.c.expires_at)
        .limit(limit)
    )
    return [(row.project_id, row.id) for row in rows]


def overdue_of(conn: Connection, project_id: UUID) -> UUID | None:
    """The project's match that is open past its expiry, if it has one."""
    return conn.execute(
        select(matches.c.id).where(
            matches.c.project_id == project_id, text(OPEN), matches.c.expires_at <= func.clock_timestamp()
        )
    ).scalar_one_or_none()


_ORPHANED = text(
    """
    SELECT m.project_id, m.id
    FROM advisor_match_requests m
    WHERE (m.status IN ('pending', 'matched', 'client_approved', 'advisor_accepted')
           OR (m.status = 'finalized' AND m.provisioning_state IS NULL))
      AND (NOT EXISTS (SELECT 1 FROM projects p WHERE p.id = m.project_id)
           OR (m.matched_advisor_id IS NOT NULL
               AND NOT EXISTS (SELECT 1 FROM advisors a WHERE a.id = m.matched_advisor_id)))
    LIMIT :limit
    """
)


def orphaned(conn: Connection, limit: int) -> list[tuple[UUID, UUID]]:
    """Matches that hold on to a project or an advisor that the platform has deleted."""
    return [(row.project_id, row.id) for row in conn.execute(_ORPHANED, {"limit": limit})]


def open_offers(conn: Connection, advisor_id: UUID) -> list[tuple[UUID, UUID]]:
    """The offers an advisor has not yet seen finalized, as (project, match)."""
    rows = conn.execute(
        select(matches.c.project_id, matches.c.id)
        .where(matches.c.matched_advisor_id == advisor_id, text(OFFERED))
        .order_by(matches.c.created_at)
    )
    return [(row.project_id, row.id) for row in rows]


def scoring_features(conn: Connection, match_id: UUID) -> dict[str, Any] | None:
    """What was stored of how the advisor was chosen, with their load and maximum at the claim."""
    columns = matches.c
    row = conn.execute(
        select(columns.scoring_features, columns.load_at_claim, columns.slots_at_claim).where(
            columns.id == match_id
        )
    ).one_or_none()
    if row is None or row.scoring_features is None:
        return None
    record: dict[str, Any] = dict(row.scoring_features)
    if row.load_at_claim is not None:
        record |= {"load_at_claim": row.load_at_claim, "slots_at_claim": row.slots_at_claim}
    return record


def _match(row: Any) -> Match:
    return Match(
        id=row.id,
        project_id=row.project_id,
        requested_by=row.requested_by,
        status=MatchStatus(row.status),
        expires_at=row.expires_at,
        expires_in=row.expires_in,
        created_at=row.created_at,
        updated_at=row.updated_at,
        version=row.version,
        overdue=row.overdue,
        previous_status=MatchStatus(row.previous_status) if row.previous_status else None,
        matched_advisor_id=row.matched_advisor_id,
        matched_advisor=_advisor(row),
        score=float(row.match_score) if row.match_score is not None else None,
        match_reason=row.match_reason,
        pending_reason=PendingReason(row.pending_reason) if row.pending_reason else None,
        closed_reason=ClosedReason(row.closed_reason) if row.closed_reason else None,
        client_decision=_decision(row.client_decision, row.client_decision_reason, row.client_decided_at),
        advisor_decision=_decision(row.advisor_decision, row.advisor_decision_reason, row.advisor_decided_at),
        provisioning_state=ProvisioningState(row.provisioning_state) if row.provisioning_state else None,
        assignment_type=AssignmentType(row.assignment_type) if row.assignment_type else None,
        criteria=criteria_from_json(row.match_criteria),
        allow_previous=row.allow_previous,
    )


def _advisor(row: Any) -> AdvisorSummary | None:
    """The advisor of a match, ``None`` where there is none or the platform has deleted them."""
    if row.display_name is None:
        return None
    return AdvisorSummary(
        id=row.matched_advisor_id,
        display_name=row.display_name,
        skills=words(row.skills),
        specialties=words(row.specialties),
        rating=row.rating,
        avatar_url=row.avatar_url,
    )


def _decision(word: str | None, reason: str | None, at: datetime | None) -> RecordedDecision | None:
    if word is None or at is None:
        return None
    return RecordedDecision(Decision(word), reason, at)
