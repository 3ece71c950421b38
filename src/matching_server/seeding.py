"""Filling a directory: projects and advisors from a file, and synthetic advisors by the thousand.

A file is JSON: ``{"projects": [Project, …], "advisors": [{"profile": Advisor, "availability":
UpdateAvailabilityRequest}, …]}``, each in the JSON form of the contract's messages, and held to the same rules
as a call.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

from google.protobuf import json_format
from google.protobuf.message import Message

from advisor_matching.v1 import availability_service_pb2, directory_service_pb2
from matching_server.domain.calls import Call
from matching_server.domain.errors import InvalidArgument
from matching_server.domain.model import Advisor, Caller, Project, Role
from matching_server.offline import offline_runner
from matching_server.operations import availability, directory
from matching_server.operations.commands import ListAdvisors, Page, UpdateAvailability
from matching_server.rpc.fields import read
from matching_server.rpc.inputs import UpdateAvailabilityInput, UpsertAdvisorInput, UpsertProjectInput
from matching_server.storage.bulk import add_advisors
from matching_server.storage.database import Database
from matching_server.synthetic import synthetic_advisor

_CALL = Call(Caller(UUID(int=0), "", frozenset({Role.SERVICE})), correlation_id="seed")
_BATCH = 2_000
"""Synthetic advisors in one transaction."""


class SeedError(Exception):
    """The file cannot be used; the message says where it is wrong."""


@dataclass(frozen=True, slots=True)
class Directory:
    """What a file holds."""

    projects: tuple[Project, ...]
    advisors: tuple[tuple[Advisor, UpdateAvailability], ...]

    @property
    def size(self) -> int:
        """Entries to load."""
        return len(self.projects) + len(self.advisors)


def read_directory(file: Path) -> Directory:
    """What the file holds, checked.

    Raises:
        SeedError: it cannot be read, or an entry is wrong.
    """
    try:
        content = json.loads(file.read_text())
    except OSError as error:
        raise SeedError(f"{file} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise SeedError(f"{file} is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise SeedError(f"{file} is not an object with projects and advisors")
    return Directory(
        projects=tuple(
            _entry(file, f"projects[{index}]", _project, entry)
            for index, entry in enumerate(content.get("projects", ()))
        ),
        advisors=tuple(
            _entry(file, f"advisors[{index}]", _advisor, entry)
            for index, entry in enumerate(content.get("advisors", ()))
        ),
    )


def is_empty(database: Database) -> bool:
    """Whether the database has no advisor yet."""
    with offline_runner(database) as runner:
        return not directory.list_advisors(runner, _CALL, ListAdvisors(page=Page(1))).items


def load_directory(database: Database, content: Directory, redis_url: str | None = None) -> Iterator[None]:
    """Stores one entry a step; entries that are there already are brought to what the file says.

    Servers that run with the Redis of ``redis_url`` see at once what has changed, others within 2 s.
    """
    with offline_runner(database, redis_url=redis_url) as runner:
        for project in content.projects:
            directory.upsert_project(runner, _CALL, project)
            yield
        for advisor, wanted in content.advisors:
            directory.upsert_advisor(runner, _CALL, advisor)
            availability.update_availability(runner, _CALL, wanted)
            yield


@dataclass(frozen=True, slots=True)
class AddedBatch:
    """One transaction's worth of synthetic advisors."""

    size: int
    added: int
    """The others were there already."""


def add_synthetic_advisors(database: Database, count: int, seed: int) -> Iterator[AddedBatch]:
    """Adds the first ``count`` advisors of a seed, a batch a step; those who are there already stay as they are."""
    for first in range(0, count, _BATCH):
        batch = [synthetic_advisor(seed, number) for number in range(first, min(first + _BATCH, count))]
        added = database.transact(partial(add_advisors, newcomers=batch)).value
        yield AddedBatch(len(batch), added)


def _entry(file: Path, place: str, parse: Any, entry: Any) -> Any:
    try:
        return parse(entry)
    except (InvalidArgument, json_format.ParseError, TypeError, KeyError) as error:
        raise SeedError(f"{file}, {place}: {error}") from None


def _project(entry: dict[str, Any]) -> Project:
    request = _message({"project": entry}, directory_service_pb2.UpsertProjectRequest())
    return read(UpsertProjectInput, request).value()


def _advisor(entry: dict[str, Any]) -> tuple[Advisor, UpdateAvailability]:
    request = _message({"advisor": entry["profile"]}, directory_service_pb2.UpsertAdvisorRequest())
    advisor = read(UpsertAdvisorInput, request).value()
    wanted = _message(
        {**entry.get("availability", {}), "advisor_id": str(advisor.id)},
        availability_service_pb2.UpdateAvailabilityRequest(),
    )
    return advisor, read(UpdateAvailabilityInput, wanted).command(advisor.id)


def _message(values: dict[str, Any], message: Message) -> Message:
    return json_format.ParseDict(values, message)
