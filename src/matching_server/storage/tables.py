"""Every table, as SQLAlchemy Core. The migrations create them; a test holds the two equal.

Tables that the platform's own SQL knows keep its names and columns. Words that are checked here are the
values of the enums in ``domain.model``.

What belongs to history (matches, messages, events, interventions, the outbox) refers to users, advisors and
projects without a constraint, so that deleting one on the platform's side neither fails nor rewrites what
happened; what belongs to the living (access rows, chat sessions, availability) goes with its owner.
"""

from __future__ import annotations

from enum import StrEnum

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Computed,
    DateTime,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    Interval,
    LargeBinary,
    MetaData,
    Numeric,
    PrimaryKeyConstraint,
    Sequence,
    String,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from matching_server.domain.model import (
    ActorType,
    AssignmentType,
    AvailabilityStatus,
    ChatMessageType,
    ChatMode,
    ClosedReason,
    Decision,
    JobStatus,
    MatchStatus,
    PendingReason,
    ProjectComplexity,
    ProvisioningState,
    WorkspaceRole,
)
from matching_server.domain.notifications import MAX_ATTEMPTS, NotificationPriority, NotificationStatus
from matching_server.domain.rules import RuleEffect

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

OPEN = "status IN ('pending', 'matched', 'client_approved', 'advisor_accepted')"
"""Literal, not bound: a partial index is only used when the planner can see its predicate."""
OFFERED = "status IN ('matched', 'client_approved', 'advisor_accepted')"
UNSETTLED = f"{OPEN} OR (status = 'finalized' AND provisioning_state = 'queued')"
HELD = (
    "matched_advisor_id IS NOT NULL AND (status IN ('matched', 'client_approved', 'advisor_accepted')"
    " OR (status = 'finalized' AND provisioning_state IS DISTINCT FROM 'ready'))"
)


_Time = DateTime(timezone=True)
_now = text("clock_timestamp()")
_new_id = text("gen_random_uuid()")
_this_transaction = text("pg_current_xact_id()::text::bigint")
_empty_list = text("'{}'::text[]")
_empty_object = text("'{}'::jsonb")


def _one_of(column: str, words: type[StrEnum] | tuple[str, ...]) -> CheckConstraint:
    """The column is one of the words, or null where it may be."""
    quoted = ", ".join(f"'{word}'" for word in words)
    return CheckConstraint(f"{column} IN ({quoted})", name=column)


users = Table(
    "users",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("email", Text),
    Column("locale", Text),
    Column("timezone", Text),
    Column("roles", ARRAY(Text), nullable=False, server_default=_empty_list),
    schema="auth",
    comment="The platform's people. Created only where the platform has not.",
)

projects = Table(
    "projects",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("owner_id", Uuid, ForeignKey(users.c.id, ondelete="CASCADE"), nullable=False),
    Column("name", Text, nullable=False, server_default=""),
    Column("technology_stack", JSONB),
    Column("project_complexity", Text),
    Column("created_at", _Time, nullable=False, server_default=_now),
    Column("updated_at", _Time, nullable=False, server_default=_now),
    Index(None, "owner_id"),
    comment="The platform's projects. Created only where the platform has not.",
)

advisors = Table(
    "advisors",
    metadata,
    Column("id", Uuid, ForeignKey(users.c.id, ondelete="CASCADE"), primary_key=True),
    Column("display_name", Text, nullable=False),
    Column("skills", ARRAY(Text), nullable=False, server_default=_empty_list),
    Column("specialties", ARRAY(Text), nullable=False, server_default=_empty_list),
    Column("languages", ARRAY(Text), nullable=False, server_default=_empty_list),
    Column("frameworks", ARRAY(Text), nullable=False, server_default=_empty_list),
    Column("timezone", Text),
    Column("rating", Double),
    Column("avatar_url", Text),
    Column("active", Boolean, nullable=False, server_default=text("true")),
    Column("created_at", _Time, nullable=False, server_default=_now),
    Column("updated_at", _Time, nullable=False, server_default=_now),
    CheckConstraint("rating >= 0 AND rating <= 5", name="rating"),
    Index(None, "created_at", "id"),
)

_changes = Sequence("advisor_availability_changes", metadata=metadata)

