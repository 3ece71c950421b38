"""The SQL of the invariants. ``storage.invariants`` names and describes them."""

from __future__ import annotations

from matching_server.domain.events import EventType
from matching_server.domain.interventions import InterventionType
from matching_server.domain.lifecycle import LEGAL_STEPS
from matching_server.domain.model import MatchStatus
from matching_server.domain.notifications import NotificationType
from matching_server.storage.tables import HELD, OPEN, UNSETTLED

_RECENTLY = "transaction_timestamp() - interval '1 hour'"
"""Retention takes completed jobs and sent notifications away, though never within an hour.

The time is that of the transaction: an audit on one snapshot must not call late what became due after it.
"""


def _quoted(word: str | None) -> str:
    return "NULL" if word is None else f"'{word}'"


LOAD_IS_COUNTED = f"""
WITH busy AS (
    SELECT matched_advisor_id AS advisor_id, project_id FROM advisor_match_requests WHERE {HELD}
    UNION
    SELECT advisor_id, project_id FROM project_advisors WHERE status = 'active'
), counted AS (
    SELECT advisor_id, count(*) AS projects FROM busy GROUP BY advisor_id
)
SELECT a.advisor_id, a.current_projects, coalesce(c.projects, 0) AS counted
FROM advisor_availability a LEFT JOIN counted c USING (advisor_id)
WHERE a.current_projects <> coalesce(c.projects, 0)
"""

CAPACITY_IS_RESPECTED = """
SELECT advisor_id, NULL AS match_id, current_projects AS load, max_concurrent_projects AS slots
FROM advisor_availability WHERE current_projects < 0
UNION ALL
SELECT matched_advisor_id, id, load_at_claim, slots_at_claim
FROM advisor_match_requests
WHERE load_at_claim >= slots_at_claim AND assignment_type IS DISTINCT FROM 'emergency_assignment'
"""

ONE_UNSETTLED_MATCH = f"""
SELECT project_id, count(*) AS unsettled, string_agg(id::text, ' ') AS match_ids
FROM advisor_match_requests WHERE {UNSETTLED}
GROUP BY project_id HAVING count(*) > 1
"""

_STATUS_EVENTS = (
    EventType.MATCH_PENDING,
    EventType.MATCHED,
    EventType.CLIENT_APPROVED,
    EventType.ACCEPTED,
    EventType.MATCH_DECLINED,
    EventType.MATCH_EXPIRED,
    EventType.FINALIZED,
    EventType.PROVISIONING_FAILED,
)

# What each event says of its match's status. A release is told beside the step that it causes, if any: a match
# whose workspace was ready stays finalized. Ids are compared as text, and times are told as text: an audit has
# to survive what it looks for.
_TRANSITIONS = f"""
transitions AS (
    SELECT e.project_id, e.seq, e.type, e.payload ->> 'match_id' AS match_id,
        CASE e.type
            WHEN '{EventType.PROVISIONING_FAILED}' THEN e.payload ->> 'reverted_to'
            ELSE e.payload ->> 'status'
        END AS status,
        CASE WHEN e.type = '{EventType.PROVISIONING_FAILED}'
            THEN '{MatchStatus.FINALIZED}' ELSE e.payload ->> 'previous_status'
        END AS previous_status
    FROM project_events e
    WHERE e.type IN ({", ".join(_quoted(type_) for type_ in _STATUS_EVENTS)})
        AND e.payload ->> 'match_id' IS NOT NULL
)
"""

_LEGAL_STEPS = ", ".join(
    f"({_quoted(source)}, {_quoted(target)})" for source, target in sorted(LEGAL_STEPS, key=str)
)

