"""Takes down what happens in a test's database, so that ``promises`` can judge it afterwards.

Events and match rows are the service's own record. What they leave out is kept by triggers: every version of an
advisor's availability, when a transaction that wrote events began, whose project each was, and the access rows that
went with a deleted one.
The order of it all is that of the commits, whose times Postgres keeps (``track_commit_timestamp``): of two
transactions that change the same row, the one that has to wait commits later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, text

from matching_server.domain.model import MatchStatus
from tests.support.databases import transaction
from tests.support.happened import Answer, History, Request, Step, Version

_INSTALL = """
CREATE SCHEMA recording;
CREATE TABLE recording.versions (
    n bigserial, advisor_id uuid, available boolean, slots integer, load integer
);
CREATE TABLE recording.events (
    n bigserial, project_id uuid, seq bigint, began timestamptz DEFAULT transaction_timestamp()
);
CREATE TABLE recording.removals (
    n bigserial, project_id uuid, advisor_id uuid, began timestamptz DEFAULT transaction_timestamp()
);
CREATE TABLE recording.projects (project_id uuid PRIMARY KEY, owner_id uuid, deleted boolean DEFAULT false);
CREATE FUNCTION recording.note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_TABLE_NAME = 'advisor_availability' THEN
        INSERT INTO recording.versions (advisor_id, available, slots, load) VALUES (
            NEW.advisor_id, NEW.advisor_active AND NEW.status = 'available',
            NEW.max_concurrent_projects, NEW.current_projects);
    ELSIF TG_TABLE_NAME = 'project_events' THEN
        INSERT INTO recording.events (project_id, seq) VALUES (NEW.project_id, NEW.seq);
    ELSIF TG_TABLE_NAME = 'projects' AND TG_OP = 'INSERT' THEN
        INSERT INTO recording.projects (project_id, owner_id) VALUES (NEW.id, NEW.owner_id);
    ELSIF TG_TABLE_NAME = 'projects' THEN
        UPDATE recording.projects SET deleted = true WHERE project_id = OLD.id;
    ELSE
        INSERT INTO recording.removals (project_id, advisor_id) VALUES (OLD.project_id, OLD.advisor_id);
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER recording AFTER INSERT OR UPDATE ON advisor_availability
    FOR EACH ROW EXECUTE FUNCTION recording.note();
CREATE TRIGGER recording AFTER INSERT ON project_events FOR EACH ROW EXECUTE FUNCTION recording.note();
CREATE TRIGGER recording AFTER INSERT OR DELETE ON projects FOR EACH ROW EXECUTE FUNCTION recording.note();
CREATE TRIGGER recording AFTER DELETE ON project_advisors
    FOR EACH ROW WHEN (OLD.status = 'active') EXECUTE FUNCTION recording.note();
CREATE FUNCTION recording.seconds(timestamptz) RETURNS double precision
    RETURN extract(epoch FROM $1)::double precision;
"""
_VERSIONS = """
SELECT advisor_id::text, recording.seconds(pg_xact_commit_timestamp(xmin)) AS committed, slots, load, available
FROM recording.versions ORDER BY committed, n
"""
_STEPS = """
SELECT e.payload ->> 'match_id' AS match, CASE e.type
        WHEN 'advisor.released' THEN CASE m.provisioning_state WHEN 'ready' THEN 'finalized' ELSE 'expired' END
        WHEN 'advisor.workspace_ready' THEN 'finalized'
        WHEN 'advisor.provisioning_failed' THEN e.payload ->> 'reverted_to'
        ELSE e.payload ->> 'status'
    END AS status,
    recording.seconds(r.began) AS began, recording.seconds(e.created_at) AS locked,
    recording.seconds(pg_xact_commit_timestamp(e.xmin)) AS committed,
    e.payload ->> 'advisor_id' AS advisor, e.user_id::text AS actor, e.type = 'advisor.released' AS released,
    r.n
FROM project_events e JOIN recording.events r USING (project_id, seq)
JOIN advisor_match_requests m ON m.id::text = e.payload ->> 'match_id'
UNION ALL
SELECT (SELECT id::text FROM advisor_match_requests m
        WHERE m.project_id = r.project_id AND m.matched_advisor_id = r.advisor_id
            AND m.provisioning_state = 'ready' AND m.created_at < r.began
        ORDER BY m.created_at DESC LIMIT 1),
    'finalized', recording.seconds(r.began), recording.seconds(r.began),
    recording.seconds(pg_xact_commit_timestamp(r.xmin)), r.advisor_id::text, NULL, true, r.n
FROM recording.removals r
ORDER BY committed, n
"""
_REQUESTS = """
SELECT m.id::text, m.project_id::text AS project, p.owner_id::text AS owner,
    recording.seconds(m.created_at) AS created,
    recording.seconds(least(m.created_at + m.expires_in,
        CASE WHEN p.deleted THEN pg_xact_commit_timestamp(p.xmin) END)) AS expires,
    ARRAY(SELECT jsonb_array_elements_text(m.match_criteria -> 'exclude_advisor_ids')) AS excluded,
    m.allow_previous, m.assignment_type
FROM advisor_match_requests m JOIN recording.projects p USING (project_id)
"""


class Recorder:
    """Takes down what happens in the database of a connection from now on."""

    def __init__(self, conn: Connection) -> None:
        self._conn = conn
        conn.exec_driver_sql(_INSTALL)

    def clear(self) -> None:
        """Forgets what happened: the database has been emptied."""
        self._conn.exec_driver_sql(
            "TRUNCATE recording.versions, recording.events, recording.removals, recording.projects"
        )

    def history(
        self, answers: Sequence[Answer] = (), refused: Mapping[str, Request] | None = None
    ) -> History:
        """What has committed so far, and what callers were told; ``refused`` are requests that made no match."""
        with transaction(self._conn.engine.url) as conn:
            conn.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            return History(
                requests={request.id: request for request in _requests(conn)} | dict(refused or {}),
                steps=_steps(conn),
                versions=_versions(conn),
                answers=answers,
            )


def _requests(conn: Connection) -> list[Request]:
    return [
        Request(
            id=row.id,
            project=row.project,
            owner=row.owner,
            created=row.created,
            expires=row.expires,
            excluded=frozenset(row.excluded),
            allow_previous=row.allow_previous,
            assigned=row.assignment_type is not None,
            emergency=row.assignment_type == "emergency_assignment",
        )
        for row in conn.execute(text(_REQUESTS))
    ]


def _steps(conn: Connection) -> list[Step]:
    return [
        Step(
            match=row.match,
            status=MatchStatus(row.status),
            began=row.began,
            locked=row.locked,
            committed=row.committed,
            advisor=row.advisor,
            actor=row.actor,
            released=row.released,
        )
        for row in conn.execute(text(_STEPS))
    ]


def _versions(conn: Connection) -> list[Version]:
    return [
        Version(row.advisor_id, row.committed, row.slots, row.load, row.available)
        for row in conn.execute(text(_VERSIONS))
    ]