advisor_availability = Table(
    "advisor_availability",
    metadata,
    Column("advisor_id", Uuid, ForeignKey(advisors.c.id, ondelete="CASCADE"), primary_key=True),
    Column("status", Text, nullable=False, server_default="available"),
    Column("max_concurrent_projects", Integer, nullable=False, server_default="3"),
    Column("current_projects", Integer, nullable=False, server_default="0"),
    Column("advisor_active", Boolean, nullable=False, server_default=text("true")),
    Column(
        "has_slot",
        Boolean,
        Computed("advisor_active AND current_projects < max_concurrent_projects", persisted=True),
        nullable=False,
    ),
    Column("last_active", _Time),
    Column("last_assigned_at", _Time),
    Column("availability_preferences", JSONB, nullable=False, server_default=_empty_object),
    Column("updated_at", _Time, nullable=False, server_default=_now),
    # Kept by triggers: the number of the last change; that of the last but to the load, the advisor's profile
    # included; the transaction that made the last.
    Column("version", BigInteger, nullable=False, server_default=_changes.next_value()),
    Column("profile_version", BigInteger, nullable=False, server_default=_changes.next_value()),
    Column("changed_xid", BigInteger, nullable=False, server_default=_this_transaction),
    _one_of("status", AvailabilityStatus),
    CheckConstraint("max_concurrent_projects BETWEEN 1 AND 100", name="max_concurrent_projects"),
    CheckConstraint("current_projects >= 0", name="current_projects"),
    Index("ix_advisor_availability_has_slot", "advisor_id", postgresql_where=text("has_slot")),
    comment="advisor_active mirrors advisors.active by a trigger, so that one row decides a claim.",
    # Room on the page for the new version of a row keeps the updates of a claim heap-only.
    postgresql_with={"fillfactor": "70"},
)

advisor_match_requests = Table(
    "advisor_match_requests",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("project_id", Uuid, nullable=False),
    Column("requested_by", Uuid, nullable=False),
    Column("match_criteria", JSONB, nullable=False, server_default=_empty_object),
    Column("status", Text, nullable=False),
    Column("previous_status", Text),
    Column("matched_advisor_id", Uuid),
    Column("match_score", Numeric(5, 2)),
    Column("match_reason", Text),
    Column("scoring_features", JSONB),
    Column("pending_reason", Text),
    Column("closed_reason", Text),
    Column("client_decision", Text),
    Column("client_decision_reason", Text),
    Column("client_decided_at", _Time),
    Column("advisor_decision", Text),
    Column("advisor_decision_reason", Text),
    Column("advisor_decided_at", _Time),
    Column("assignment_type", Text),
    Column("provisioning_state", Text),
    Column("expires_in", Interval, nullable=False),
    Column("expires_at", _Time, nullable=False),
    Column("allow_previous", Boolean, nullable=False, server_default=text("false")),
    Column("load_at_claim", Integer),
    Column("slots_at_claim", Integer),
    Column("version", Integer, nullable=False, server_default="1"),
    Column("correlation_id", Text),
    Column("created_at", _Time, nullable=False, server_default=_now),
    Column("updated_at", _Time, nullable=False, server_default=_now),
    _one_of("status", MatchStatus),
    _one_of("previous_status", MatchStatus),
    _one_of("pending_reason", PendingReason),
    _one_of("closed_reason", ClosedReason),
    _one_of("client_decision", Decision),
    _one_of("advisor_decision", Decision),
    _one_of("assignment_type", AssignmentType),
    _one_of("provisioning_state", ProvisioningState),
    Index("uq_advisor_match_requests_unsettled", "project_id", unique=True, postgresql_where=text(UNSETTLED)),
    Index(
        "ix_advisor_match_requests_pending", "created_at", "id", postgresql_where=text("status = 'pending'")
    ),
    Index("ix_advisor_match_requests_open_expiry", "expires_at", postgresql_where=text(OPEN)),
    Index("ix_advisor_match_requests_held", "matched_advisor_id", postgresql_where=text(HELD)),
    Index(None, "project_id", "created_at", "id"),
)

admin_advisor_assignments = Table(
    "admin_advisor_assignments",
    metadata,
    Column("id", Uuid, primary_key=True, server_default=_new_id),
    Column("project_id", Uuid, nullable=False),
    Column("advisor_id", Uuid, nullable=False),
    Column("match_id", Uuid, ForeignKey(advisor_match_requests.c.id)),
    Column("assignment_type", Text, nullable=False),
    Column("role", Text, nullable=False, server_default="advisor"),
    Column("assigned_by", Uuid, nullable=False),
    Column("priority", Integer, nullable=False, server_default="0"),
    Column("status", Text, nullable=False, server_default="active"),
    Column("reason", Text),
    Column("created_at", _Time, nullable=False, server_default=_now),
    Column("updated_at", _Time, nullable=False, server_default=_now),
    _one_of("assignment_type", AssignmentType),
    _one_of("status", ("active", "cancelled")),
    _one_of("role", WorkspaceRole),
    Index(
        "uq_admin_advisor_assignments_active",
        "project_id",
        unique=True,
        postgresql_where=text("status = 'active'"),
    ),
)