# A decision that finalizes is told by two events from the same status: its own and then advisor.finalized,
# which is the step. A decision before a provisioning that is retried is no such pair: the statuses differ.
STEPS_ARE_LEGAL = f"""
WITH {_TRANSITIONS}, followed AS (
    SELECT *, lead(type) OVER of_match AS next_type, lead(previous_status) OVER of_match AS next_previous
    FROM transitions WINDOW of_match AS (PARTITION BY project_id, match_id ORDER BY seq)
), steps AS (
    SELECT *, row_number() OVER of_match = 1 AS first, lag(status) OVER of_match AS status_before
    FROM followed
    WHERE (type IN ('{EventType.CLIENT_APPROVED}', '{EventType.ACCEPTED}')
        AND next_type = '{EventType.FINALIZED}' AND next_previous = previous_status) IS NOT TRUE
    WINDOW of_match AS (PARTITION BY project_id, match_id ORDER BY seq)
), legal (source, target) AS (VALUES {_LEGAL_STEPS}), judged AS (
    SELECT s.*,
        CASE
            WHEN NOT EXISTS (SELECT FROM legal
                WHERE legal.source IS NOT DISTINCT FROM s.previous_status AND legal.target = s.status)
            THEN 'no such step'
            WHEN NOT s.first AND s.previous_status IS DISTINCT FROM s.status_before
            THEN 'not from where the last step led'
            WHEN s.first AND s.previous_status IS NOT NULL AND coalesce(h.pruned_through, 0) = 0
            THEN 'begins without a creation'
        END AS fault
    FROM steps s LEFT JOIN project_event_heads h ON h.project_id = s.project_id
)
SELECT match_id, project_id, seq, type, previous_status, status, status_before, fault
FROM judged WHERE fault IS NOT NULL
UNION ALL
SELECT id::text, project_id, NULL, NULL, previous_status, status, NULL, 'no advisor'
FROM advisor_match_requests
WHERE matched_advisor_id IS NULL
    AND status IN ('matched', 'client_approved', 'advisor_accepted', 'finalized', 'advisor_declined')
"""

FINALIZED_WAS_DECIDED = f"""
WITH jobs AS (
    SELECT match_id,
        count(*) FILTER (WHERE status IN ('pending', 'processing', 'rollback_needed')) AS live,
        count(*) FILTER (WHERE status = 'completed') AS done
    FROM workspace_provisioning_queue GROUP BY match_id
)
SELECT m.id AS match_id, m.status, m.provisioning_state, m.client_decision, m.advisor_decision,
    coalesce(j.live, 0) AS live_jobs, coalesce(j.done, 0) AS completed_jobs
FROM advisor_match_requests m LEFT JOIN jobs j ON j.match_id = m.id
WHERE m.status = 'finalized' AND (
        ((m.client_decision = 'approved' AND m.advisor_decision = 'approved') IS NOT TRUE
            AND m.assignment_type IS DISTINCT FROM 'emergency_assignment')
        OR (m.provisioning_state = 'queued' AND (coalesce(j.live, 0) <> 1 OR j.done <> 0))
        OR m.provisioning_state = 'failed'
        OR (m.provisioning_state = 'ready' AND (j.live <> 0 OR j.done > 1
            OR (coalesce(j.done, 0) = 0 AND m.updated_at > {_RECENTLY}))))
    OR (j.live > 0 AND (m.status = 'finalized' AND m.provisioning_state = 'queued') IS NOT TRUE)
"""

# The log keeps its newest events: that of a job is still there if the oldest is no younger than its end.
COMPLETED_IS_PROVISIONED = f"""
WITH done AS (
    SELECT j.id AS job_id, j.match_id, m.project_id, m.matched_advisor_id AS advisor_id,
        coalesce(h.pruned_through, 0) = 0 OR EXISTS (
            SELECT FROM project_events e
            WHERE e.project_id = h.project_id AND e.seq = h.pruned_through + 1
                AND e.created_at <= j.updated_at
        ) AS event_is_kept
    FROM workspace_provisioning_queue j
    JOIN advisor_match_requests m ON m.id = j.match_id
    JOIN projects p ON p.id = m.project_id
    JOIN auth.users u ON u.id = m.matched_advisor_id
    LEFT JOIN project_event_heads h ON h.project_id = m.project_id
    WHERE j.status = 'completed'
), made AS (
    SELECT done.*,
        (SELECT count(*) FROM project_advisors a
            WHERE a.project_id = done.project_id AND a.advisor_id = done.advisor_id) AS access_rows,
        (SELECT count(*) FROM unified_chat_sessions s
            WHERE s.project_id = done.project_id AND s.user_id = done.advisor_id) AS chat_sessions,
        (SELECT count(*) FROM unified_chat_messages c
            WHERE c.project_id = done.project_id AND c.response_data ->> 'event_code' = 'advisor_joined'
                AND c.response_data ->> 'match_id' = done.match_id::text) AS welcomes,
        (SELECT count(*) FROM project_events e
            WHERE e.project_id = done.project_id AND e.type = '{EventType.WORKSPACE_READY}'
                AND e.payload ->> 'match_id' = done.match_id::text) AS ready_events
    FROM done
)
SELECT * FROM made
WHERE (access_rows, chat_sessions, welcomes) <> (1, 1, 1)
    OR ready_events > 1 OR (event_is_kept AND ready_events = 0)
"""

