"""What a test at the wire works with: people, their projects, and the servers that they call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import grpc
import pytest
from sqlalchemy import Connection, Row, text
from sqlalchemy.exc import OperationalError

from advisor_matching.v1.types_pb2 import Match, MatchStatus, ProjectEvent
from matching_client import Claims, MatchingClient
from matching_server.storage.invariants import audit
from tests.support.processes import ServerProcess, Servers
from tests.support.seed import insert_advisor, insert_project, insert_user
from tests.support.wait import eventually
from tests.support.watching import watching

SERVICE, ADMIN = UUID(int=1), UUID(int=2)
"""Callers that need no row."""
_KEPT = ("event_log_epoch", "matching_schema_version", "schema_compatibility", "stream_servers")
"""Tables that belong to the schema, or to the servers, rather than to what a test did."""


class World:
    """A database, some servers on it, and whoever calls them. Rows are made by SQL, as the platform makes its.

    ``server`` arguments are the position in ``servers.all``; the first one where left out.
    """

    def __init__(self, conn: Connection, servers: Servers) -> None:
        self.conn = conn
        self.servers = servers
        self._connections: dict[str, MatchingClient] = {}

    # ------------------------------------------------------------------------------------------------ the servers

    def start(self, *arguments: str, wait: bool = True, **settings: object) -> ServerProcess:
        """One more server; ``settings`` by their names without MATCHING_, in lower case."""
        return self.servers.start(*arguments, environment=environment(settings), wait=wait)

    def start_worker(self, *, wait: bool = True, **settings: object) -> ServerProcess:
        """One more process that does the background work alone, with settings as in ``start``."""
        return self.servers.start_worker(environment=environment(settings), wait=wait)

    def start_together(self, count: int, *arguments: str, **settings: object) -> list[ServerProcess]:
        """So many more servers, starting side by side."""
        begun = [
            self.servers.start(*arguments, environment=environment(settings), wait=False)
            for _ in range(count)
        ]
        for server in begun:
            server.wait_until_ready()
        return begun

    def reconnect(self) -> None:
        """Another connection to a database that has been restarted."""
        self.conn.invalidate()
        self.conn.rollback()

    def close(self) -> None:
        """Ends every client and server."""
        for client in self._connections.values():
            client.close()
        self._connections.clear()
        self.servers.end_all()

    # ------------------------------------------------------------------------------------------------- who calls

    def caller(
        self, user_id: UUID | str, *roles: str, server: int = 0, claims: Claims | None = None
    ) -> MatchingClient:
        """A client that calls as this person."""
        connection = self._connection(server)
        if claims is not None:
            return connection.as_user(claims=claims)
        return connection.as_user(user_id=str(user_id), email=f"{user_id}@example.com", roles=roles)

    def client(self, project_id: str, *, server: int = 0) -> MatchingClient:
        """The project's owner."""
        owner = self.value("SELECT owner_id FROM projects WHERE id = :project", project=project_id)
        return self.caller(owner, "client", server=server)

    def advisor(self, advisor_id: str, *, server: int = 0) -> MatchingClient:
        """The advisor."""
        return self.caller(advisor_id, "advisor", server=server)

    def service(self, *, server: int = 0) -> MatchingClient:
        """The platform itself."""
        return self.caller(SERVICE, "service", server=server)

    def admin(self, *, server: int = 0) -> MatchingClient:
        """An administrator."""
        return self.caller(ADMIN, "admin", server=server)

    # --------------------------------------------------------------------------------------------- what there is

    def new_project(self, **columns: Any) -> str:
        """A project with an owner of its own."""
        owner = columns.pop("owner_id", None) or insert_user(
            self.conn, locale=columns.pop("locale", None), timezone=columns.pop("timezone", None)
        )
        return str(insert_project(self.conn, owner_id=UUID(str(owner)), **columns))

    def new_advisor(self, slots: int = 3, **columns: Any) -> str:
        """An advisor, available unless ``status`` says otherwise."""
        return str(insert_advisor(self.conn, slots=slots, **columns))

    def new_person(self) -> str:
        """Somebody who is nothing in particular."""
        return str(insert_user(self.conn))

    def new_admin(self) -> str:
        """Somebody to be alerted."""
        return str(insert_user(self.conn, roles=["admin"]))

    def matched(self, **columns: Any) -> tuple[str, str, Match]:
        """A project that has just been offered to its own new advisor: (project, advisor, match)."""
        advisor, project = self.new_advisor(), self.new_project(**columns)
        match = self.service().create_match(project).match
        assert match.matched_advisor.id == advisor, "the pool holds others who are free"
        return project, advisor, match

    def finalized(self, **columns: Any) -> tuple[str, str, Match]:
        """The same, approved by the client first and then by the advisor."""
        project, advisor, match = self.matched(**columns)
        self.client(project).submit_client_decision(match.id, "DECISION_APPROVED")
        answer = self.advisor(advisor).submit_advisor_decision(match.id, "DECISION_APPROVED")
        assert answer.status == MatchStatus.MATCH_STATUS_FINALIZED
        return project, advisor, answer.match

    def execute(self, sql: str, **params: Any) -> None:
        """One statement, a transaction of its own."""
        self.conn.execute(text(sql), params)

    def value(self, sql: str, **params: Any) -> Any:
        """The one value that a query returns."""
        return self.conn.execute(text(sql), params).scalar_one()

    def values(self, sql: str, **params: Any) -> list[Any]:
        """The one column that a query returns."""
        return list(self.conn.execute(text(sql), params).scalars())

    def rows(self, sql: str, **params: Any) -> Sequence[Row[Any]]:
        """What a query returns."""
        return self.conn.execute(text(sql), params).all()

    def row(self, sql: str, **params: Any) -> Mapping[str, Any]:
        """The one row that a query returns."""
        return dict(self.conn.execute(text(sql), params).mappings().one())

    def load(self, advisor_id: str) -> int:
        """How many slots of the advisor are taken."""
        return int(
            self.value(
                "SELECT current_projects FROM advisor_availability WHERE advisor_id = :id", id=advisor_id
            )
        )

    def status(self, match_id: str) -> str:
        """The match's status as it is stored."""
        return str(self.value("SELECT status FROM advisor_match_requests WHERE id = :id", id=match_id))

    def statuses(self) -> dict[str, int]:
        """How many matches there are in each status."""
        rows = self.conn.execute(text("SELECT status, count(*) FROM advisor_match_requests GROUP BY status"))
        return {row[0]: row[1] for row in rows}

    def event_types(self, project_id: str) -> list[str]:
        """The names of the project's events, in order; their numbers must be 1, 2, 3, …"""
        rows = self.conn.execute(
            text("SELECT seq, type FROM project_events WHERE project_id = :project ORDER BY seq"),
            {"project": project_id},
        ).all()
        assert [row.seq for row in rows] == list(range(1, len(rows) + 1))
        return [row.type for row in rows]

    # --------------------------------------------------------------------------------------------------- waiting

    def wait_for_status(self, match_id: str, status: str, *, timeout: float = 10.0) -> None:
        """Waits until the match is stored in that status; nobody reads it over the wire meanwhile."""
        eventually(lambda: self.status(match_id) == status, timeout=timeout, what=f"the match is {status}")

    def wait_for_ready(self, match_id: str, *, timeout: float = 10.0) -> None:
        """Waits until the match's workspace is there."""
        self.wait_for_provisioning(match_id, "ready", timeout=timeout)

    def wait_for_provisioning(self, match_id: str, state: str | None, *, timeout: float = 10.0) -> None:
        """Waits until the match's provisioning is in that state."""
        query = "SELECT provisioning_state FROM advisor_match_requests WHERE id = :id"
        eventually(
            lambda: self.value(query, id=match_id) == state, timeout=timeout, what=f"provisioning is {state}"
        )

    def watched(self, project_id: str, count: int, *, server: int = 0) -> list[ProjectEvent]:
        """The first events of a project as a watcher gets them."""
        with watching(self.service(server=server), project_id, from_start=True) as watch:
            return [next(watch) for _ in range(count)]

    def empty(self) -> None:
        """Forgets everything that happened; the servers run on."""
        tables = self.values(
            "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables"
            " WHERE schemaname IN ('public', 'auth') AND tablename <> ALL (:kept)",
            kept=list(_KEPT),
        )
        truncate = f"SET lock_timeout = '100ms'; TRUNCATE {', '.join(tables)}; SET lock_timeout = 0"
        eventually(lambda: self.done_at_once(truncate), what="the tables could be emptied")

    def assert_sound(self) -> None:
        """The invariants hold, whatever the servers may be doing."""
        violations = audit(self.conn)
        if violations:
            pytest.fail("\n".join(map(str, violations)), pytrace=False)

    def done_at_once(self, sql: str) -> bool:
        """Whether the statement could be run at once: who waits for others could deadlock with them."""
        try:
            self.conn.exec_driver_sql(sql)
        except OperationalError:
            return False
        return True

    def _connection(self, server: int) -> MatchingClient:
        endpoint = self.servers.all[server].endpoint
        if endpoint.address not in self._connections:
            self._connections[endpoint.address] = MatchingClient(
                endpoint.address,
                key_id=endpoint.key_id,
                secret=endpoint.secret,
                user_id=str(SERVICE),
                roles=["service"],
                # Back as soon as a killed server is.
                channel_options=[("grpc.max_reconnect_backoff_ms", 200)],
            )
        return self._connections[endpoint.address]

    def channel(self, server: int = 0) -> grpc.Channel:
        """A connection of its own that signs nothing. The caller closes it."""
        return grpc.insecure_channel(self.servers.all[server].address)


def environment(settings: Mapping[str, object]) -> dict[str, str]:
    """Settings as variables: ``sweep_seconds=1`` is MATCHING_SWEEP_SECONDS."""
    names = {name: f"MATCHING_{name.upper()}" for name in settings} | {
        "auto_provision": "ADVISOR_AUTO_PROVISION"
    }
    return {names[name]: str(value) for name, value in settings.items()}