admin_preference_rules = Table(
    "admin_preference_rules",
    metadata,
    Column("id", Uuid, primary_key=True, server_default=_new_id),
    Column("advisor_id", Uuid, ForeignKey(advisors.c.id, ondelete="CASCADE"), nullable=False),
    Column("effect", Text, nullable=False),
    Column("boost", Double),
    Column("project_id", Uuid, ForeignKey(projects.c.id, ondelete="CASCADE")),
    Column("framework", Text),
    Column("complexity", Text),
    Column("active_from", _Time),
    Column("active_until", _Time),
    Column("reason", Text),
    Column("created_by", Uuid, nullable=False),
    Column("created_at", _Time, nullable=False, server_default=_now),
    Column("deleted_at", _Time),
    Column(
        "applies_to",
        Text,
        Computed(
            "CASE WHEN project_id IS NOT NULL THEN 'project:' || project_id::text"
            " WHEN framework IS NOT NULL THEN 'framework:' || lower(framework)"
            " WHEN complexity IS NOT NULL THEN 'complexity:' || complexity ELSE 'all' END",
            persisted=True,
        ),
        nullable=False,
    ),
    _one_of("effect", RuleEffect),
    _one_of("complexity", ProjectComplexity),
    CheckConstraint("(effect = 'boost') = (boost IS NOT NULL)", name="boost_with_effect"),
    CheckConstraint("boost BETWEEN -100 AND 100", name="boost"),
    CheckConstraint("num_nonnulls(project_id, framework, complexity) <= 1", name="scope"),
    Index(None, "advisor_id"),
    Index(None, "project_id"),
    Index("ix_admin_preference_rules_live", "applies_to", postgresql_where=text("deleted_at IS NULL")),
    Index(None, "created_at", "id", postgresql_where=text("deleted_at IS NULL")),
    comment="Deleted rules stay, so that deleting one again is told apart from deleting what never was.",
)

admin_matching_interventions = Table(
    "admin_matching_interventions",
    metadata,
    Column("id", Uuid, primary_key=True, server_default=_new_id),
    Column("match_id", Uuid),
    Column("project_id", Uuid),
    Column("intervention_type", Text, nullable=False),
    Column("reason", Text),
    Column("metadata", JSONB, nullable=False, server_default=_empty_object),
    Column("created_by", Uuid),
    Column("created_at", _Time, nullable=False, server_default=_now),
    Index(None, "created_at", "id"),
    Index(None, "match_id"),
)

workspace_provisioning_queue = Table(
    "workspace_provisioning_queue",
    metadata,
    Column("id", Uuid, primary_key=True, server_default=_new_id),
    Column("match_id", Uuid, ForeignKey(advisor_match_requests.c.id), nullable=False),
    Column("project_id", Uuid, nullable=False),
    Column("status", Text, nullable=False, server_default="pending"),
    Column("attempt_count", Integer, nullable=False, server_default="0"),
    Column("next_retry_at", _Time, nullable=False, server_default=_now),
    Column("last_error", Text),
    Column("lease_token", Uuid),
    Column("lease_expires_at", _Time),
    Column("correlation_id", Text),
    Column("created_at", _Time, nullable=False, server_default=_now),
    Column("updated_at", _Time, nullable=False, server_default=_now),
    Column("traceparent", Text),
    _one_of("status", JobStatus),
    CheckConstraint("attempt_count >= 0", name="attempt_count"),
    CheckConstraint("(lease_token IS NULL) = (lease_expires_at IS NULL)", name="lease"),
    Index(
        "uq_workspace_provisioning_queue_live_or_done",
        "match_id",
        unique=True,
        postgresql_where=text("status IN ('pending', 'processing', 'rollback_needed', 'completed')"),
    ),
    Index(
        "ix_workspace_provisioning_queue_due",
        "next_retry_at",
        postgresql_where=text("status IN ('pending', 'rollback_needed')"),
    ),
    Index(
        "ix_workspace_provisioning_queue_lease",
        "lease_expires_at",
        postgresql_where=text("status IN ('processing', 'rollback_needed')"),
    ),
    Index(None, "match_id"),
    Index(None, "created_at", "id"),
    # By the default of a fifth, who takes a job would step over the entries of many that are done.
    postgresql_with={"autovacuum_vacuum_scale_factor": "0.05"},
)

