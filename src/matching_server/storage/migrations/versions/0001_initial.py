"""The tables.

What the platform owns (``auth.users`` and ``projects``) is created only where it is absent, and left as it is
where it is not. ``storage.tables`` says what each table is for.
"""

from __future__ import annotations

from alembic import op
from sqlalchemy import text

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

USERS = """
CREATE TABLE auth.users (
    id uuid CONSTRAINT pk_users PRIMARY KEY,
    email text,
    locale text,
    timezone text,
    roles text[] NOT NULL DEFAULT '{}'
);
COMMENT ON TABLE auth.users IS 'The platform''s people. Created only where the platform has not.';
"""

PROJECTS = """
CREATE TABLE projects (
    id uuid CONSTRAINT pk_projects PRIMARY KEY,
    owner_id uuid NOT NULL CONSTRAINT fk_projects_owner_id REFERENCES auth.users (id) ON DELETE CASCADE,
    name text NOT NULL DEFAULT '',
    technology_stack jsonb,
    project_complexity text,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX ix_projects_owner_id ON projects (owner_id);
COMMENT ON TABLE projects IS 'The platform''s projects. Created only where the platform has not.';
"""

ADVISORS = """
CREATE TABLE advisors (
    id uuid CONSTRAINT pk_advisors PRIMARY KEY
        CONSTRAINT fk_advisors_id REFERENCES auth.users (id) ON DELETE CASCADE,
    display_name text NOT NULL,
    skills text[] NOT NULL DEFAULT '{}',
    specialties text[] NOT NULL DEFAULT '{}',
    languages text[] NOT NULL DEFAULT '{}',
    frameworks text[] NOT NULL DEFAULT '{}',
    timezone text,
    rating double precision CONSTRAINT ck_advisors_rating CHECK (rating >= 0 AND rating <= 5),
    avatar_url text,
    active boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX ix_advisors_created_at_id ON advisors (created_at, id);

CREATE TABLE advisor_availability (
    advisor_id uuid CONSTRAINT pk_advisor_availability PRIMARY KEY
        CONSTRAINT fk_advisor_availability_advisor_id REFERENCES advisors (id) ON DELETE CASCADE,
    status text NOT NULL DEFAULT 'available'
        CONSTRAINT ck_advisor_availability_status CHECK (status IN ('available', 'busy', 'offline')),
    max_concurrent_projects integer NOT NULL DEFAULT 3
        CONSTRAINT ck_advisor_availability_max_concurrent_projects
        CHECK (max_concurrent_projects BETWEEN 1 AND 100),
    current_projects integer NOT NULL DEFAULT 0
        CONSTRAINT ck_advisor_availability_current_projects CHECK (current_projects >= 0),
    advisor_active boolean NOT NULL DEFAULT true,
    has_slot boolean NOT NULL
        GENERATED ALWAYS AS (advisor_active AND current_projects < max_concurrent_projects) STORED,
    last_active timestamptz,
    last_assigned_at timestamptz,
    availability_preferences jsonb NOT NULL DEFAULT '{}',
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 70);
CREATE INDEX ix_advisor_availability_has_slot ON advisor_availability (advisor_id) WHERE has_slot;
COMMENT ON TABLE advisor_availability IS
    'advisor_active mirrors advisors.active by a trigger, so that one row decides a claim.';
"""

