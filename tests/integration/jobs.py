"""Provisioning jobs as tests need them: queued, taken, made to fail, and looked at."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from matching_server.domain.model import Match
from matching_server.domain.provisioning import LeasedJob
from matching_server.operations.provisioning import AttemptResult, attempt, take_jobs
from tests.integration.world import World


def finalized(world: World) -> Match:
    """A new match that both sides have approved."""
    return world.approve(world.create())


def take(world: World) -> LeasedJob:
    """The one job that is due."""
    [job] = take_jobs(world.runner, 1)
    return job


def job_of(world: World, match: Match, columns: str) -> tuple[Any, ...]:
    """Of the newest job of a match."""
    return world.rows(
        f"SELECT {columns} FROM workspace_provisioning_queue WHERE match_id = :id"
        " ORDER BY created_at DESC LIMIT 1",
        id=match.id,
    )[0]


def end_lease(world: World) -> None:
    """Whatever is leased, its lease has run out."""
    world.run(
        "UPDATE workspace_provisioning_queue SET lease_expires_at = clock_timestamp() - interval '1 ms',"
        " next_retry_at = clock_timestamp() - interval '1 ms' WHERE lease_token IS NOT NULL"
    )


def make_due(world: World) -> None:
    """Nobody waits for a backoff here."""
    world.run("UPDATE workspace_provisioning_queue SET next_retry_at = clock_timestamp() - interval '1 ms'")


@contextmanager
def failing(world: World, table: str = "unified_chat_sessions") -> Iterator[None]:
    """Nothing can be written to a table that a workspace needs."""
    world.run(f"ALTER TABLE {table} ADD CONSTRAINT out_of_order CHECK (false) NOT VALID")
    yield
    world.run(f"ALTER TABLE {table} DROP CONSTRAINT out_of_order")


def everything(world: World, match: Match) -> list[Any]:
    """Whatever an attempt may write for a match."""
    return [
        world.match(match.id),
        world.events(match.project_id),
        *[
            world.rows(f"SELECT * FROM {table} WHERE {key} = :id ORDER BY 1", id=getattr(match, attribute))
            for table, key, attribute in (
                ("workspace_provisioning_queue", "match_id", "id"),
                ("admin_matching_interventions", "match_id", "id"),
                ("project_advisors", "project_id", "project_id"),
                ("unified_chat_sessions", "project_id", "project_id"),
                ("unified_chat_messages", "project_id", "project_id"),
            )
        ],
        world.ask("SELECT count(*) FROM notification_outbox"),
        world.ask("SELECT count(*) FROM workspace_provisioning_attempts"),
    ]


def fail_for_good(world: World) -> list[AttemptResult]:
    """Every attempt that there is fails."""
    results = []
    with failing(world):
        while jobs := take_jobs(world.runner, 1):
            results.append(attempt(world.runner, jobs[0]))
            make_due(world)
    return results


def rolled_back(world: World, match: Match | None = None) -> Match:
    """A match, a new one that both sides have approved unless given, whose workspace could not be made."""
    match = match or finalized(world)
    assert fail_for_good(world)[-1] is AttemptResult.ROLLED_BACK
    return world.match(match.id)