workspace_provisioning_attempts = Table(
    "workspace_provisioning_attempts",
    metadata,
    Column("job_id", Uuid, ForeignKey(workspace_provisioning_queue.c.id, ondelete="CASCADE")),
    Column("number", Integer),
    Column("started_at", _Time, nullable=False, server_default=_now),
    Column("ended_at", _Time),
    Column("error", Text),
    Column("permanent", Boolean, nullable=False, server_default=text("false")),
    PrimaryKeyConstraint("job_id", "number"),
)

project_advisors = Table(
    "project_advisors",
    metadata,
    Column("project_id", Uuid, ForeignKey(projects.c.id, ondelete="CASCADE")),
    Column("advisor_id", Uuid, ForeignKey(users.c.id, ondelete="CASCADE")),
    Column("status", Text, nullable=False, server_default="active"),
    Column("role", Text, nullable=False, server_default="advisor"),
    Column("assigned_at", _Time, nullable=False, server_default=_now),
    PrimaryKeyConstraint("project_id", "advisor_id"),
    _one_of("status", ("active", "inactive")),
    _one_of("role", WorkspaceRole),
    Index(None, "advisor_id"),
)

unified_chat_sessions = Table(
    "unified_chat_sessions",
    metadata,
    Column("id", Uuid, primary_key=True, server_default=_new_id),
    Column("project_id", Uuid, ForeignKey(projects.c.id, ondelete="CASCADE"), nullable=False),
    Column("user_id", Uuid, ForeignKey(users.c.id, ondelete="CASCADE"), nullable=False),
    Column("actor_type", Text, nullable=False),
    Column("session_state", Text, nullable=False),
    Column("preferred_locale", Text),
    Column("session_id", String(255), nullable=False, server_default=text("gen_random_uuid()::text")),
    Column("created_at", _Time, nullable=False, server_default=_now),
    Column("last_active", _Time, nullable=False, server_default=_now),
    Column("metadata", JSONB, nullable=False, server_default=_empty_object),
    UniqueConstraint("project_id", "user_id"),
    Index(None, "user_id"),
    _one_of("actor_type", ActorType),
    _one_of("session_state", ("active", "ended")),
)

unified_chat_messages = Table(
    "unified_chat_messages",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("project_id", Uuid, nullable=False),
    Column("user_id", Uuid),
    Column("actor_type", Text, nullable=False),
    Column("message_type", Text, nullable=False),
    Column("mode", Text, nullable=False, server_default="unified"),
    Column("text", Text, nullable=False),
    Column("client_msg_id", Text),
    Column("response_data", JSONB),
    Column("seq", BigInteger, nullable=False),
    Column("created_at", _Time, nullable=False, server_default=_now),
    UniqueConstraint("project_id", "seq"),
    UniqueConstraint("project_id", "user_id", "client_msg_id"),
    _one_of("actor_type", ActorType),
    _one_of("message_type", ChatMessageType),
    _one_of("mode", ChatMode),
    Index(
        "uq_unified_chat_messages_welcome",
        text("(response_data ->> 'match_id')"),
        unique=True,
        postgresql_where=text("response_data ->> 'event_code' = 'advisor_joined'"),
    ),
)

