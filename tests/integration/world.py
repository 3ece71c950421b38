"""A world for use cases: real Postgres, people put in by SQL, and calls as the edge would make them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from hashlib import sha256
from typing import Any, TypeVar
from uuid import UUID, uuid4

from sqlalchemy import Connection, text

from matching_server.domain.calls import Call, Nonce, RequestKey
from matching_server.domain.effects import Effects
from matching_server.domain.events import ProjectEvent
from matching_server.domain.model import Caller, Decision, Match, Role, Side
from matching_server.operations import decisions, matching
from matching_server.operations.assignments import assign_advisor, release_advisor
from matching_server.operations.commands import (
    AssignAdvisor,
    AssignedAdvisor,
    CreatedMatch,
    CreateMatch,
    ReleaseAdvisor,
    SubmitDecision,
)
from matching_server.operations.picture import Picture
from matching_server.operations.policy import Policy
from matching_server.operations.runner import Runner
from matching_server.storage import event_log, matches
from matching_server.storage.database import Database
from tests.support.seed import insert_advisor, insert_project

T = TypeVar("T")
WAIT = 20.0
_METHOD = "/advisor_matching.v1.MatchService/CreateMatch"


def call(
    user_id: UUID | None = None,
    *roles: Role,
    nonce: str | None = None,
    request_id: UUID | None = None,
    body: bytes = b"body",
    method: str = _METHOD,
) -> Call:
    """A call of somebody; by a service where nobody is named."""
    key = RequestKey(request_id, method, sha256(body).digest()) if request_id else None
    return Call(
        caller=Caller(user_id or uuid4(), "somebody@example.com", frozenset(roles or {Role.SERVICE})),
        correlation_id=f"test-{uuid4()}",
        nonce=Nonce("key", nonce) if nonce else None,
        request_key=key,
    )


def encoded(created: CreatedMatch) -> bytes:
    """What stands for the bytes of an answer here."""
    return f"{created.match.id} {created.match.status} {created.already_open}".encode()


def _never_encoded(assigned: AssignedAdvisor) -> bytes:
    raise AssertionError("only an answer to a request id is kept")


@dataclass
class World:
    """One test's database, and the use cases on it."""

    database: Database
    conn: Connection
    picture: Picture
    policy: Policy = field(default_factory=Policy)
    effects: list[Effects] = field(default_factory=list)

    @property
    def runner(self) -> Runner:
        """Gives use cases their transaction; what they left to do is collected in ``effects``."""
        return Runner(self.database, self.policy, self.picture, self.effects.append)

    def under(self, **policy: Any) -> World:
        """The same world with other settings."""
        return replace(self, policy=replace(self.policy, **policy))

    # By SQL, as the platform would.

    def run(self, sql: str, **params: Any) -> None:
        """One statement."""
        self.conn.execute(text(sql), params)

    def ask(self, sql: str, **params: Any) -> Any:
        """The one value that a query returns."""
        return self.conn.execute(text(sql), params).scalar_one()

    def rows(self, sql: str, **params: Any) -> list[tuple[Any, ...]]:
        """All rows that a query returns."""
        return [tuple(row) for row in self.conn.execute(text(sql), params)]

    def project(self, **columns: Any) -> UUID:
        """A project of an owner of its own."""
        return insert_project(self.conn, **columns)

    def advisor(self, **columns: Any) -> UUID:
        """An advisor who is free unless told otherwise."""
        return insert_advisor(self.conn, **columns)

    def owner(self, project_id: UUID) -> UUID:
        """Whose project it is."""
        owner: UUID = self.ask("SELECT owner_id FROM projects WHERE id = :id", id=project_id)
        return owner

    def make_overdue(self, match_id: UUID) -> None:
        """The time of an open match has passed."""
        self.run(
            "UPDATE advisor_match_requests SET expires_at = clock_timestamp() - interval '1 s' WHERE id = :id",
            id=match_id,
        )

    # Through the use cases.

    def client(self, project_id: UUID, **how: Any) -> Call:
        """A call of the project's owner."""
        return call(self.owner(project_id), Role.CLIENT, **how)

    def ask_for(self, project_id: UUID, by: Call | None = None, **command: Any) -> CreatedMatch | bytes:
        """Asks for an advisor, as the project's owner unless told otherwise."""
        wanted = CreateMatch(project_id, **command)
        return matching.create_match(self.runner, by or self.client(project_id), wanted, encoded)

    def create(self, project_id: UUID | None = None, by: Call | None = None, **command: Any) -> Match:
        """The match that asking for an advisor gives."""
        created = self.ask_for(project_id or self.project(), by, **command)
        assert isinstance(created, CreatedMatch)
        return created.match

    def decide(
        self, match: Match, side: Side, decision: Decision, by: Call | None = None, **command: Any
    ) -> Match:
        """One side's answer, by that side unless told otherwise."""
        if by is None and side is Side.CLIENT:
            by = self.client(match.project_id)
        elif by is None:
            by = call(match.matched_advisor_id, Role.ADVISOR)
        return decisions.submit_decision(self.runner, by, SubmitDecision(match.id, side, decision, **command))

    def approve(self, match: Match, *sides: Side) -> Match:
        """These sides approve, one after the other; both, the client first, where none is named."""
        for side in sides or (Side.CLIENT, Side.ADVISOR):
            match = self.decide(match, side, Decision.APPROVED)
        return match

    def decline(self, match: Match, side: Side) -> Match:
        """That side declines."""
        return self.decide(match, side, Decision.DECLINED)

    def assign(
        self, project_id: UUID, advisor_id: UUID, by: Call | None = None, **command: Any
    ) -> AssignedAdvisor:
        """An admin puts an advisor on a project."""
        wanted = AssignAdvisor(project_id, advisor_id, **command)
        assigned = assign_advisor(self.runner, by or call(None, Role.ADMIN), wanted, _never_encoded)
        assert isinstance(assigned, AssignedAdvisor)
        return assigned

    def release(self, project_id: UUID, advisor_id: UUID, reason: str | None = None) -> bool:
        """An admin takes an advisor off a project."""
        wanted = ReleaseAdvisor(project_id, advisor_id, reason)
        return release_advisor(self.runner, call(None, Role.ADMIN), wanted)

    # What is stored.

    def match(self, match_id: UUID) -> Match:
        """The match as it is stored."""
        found = self.database.read(lambda conn: matches.get(conn, match_id))
        assert found is not None
        return found

    def column(self, match: Match, column: str) -> Any:
        """A column of a match."""
        return self.ask(f"SELECT {column} FROM advisor_match_requests WHERE id = :id", id=match.id)

    def load(self, advisor_id: UUID) -> int:
        """How many projects an advisor has, by the row that decides claims."""
        load: int = self.ask(
            "SELECT current_projects FROM advisor_availability WHERE advisor_id = :id", id=advisor_id
        )
        return load

    def events(self, project_id: UUID) -> list[ProjectEvent]:
        """A project's log."""
        return self.database.read(lambda conn: event_log.read_after(conn, project_id, 0, 1_000))

    def told(self, project_id: UUID) -> list[str]:
        """The types of a project's events, in order."""
        return [event.type.value for event in self.events(project_id)]

    def notified(self, type_: str) -> list[UUID]:
        """Who has got a notification of that type."""
        return [
            row[0]
            for row in self.rows(
                "SELECT recipient_id FROM notification_outbox WHERE type = :type ORDER BY created_at",
                type=type_,
            )
        ]

    def now(self) -> datetime:
        """The database's clock."""
        now: datetime = self.ask("SELECT clock_timestamp()")
        return now


def together(*works: Callable[[], T]) -> list[T | Exception]:
    """Runs all at the same moment, each on a thread of its own; what each returned or raised, in order."""
    barrier = threading.Barrier(len(works))

    def started(work: Callable[[], T]) -> T:
        barrier.wait(WAIT)
        return work()

    with ThreadPoolExecutor(len(works)) as pool:
        futures = [pool.submit(started, work) for work in works]
        return list(map(_outcome, futures))


def _outcome(future: Future[T]) -> T | Exception:
    error = future.exception(WAIT)
    if isinstance(error, Exception):
        return error
    return future.result()


def answers(outcomes: Sequence[T | Exception]) -> list[T]:
    """What was returned; whatever was raised is raised here."""
    found = []
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            raise outcome
        found.append(outcome)
    return found