MATCHES = """
CREATE TABLE advisor_match_requests (
    id uuid CONSTRAINT pk_advisor_match_requests PRIMARY KEY,
    project_id uuid NOT NULL,
    requested_by uuid NOT NULL,
    match_criteria jsonb NOT NULL DEFAULT '{}',
    status text NOT NULL CONSTRAINT ck_advisor_match_requests_status CHECK (status IN (
        'pending', 'matched', 'client_approved', 'advisor_accepted', 'finalized',
        'client_declined', 'advisor_declined', 'expired')),
    previous_status text CONSTRAINT ck_advisor_match_requests_previous_status CHECK (previous_status IN (
        'pending', 'matched', 'client_approved', 'advisor_accepted', 'finalized',
        'client_declined', 'advisor_declined', 'expired')),
    matched_advisor_id uuid,
    match_score numeric(5, 2),
    match_reason text,
    scoring_features jsonb,
    pending_reason text CONSTRAINT ck_advisor_match_requests_pending_reason
        CHECK (pending_reason IN ('all_advisors_busy', 'no_advisors_available')),
    closed_reason text CONSTRAINT ck_advisor_match_requests_closed_reason CHECK (closed_reason IN (
        'expired', 'superseded_by_admin', 'advisor_deactivated', 'released', 'advisor_gone', 'project_gone')),
    client_decision text CONSTRAINT ck_advisor_match_requests_client_decision
        CHECK (client_decision IN ('approved', 'declined')),
    client_decision_reason text,
    client_decided_at timestamptz,
    advisor_decision text CONSTRAINT ck_advisor_match_requests_advisor_decision
        CHECK (advisor_decision IN ('approved', 'declined')),
    advisor_decision_reason text,
    advisor_decided_at timestamptz,
    assignment_type text CONSTRAINT ck_advisor_match_requests_assignment_type
        CHECK (assignment_type IN ('manual_assignment', 'emergency_assignment')),
    provisioning_state text CONSTRAINT ck_advisor_match_requests_provisioning_state
        CHECK (provisioning_state IN ('queued', 'ready', 'failed')),
    expires_in interval NOT NULL,
    expires_at timestamptz NOT NULL,
    allow_previous boolean NOT NULL DEFAULT false,
    load_at_claim integer,
    slots_at_claim integer,
    version integer NOT NULL DEFAULT 1,
    correlation_id text,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE UNIQUE INDEX uq_advisor_match_requests_unsettled ON advisor_match_requests (project_id)
    WHERE status IN ('pending', 'matched', 'client_approved', 'advisor_accepted')
        OR (status = 'finalized' AND provisioning_state = 'queued');
CREATE INDEX ix_advisor_match_requests_pending ON advisor_match_requests (created_at, id)
    WHERE status = 'pending';
CREATE INDEX ix_advisor_match_requests_open_expiry ON advisor_match_requests (expires_at)
    WHERE status IN ('pending', 'matched', 'client_approved', 'advisor_accepted');
CREATE INDEX ix_advisor_match_requests_held ON advisor_match_requests (matched_advisor_id)
    WHERE matched_advisor_id IS NOT NULL
        AND (status IN ('matched', 'client_approved', 'advisor_accepted')
            OR (status = 'finalized' AND provisioning_state IS DISTINCT FROM 'ready'));
CREATE INDEX ix_advisor_match_requests_project_id_created_at_id
    ON advisor_match_requests (project_id, created_at, id);
"""

