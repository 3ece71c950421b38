"""What one would write instead: create_match.sql behind FastAPI, uvicorn and SQLAlchemy's asyncio with asyncpg.

Nothing else: no signatures, request ids, log lines, events on a wire or explanations. Its statements are those
of the file, prepared once a connection; its pool has as many connections as the service's.
"""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

from fastapi import FastAPI, HTTPException
from pydantic import BaseModel
from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import create_async_engine

_FILE = Path(__file__).with_name("create_match.sql")
_PROJECT = "CAST(md5(CAST(:number AS text)) AS uuid)"
"""How pgbench, which can only count, comes to a project's id; here the request brings it."""


def _statements() -> dict[str, TextClause]:
    """The six statements of the file, by the names in their comments."""
    found = re.findall(
        r"^-- \d\. (\w+)[^\n]*\n(.*?)(?:;\n|\n\\gset)", _FILE.read_text(), re.DOTALL | re.MULTILINE
    )
    return {name: text(statement.replace(_PROJECT, ":project")) for name, statement in found}


_SQL = _statements()
_engine = create_async_engine(os.environ["DATABASE_URL"], pool_size=8, max_overflow=0)


class MatchRequest(BaseModel):
    """Which project asks."""

    project_id: UUID


class Match(BaseModel):
    """What was found."""

    id: UUID
    project_id: UUID
    advisor_id: UUID
    status: str


@asynccontextmanager
async def _lifespan(_: FastAPI) -> AsyncIterator[None]:
    yield
    await _engine.dispose()


async def create_match(request: MatchRequest) -> Match:
    """Matches a project with the least loaded advisor."""
    async with _engine.begin() as conn:
        known: dict[str, Any] = {"project": request.project_id}
        project = (await conn.execute(_SQL["project_and_open_match"], known)).one_or_none()
        if project is None:
            raise HTTPException(404, "no such project")
        if project.open_match is not None:
            raise HTTPException(409, "the project has a match")
        known["owner"] = project.owner
        known["advisor"] = (await conn.execute(_SQL["best_advisor"], known)).scalar_one_or_none()
        if known["advisor"] is None:
            raise HTTPException(409, "nobody is free")
        taken = await conn.execute(_SQL["take_slot"], known)
        if taken.rowcount != 1:
            raise HTTPException(409, "the advisor's last slot was taken meanwhile")
        known["match"] = (await conn.execute(_SQL["match"], known)).scalar_one()
        await conn.execute(_SQL["event"], known)
        await conn.execute(_SQL["outbox"], known)
    return Match(
        id=known["match"], project_id=request.project_id, advisor_id=known["advisor"], status="matched"
    )


app = FastAPI(lifespan=_lifespan)
app.add_api_route("/matches", create_match, methods=["POST"], status_code=201)
