-- What it takes at least to match a project with an advisor: six plain statements in a transaction.
--
-- pgbench runs this file as it is; fastapi_twin.py runs the same statements, which it reads from here.
-- Each transaction of each client takes another project: numbers are given out by client and turn.

\set number :first + :client_id * :turns + :turn
\set turn :turn + 1
BEGIN;

-- 1. project_and_open_match: the project, locked, and the match that it has already, if any.
SELECT p.id AS project, p.owner_id AS owner, m.id AS open_match
FROM projects p LEFT JOIN advisor_match_requests m ON m.project_id = p.id
    AND m.status IN ('pending', 'matched', 'client_approved', 'advisor_accepted')
WHERE p.id = CAST(md5(CAST(:number AS text)) AS uuid)
FOR UPDATE OF p
\gset

-- 2. best_advisor: least loaded, then longest without an assignment, then by rating.
SELECT a.advisor_id AS advisor
FROM advisor_availability a JOIN advisors d ON d.id = a.advisor_id
WHERE a.has_slot AND a.status = 'available' AND d.active AND d.id <> CAST(:owner AS uuid)
ORDER BY CAST(a.current_projects AS float) / a.max_concurrent_projects,
    a.last_assigned_at NULLS FIRST, d.rating DESC NULLS LAST, a.advisor_id
LIMIT 1
\gset

-- 3. take_slot: if there still is one.
UPDATE advisor_availability
SET current_projects = current_projects + 1, last_assigned_at = clock_timestamp()
WHERE advisor_id = CAST(:advisor AS uuid) AND status = 'available' AND has_slot;

-- 4. match
INSERT INTO advisor_match_requests (id, project_id, requested_by, status, matched_advisor_id, match_reason,
    expires_in, expires_at)
VALUES (gen_random_uuid(), CAST(:project AS uuid), CAST(:owner AS uuid), 'matched', CAST(:advisor AS uuid),
    'Least loaded of the free advisors.', interval '2 hours', clock_timestamp() + interval '2 hours')
RETURNING id AS match
\gset

-- 5. event: the next one of the project.
INSERT INTO project_events (project_id, seq, type, payload, user_id)
SELECT CAST(:project AS uuid), coalesce(max(seq), 0) + 1, 'advisor.matched',
    jsonb_build_object('match_id', CAST(:match AS uuid), 'advisor_id', CAST(:advisor AS uuid), 'status', 'matched'),
    CAST(:owner AS uuid)
FROM project_events WHERE project_id = CAST(:project AS uuid);

-- 6. outbox: due much later, so that no server that looks on delivers it meanwhile.
INSERT INTO notification_outbox (type, recipient_id, payload, next_attempt_at)
VALUES ('match_offered', CAST(:advisor AS uuid),
    jsonb_build_object('matchId', CAST(:match AS uuid), 'projectId', CAST(:project AS uuid)),
    clock_timestamp() + interval '1 hour');

COMMIT;