ADMIN = """
CREATE TABLE admin_advisor_assignments (
    id uuid DEFAULT gen_random_uuid() CONSTRAINT pk_admin_advisor_assignments PRIMARY KEY,
    project_id uuid NOT NULL,
    advisor_id uuid NOT NULL,
    match_id uuid CONSTRAINT fk_admin_advisor_assignments_match_id REFERENCES advisor_match_requests (id),
    assignment_type text NOT NULL CONSTRAINT ck_admin_advisor_assignments_assignment_type
        CHECK (assignment_type IN ('manual_assignment', 'emergency_assignment')),
    role text NOT NULL DEFAULT 'advisor'
        CONSTRAINT ck_admin_advisor_assignments_role CHECK (role IN ('advisor', 'consultant')),
    assigned_by uuid NOT NULL,
    priority integer NOT NULL DEFAULT 0,
    status text NOT NULL DEFAULT 'active'
        CONSTRAINT ck_admin_advisor_assignments_status CHECK (status IN ('active', 'cancelled')),
    reason text,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE UNIQUE INDEX uq_admin_advisor_assignments_active ON admin_advisor_assignments (project_id)
    WHERE status = 'active';

CREATE TABLE admin_preference_rules (
    id uuid DEFAULT gen_random_uuid() CONSTRAINT pk_admin_preference_rules PRIMARY KEY,
    advisor_id uuid NOT NULL
        CONSTRAINT fk_admin_preference_rules_advisor_id REFERENCES advisors (id) ON DELETE CASCADE,
    effect text NOT NULL
        CONSTRAINT ck_admin_preference_rules_effect CHECK (effect IN ('boost', 'require', 'exclude')),
    boost double precision
        CONSTRAINT ck_admin_preference_rules_boost CHECK (boost BETWEEN -100 AND 100),
    project_id uuid
        CONSTRAINT fk_admin_preference_rules_project_id REFERENCES projects (id) ON DELETE CASCADE,
    framework text,
    complexity text,
    active_from timestamptz,
    active_until timestamptz,
    reason text,
    created_by uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT ck_admin_preference_rules_boost_with_effect
        CHECK ((effect = 'boost') = (boost IS NOT NULL)),
    CONSTRAINT ck_admin_preference_rules_scope
        CHECK (num_nonnulls(project_id, framework, complexity) <= 1)
);
CREATE INDEX ix_admin_preference_rules_advisor_id ON admin_preference_rules (advisor_id);
CREATE INDEX ix_admin_preference_rules_project_id ON admin_preference_rules (project_id);

CREATE TABLE admin_matching_interventions (
    id uuid DEFAULT gen_random_uuid() CONSTRAINT pk_admin_matching_interventions PRIMARY KEY,
    match_id uuid,
    project_id uuid,
    intervention_type text NOT NULL,
    reason text,
    metadata jsonb NOT NULL DEFAULT '{}',
    created_by uuid,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX ix_admin_matching_interventions_created_at_id ON admin_matching_interventions (created_at, id);
CREATE INDEX ix_admin_matching_interventions_match_id ON admin_matching_interventions (match_id);
"""

PROVISIONING = """
CREATE TABLE workspace_provisioning_queue (
    id uuid DEFAULT gen_random_uuid() CONSTRAINT pk_workspace_provisioning_queue PRIMARY KEY,
    match_id uuid NOT NULL
        CONSTRAINT fk_workspace_provisioning_queue_match_id REFERENCES advisor_match_requests (id),
    project_id uuid NOT NULL,
    status text NOT NULL DEFAULT 'pending' CONSTRAINT ck_workspace_provisioning_queue_status
        CHECK (status IN ('pending', 'processing', 'completed', 'rollback_needed', 'failed')),
    attempt_count integer NOT NULL DEFAULT 0
        CONSTRAINT ck_workspace_provisioning_queue_attempt_count CHECK (attempt_count >= 0),
    next_retry_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_error text,
    lease_token uuid,
    lease_expires_at timestamptz,
    correlation_id text,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT ck_workspace_provisioning_queue_lease
        CHECK ((lease_token IS NULL) = (lease_expires_at IS NULL))
);
CREATE UNIQUE INDEX uq_workspace_provisioning_queue_live_or_done ON workspace_provisioning_queue (match_id)
    WHERE status IN ('pending', 'processing', 'rollback_needed', 'completed');
CREATE INDEX ix_workspace_provisioning_queue_due ON workspace_provisioning_queue (next_retry_at)
    WHERE status IN ('pending', 'rollback_needed');
CREATE INDEX ix_workspace_provisioning_queue_lease ON workspace_provisioning_queue (lease_expires_at)
    WHERE status IN ('processing', 'rollback_needed');
CREATE INDEX ix_workspace_provisioning_queue_match_id ON workspace_provisioning_queue (match_id);
CREATE INDEX ix_workspace_provisioning_queue_created_at_id ON workspace_provisioning_queue (created_at, id);

CREATE TABLE workspace_provisioning_attempts (
    job_id uuid CONSTRAINT fk_workspace_provisioning_attempts_job_id
        REFERENCES workspace_provisioning_queue (id) ON DELETE CASCADE,
    number integer,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at timestamptz,
    error text,
    permanent boolean NOT NULL DEFAULT false,
    CONSTRAINT pk_workspace_provisioning_attempts PRIMARY KEY (job_id, number)
);
"""