notification_outbox = Table(
    "notification_outbox",
    metadata,
    Column("id", Uuid, primary_key=True, server_default=_new_id),
    Column("type", Text, nullable=False),
    Column("recipient_id", Uuid, nullable=False),
    Column("priority", Text, nullable=False, server_default="normal"),
    Column("payload", JSONB, nullable=False, server_default=_empty_object),
    Column("status", Text, nullable=False, server_default="pending"),
    Column("attempt_count", Integer, nullable=False, server_default="0"),
    Column("next_attempt_at", _Time, server_default=_now),
    Column("last_error", Text),
    Column("correlation_id", Text),
    Column("created_at", _Time, nullable=False, server_default=_now),
    Column("updated_at", _Time, nullable=False, server_default=_now),
    # Of one that is being delivered; the lease ends when it is due again.
    Column("lease_token", Uuid),
    Column("taken_by", ARRAY(Text), nullable=False, server_default=_empty_list),
    Column("traceparent", Text),
    _one_of("status", NotificationStatus),
    _one_of("priority", NotificationPriority),
    CheckConstraint(f"attempt_count BETWEEN 0 AND {MAX_ATTEMPTS}", name="attempt_count"),
    CheckConstraint("lease_token IS NULL OR status = 'pending'", name="lease"),
    Index(
        "ix_notification_outbox_pending",
        "recipient_id",
        "created_at",
        "id",
        postgresql_where=text("status = 'pending'"),
    ),
    Index(
        "ix_notification_outbox_oldest",
        "priority",
        "created_at",
        "id",
        postgresql_where=text("status = 'pending'"),
    ),
    Index("ix_notification_outbox_dead", "created_at", "id", postgresql_where=text("status = 'dead'")),
    Index("ix_notification_outbox_sent", "created_at", postgresql_where=text("status = 'sent'")),
    Index(None, "created_at", "id"),
)

project_events = Table(
    "project_events",
    metadata,
    Column("project_id", Uuid),
    Column("seq", BigInteger),
    Column("type", Text, nullable=False),
    Column("payload", JSONB, nullable=False),
    Column("user_id", Uuid),
    Column("correlation_id", Text),
    Column("created_at", _Time, nullable=False, server_default=_now),
    Column("traceparent", Text),
    PrimaryKeyConstraint("project_id", "seq"),
    # Appended in the order of time, and only retention asks by it: a few pages do instead of a tree.
    Index("ix_project_events_created_at", "created_at", postgresql_using="brin"),
)

project_event_heads = Table(
    "project_event_heads",
    metadata,
    Column("project_id", Uuid, primary_key=True),
    Column("last_seq", BigInteger, nullable=False, server_default="0"),
    Column("pruned_through", BigInteger, nullable=False, server_default="0"),
    CheckConstraint("pruned_through BETWEEN 0 AND last_seq", name="pruned_through"),
    comment="One row a project: the end of its log, and the lock under which its transactions queue up.",
    postgresql_with={"fillfactor": "50"},
)

event_log_epoch = Table(
    "event_log_epoch",
    metadata,
    Column("epoch", Uuid, nullable=False, server_default=_new_id),
    Column("only", Boolean, primary_key=True, server_default=text("true")),
    CheckConstraint('"only"', name="one_row"),
    comment="The identity of this event log: part of every event id, new with every new database.",
)

schema_compatibility = Table(
    "schema_compatibility",
    metadata,
    Column("works_from", Text, nullable=False),
    Column("finished", Text),
    Column("only", Boolean, primary_key=True, server_default=text("true")),
    CheckConstraint('"only"', name="one_row"),
    comment="The revision that a server must know to work with this schema, and where the last release left it whole.",
)

used_nonces = Table(
    "used_nonces",
    metadata,
    Column("kid", Text),
    Column("nonce", Text),
    Column("call_id", Uuid, nullable=False),
    Column("used_at", _Time, nullable=False, server_default=_now),
    PrimaryKeyConstraint("kid", "nonce"),
    Index(None, "used_at"),
)

idempotent_requests = Table(
    "idempotent_requests",
    metadata,
    Column("caller", Uuid),
    Column("request_id", Uuid),
    Column("method", Text, nullable=False),
    Column("body_hash", LargeBinary, nullable=False),
    Column("answer", LargeBinary, nullable=False),
    Column("created_at", _Time, nullable=False, server_default=_now),
    PrimaryKeyConstraint("caller", "request_id"),
    Index(None, "created_at"),
)

stream_servers = Table(
    "stream_servers",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("seen_at", _Time, nullable=False, server_default=_now),
    comment="The servers that hold event streams, and when each last said that it lives.",
    postgresql_with={"fillfactor": "50"},
)

open_streams = Table(
    "open_streams",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("user_id", Uuid, nullable=False),
    Column("watch_id", Text, nullable=False),
    Column("number", BigInteger, Identity(always=False), nullable=False),
    Column("server_id", Uuid, nullable=False),
    Column("opened_at", _Time, nullable=False, server_default=_now),
    Column("contested_at", _Time),
    Index(None, "user_id", "number"),
    Index(None, "server_id"),
    Index("ix_open_streams_contested", "server_id", postgresql_where=text("contested_at IS NOT NULL")),
    comment="The event streams that are open, on whichever server.",
)
