"""Who and what there is before a row begins: put in by COPY, as a platform's import would."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from psycopg import sql
from psycopg.types.json import Jsonb

from benchmarks.harness.stage import Connection

OWNER = UUID(int=1)
"""Owns every project."""
OWNER_ZONE = "Europe/Berlin"

FRAMEWORKS = ("django", "fastapi", "react", "vue", "rails", "spring", "next", "svelte")
LANGUAGES = ("python", "typescript", "go", "java", "ruby", "rust", "kotlin", "sql")
FACTORS = ("payments", "accessibility", "offline use", "reporting", "migration", "security", "search", "maps")
COMPLEXITIES = ("simple", "medium", "complex")
ZONES = (
    "Europe/Berlin",
    "Europe/Lisbon",
    "Africa/Nairobi",
    "Asia/Kolkata",
    "Asia/Tokyo",
    "America/New_York",
    "America/Sao_Paulo",
    "Pacific/Auckland",
)


@dataclass(frozen=True, slots=True)
class Stack:
    """What a project is made of."""

    framework: str
    languages: tuple[str, ...]
    factors: tuple[str, ...]
    complexity: str

    def as_json(self) -> dict[str, Any]:
        """As in ``projects.technology_stack``."""
        return {
            "framework": self.framework,
            "languages": list(self.languages),
            "complexity_factors": list(self.factors),
        }


@dataclass(frozen=True, slots=True)
class Profile:
    """An advisor as the platform knows them."""

    id: UUID
    slots: int
    skills: tuple[str, ...]
    languages: tuple[str, ...]
    frameworks: tuple[str, ...]
    zone: str
    rating: float
    preferred_complexity: tuple[str, ...]

    @property
    def name(self) -> str:
        """What they are called."""
        return f"Advisor {self.id.hex[:8]}"


def stacks(number: int) -> list[Stack]:
    """So many kinds of projects, the same in every run."""
    chance = random.Random("stacks")
    return [
        Stack(
            chance.choice(FRAMEWORKS),
            _some(chance, LANGUAGES, 1, 3),
            _some(chance, FACTORS, 1, 3),
            chance.choice(COMPLEXITIES),
        )
        for _ in range(number)
    ]


def profiles(number: int, *, slots: tuple[int, int] = (100, 100)) -> list[Profile]:
    """So many advisors of all kinds, with slots in that range; the same in every run."""
    chance = random.Random(f"profiles {number} {slots}")
    return [
        Profile(
            id=UUID(int=chance.getrandbits(128), version=4),
            slots=chance.randint(*slots),
            skills=_some(chance, FACTORS, 1, 4),
            languages=_some(chance, LANGUAGES, 1, 4),
            frameworks=_some(chance, FRAMEWORKS, 1, 3),
            zone=chance.choice(ZONES),
            rating=chance.randint(20, 50) / 10,
            preferred_complexity=_some(chance, COMPLEXITIES, 0, 2),
        )
        for _ in range(number)
    ]


def _some(chance: random.Random, words: Sequence[str], least: int, most: int) -> tuple[str, ...]:
    return tuple(chance.sample(words, chance.randint(least, most)))


def project_id(number: int) -> UUID:
    """The id of a project by its number, as ``create_match.sql`` computes it."""
    return UUID(hashlib.md5(str(number).encode(), usedforsecurity=False).hexdigest())


def insert_projects(conn: Connection, number: int, kinds: Sequence[Stack]) -> None:
    """Projects 0, 1, 2, … of one owner; their kinds take turns."""
    copy(conn, "auth.users", ("id", "email", "timezone"), [(OWNER, "owner@example.com", OWNER_ZONE)])
    made = [(stack, Jsonb(stack.as_json())) for stack in kinds]
    copy(
        conn,
        "projects",
        ("id", "owner_id", "name", "technology_stack", "project_complexity"),
        (
            (project_id(n), OWNER, f"Project {n}", stack_json, stack.complexity)
            for n in range(number)
            for stack, stack_json in [made[n % len(made)]]
        ),
    )
    conn.execute("ANALYZE")


def insert_advisors(conn: Connection, advisors: Sequence[Profile]) -> None:
    """Advisors, all of them available and free."""
    copy(conn, "auth.users", ("id", "email"), ((a.id, f"{a.id}@example.com") for a in advisors))
    copy(
        conn,
        "advisors",
        ("id", "display_name", "skills", "languages", "frameworks", "timezone", "rating"),
        (
            (a.id, a.name, list(a.skills), list(a.languages), list(a.frameworks), a.zone, a.rating)
            for a in advisors
        ),
    )
    copy(
        conn,
        "advisor_availability",
        ("advisor_id", "max_concurrent_projects", "availability_preferences"),
        ((a.id, a.slots, Jsonb({"preferred_complexity": list(a.preferred_complexity)})) for a in advisors),
    )
    conn.execute("ANALYZE")


def insert_history(conn: Connection, first: int, number: int) -> None:
    """Matches of yesterday for projects ``first``, ``first + 1``, …: half of them open, half expired.

    So the tables are those of a service that is used. While nothing is open, the planner takes any index of
    open matches for as good as another, and keeps to that when there are thousands.
    """
    for statement in _HISTORY:
        conn.execute(statement, {"first": first, "last": first + number - 1})
    conn.execute("VACUUM ANALYZE")


_HISTORY = (
    """
    INSERT INTO advisor_match_requests (id, project_id, requested_by, status, matched_advisor_id, match_reason,
        expires_in, expires_at, closed_reason, created_at, updated_at)
    SELECT gen_random_uuid(), md5(n::text)::uuid, gen_random_uuid(), CASE WHEN open THEN 'matched' ELSE 'expired' END,
        advisor[1 + n %% cardinality(advisor)], 'Least loaded of 40 free advisors (0 of 100 slots taken).',
        interval '3 days', t + interval '3 days', CASE WHEN NOT open THEN 'expired' END, t, t
    FROM generate_series(%(first)s::int, %(last)s::int) n, LATERAL (SELECT n %% 2 = 0 AS open) AS half,
        LATERAL (SELECT now() - interval '1 day' AS t) AS yesterday,
        (SELECT array_agg(id) AS advisor FROM advisors) AS pool
    """,
    """
    INSERT INTO project_events (project_id, seq, type, payload, created_at)
    SELECT md5(n::text)::uuid, 1, 'advisor.matched', jsonb_build_object('match_id', gen_random_uuid()),
        now() - interval '1 day'
    FROM generate_series(%(first)s::int, %(last)s::int) n
    """,
    """
    INSERT INTO project_event_heads (project_id, last_seq)
    SELECT md5(n::text)::uuid, 1 FROM generate_series(%(first)s::int, %(last)s::int) n
    """,
    """
    INSERT INTO notification_outbox (type, recipient_id, payload, status, next_attempt_at, created_at)
    SELECT 'match_offered', gen_random_uuid(), jsonb_build_object('matchId', gen_random_uuid()), 'sent', NULL,
        now() - interval '1 day'
    FROM generate_series(%(first)s::int, %(last)s::int) n
    """,
    """
    INSERT INTO idempotent_requests (caller, request_id, method, body_hash, answer)
    SELECT gen_random_uuid(), gen_random_uuid(), '/advisor_matching.v1.MatchService/CreateMatch',
        sha256(n::text::bytea), convert_to(repeat(md5(n::text), 20), 'UTF8')
    FROM generate_series(%(first)s::int, %(last)s::int) n
    """,
    """
    INSERT INTO used_nonces (kid, nonce, call_id)
    SELECT 'bench', md5(n::text), gen_random_uuid() FROM generate_series(%(first)s::int, %(last)s::int) n
    """,
)


def copy(conn: Connection, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Puts rows into a table, in one command."""
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(*table.split(".")), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    with conn.cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row(row)