WORKSPACE = """
CREATE TABLE project_advisors (
    project_id uuid
        CONSTRAINT fk_project_advisors_project_id REFERENCES projects (id) ON DELETE CASCADE,
    advisor_id uuid
        CONSTRAINT fk_project_advisors_advisor_id REFERENCES auth.users (id) ON DELETE CASCADE,
    status text NOT NULL DEFAULT 'active'
        CONSTRAINT ck_project_advisors_status CHECK (status IN ('active', 'inactive')),
    role text NOT NULL DEFAULT 'advisor'
        CONSTRAINT ck_project_advisors_role CHECK (role IN ('advisor', 'consultant')),
    assigned_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT pk_project_advisors PRIMARY KEY (project_id, advisor_id)
);
CREATE INDEX ix_project_advisors_advisor_id ON project_advisors (advisor_id);

CREATE TABLE unified_chat_sessions (
    id uuid DEFAULT gen_random_uuid() CONSTRAINT pk_unified_chat_sessions PRIMARY KEY,
    project_id uuid NOT NULL
        CONSTRAINT fk_unified_chat_sessions_project_id REFERENCES projects (id) ON DELETE CASCADE,
    user_id uuid NOT NULL
        CONSTRAINT fk_unified_chat_sessions_user_id REFERENCES auth.users (id) ON DELETE CASCADE,
    actor_type text NOT NULL CONSTRAINT ck_unified_chat_sessions_actor_type
        CHECK (actor_type IN ('client', 'advisor', 'assistant', 'system')),
    session_state text NOT NULL
        CONSTRAINT ck_unified_chat_sessions_session_state CHECK (session_state IN ('active', 'ended')),
    preferred_locale text,
    session_id varchar(255) NOT NULL DEFAULT gen_random_uuid()::text,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_active timestamptz NOT NULL DEFAULT clock_timestamp(),
    metadata jsonb NOT NULL DEFAULT '{}',
    CONSTRAINT uq_unified_chat_sessions_project_id_user_id UNIQUE (project_id, user_id)
);
CREATE INDEX ix_unified_chat_sessions_user_id ON unified_chat_sessions (user_id);

CREATE TABLE unified_chat_messages (
    id uuid CONSTRAINT pk_unified_chat_messages PRIMARY KEY,
    project_id uuid NOT NULL,
    user_id uuid,
    actor_type text NOT NULL CONSTRAINT ck_unified_chat_messages_actor_type
        CHECK (actor_type IN ('client', 'advisor', 'assistant', 'system')),
    message_type text NOT NULL
        CONSTRAINT ck_unified_chat_messages_message_type CHECK (message_type IN ('user', 'system')),
    mode text NOT NULL DEFAULT 'unified'
        CONSTRAINT ck_unified_chat_messages_mode CHECK (mode IN ('unified', 'plan', 'build')),
    text text NOT NULL,
    client_msg_id text,
    response_data jsonb,
    seq bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT uq_unified_chat_messages_project_id_seq UNIQUE (project_id, seq),
    CONSTRAINT uq_unified_chat_messages_project_id_user_id_client_msg_id
        UNIQUE (project_id, user_id, client_msg_id)
);
CREATE UNIQUE INDEX uq_unified_chat_messages_welcome
    ON unified_chat_messages ((response_data ->> 'match_id'))
    WHERE response_data ->> 'event_code' = 'advisor_joined';
"""