# A job that was cancelled by a release has failed nobody. Who became an admin when is not known, so that one
# alert is looked for, and only as long as retention cannot have taken it.
FAILURES_ARE_TOLD = f"""
WITH jobs AS (
    SELECT *, lead(created_at) OVER (PARTITION BY match_id ORDER BY created_at, id) AS next_created_at
    FROM workspace_provisioning_queue
), failed AS (
    SELECT j.id AS job_id, j.match_id, j.attempt_count,
        j.next_created_at IS NOT NULL
            OR (m.status = 'finalized' AND m.provisioning_state = 'queued') IS NOT TRUE AS rolled_back,
        EXISTS (
            SELECT FROM admin_matching_interventions i
            WHERE i.match_id = j.match_id AND i.intervention_type = '{InterventionType.PROVISIONING_FAILURE}'
                AND i.created_at >= j.created_at AND i.created_at < coalesce(j.next_created_at, 'infinity')
        ) AS logged,
        j.updated_at <= {_RECENTLY}
            OR NOT EXISTS (SELECT FROM auth.users u WHERE u.roles @> ARRAY['admin'])
            OR EXISTS (
                SELECT FROM notification_outbox n
                WHERE n.type = '{NotificationType.PROVISIONING_FAILURE}'
                    AND n.payload ->> 'matchId' = j.match_id::text
                    AND n.created_at >= j.created_at
                    AND n.created_at < coalesce(j.next_created_at, 'infinity')
            ) AS alerted
    FROM jobs j JOIN advisor_match_requests m ON m.id = j.match_id
    WHERE j.status = 'failed'
        AND (j.next_created_at IS NOT NULL OR m.closed_reason IS DISTINCT FROM 'released')
)
SELECT * FROM failed WHERE NOT (rolled_back AND logged AND alerted)
UNION ALL
SELECT id, match_id, attempt_count, NULL, NULL, NULL
FROM workspace_provisioning_queue WHERE attempt_count > :max_attempts
"""

LEASES_ARE_SWEPT = """
SELECT id AS job_id, match_id, lease_expires_at::text
FROM workspace_provisioning_queue
WHERE status = 'processing' AND (lease_expires_at IS NULL
    OR lease_expires_at < transaction_timestamp() - 2 * make_interval(secs => :sweep_seconds))
"""

LOG_HAS_NO_GAP = """
WITH kept AS (
    SELECT project_id, count(*) AS events, min(seq) AS first_seq, max(seq) AS final_seq
    FROM project_events GROUP BY project_id
)
SELECT coalesce(h.project_id, k.project_id) AS project_id, h.pruned_through, h.last_seq,
    coalesce(k.events, 0) AS events, k.first_seq, k.final_seq
FROM project_event_heads h FULL JOIN kept k ON k.project_id = h.project_id
WHERE h.project_id IS NULL
    OR coalesce(k.events, 0) <> h.last_seq - h.pruned_through
    OR (k.events > 0 AND (k.first_seq, k.final_seq) <> (h.pruned_through + 1, h.last_seq))
"""

# A match without any event is right where all of its events may have been pruned: it is older than any there.
STATUS_HAS_ITS_EVENT = f"""
WITH {_TRANSITIONS}, newest AS (
    SELECT DISTINCT ON (project_id, match_id) project_id, match_id, seq, type, status
    FROM transitions ORDER BY project_id, match_id, seq DESC
), oldest AS (
    SELECT h.project_id, h.pruned_through, e.created_at
    FROM project_event_heads h
    LEFT JOIN project_events e ON e.project_id = h.project_id AND e.seq = h.pruned_through + 1
)
SELECT coalesce(m.id::text, n.match_id) AS match_id, coalesce(m.project_id, n.project_id) AS project_id,
    m.status, n.status AS status_of_event, n.type, n.seq
FROM advisor_match_requests m
FULL JOIN newest n ON n.match_id = m.id::text AND n.project_id = m.project_id
LEFT JOIN oldest o ON o.project_id = m.project_id
WHERE m.id IS NULL
    OR n.status <> m.status
    OR (n.match_id IS NULL AND (coalesce(o.pruned_through, 0) = 0 OR m.created_at >= o.created_at))
"""

# That of one that is being delivered is the end of its lease.
OUTBOX_MOVES = """
SELECT id AS notification_id, type, attempt_count, next_attempt_at::text
FROM notification_outbox
WHERE status = 'pending'
    AND (next_attempt_at IS NULL OR next_attempt_at > transaction_timestamp() + interval '1 day')
"""

EXPIRED_IS_CLOSED = f"""
SELECT id AS match_id, project_id, status, expires_at::text
FROM advisor_match_requests
WHERE {OPEN} AND expires_at < transaction_timestamp() - 2 * make_interval(secs => :sweep_seconds)
"""