OUTBOX = """
CREATE TABLE notification_outbox (
    id uuid DEFAULT gen_random_uuid() CONSTRAINT pk_notification_outbox PRIMARY KEY,
    type text NOT NULL,
    recipient_id uuid NOT NULL,
    priority text NOT NULL DEFAULT 'normal'
        CONSTRAINT ck_notification_outbox_priority CHECK (priority IN ('normal', 'high')),
    payload jsonb NOT NULL DEFAULT '{}',
    status text NOT NULL DEFAULT 'pending'
        CONSTRAINT ck_notification_outbox_status CHECK (status IN ('pending', 'sent', 'dead')),
    attempt_count integer NOT NULL DEFAULT 0,
    next_attempt_at timestamptz DEFAULT clock_timestamp(),
    last_error text,
    correlation_id text,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX ix_notification_outbox_due ON notification_outbox (next_attempt_at) WHERE status = 'pending';
CREATE INDEX ix_notification_outbox_created_at_id ON notification_outbox (created_at, id);
"""

EVENT_LOG = """
CREATE TABLE project_events (
    project_id uuid,
    seq bigint,
    type text NOT NULL,
    payload jsonb NOT NULL,
    user_id uuid,
    correlation_id text,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT pk_project_events PRIMARY KEY (project_id, seq)
);
CREATE INDEX ix_project_events_created_at ON project_events USING brin (created_at);

CREATE TABLE project_event_heads (
    project_id uuid CONSTRAINT pk_project_event_heads PRIMARY KEY,
    last_seq bigint NOT NULL DEFAULT '0',
    pruned_through bigint NOT NULL DEFAULT '0',
    CONSTRAINT ck_project_event_heads_pruned_through CHECK (pruned_through BETWEEN 0 AND last_seq)
) WITH (fillfactor = 50);
COMMENT ON TABLE project_event_heads IS
    'One row a project: the end of its log, and the lock under which its transactions queue up.';

CREATE TABLE event_log_epoch (
    epoch uuid NOT NULL DEFAULT gen_random_uuid(),
    "only" boolean DEFAULT true CONSTRAINT pk_event_log_epoch PRIMARY KEY,
    CONSTRAINT ck_event_log_epoch_one_row CHECK ("only")
);
COMMENT ON TABLE event_log_epoch IS
    'The identity of this event log: part of every event id, new with every new database.';
INSERT INTO event_log_epoch DEFAULT VALUES;
"""

CALLS = """
CREATE TABLE used_nonces (
    kid text,
    nonce text,
    call_id uuid NOT NULL,
    used_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT pk_used_nonces PRIMARY KEY (kid, nonce)
);
CREATE INDEX ix_used_nonces_used_at ON used_nonces (used_at);

CREATE TABLE idempotent_requests (
    caller uuid,
    request_id uuid,
    method text NOT NULL,
    body_hash bytea NOT NULL,
    answer bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT pk_idempotent_requests PRIMARY KEY (caller, request_id)
);
CREATE INDEX ix_idempotent_requests_created_at ON idempotent_requests (created_at);
"""


def upgrade() -> None:
    """From a database that may hold the platform's tables, or nothing."""
    # Asked for, not IF NOT EXISTS: that needs the right to create them even where they are there.
    if _absent("to_regnamespace('auth')"):
        op.execute("CREATE SCHEMA auth")
    if _absent("to_regclass('auth.users')"):
        op.execute(USERS)
    if _absent("to_regclass('projects')"):
        op.execute(PROJECTS)
    for group in (ADVISORS, MATCHES, ADMIN, PROVISIONING, WORKSPACE, OUTBOX, EVENT_LOG, CALLS):
        op.execute(group)


def _absent(name: str) -> bool:
    return op.get_bind().execute(text(f"SELECT {name} IS NULL")).scalar_one() is True
